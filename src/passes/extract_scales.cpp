// Before: Conv, MatMul and Gemm of dequantised operands, as models with QuantizeLinear and DequantizeLinear have them. After:
// where the weights are known, ConvInteger and MatMulInteger of the 8-bit values, and the scales behind them. Expects constant
// operands not folded yet.
#include <cmath>
#include <optional>

#include "forge/problem.h"
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

const Node* dequantized(const Rewriter& rewriter, ValueId id) {
  const Node* node = rewriter.producer(id);
  const bool plain = node && node->op == "DequantizeLinear" && node->attributes.integer("block_size", 0) == 0;
  return plain && forge::is_narrow(rewriter.type(node->inputs[0]).dtype) && rewriter.type(id).dtype == DType::kFloat32 ? node : nullptr;
}

// Data, whose scale and zero point are one for all.
struct Data {
  ValueId value = kNoValue, scale = kNoValue, zero_point = kNoValue;
};
std::optional<Data> find_data(const Rewriter& rewriter, ValueId id) {
  const Node* node = dequantized(rewriter, id);
  if (!node || !is_single(rewriter, node->inputs[1]) || (has_input(*node, 2) && !is_single(rewriter, node->inputs[2]))) return std::nullopt;
  return Data{node->inputs[0], node->inputs[1], has_input(*node, 2) ? node->inputs[2] : kNoValue};
}

// Weights as int8 without zero points, and a scale for all or one for each index of `channel_axis`.
struct Weights {
  Tensor values, scales;
};
std::optional<Weights> find_weights(const Rewriter& rewriter, ValueId id, std::int64_t channel_axis) {
  const Node* node = dequantized(rewriter, id);
  if (!node) return std::nullopt;
  const Tensor *values = rewriter.constant(node->inputs[0]), *scales = rewriter.constant(node->inputs[1]);
  const Tensor* zeros = has_input(*node, 2) ? rewriter.constant(node->inputs[2]) : nullptr;
  if (!values || !scales || (has_input(*node, 2) && !zeros)) return std::nullopt;
  const auto rank = static_cast<std::int64_t>(values->shape().size()), axis = node->attributes.integer("axis", 1);
  const std::int64_t channels = values->shape()[static_cast<std::size_t>(channel_axis)];
  const bool each = scales->num_elements() != 1;
  if (each && ((axis < 0 ? axis + rank : axis) != channel_axis || scales->num_elements() != channels)) return std::nullopt;
  if (zeros && zeros->num_elements() != scales->num_elements()) return std::nullopt;
  std::int64_t inner = 1;
  for (std::int64_t d = channel_axis + 1; d < rank; ++d) inner *= values->shape()[static_cast<std::size_t>(d)];
  Weights found{Tensor(DType::kInt8, values->shape()), Tensor(DType::kFloat32, {scales->num_elements()})};
  for (std::int64_t i = 0; i < values->num_elements(); ++i) {
    const double centred = values->as_double(i) - (zeros ? zeros->as_double(each ? i / inner % channels : 0) : 0);
    if (centred < -128 || centred > 127) return std::nullopt;
    found.values.set(i, centred);
  }
  for (std::int64_t i = 0; i < scales->num_elements(); ++i) found.scales.set(i, scales->as_double(i));
  return found;
}

Tensor transposed(const Tensor& matrix) {
  const std::int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  Tensor made(matrix.dtype(), {columns, rows});
  for (std::int64_t i = 0; i < matrix.num_elements(); ++i) made.set(i % columns * rows + i / columns, matrix.as_double(i));
  return made;
}

// A Gemm that is a product and a bias.
bool is_plain_gemm(const Rewriter& rewriter, const Node& node) {
  const bool row = !has_input(node, 2) || rewriter.type(node.inputs[2]).dims->size() == 1;
  return row && node.attributes.integer("transA", 0) == 0 && node.attributes.real("alpha", 1) == 1 && node.attributes.real("beta", 1) == 1;
}

Result<bool> extract(Rewriter& rewriter, Node& node) {
  const bool conv = node.op == "Conv", gemm = node.op == "Gemm";
  if ((!conv && !gemm && node.op != "MatMul") || !has_static_inputs(rewriter, node) || node.attributes.integer("group", 1) != 1) return false;
  const std::size_t rank = rewriter.type(node.inputs[0]).dims->size(), weights_rank = rewriter.type(node.inputs[1]).dims->size();
  if (conv ? rank != 3 && rank != 4 : rank < 2 || weights_rank != 2) return false;
  if (gemm && !is_plain_gemm(rewriter, node)) return false;
  const bool rows = conv || node.attributes.integer("transB", 0) != 0;  // a row of weights for each channel
  const auto data = find_data(rewriter, node.inputs[0]);
  auto weights = find_weights(rewriter, node.inputs[1], rows ? 0 : 1);
  if (!data || !weights) return false;
  Formula f(rewriter);
  Formula::Values operands{data->value, f.constant(rows && !conv ? transposed(weights->values) : std::move(weights->values))};
  if (data->zero_point != kNoValue) operands.push_back(data->zero_point);
  const ValueId sum = f.call(conv ? "ConvInteger" : "MatMulInteger", std::move(operands), conv ? node.attributes : ir::Attributes{});
  const bool each = weights->scales.num_elements() != 1;
  ValueId scale = f.constant(std::move(weights->scales));
  if (each && conv) scale = f.per_channel(scale, rank);
  scale = f.call("Mul", {data->scale, scale});
  const ValueId real = f.cast(sum, DType::kFloat32);
  if (!has_input(node, 2)) f.call_into(node.outputs[0], "Mul", {real, scale});
  else f.call_into(node.outputs[0], "Add", {f.call("Mul", {real, scale}), conv ? f.per_channel(node.inputs[2], rank) : node.inputs[2]});
  return f.finish();
}

}  // namespace

Result<bool> extract_scales(ir::Graph& graph) { return Rewriter(graph).run(extract); }

}  // namespace xinfer::passes
