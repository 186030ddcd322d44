#include "zoo/model.h"

#include <cstring>

#include "api/codec.h"
#include "base/files.h"
#include "tensor/dtype.h"
#include "zoo/raise.h"

namespace xinfer::zoo {
namespace {

using base::Code;
using base::fail;
using base::Result;

Result<api::Metadata> parse_metadata(const std::string& json, bool from_caller) {
  // What the caller wrote is checked to the last key; what an engine carries may come from a newer version.
  auto metadata = api::decode<api::Metadata>(json, from_caller ? api::Unknown::kRefuse : api::Unknown::kIgnore);
  if (!metadata) return std::unexpected(std::move(metadata.error()).in("metadata"));
  if (metadata->head.empty())
    return fail(Code::kInvalidArgument,
                "the engine does not say how its outputs are read: build it with metadata, or give the configuration's "
                "`metadata` (catalog/README.md lists its fields)");
  return metadata;
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t start = 0; start < text.size();) {
    std::size_t end = text.find('\n', start);
    if (end == text.npos) end = text.size();
    std::size_t length = end - start;
    if (length > 0 && text[end - 1] == '\r') --length;
    lines.push_back(text.substr(start, length));
    start = end + 1;
  }
  return lines;
}

Values to_values(const core::Tensor& tensor, const std::string& name) {
  Values values{std::vector<float>(tensor.num_elements()), tensor.shape()};
  if (tensor.dtype() == core::DataType::kFloat32) {
    std::memcpy(values.data.data(), tensor.data(), tensor.size_bytes());
  } else if (tensor.dtype() == core::DataType::kFloat16 || tensor.dtype() == core::DataType::kBfloat16) {
    const auto* bits = static_cast<const std::uint16_t*>(tensor.data());
    const bool half = tensor.dtype() == core::DataType::kFloat16;
    for (std::size_t i = 0; i < values.data.size(); ++i)
      values.data[i] = half ? tensor::from_float16(bits[i]) : tensor::from_bfloat16(bits[i]);
  } else {
    raise({Code::kUnsupported,
           fmt::format("outputs of type {} are not read as scores or boxes", core::name(tensor.dtype())), name});
  }
  return values;
}

/// A tensor of the engine's input type with these values.
core::Tensor to_input(const core::TensorDescription& input, const Values& given) {
  const std::vector<float>& values = given.data;
  core::Tensor tensor(given.shape, input.dtype);
  if (tensor.num_elements() != values.size())
    raise({Code::kInternal, fmt::format("{} values for an input of {}", values.size(), tensor.num_elements()),
           input.name});
  if (input.dtype == core::DataType::kFloat32) {
    tensor.copy_from_host(values.data());
  } else if (input.dtype == core::DataType::kFloat16) {
    auto* bits = static_cast<std::uint16_t*>(tensor.data());
    for (std::size_t i = 0; i < values.size(); ++i) bits[i] = tensor::to_float16(values[i]);
  } else if (input.dtype == core::DataType::kUint8) {
    auto* bytes = static_cast<std::uint8_t*>(tensor.data());
    for (std::size_t i = 0; i < values.size(); ++i)
      bytes[i] = static_cast<std::uint8_t>(values[i] < 0 ? 0 : values[i] > 255 ? 255 : values[i] + 0.5f);
  } else {
    raise({Code::kUnsupported, fmt::format("pictures cannot become an input of type {}", core::name(input.dtype)),
           input.name});
  }
  return tensor;
}

}  // namespace

const std::string& Model::input_name() const {
  if (metadata.input && !metadata.input->name.empty()) return metadata.input->name;
  return engine.inputs().front().name;
}

const core::TensorDescription& Model::input() const {
  const std::string& name = input_name();
  for (const auto& description : engine.inputs())
    if (description.name == name) return description;
  engine.get_input_shape(name);  // throws
  return engine.inputs().front();
}

Model load_model(const std::string& engine_path, const core::EngineOptions& options, const std::string& metadata_json,
                 const std::string& labels_path) {
  core::InferenceEngine engine(engine_path, options);
  const bool from_caller = !metadata_json.empty();
  auto metadata = value_or_raise(parse_metadata(from_caller ? metadata_json : engine.metadata(), from_caller));
  if (!labels_path.empty()) metadata.labels = split_lines(value_or_raise(base::read_file(labels_path, 16 << 20)));
  Model model{std::move(engine), std::move(metadata)};
  if (model.engine.num_inputs() != 1)
    raise({Code::kUnsupported,
           fmt::format("the engine has {} inputs; models of pictures have one", model.engine.num_inputs()),
           engine_path});
  model.input();  // names the inputs that there are when the metadata's is none of them
  return model;
}

Outputs infer(const Model& model, const Values& input) {
  std::map<std::string, core::Tensor> inputs;
  inputs.emplace(model.input_name(), to_input(model.input(), input));
  const auto results = model.engine.infer(inputs);
  Outputs outputs;
  for (const auto& [name, tensor] : results) {
    std::string role = name;
    for (const auto& [known_role, output] : model.metadata.outputs)
      if (output == name) role = known_role;
    outputs.emplace(role, to_values(tensor, name));
  }
  return outputs;
}

Result<const Values*> find_output(const Outputs& outputs, const std::string& role) {
  if (const auto found = outputs.find(role); found != outputs.end()) return &found->second;
  std::string names;
  for (const auto& [name, values] : outputs) names += (names.empty() ? "" : ", ") + name;
  return fail(Code::kInvalidArgument, "the metadata gives no output the role '{}' (outputs: {})", role, names);
}

}  // namespace xinfer::zoo
