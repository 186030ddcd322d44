#include "api/codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "api/fields.h"
#include "tensor/range.h"

namespace xinfer::api {
namespace {

using base::Code;
using base::Error;
using base::Result;
using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 32;

template <class T>
concept Described = requires { Describe<T>::kName; };
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T>
struct IsMap<std::map<std::string, T>> : std::true_type {};

template <class T, class F>
void for_each_field(F&& f) {
  std::apply([&](const auto&... field) { (f(field), ...); }, Describe<T>::kFields);
}

// ---- Encoding

template <class T>
bool is_empty(const T& value) {
  if constexpr (IsOptional<T>::value) return !value.has_value();
  else if constexpr (IsVector<T>::value || IsMap<T>::value || std::is_same_v<T, std::string>) return value.empty();
  else return false;
}

template <class T>
Json to_json(const T& value) {
  if constexpr (IsOptional<T>::value) {
    return to_json(*value);
  } else if constexpr (std::is_same_v<T, RawJson>) {
    Json parsed = Json::parse(value.text, nullptr, false);
    return parsed.is_discarded() ? Json() : parsed;
  } else if constexpr (IsVector<T>::value) {
    Json list = Json::array();
    for (const auto& item : value) list.push_back(to_json(item));
    return list;
  } else if constexpr (IsMap<T>::value) {
    Json object = Json::object();
    for (const auto& [key, item] : value) object[key] = to_json(item);
    return object;
  } else if constexpr (Described<T>) {
    Json object = Json::object();
    for_each_field<T>([&](const auto& field) {
      const auto& member = value.*field.member;
      if (field.required || !is_empty(member)) object[std::string(field.name)] = to_json(member);
    });
    return object;
  } else if constexpr (std::is_same_v<T, tensor::Symbol>) {
    return value.name.empty() && value.min == value.max ? Json(value.min) : Json(tensor::format_range(value));
  } else {
    return Json(value);
  }
}

// ---- Decoding

std::unexpected<Error> wrong(const std::string& path, std::string_view expected, const Json& got) {
  return std::unexpected(
      Error{Code::kInvalidArgument, fmt::format("expected {}, got {}", expected, got.type_name()), path});
}

template <class T>
Result<T> from_json(const Json& json, const std::string& path, Unknown unknown);

template <class T>
Result<T> object_from_json(const Json& json, const std::string& path, Unknown unknown) {
  if (!json.is_object()) return wrong(path, "an object", json);
  T value;
  std::optional<Error> error;
  const auto below = [&](std::string_view name) {
    return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
  };
  std::vector<std::string_view> names;
  for_each_field<T>([&](const auto& field) {
    names.push_back(field.name);
    if (error) return;
    const auto found = json.find(std::string(field.name));
    if (found == json.end() || found->is_null()) {
      if (field.required) error = Error{Code::kInvalidArgument, "this field is required", below(field.name)};
      return;
    }
    using Member = std::remove_cvref_t<decltype(value.*field.member)>;
    auto member = from_json<Member>(*found, below(field.name), unknown);
    if (member) value.*field.member = std::move(*member);
    else error = std::move(member).error();
  });
  if (error) return std::unexpected(std::move(*error));
  if (unknown == Unknown::kRefuse) {
    for (const auto& item : json.items()) {
      if (std::ranges::find(names, item.key()) != names.end()) continue;
      const std::string near = nearest(item.key(), names);
      return std::unexpected(
          Error{Code::kInvalidArgument,
                near.empty() ? "unknown field" : fmt::format("unknown field; did you mean \"{}\"?", near),
                below(item.key())});
    }
  }
  return value;
}

template <class T>
Result<T> from_json(const Json& json, const std::string& path, Unknown unknown) {
  if constexpr (IsOptional<T>::value) {
    auto value = from_json<typename T::value_type>(json, path, unknown);
    if (!value) return std::unexpected(std::move(value).error());
    return T(std::move(*value));
  } else if constexpr (std::is_same_v<T, RawJson>) {
    return RawJson{json.dump()};
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) return wrong(path, "a string", json);
    return json.template get<std::string>();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) return wrong(path, "true or false", json);
    return json.template get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    if (!json.is_number_integer()) return wrong(path, "a whole number", json);
    if (json.is_number_unsigned() && json.template get<std::uint64_t>() > std::uint64_t{INT64_MAX})
      return std::unexpected(Error{Code::kInvalidArgument, "number too large", path});
    return json.template get<T>();
  } else if constexpr (std::is_same_v<T, tensor::Symbol>) {
    if (json.is_number_integer()) {
      XI_TRY(const auto size, from_json<std::int64_t>(json, path, unknown));
      return tensor::Symbol{{}, size, size, size};
    }
    if (!json.is_string()) return wrong(path, "a size or a range", json);
    // Without its place among the others a bare name has no default range: here every range has numbers.
    const auto text = json.template get<std::string>();
    auto range = text.find(':') == text.npos ? std::nullopt : tensor::parse_range(text, 0, 0);
    if (!range)
      return std::unexpected(Error{Code::kInvalidArgument, fmt::format("'{}' is no range like \"32:320:1280\"", text), path});
    return *std::move(range);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!json.is_number()) return wrong(path, "a number", json);
    return json.template get<T>();
  } else if constexpr (IsVector<T>::value) {
    if (!json.is_array()) return wrong(path, "a list", json);
    T list;
    list.reserve(json.size());
    for (std::size_t i = 0; i < json.size(); ++i) {
      XI_TRY(auto item, from_json<typename T::value_type>(json[i], fmt::format("{}[{}]", path, i), unknown));
      list.push_back(std::move(item));
    }
    return list;
  } else if constexpr (IsMap<T>::value) {
    if (!json.is_object()) return wrong(path, "an object", json);
    T map;
    for (const auto& item : json.items()) {
      XI_TRY(auto value,
             from_json<typename T::mapped_type>(item.value(), fmt::format("{}.{}", path, item.key()), unknown));
      map.emplace(item.key(), std::move(value));
    }
    return map;
  } else {
    return object_from_json<T>(json, path, unknown);
  }
}

