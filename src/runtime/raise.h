// The edge of the public API: Result errors become xinfer::Error.
#pragma once
#include <string>
#include <utility>

#include "base/error.h"
#include "xinfer/error.h"

namespace xinfer::runtime {

[[noreturn]] inline void raise(const base::Error& error) {
  throw Error(std::string(base::facts(error.code).name), error.text());
}

template <class T>
T value_or_raise(base::Result<T> result) {
  if (!result) raise(result.error());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

}  // namespace xinfer::runtime
