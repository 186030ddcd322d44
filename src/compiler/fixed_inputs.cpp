#include "compiler/fixed_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/digest.h"

namespace xinfer::compiler {

using base::Code;
using base::fail;
using base::Result;
using tensor::DType;
using tensor::Tensor;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kMaxBytes = 4096;  // of a value, to be kept whole
constexpr std::size_t kShown = 8;        // elements

// Two values are the same if their type, shape and elements are.
std::string digest_of(const Tensor& tensor) {
  std::string text = fmt::format("{}{}\n", tensor::name(tensor.dtype()), tensor::to_string(tensor.shape()));
  for (const std::string& element : tensor.strings()) text += fmt::format("{} {}\n", element.size(), element);
  if (tensor.dtype() != DType::kString) text.append(reinterpret_cast<const char*>(tensor.bytes().data()), tensor.size_bytes());
  return base::sha256(text);
}

std::size_t bytes_of(const Tensor& tensor) {
  std::size_t bytes = tensor.dtype() == DType::kString ? 0 : tensor.size_bytes();
  for (const std::string& text : tensor.strings()) bytes += text.size() + 1;
  return bytes;
}

// The report is data of a file: whatever it holds, reading it must not fail.
Json record_of(std::string_view report) {
  const Json json = Json::parse(report, nullptr, false);
  const auto fixed = json.is_object() ? json.find("fixed_inputs") : json.end();
  return json.is_object() && fixed != json.end() && fixed->is_object() ? *fixed : Json::object();
}
Json member(const Json& record, const char* name, Json::value_t type) {
  const auto found = record.find(name);
  return found != record.end() && found->type() == type ? *found : Json(type);
}
std::string text(const Json& record, const char* name) { return member(record, name, Json::value_t::string).get<std::string>(); }

std::optional<tensor::Shape> shape_of(const Json& value) {
  tensor::Shape shape;
  std::size_t count = 1;
  for (const Json& size : member(value, "shape", Json::value_t::array)) {
    if (!size.is_number_unsigned() || size.get<std::uint64_t>() > kMaxBytes) return std::nullopt;
    shape.push_back(size.get<std::int64_t>());
    count *= size.get<std::size_t>();
    if (count > kMaxBytes) return std::nullopt;
  }
  return shape;
}

// Nothing where the value is not there whole.
std::optional<Tensor> value_of(const Json& value) {
  const auto dtype = tensor::parse_dtype(text(value, "dtype"));
  const auto shape = shape_of(value);
  if (!dtype || !shape) return std::nullopt;
  Tensor tensor(*dtype, *shape);
  if (*dtype == DType::kString) {
    const Json strings = member(value, "strings", Json::value_t::array);
    if (strings.size() != tensor.strings().size()) return std::nullopt;
    for (std::size_t i = 0; i < strings.size(); ++i) {
      if (!strings[i].is_string()) return std::nullopt;
      tensor.strings()[i] = strings[i].get<std::string>();
    }
  } else {
    const auto bytes = base::from_hex(text(value, "bytes"));
    if (!bytes || bytes->size() != tensor.size_bytes()) return std::nullopt;
    std::memcpy(tensor.bytes().data(), bytes->data(), bytes->size());
  }
  if (digest_of(tensor) != text(value, "sha256")) return std::nullopt;  // strings that JSON cannot hold
  return tensor;
}

// As the importer would: numbers of the type that the engine was built with.
Tensor as_type(const Tensor& given, DType dtype) {
  if (given.dtype() == dtype || given.dtype() == DType::kString || dtype == DType::kString) return given;
  Tensor tensor(dtype, given.shape());
  for (std::int64_t i = 0; i < given.num_elements(); ++i) tensor.set(i, given.as_double(i));
  return tensor;
}

}  // namespace

Json to_json(const FixedInputs& fixed) {
  Json json{{"values", Json::object()}, {"empty", fixed.empty}};
  for (const auto& [name, tensor] : fixed.values) {
    Json& value = json["values"][name] = {{"dtype", tensor::name(tensor.dtype())}, {"shape", tensor.shape()}, {"sha256", digest_of(tensor)}};
    if (bytes_of(tensor) > kMaxBytes) continue;
    if (tensor.dtype() == DType::kString) value["strings"] = tensor.strings();
    else value["bytes"] = base::to_hex(tensor.bytes());
  }
  return json;
}

Result<FixedInputs> read_fixed_inputs(std::string_view report, const std::map<std::string, Tensor>& given) {
  const Json record = record_of(report);
  FixedInputs fixed;
  for (const Json& name : member(record, "empty", Json::value_t::array))
    if (name.is_string()) fixed.empty.insert(name.get<std::string>());
  const Json values = member(record, "values", Json::value_t::object);
  for (const auto& [name, value] : values.items()) {
    if (const auto mine = given.find(name); mine != given.end()) {
      const auto dtype = tensor::parse_dtype(text(value, "dtype"));
      Tensor same = as_type(mine->second, dtype.value_or(mine->second.dtype()));
      if (digest_of(same) != text(value, "sha256"))
        return fail(Code::kInvalidArgument, "the engine was built with another value of '{}': {}", name,
                    fmt::join(describe_fixed_inputs(report), "; "));
      fixed.values.emplace(name, std::move(same));
    } else if (auto held = value_of(value)) {
      fixed.values.emplace(name, *std::move(held));
    } else {
      return fail(Code::kInvalidArgument, "the value of input '{}' is too large to be in the engine: give it, --fix {}=FILE", name, name);
    }
  }
  for (const auto& [name, tensor] : given)
    if (!values.contains(name))
      return fail(Code::kInvalidArgument, "a value is given for '{}', which was not fixed when the engine was built", name);
  return fixed;
}

std::vector<std::string> describe_fixed_inputs(std::string_view report) {
  const Json record = record_of(report);
  std::vector<std::string> lines;
  const Json values = member(record, "values", Json::value_t::object);
  for (const auto& [name, value] : values.items()) {
    std::vector<std::string> elements;
    if (const auto tensor = value_of(value))
      for (std::size_t i = 0; i < std::min(kShown, static_cast<std::size_t>(tensor->num_elements())); ++i)
        elements.push_back(tensor->dtype() == DType::kString ? tensor->strings()[i] : fmt::format("{}", tensor->as_double(static_cast<std::int64_t>(i))));
    std::vector<std::string> shape;
    for (const Json& size : member(value, "shape", Json::value_t::array)) shape.push_back(size.dump());
    lines.push_back(fmt::format("{} = {}[{}] {}", name, text(value, "dtype"), fmt::join(shape, ","), fmt::join(elements, ", ")));
  }
  for (const Json& name : member(record, "empty", Json::value_t::array))
    if (name.is_string()) lines.push_back(name.get<std::string>() + " = none");
  return lines;
}

}  // namespace xinfer::compiler
