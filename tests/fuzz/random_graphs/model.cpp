#include "model.h"

namespace xinfer::fuzz {

tensor::Size::Values Sample::values() const {
  return [this](const std::string& name) {
    auto found = sizes.find(name);
    return found == sizes.end() ? 0 : found->second;
  };
}

std::map<std::string, std::vector<tensor::Symbol>> input_ranges(const Model& model) {
  std::map<std::string, std::vector<tensor::Symbol>> ranges;
  for (const auto& input : model.proto.graph().input()) {
    std::vector<tensor::Symbol> dims;
    bool open = false;
    for (const auto& dim : input.type().tensor_type().shape().dim()) {
      tensor::Symbol range{.name = {}, .min = dim.dim_value(), .opt = dim.dim_value(), .max = dim.dim_value()};
      for (const tensor::Symbol& symbol : model.symbols)
        if (symbol.name == dim.dim_param()) range = {.name = {}, .min = symbol.min, .opt = symbol.opt, .max = symbol.max}, open = true;
      dims.push_back(range);
    }
    if (open) ranges[input.name()] = std::move(dims);
  }
  return ranges;
}

base::Result<ir::Graph> import(const Model& model) {
  onnx::ImportOptions options;
  options.input_ranges = input_ranges(model);
  return onnx::import_model_bytes(model.proto.SerializeAsString(), options);
}

base::Result<Values> evaluate(const ir::Graph& graph, const Sample& sample) {
  std::vector<forge::reference::Value> inputs;
  for (ir::ValueId id : graph.inputs) inputs.emplace_back(sample.inputs.at(graph.value(id).name));
  XI_TRY(const auto results, forge::reference::evaluate(graph, inputs));
  Values values;
  for (std::size_t i = 0; i < results.size(); ++i) values.emplace(graph.value(graph.outputs[i]).name, results[i]);
  return values;
}

}  // namespace xinfer::fuzz
