// Quantised operators as casts, subtractions of zero points and a product of whole numbers in float32 (exact below 2^24, as the
// accumulators of small layers are) or in int32.
#include "passes/decompositions.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::DType;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

constexpr std::int64_t kExactTerms = (1 << 24) / (255 * 255);  // products that surely add up without rounding

Result<ValueId> cast(Rewriter& rewriter, ValueId x, DType dtype) {
  if (rewriter.type(x).dtype == dtype) return x;
  ir::Attributes attributes;
  attributes.set("to", static_cast<std::int64_t>(dtype));
  return rewriter.add("Cast", {x}, std::move(attributes));
}

// A list of one value per row, or per channel, made to broadcast along the dimension before `behind` others.
Result<ValueId> as_column(Rewriter& rewriter, ValueId x, std::int64_t behind) {
  const auto& dims = rewriter.type(x).dims;
  if (!dims || dims->size() != 1 || behind == 0 || (*dims)[0].value == 1) return x;
  std::vector<std::int64_t> axes;
  for (std::int64_t i = 1; i <= behind; ++i) axes.push_back(i);
  return rewriter.add("Unsqueeze", {x, rewriter.add_int64s(axes)});
}

// x - zero in `dtype`; the zero point is input `index`, 0 when absent.
Result<ValueId> centred(Rewriter& rewriter, const Node& node, ValueId x, std::size_t index, std::int64_t behind, DType dtype) {
  XI_TRY(const ValueId wide, cast(rewriter, x, dtype));
  if (!has_input(node, index)) return wide;
  XI_TRY(const ValueId zero, cast(rewriter, node.inputs[index], dtype));
  XI_TRY(const ValueId column, as_column(rewriter, zero, behind));
  return rewriter.add("Sub", {wide, column});
}

std::int64_t rank(const Rewriter& rewriter, ValueId x) { return static_cast<std::int64_t>(rewriter.type(x).dims->size()); }

// The product of whole numbers a and b, in float32 where that is exact and in int32 elsewhere.
Result<ValueId> integer_product(Rewriter& rewriter, const Node& node, std::size_t a, std::size_t a_zero, std::size_t b, std::size_t b_zero) {
  const std::int64_t terms = rewriter.type(node.inputs[a]).dims->back().value;
  const DType dtype = terms <= kExactTerms ? DType::kFloat32 : DType::kInt32;
  XI_TRY(const ValueId left, centred(rewriter, node, node.inputs[a], a_zero, 1, dtype));
  XI_TRY(const ValueId right, centred(rewriter, node, node.inputs[b], b_zero, 0, dtype));
  return rewriter.add("MatMul", {left, right});
}

Result<ValueId> integer_convolution(Rewriter& rewriter, const Node& node, std::size_t x, std::size_t x_zero, std::size_t w, std::size_t w_zero,
                                    ValueId bias) {
  XI_TRY(const ValueId input, centred(rewriter, node, node.inputs[x], x_zero, 0, DType::kFloat32));
  XI_TRY(const ValueId weights, centred(rewriter, node, node.inputs[w], w_zero, rank(rewriter, node.inputs[w]) - 1, DType::kFloat32));
  std::vector<ValueId> inputs{input, weights};
  if (bias != kNoValue) {
    XI_TRY(const ValueId wide, cast(rewriter, bias, DType::kFloat32));
    inputs.push_back(wide);
  }
  return rewriter.add("Conv", std::move(inputs), node.attributes);
}

// round(sum * a_scale * b_scale / y_scale) + y_zero, saturated.
Result<void> requantize(Rewriter& rewriter, const Node& node, ValueId sum, ValueId a_scale, ValueId b_scale, std::size_t y_scale, std::size_t y_zero,
                        std::int64_t behind) {
  XI_TRY(const ValueId real, cast(rewriter, sum, DType::kFloat32));
  XI_TRY(const ValueId a, cast(rewriter, a_scale, DType::kFloat32));
  XI_TRY(const ValueId b, cast(rewriter, b_scale, DType::kFloat32));
  XI_TRY(const ValueId y, cast(rewriter, node.inputs[y_scale], DType::kFloat32));
  XI_TRY(const ValueId y_column, as_column(rewriter, y, behind));
  XI_TRY(const ValueId both, rewriter.add("Mul", {a, b}));
  XI_TRY(const ValueId factor, rewriter.add("Div", {both, y_column}));
  XI_TRY(const ValueId scaled, rewriter.add("Mul", {real, factor}));
  // Scales and zero points of one element are scalars to QuantizeLinear.
  XI_TRY(const ValueId zero, rewriter.add("Reshape", {node.inputs[y_zero], rewriter.add_int64s({})}));
  return rewriter.add_as(node.outputs[0], "QuantizeLinear", {scaled, rewriter.add_scalar(DType::kFloat32, 1), zero});
}

}  // namespace