// ---- Schemas

template <class T>
Json schema_of() {
  if constexpr (IsOptional<T>::value) return schema_of<typename T::value_type>();
  else if constexpr (std::is_same_v<T, RawJson>) return Json::object();
  else if constexpr (std::is_same_v<T, std::string>) return {{"type", "string"}};
  else if constexpr (std::is_same_v<T, bool>) return {{"type", "boolean"}};
  else if constexpr (std::is_integral_v<T>) return {{"type", "integer"}, {"format", "int64"}};
  else if constexpr (std::is_same_v<T, tensor::Symbol>) return {{"oneOf", {{{"type", "integer"}, {"format", "int64"}}, {{"type", "string"}, {"description", "minimum:optimum:maximum"}}}}};
  else if constexpr (std::is_floating_point_v<T>) return {{"type", "number"}};
  else if constexpr (IsVector<T>::value) return {{"type", "array"}, {"items", schema_of<typename T::value_type>()}};
  else if constexpr (IsMap<T>::value)
    return {{"type", "object"}, {"additionalProperties", schema_of<typename T::mapped_type>()}};
  else return {{"$ref", fmt::format("#/components/schemas/{}", Describe<T>::kName)}};
}

template <class T>
std::string schema_text() {
  Json properties = Json::object(), required = Json::array();
  for_each_field<T>([&](const auto& field) {
    using Member = std::remove_cvref_t<decltype(std::declval<T>().*field.member)>;
    Json property = schema_of<Member>();
    if (!field.summary.empty()) property["description"] = std::string(field.summary);
    properties[std::string(field.name)] = std::move(property);
    if (field.required) required.push_back(std::string(field.name));
  });
  Json result = {{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) result["required"] = std::move(required);
  result["additionalProperties"] = false;
  return result.dump();
}

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// The parser's own depth is unbounded recursion-free, but our decoding and dump() recurse: refuse deep nesting first.
bool too_deep(std::string_view json) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string_view best;
  int best_distance = static_cast<int>(std::max<std::size_t>(word.size() / 2, 2)) + 1;
  for (std::string_view candidate : candidates) {
    const int distance = edit_distance(word.substr(0, 64), candidate.substr(0, 64));
    if (distance < best_distance) best_distance = distance, best = candidate;
  }
  return std::string(best);
}

