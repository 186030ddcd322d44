#include "schedule/rewrite.h"

namespace xinfer::schedule {

namespace {

using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

ValueId scalar(Graph& graph, float value, tensor::DType dtype) {
  tensor::Tensor tensor(dtype, {});
  tensor.set(0, value);
  return graph.add_constant(graph.unique_name("factor"), std::move(tensor));
}

// Appends op(a, b) and returns its output, which has the type of `like` or is `result` itself.
ValueId append(Graph& graph, std::vector<Node>& out, const Node& origin, std::string op, ValueId a, ValueId b,
               ValueId result, const ir::ValueType& type) {
  if (result == kNoValue) result = graph.add_value(graph.unique_name(origin.name + "_" + op), type);
  Node node;
  node.op = std::move(op), node.name = origin.name, node.inputs = {a, b}, node.outputs = {result};
  out.push_back(std::move(node));
  return result;
}

void split_gemm(Graph& graph, const Node& gemm, std::vector<Node>& out) {
  float alpha = gemm.attributes.real("alpha", 1), beta = gemm.attributes.real("beta", 1);
  bool has_c = gemm.inputs.size() > 2 && gemm.inputs[2] != kNoValue && beta != 0;
  ValueId result = gemm.outputs[0];
  ir::ValueType type = graph.value(result).type;
  Node product = gemm;
  product.inputs.resize(2);
  product.attributes.erase("alpha"), product.attributes.erase("beta");
  bool scaled = alpha != 1;
  if (scaled || has_c) product.outputs = {graph.add_value(graph.unique_name(gemm.name + "_product"), type)};
  ValueId value = product.outputs[0];
  out.push_back(std::move(product));
  if (scaled)
    value = append(graph, out, gemm, "Mul", value, scalar(graph, alpha, type.dtype), has_c ? kNoValue : result, type);
  if (!has_c) return;
  ValueId c = gemm.inputs[2];
  if (beta != 1) {
    ir::ValueType c_type = graph.value(c).type;
    c = append(graph, out, gemm, "Mul", c, scalar(graph, beta, type.dtype), kNoValue, c_type);
  }
  append(graph, out, gemm, "Add", value, c, result, type);
}

}  // namespace

void rewrite_for_templates(Graph& graph) {
  std::vector<Node> nodes = std::move(graph.nodes), out;
  for (Node& node : nodes) {
    if (node.op == "Gemm") split_gemm(graph, node, out);
    else out.push_back(std::move(node));
  }
  graph.nodes = std::move(out);
}

}  // namespace xinfer::schedule