Result<bool> decompose_dynamic_quantize(Rewriter& rewriter, Node& node) {
  const ValueId x = node.inputs[0];
  ir::Attributes all;
  all.set("keepdims", std::int64_t{0});
  XI_TRY(const ValueId largest, rewriter.add("ReduceMax", {x}, all));
  XI_TRY(const ValueId smallest, rewriter.add("ReduceMin", {x}, all));
  const ValueId zero = rewriter.add_scalar(DType::kFloat32, 0);
  XI_TRY(const ValueId high, rewriter.add("Max", {largest, zero}));
  XI_TRY(const ValueId low, rewriter.add("Min", {smallest, zero}));
  XI_TRY(const ValueId range, rewriter.add("Sub", {high, low}));
  XI_TRY(const ValueId step, rewriter.add("Div", {range, rewriter.add_scalar(DType::kFloat32, 255)}));
  // An input of nothing but zeros has no range.
  XI_TRY(const ValueId flat, rewriter.add("Equal", {step, zero}));
  XI_TRY(const ValueId scale, rewriter.add("Where", {flat, rewriter.add_scalar(DType::kFloat32, 1), step}));
  XI_TRY(const ValueId offset, rewriter.add("Neg", {low}));
  Tensor no_zero(DType::kUint8, {});
  XI_TRY(const ValueId zero_point, rewriter.add("QuantizeLinear", {offset, scale, rewriter.add_constant(std::move(no_zero))}));
  XI_CHECK(rewriter.add_as(node.outputs[0], "QuantizeLinear", {x, scale, zero_point}));
  if (node.outputs.size() > 1 && node.outputs[1] != kNoValue) rewriter.replace(node.outputs[1], scale);
  if (node.outputs.size() > 2 && node.outputs[2] != kNoValue) rewriter.replace(node.outputs[2], zero_point);
  return true;
}

Result<bool> decompose_matmul_integer(Rewriter& rewriter, Node& node) {
  if (!has_static_inputs(rewriter, node) || rank(rewriter, node.inputs[0]) < 1) return false;
  XI_TRY(const ValueId product, integer_product(rewriter, node, 0, 2, 1, 3));
  if (rewriter.type(product).dtype == DType::kInt32) {
    rewriter.replace(node.outputs[0], product);
    return true;
  }
  ir::Attributes attributes;
  attributes.set("to", static_cast<std::int64_t>(DType::kInt32));
  XI_CHECK(rewriter.add_as(node.outputs[0], "Cast", {product}, std::move(attributes)));
  return true;
}

Result<bool> decompose_conv_integer(Rewriter& rewriter, Node& node) {
  if (!has_static_inputs(rewriter, node)) return false;
  XI_TRY(const ValueId sum, integer_convolution(rewriter, node, 0, 2, 1, 3, kNoValue));
  ir::Attributes attributes;
  attributes.set("to", static_cast<std::int64_t>(DType::kInt32));
  XI_CHECK(rewriter.add_as(node.outputs[0], "Cast", {sum}, std::move(attributes)));
  return true;
}

// Inputs: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero.
Result<bool> decompose_qlinear_matmul(Rewriter& rewriter, Node& node) {
  if (node.inputs.size() < 8 || !has_static_inputs(rewriter, node) || !is_single(rewriter, node.inputs[7])) return false;
  if (rewriter.type(node.outputs[0]).dtype != DType::kUint8 && rewriter.type(node.outputs[0]).dtype != DType::kInt8) return false;
  XI_TRY(const ValueId product, integer_product(rewriter, node, 0, 2, 3, 5));
  XI_TRY(const ValueId a_scale, as_column(rewriter, node.inputs[1], 1));
  XI_CHECK(requantize(rewriter, node, product, a_scale, node.inputs[4], 6, 7, 1));
  return true;
}

// Inputs: x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias.
Result<bool> decompose_qlinear_conv(Rewriter& rewriter, Node& node) {
  if (node.inputs.size() < 8 || !has_static_inputs(rewriter, node) || !is_single(rewriter, node.inputs[7])) return false;
  XI_TRY(const ValueId sum, integer_convolution(rewriter, node, 0, 2, 3, 5, has_input(node, 8) ? node.inputs[8] : kNoValue));
  XI_TRY(const ValueId w_scale, as_column(rewriter, node.inputs[4], rank(rewriter, node.inputs[0]) - 2));
  XI_CHECK(requantize(rewriter, node, sum, node.inputs[1], w_scale, 6, 7, 0));
  return true;
}

}  // namespace xinfer::passes
