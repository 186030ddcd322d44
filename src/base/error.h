// Errors as values: what went wrong, where, and what the user can do about it.
#pragma once
#include <fmt/format.h>

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace xinfer::base {

/// Kinds of failure. One table (error.cpp) maps each to its name, HTTP status and exit code.
enum class Code {
  kInvalidArgument,  // the caller's mistake: wrong value, shape, option, syntax
  kNotFound,
  kUnsupported,   // well-formed, but this version cannot do it
  kCorrupt,       // bytes that do not hold what they claim
  kUntrusted,     // signature missing or not by a trusted key
  kIncompatible,  // right file, wrong machine or version
  kUnauthorized,  // no or bad credentials
  kForbidden,
  kConflict,
  kLimit,  // a named limit was exceeded
  kUnavailable,
  kTimeout,
  kCancelled,
  kOutOfMemory,
  kIo,
  kInternal,  // our bug
};

struct CodeFacts {
  std::string_view name;
  int http_status;
  int exit_code;
};
const CodeFacts& facts(Code code);

struct Error {
  Code code = Code::kInternal;
  std::string message;  // what happened and what to do
  std::string where;    // node, file, field, route; may be empty

  /// "message (at where)".
  std::string text() const;
  /// The same error with `outer` put in front of where: callers add context as the error travels up.
  Error in(std::string_view outer) &&;
};

template <class T>
using Result = std::expected<T, Error>;

template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...), {}});
}

}  // namespace xinfer::base

#define XI_CONCAT_(a, b) a##b
#define XI_CONCAT(a, b) XI_CONCAT_(a, b)

/// XI_TRY(auto x, f()): x = *f(), or return f's error. For Result<T> in functions returning Result<U>.
#define XI_TRY(declaration, expression)                                               \
  auto XI_CONCAT(xi_result_, __LINE__) = (expression);                                \
  if (!XI_CONCAT(xi_result_, __LINE__))                                               \
    return std::unexpected(std::move(XI_CONCAT(xi_result_, __LINE__)).error());       \
  declaration = std::move(*XI_CONCAT(xi_result_, __LINE__))

/// XI_CHECK(f()): return f's error if it failed. For Result<void>.
#define XI_CHECK(expression)                                                          \
  if (auto xi_checked = (expression); !xi_checked) return std::unexpected(std::move(xi_checked).error())
