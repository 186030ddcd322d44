// Before: Conv and MatMul of 8-bit integers that were cast, zero points taken off, times constant whole numbers that 8 bits
// hold, as quantised operators are spelt out. After: ConvInteger and MatMulInteger, which GPUs have on tensor cores: the
// 8-bit values, int8 weights without zero points, the input's zero point, and a Cast to what there was. Expects constants
// folded.
#include <algorithm>
#include <cmath>
#include <optional>

#include "forge/problem.h"
#include "passes/fold_constants.h"
#include "passes/formula.h"
#include "passes/passes.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::DType;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

// What a Cast reads, if it is of 8-bit integers.
ValueId before_cast(const Rewriter& rewriter, ValueId id) {
  const Node* cast = rewriter.producer(id);
  if (!cast || cast->op != "Cast" || !forge::is_narrow(rewriter.type(cast->inputs[0]).dtype)) return kNoValue;
  return cast->inputs[0];
}

struct Centred {
  ValueId value = kNoValue, zero_point = kNoValue;  // 8-bit integers; a zero point of none: 0
};

// Cast(value), or Cast(value) - zero point.
std::optional<Centred> find_centred(Rewriter& rewriter, ValueId x) {
  Centred found;
  const Node* sub = rewriter.producer(x);
  const bool shifted = sub && sub->op == "Sub";
  const ValueId zero = shifted ? sub->inputs[1] : kNoValue;
  found.value = before_cast(rewriter, shifted ? sub->inputs[0] : x);
  if (found.value == kNoValue || !rewriter.type(found.value).is_static()) return std::nullopt;
  if (!shifted) return found;
  const DType dtype = rewriter.type(found.value).dtype;
  if (!is_single(rewriter, zero)) return std::nullopt;
  if (const Tensor* constant = rewriter.constant(zero)) {
    const double value = constant->as_double(0);
    const double low = dtype == DType::kInt8 ? -128 : 0;
    if (value != std::floor(value) || value < low || value > low + 255) return std::nullopt;
    if (value != 0) found.zero_point = rewriter.add_scalar(dtype, value);
    return found;
  }
  found.zero_point = before_cast(rewriter, zero);
  if (found.zero_point == kNoValue || rewriter.type(found.zero_point).dtype != dtype) return std::nullopt;
  return found;
}

// The value of a constant, or of a few operators on constants that folding left alone because the result is larger.
std::shared_ptr<const Tensor> value_of(Rewriter& rewriter, ValueId id, int depth = 0) {
  if (rewriter.constant(id)) return rewriter.value(id).constant;
  const Node* found = rewriter.producer(id);
  if (!found || depth > 3 || (found->op != "Cast" && found->op != "Sub" && found->op != "Unsqueeze")) return nullptr;
  Node node = *found;
  ir::Graph& graph = rewriter.graph();
  for (ValueId& input : node.inputs) {
    auto value = value_of(rewriter, input, depth + 1);
    if (!value) return nullptr;
    if (!rewriter.constant(input)) input = rewriter.add_constant(*value);
  }
  return evaluate_node(graph, node);
}

// As int8, if all are whole numbers that it holds.
std::optional<Tensor> as_int8(const Tensor& tensor) {
  Tensor narrow(DType::kInt8, tensor.shape());
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i) {
    const double value = tensor.as_double(i);
    if (!(value >= -128 && value <= 127) || value != std::floor(value)) return std::nullopt;
    narrow.set(i, value);
  }
  return narrow;
}

Result<bool> compose(Rewriter& rewriter, Node& node) {
  const bool conv = node.op == "Conv";
  if ((!conv && node.op != "MatMul") || !has_static_inputs(rewriter, node) || node.attributes.integer("group", 1) != 1) return false;
  const std::size_t rank = rewriter.type(node.inputs[0]).dims->size(), weights_rank = rewriter.type(node.inputs[1]).dims->size();
  if (conv ? rank != 3 && rank != 4 : rank < 2 || weights_rank != 2) return false;
  const auto input = find_centred(rewriter, node.inputs[0]);
  if (!input) return false;
  const auto weights = value_of(rewriter, node.inputs[1]);
  std::optional<Tensor> narrow = weights ? as_int8(*weights) : std::nullopt;
  if (!narrow) return false;
  const DType dtype = rewriter.type(node.outputs[0]).dtype;
  Formula f(rewriter);
  Formula::Values operands{input->value, f.constant(std::move(*narrow))};
  if (input->zero_point != kNoValue) operands.push_back(input->zero_point);
  const ValueId sum = f.call(conv ? "ConvInteger" : "MatMulInteger", std::move(operands), node.attributes);
  ir::Attributes to = with("to", static_cast<std::int64_t>(dtype));
  if (dtype == DType::kInt32) rewriter.replace(node.outputs[0], sum);
  else if (!has_input(node, 2)) f.call_into(node.outputs[0], "Cast", {sum}, std::move(to));
  else f.call_into(node.outputs[0], "Add", {f.call("Cast", {sum}, std::move(to)), f.per_channel(node.inputs[2], rank)});
  return f.finish();
}

// A sum that was cast to float32 and back.
Result<bool> skip_casts(Rewriter& rewriter, Node& node) {
  if (node.op != "Cast" || rewriter.type(node.outputs[0]).dtype != DType::kInt32) return false;
  const Node* cast = rewriter.producer(node.inputs[0]);
  if (!cast || cast->op != "Cast" || rewriter.type(cast->inputs[0]).dtype != DType::kInt32) return false;
  const Node* product = rewriter.producer(cast->inputs[0]);
  if (!product || !product->op.ends_with("Integer")) return false;
  rewriter.replace(node.outputs[0], cast->inputs[0]);
  return true;
}

}  // namespace

Result<bool> compose_integer_products(ir::Graph& graph) {
  return Rewriter(graph).run([](Rewriter& rewriter, Node& node) -> Result<bool> {
    XI_TRY(const bool composed, compose(rewriter, node));
    return composed ? true : skip_casts(rewriter, node);
  });
}

}  // namespace xinfer::passes
