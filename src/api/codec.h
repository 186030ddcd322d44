// JSON codec of the hub's types, and their JSON Schema, both from one table of fields (fields.h).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "api/types.h"
#include "base/error.h"

namespace xinfer::api {

/// Compact JSON. Empty strings, empty lists and absent optionals of optional fields are left out.
template <class T>
std::string encode(const T& value);

/// What to do with keys that the type does not have: a server refuses (naming the nearest), a client ignores.
enum class Unknown { kRefuse, kIgnore };

/// Errors: kInvalidArgument naming the field by its path ("shapes.x[2]").
template <class T>
[[nodiscard]] base::Result<T> decode(std::string_view json, Unknown unknown = Unknown::kRefuse);

/// Name of T in the OpenAPI document ("BuildRequest") and its JSON Schema (2020-12) as JSON text; types that it
/// uses are referenced as #/components/schemas/NAME.
struct Schema {
  std::string_view name;
  std::string (*json)();
};
template <class T>
const Schema& schema();
const std::vector<const Schema*>& schemas();  // of every type, in order of declaration

/// The name in `candidates` closest to `word` by edits, or empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace xinfer::api