template <class T>
std::string encode(const T& value) {
  return to_json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <class T>
Result<T> decode(std::string_view json, Unknown unknown) {
  if (too_deep(json)) return base::fail(Code::kInvalidArgument, "JSON nested deeper than {}", kMaxDepth);
  const Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_discarded()) return base::fail(Code::kInvalidArgument, "the body is not JSON");
  return from_json<T>(parsed, "", unknown);
}

template <class T>
const Schema& schema() {
  static constexpr Schema kSchema{Describe<T>::kName, &schema_text<T>};
  return kSchema;
}

const std::vector<const Schema*>& schemas() {
  static const std::vector<const Schema*> kAll = [] {
    std::vector<const Schema*> all;
    for_each_type([&]<class T>() { all.push_back(&schema<T>()); });
    return all;
  }();
  return kAll;
}

#define XI_INSTANTIATE(T)                                        \
  template std::string encode<T>(const T&);                      \
  template base::Result<T> decode<T>(std::string_view, Unknown); \
  template const Schema& schema<T>();
XI_INSTANTIATE(ErrorReply)
XI_INSTANTIATE(Metadata)
XI_INSTANTIATE(Model)
XI_INSTANTIATE(ModelPage)
XI_INSTANTIATE(EngineList)
XI_INSTANTIATE(SourceConfirmed)
XI_INSTANTIATE(TargetList)
XI_INSTANTIATE(KeyList)
XI_INSTANTIATE(UploadRequest)
XI_INSTANTIATE(Upload)
XI_INSTANTIATE(Blob)
XI_INSTANTIATE(BuildRequest)
XI_INSTANTIATE(MatrixRequest)
XI_INSTANTIATE(BuildReport)
XI_INSTANTIATE(Matrix)
XI_INSTANTIATE(BuildError)
XI_INSTANTIATE(Build)
XI_INSTANTIATE(BuildPage)
XI_INSTANTIATE(PreflightRequest)
XI_INSTANTIATE(TuneRequest)
XI_INSTANTIATE(JobOptions)
XI_INSTANTIATE(Job)
XI_INSTANTIATE(Event)
XI_INSTANTIATE(PushRequest)
XI_INSTANTIATE(TokenRequest)
XI_INSTANTIATE(Token)
XI_INSTANTIATE(TokenList)
XI_INSTANTIATE(TuningRecords)
XI_INSTANTIATE(KernelQuery)
XI_INSTANTIATE(KernelList)
XI_INSTANTIATE(KernelOffer)
XI_INSTANTIATE(DeviceList)
XI_INSTANTIATE(AgentList)
XI_INSTANTIATE(LeaseRequest)
XI_INSTANTIATE(Lease)
XI_INSTANTIATE(Heartbeat)
XI_INSTANTIATE(HeartbeatReply)
XI_INSTANTIATE(SignRequest)
XI_INSTANTIATE(Signature)
XI_INSTANTIATE(Completion)
XI_INSTANTIATE(Failure)
XI_INSTANTIATE(Health)
XI_INSTANTIATE(Progress)
XI_INSTANTIATE(Source)
XI_INSTANTIATE(Engine)
#undef XI_INSTANTIATE

}  // namespace xinfer::api
