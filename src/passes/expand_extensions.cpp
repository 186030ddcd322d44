// Before: operators of com.microsoft and ai.onnx.ml. After: standard ones where they say the same, which all later passes know;
// the rest has lowerings or kernels of its own.
#include <algorithm>

#include "passes/expansions.h"
#include "passes/passes.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

// The activation that a fused operator ends with, from its name and its one or two numbers.
void activate(Formula& f, ValueId output, ValueId x, const std::string& name, tensor::DType dtype, const std::vector<float>& numbers) {
  static constexpr std::string_view kKnown[] = {"Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid", "HardSwish", "Elu", "Softplus"};
  if (name.empty()) return f.call_into(output, "Identity", {x});
  if (name == "Clip") {
    std::vector<ValueId> inputs{x};
    for (std::size_t i = 0; i < numbers.size() && i < 2; ++i) inputs.push_back(f.scalar(dtype, numbers[i]));
    return f.call_into(output, "Clip", std::move(inputs));
  }
  if (std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown))
    return f.fail(base::Error{base::Code::kUnsupported, "activation '" + name + "'", {}});
  ir::Attributes attributes;
  const auto& taken = ir::find_operator(name)->attributes;
  const char* names[] = {"alpha", "beta"};
  for (std::size_t i = 0; i < std::min(numbers.size(), std::size(names)); ++i)
    if (std::ranges::any_of(taken, [&](const auto& info) { return info.name == names[i]; })) attributes.set(names[i], numbers[i]);
  f.call_into(output, name, {x}, std::move(attributes));
}

Result<bool> expand_fused_conv(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  ir::Attributes attributes = node.attributes;
  attributes.erase("activation");
  attributes.erase("activation_params");
  std::vector<ValueId> inputs{node.inputs[0], node.inputs[1]};
  if (has_input(node, 2)) inputs.push_back(node.inputs[2]);
  ValueId y = f.call("Conv", std::move(inputs), std::move(attributes));
  if (has_input(node, 3)) y = f.call("Add", {y, node.inputs[3]});
  const auto* numbers = node.attributes.get<std::vector<float>>("activation_params");
  activate(f, node.outputs[0], y, node.attributes.string("activation", ""), rewriter.type(node.inputs[0]).dtype,
           numbers == nullptr ? std::vector<float>{} : *numbers);
  return f.finish();
}

Result<bool> expand_fused_gemm(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  ir::Attributes attributes;
  for (const char* name : {"alpha", "beta"})
    if (const float* value = node.attributes.get<float>(name)) attributes.set(name, *value);
  for (const char* name : {"transA", "transB"})
    if (node.attributes.has(name)) attributes.set(name, node.attributes.integer(name, 0));
  std::vector<float> numbers;
  for (const char* name : {"activation_alpha", "activation_beta"})
    if (const float* value = node.attributes.get<float>(name)) numbers.push_back(*value);
  const ValueId y = f.call("Gemm", node.inputs, std::move(attributes));
  activate(f, node.outputs[0], y, node.attributes.string("activation", ""), rewriter.type(node.inputs[0]).dtype, numbers);
  return f.finish();
}

Result<bool> expand_fused_matmul(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  ValueId operands[] = {node.inputs[0], node.inputs[1]};
  const char* names[] = {"transA", "transB"};
  for (int i = 0; i < 2; ++i) {
    const auto dims = rewriter.type(operands[i]).dims;
    if (node.attributes.integer(names[i], 0) == 0) continue;
    if (!dims) return false;
    std::vector<std::int64_t> order;
    for (std::size_t d = 0; d < dims->size(); ++d) order.push_back(static_cast<std::int64_t>(d));
    std::swap(order[order.size() - 1], order[order.size() - 2]);
    operands[i] = f.transpose(operands[i], std::move(order));
  }
  const float alpha = node.attributes.real("alpha", 1);
  if (alpha == 1) f.call_into(node.outputs[0], "MatMul", {operands[0], operands[1]});
  else
    f.call_into(node.outputs[0], "Mul",
                {f.call("MatMul", {operands[0], operands[1]}), f.scalar(rewriter.type(node.inputs[0]).dtype, alpha)});
  return f.finish();
}

// x + bias + skip.
Result<bool> expand_bias_add(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  f.call_into(node.outputs[0], "Add", {f.call("Add", {node.inputs[0], node.inputs[1]}), node.inputs[2]});
  return f.finish();
}

Result<bool> expand_bias_split_gelu(Rewriter& rewriter, Node& node) {
  const auto dims = rewriter.type(node.inputs[0]).dims;
  if (!dims || dims->empty() || !dims->back().is_static()) return false;
  Formula f(rewriter);
  const std::int64_t axis = static_cast<std::int64_t>(dims->size()) - 1, half = dims->back().value / 2;
  const ValueId x = f.call("Add", {node.inputs[0], node.inputs[1]});
  f.call_into(node.outputs[0], "Mul", {f.slice(x, axis, 0, half), f.call("Gelu", {f.slice(x, axis, half, 2 * half)})});
  return f.finish();
}

Result<bool> expand_distances(Rewriter& rewriter, Node& node) {
  const std::string metric = node.attributes.string("metric", "sqeuclidean");
  if (metric != "sqeuclidean" && metric != "euclidean") return base::fail(base::Code::kUnsupported, "metric '{}'", metric);
  Formula f(rewriter);
  const ValueId apart = f.call("Sub", {f.unsqueeze(node.inputs[0], {1}), f.unsqueeze(node.inputs[1], {0})});
  f.call_into(node.outputs[0], metric == "euclidean" ? "ReduceL2" : "ReduceSumSquare", {apart, f.integers({2})}, with("keepdims", 0));
  return f.finish();
}

constexpr Expansion kFused[] = {{"com.microsoft.BiasAdd", expand_bias_add},
                                {"com.microsoft.BiasSplitGelu", expand_bias_split_gelu},
                                {"com.microsoft.CDist", expand_distances},
                                {"com.microsoft.FusedConv", expand_fused_conv},
                                {"com.microsoft.FusedGemm", expand_fused_gemm},
                                {"com.microsoft.FusedMatMul", expand_fused_matmul},
                                {"com.microsoft.TransposeMatMul", expand_fused_matmul}};

}  // namespace

std::span<const Expansion> fused_expansions() { return kFused; }

Result<bool> expand_extensions(ir::Graph& graph) {
  return Rewriter(graph).run([](Rewriter& rewriter, Node& node) -> Result<bool> {
    if (node.op.find('.') == std::string::npos) return false;
    for (auto part : {fused_expansions(), attention_expansions(), quantized_expansions(), classical_expansions()})
      for (const Expansion& row : part)
        if (row.op == node.op) return row.run(rewriter, node);
    return false;
  });
}

}  // namespace xinfer::passes
