// Classification losses as gathers, products and sums.
#include "passes/decompositions.h"
#include "passes/formula.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::DType;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

// Minus the log-probability at each label, times the label's weight, reduced. Ignored labels weigh nothing.
void likelihood_loss(Rewriter& rewriter, Formula& f, const Node& node, ValueId log_probabilities) {
  const DType dtype = rewriter.type(node.inputs[0]).dtype;
  ValueId labels = node.inputs[1];
  const tensor::Shape shape = rewriter.type(labels).shape();
  const DType index = rewriter.type(labels).dtype;
  ValueId ignored = kNoValue;
  if (const auto* number = node.attributes.get<std::int64_t>("ignore_index")) {
    ignored = f.call("Equal", {labels, f.scalar(index, static_cast<double>(*number))});
    labels = f.call("Where", {ignored, f.scalar(index, 0), labels});
  }
  const bool weighted = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  Tensor ones(dtype, shape);
  for (std::int64_t i = 0; i < ones.num_elements(); ++i) ones.set(i, 1);
  ValueId weights = weighted ? f.call("Gather", {node.inputs[2], labels}, with("axis", 0)) : f.constant(std::move(ones));
  if (ignored != kNoValue) weights = f.call("Where", {ignored, f.scalar(dtype, 0), weights});
  const ValueId chosen = f.reshape(f.call("GatherElements", {log_probabilities, f.unsqueeze(labels, {1})}, with("axis", 1)), shape);
  const std::string reduction = node.attributes.string("reduction", "mean");
  if (reduction == "none") return f.call_into(node.outputs[0], "Mul", {f.call("Neg", {chosen}), weights});
  const ValueId loss = f.call("Mul", {f.call("Neg", {chosen}), weights});
  if (reduction == "sum") return f.call_into(node.outputs[0], "ReduceSum", {loss}, with("keepdims", 0));
  const ValueId total = f.call("ReduceSum", {loss}, with("keepdims", 0)), weight = f.call("ReduceSum", {weights}, with("keepdims", 0));
  f.call_into(node.outputs[0], "Div", {total, weight});
}

bool is_static(const Rewriter& rewriter, const Node& node) {
  return rewriter.type(node.inputs[0]).is_static() && rewriter.type(node.inputs[1]).is_static();
}

}  // namespace

Result<bool> decompose_likelihood_loss(Rewriter& rewriter, Node& node) {
  if (!is_static(rewriter, node)) return false;
  Formula f(rewriter);
  likelihood_loss(rewriter, f, node, node.inputs[0]);
  return f.finish();
}

Result<bool> decompose_cross_entropy_loss(Rewriter& rewriter, Node& node) {
  if (!is_static(rewriter, node)) return false;
  Formula f(rewriter);
  const bool second = node.outputs.size() > 1 && node.outputs[1] != kNoValue;
  ValueId log_probabilities = kNoValue;
  if (second) {
    log_probabilities = node.outputs[1];
    f.call_into(log_probabilities, "LogSoftmax", {node.inputs[0]}, with("axis", 1));
  } else {
    log_probabilities = f.call("LogSoftmax", {node.inputs[0]}, with("axis", 1));
  }
  likelihood_loss(rewriter, f, node, log_probabilities);
  return f.finish();
}

}  // namespace xinfer::passes
