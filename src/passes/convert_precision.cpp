// Before: values of 16-bit floating types. After: all computing is in float32; the graph's inputs and outputs keep their types,
// with a Cast right behind and before them.
#include <algorithm>

#include "passes/passes.h"
#include "passes/rewriter.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::DType;
using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

bool is_half(DType dtype) { return dtype == DType::kFloat16 || dtype == DType::kBfloat16; }

std::shared_ptr<const Tensor> to_float32(const Tensor& tensor) {
  auto wide = std::make_shared<Tensor>(DType::kFloat32, tensor.shape());
  auto out = wide->data<float>();
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i) out[i] = static_cast<float>(tensor.as_double(i));
  return wide;
}

ir::Attributes cast_to(DType dtype) {
  ir::Attributes attributes;
  attributes.set("to", static_cast<std::int64_t>(dtype));
  return attributes;
}

// Attributes that name an element type or hold elements.
void widen_attributes(Node& node) {
  for (std::string_view name : {"to", "dtype", "output_dtype"}) {
    const auto* number = node.attributes.get<std::int64_t>(name);
    if (number != nullptr && is_half(static_cast<DType>(*number)))
      node.attributes.set(std::string(name), static_cast<std::int64_t>(DType::kFloat32));
  }
  const auto* value = node.attributes.get<std::shared_ptr<const Tensor>>("value");
  if (value != nullptr && is_half((*value)->dtype())) node.attributes.set("value", to_float32(**value));
}

bool has_subgraph(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(), [](const auto& entry) {
    return std::holds_alternative<std::shared_ptr<const Graph>>(entry.second);
  });
}

bool uses_half(const Graph& graph, const Node& node) {
  auto half = [&](ValueId id) { return id != kNoValue && is_half(graph.value(id).type.dtype); };
  return std::any_of(node.inputs.begin(), node.inputs.end(), half) || std::any_of(node.outputs.begin(), node.outputs.end(), half);
}

}  // namespace

Result<bool> convert_precision(Graph& graph) {
  const bool any = std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return uses_half(graph, node); });
  // A Cast at the border is all that is left after the first time.
  const bool only_borders = std::all_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    return !uses_half(graph, node) || node.op == "Cast" || node.op == "BitCast" || node.op == "Identity";
  });
  if (!any || only_borders || std::any_of(graph.nodes.begin(), graph.nodes.end(), has_subgraph)) return false;

  std::vector<std::pair<std::size_t, DType>> outputs;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i)
    if (is_half(graph.value(graph.outputs[i]).type.dtype)) outputs.emplace_back(i, graph.value(graph.outputs[i]).type.dtype);
  for (ir::Value& value : graph.values) {
    if (value.constant == nullptr || !is_half(value.constant->dtype())) continue;
    value.constant = to_float32(*value.constant);
    value.type.dtype = DType::kFloat32;
  }
  std::vector<Node> nodes = std::move(graph.nodes);
  graph.nodes.clear();
  std::vector<ValueId> wide(graph.values.size());
  for (ValueId id = 0; id < wide.size(); ++id) wide[id] = id;
  for (ValueId id : graph.inputs) {
    if (!is_half(graph.value(id).type.dtype)) continue;
    const std::string name = graph.unique_name(graph.value(id).name + ".float32");
    wide[id] = graph.add_value(name, graph.value(id).type);
    graph.value(wide[id]).type.dtype = DType::kFloat32;
    graph.nodes.push_back({"Cast", graph.value(id).name, {id}, {wide[id]}, cast_to(DType::kFloat32)});
  }
  for (Node& node : nodes) {
    const bool exact = node.op == "BitCast";  // about the bits: keeps its types
    for (ValueId& id : node.inputs)
      if (id != kNoValue && !exact) id = wide[id];
    if (!exact) widen_attributes(node);
    XI_CHECK(ir::infer_node_types(graph, node));
    graph.nodes.push_back(std::move(node));
  }
  for (const auto& [index, dtype] : outputs) {
    const ValueId computed = wide[graph.outputs[index]];
    if (is_half(graph.value(computed).type.dtype)) continue;
    const std::string name = graph.value(graph.outputs[index]).name;
    const bool is_input = computed != graph.outputs[index];
    if (is_input) continue;
    graph.value(computed).name = graph.unique_name(name + ".float32");
    ir::ValueType type = graph.value(computed).type;
    type.dtype = dtype;
    const ValueId output = graph.add_value(name, type);
    graph.nodes.push_back({"Cast", name, {computed}, {output}, cast_to(dtype)});
    graph.outputs[index] = output;
  }
  return true;
}

}  // namespace xinfer::passes
