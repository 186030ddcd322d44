// Before: chains of operators that have a shorter equal. After: the shorter one.
#include <cmath>

#include "passes/passes.h"
#include "passes/rewriter.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

bool is_view(std::string_view op) { return op == "Reshape" || op == "Flatten" || op == "Squeeze" || op == "Unsqueeze"; }

// A view of a view is one Reshape of the first input.
Result<bool> merge_views(Rewriter& rewriter, Node& node) {
  if (!is_view(node.op) || node.outputs.size() != 1 || !rewriter.type(node.outputs[0]).is_static()) return false;
  const Node* before = rewriter.producer(node.inputs[0]);
  if (before == nullptr || !is_view(before->op)) return false;
  const ValueId source = before->inputs[0];
  if (!rewriter.type(source).is_static()) return false;
  ir::Attributes attributes;
  attributes.set("allowzero", std::int64_t{1});
  XI_CHECK(rewriter.add_as(node.outputs[0], "Reshape", {source, rewriter.add_int64s(rewriter.type(node.outputs[0]).shape())}, std::move(attributes)));
  return true;
}

std::vector<std::int64_t> permutation(const Rewriter& rewriter, const Node& node) {
  auto perm = node.attributes.integers("perm");
  if (perm.empty() && rewriter.type(node.inputs[0]).dims) {
    const auto rank = static_cast<std::int64_t>(rewriter.type(node.inputs[0]).dims->size());
    for (std::int64_t i = rank; i-- > 0;) perm.push_back(i);
  }
  return perm;
}

Result<bool> merge_transposes(Rewriter& rewriter, Node& node) {
  if (node.op != "Transpose") return false;
  const Node* before = rewriter.producer(node.inputs[0]);
  if (before == nullptr || before->op != "Transpose") return false;
  const auto first = permutation(rewriter, *before), second = permutation(rewriter, node);
  if (first.empty() || first.size() != second.size()) return false;
  std::vector<std::int64_t> both;
  for (std::int64_t axis : second) both.push_back(first[axis]);
  ir::Attributes attributes;
  attributes.set("perm", both);
  XI_CHECK(rewriter.add_as(node.outputs[0], "Transpose", {before->inputs[0]}, std::move(attributes)));
  return true;
}

// Moving only axes of size 1 does not move elements.
Result<bool> transpose_to_reshape(Rewriter& rewriter, Node& node) {
  if (node.op != "Transpose" || !rewriter.type(node.inputs[0]).is_static()) return false;
  const tensor::Shape shape = rewriter.type(node.inputs[0]).shape();
  std::int64_t last = -1;
  for (std::int64_t axis : permutation(rewriter, node)) {
    if (shape[axis] == 1) continue;
    if (axis < last) return false;
    last = axis;
  }
  ir::Attributes attributes;
  attributes.set("allowzero", std::int64_t{1});
  XI_CHECK(rewriter.add_as(node.outputs[0], "Reshape", {node.inputs[0], rewriter.add_int64s(rewriter.type(node.outputs[0]).shape())}, std::move(attributes)));
  return true;
}

// x*1, x/1, x+0, x-0, x^1 where the other side does not broadcast x.
Result<bool> drop_neutral(Rewriter& rewriter, Node& node) {
  const bool one = node.op == "Mul" || node.op == "Div" || node.op == "Pow", zero = node.op == "Add" || node.op == "Sub";
  if ((!one && !zero) || node.inputs.size() != 2) return false;
  const bool commutes = node.op == "Mul" || node.op == "Add";
  for (std::size_t side : {1, 0}) {
    if (side == 0 && !commutes) break;
    const Tensor* tensor = rewriter.constant(node.inputs[side]);
    const ValueId x = node.inputs[1 - side];
    if (tensor == nullptr || tensor->num_elements() == 0 || tensor->dtype() == ir::DType::kString) continue;
    if (!rewriter.type(x).is_known() || rewriter.type(x) != rewriter.type(node.outputs[0])) continue;
    bool neutral = true;
    for (std::int64_t i = 0; neutral && i < tensor->num_elements(); ++i) neutral = tensor->as_double(i) == (one ? 1.0 : 0.0);
    if (!neutral) continue;
    rewriter.replace(node.outputs[0], x);
    return true;
  }
  return false;
}

// x / c is x * (1/c) where 1/c is exact or the rounding is within float32's.
Result<bool> divide_to_multiply(Rewriter& rewriter, Node& node) {
  if (node.op != "Div" || rewriter.type(node.inputs[0]).dtype != ir::DType::kFloat32) return false;
  const Tensor* divisor = rewriter.constant(node.inputs[1]);
  if (divisor == nullptr || divisor->num_elements() == 0) return false;
  Tensor reciprocal(divisor->dtype(), divisor->shape());
  for (std::int64_t i = 0; i < divisor->num_elements(); ++i) {
    const double value = 1 / divisor->as_double(i);
    if (!std::isfinite(value) || std::abs(value) < 1e-30 || std::abs(value) > 1e30) return false;
    reciprocal.set(i, value);
  }
  XI_CHECK(rewriter.add_as(node.outputs[0], "Mul", {node.inputs[0], rewriter.add_constant(std::move(reciprocal))}));
  return true;
}

// Pow with small exponents.
Result<bool> simplify_power(Rewriter& rewriter, Node& node) {
  double exponent = 0;
  if (node.op != "Pow" || !scalar_value(rewriter.graph(), node.inputs[1], exponent)) return false;
  if (rewriter.type(node.inputs[0]) != rewriter.type(node.outputs[0]) || !tensor::is_float(rewriter.type(node.inputs[0]).dtype)) return false;
  const ValueId x = node.inputs[0];
  const std::string_view op = exponent == 2 ? "Mul" : exponent == 0.5 ? "Sqrt" : exponent == -1 ? "Reciprocal" : "";
  if (op.empty()) return false;
  std::vector<ValueId> inputs(op == "Mul" ? 2 : 1, x);
  XI_CHECK(rewriter.add_as(node.outputs[0], std::string(op), std::move(inputs)));
  return true;
}

Result<bool> simplify(Rewriter& rewriter, Node& node) {
  for (auto* rule : {merge_views, merge_transposes, transpose_to_reshape, drop_neutral, divide_to_multiply, simplify_power}) {
    XI_TRY(const bool done, rule(rewriter, node));
    if (done) return true;
  }
  return false;
}

}  // namespace

Result<bool> simplify_algebra(ir::Graph& graph) {
  return Rewriter(graph).run([](Rewriter& rewriter, Node& node) -> Result<bool> {
    if (node.inputs.empty() || node.outputs.empty() || node.inputs[0] == kNoValue) return false;
    return simplify(rewriter, node);
  });
}

}  // namespace xinfer::passes
