// com.microsoft's quantised operators as dequantisation, the operator on real numbers, and quantisation; products of whole
// numbers stay such. Weights of a few bits are made real while building.
#include "forge/reference/microsoft.h"
#include "passes/expansions.h"

namespace xinfer::passes {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::DType;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

// The same under the standard's name.
Result<bool> rename(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  f.call_into(node.outputs[0], node.op.substr(node.op.rfind('.') + 1), node.inputs, node.attributes);
  return f.finish();
}

// One scale or zero point for all, as a scalar.
ValueId single(Formula& f, ValueId x) { return f.reshape(x, {}); }

ValueId dequantized(Formula& f, const Node& node, std::size_t x, std::size_t scale, std::size_t zero) {
  std::vector<ValueId> inputs{node.inputs[x], single(f, node.inputs[scale])};
  if (has_input(node, zero)) inputs.push_back(single(f, node.inputs[zero]));
  return f.call("DequantizeLinear", std::move(inputs));
}

void quantize(Formula& f, const Rewriter& rewriter, const Node& node, ValueId y, std::size_t scale, std::size_t zero) {
  const ValueId none = has_input(node, zero) ? single(f, node.inputs[zero]) : f.constant(Tensor(rewriter.type(node.outputs[0]).dtype, {}));
  f.call_into(node.outputs[0], "QuantizeLinear", {y, single(f, node.inputs[scale]), none});
}

// X, scale, zero point, Y scale, zero point.
Result<bool> expand_unary(Rewriter& rewriter, Node& node, std::string op, ir::Attributes attributes) {
  Formula f(rewriter);
  quantize(f, rewriter, node, f.call(std::move(op), {dequantized(f, node, 0, 1, 2)}, std::move(attributes)), 3, 4);
  return f.finish();
}

Result<bool> expand_average_pool(Rewriter& rewriter, Node& node) {
  ir::Attributes attributes = node.attributes;
  attributes.erase("channels_last");
  return expand_unary(rewriter, node, "AveragePool", std::move(attributes));
}

Result<bool> expand_softmax(Rewriter& rewriter, Node& node) {
  const auto dims = rewriter.type(node.inputs[0]).dims;
  if (!dims) return false;
  const auto rank = static_cast<std::int64_t>(dims->size()), opset = node.attributes.integer("opset", 13);
  const std::int64_t axis = node.attributes.integer("axis", -1);
  if (opset < 13 && axis != -1 && axis != rank - 1) return fail(Code::kUnsupported, "QLinearSoftmax over several axes, as before opset 13");
  return expand_unary(rewriter, node, "Softmax", with("axis", axis));
}

Result<bool> expand_reduce_mean(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const ValueId axes = f.integers(node.attributes.integers("axes"));
  const ValueId y = f.call("ReduceMean", {dequantized(f, node, 0, 1, 2), axes}, with("keepdims", node.attributes.integer("keepdims", 1)));
  quantize(f, rewriter, node, y, 3, 4);
  return f.finish();
}

Result<bool> expand_where(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  quantize(f, rewriter, node, f.call("Where", {node.inputs[0], dequantized(f, node, 1, 2, 3), dequantized(f, node, 4, 5, 6)}), 7, 8);
  return f.finish();
}

Result<bool> expand_concat(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  std::vector<ValueId> parts;
  for (std::size_t i = 2; i + 2 < node.inputs.size(); i += 3) parts.push_back(dequantized(f, node, i, i + 1, i + 2));
  quantize(f, rewriter, node, f.concat(std::move(parts), node.attributes.integer("axis", 0)), 0, 1);
  return f.finish();
}

// The product of whole numbers times the product of their scales, plus a bias.
ValueId scaled_product(Formula& f, ValueId product, ValueId a_scale, ValueId b_scale, ValueId bias) {
  const ValueId y = f.call("Mul", {f.cast(product, DType::kFloat32), f.call("Mul", {a_scale, b_scale})});
  return bias == kNoValue ? y : f.call("Add", {y, bias});
}

std::vector<ValueId> factors(const Node& node, ValueId a, ValueId b, std::size_t a_zero, std::size_t b_zero) {
  return {a, b, has_input(node, a_zero) ? node.inputs[a_zero] : kNoValue, has_input(node, b_zero) ? node.inputs[b_zero] : kNoValue};
}

// A, B, A scale, B scale, A zero, B zero, bias.
Result<bool> expand_matmul_to_float(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const ValueId product = f.call("MatMulInteger", factors(node, node.inputs[0], node.inputs[1], 4, 5));
  const ValueId y = scaled_product(f, product, single(f, node.inputs[2]), node.inputs[3], has_input(node, 6) ? node.inputs[6] : kNoValue);
  f.call_into(node.outputs[0], "Identity", {y});
  return f.finish();
}

// A in float32, B, B scale, B zero, bias.
Result<bool> expand_dynamic_matmul(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const std::vector<ValueId> a = f.call_all("DynamicQuantizeLinear", {node.inputs[0]}, 3);
  const ValueId product = f.call("MatMulInteger", {a[0], node.inputs[1], a[2], has_input(node, 3) ? node.inputs[3] : kNoValue});
  const ValueId y = scaled_product(f, product, a[1], node.inputs[2], has_input(node, 4) ? node.inputs[4] : kNoValue);
  f.call_into(node.outputs[0], "Identity", {y});
  return f.finish();
}

// A, A scale, A zero, B, B scale, B zero, C in units of the product, Y scale, Y zero.
Result<bool> expand_qgemm(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const auto operand = [&](std::size_t i, const char* name) {
    return node.attributes.integer(name, 0) != 0 ? f.transpose(node.inputs[i], {1, 0}) : node.inputs[i];
  };
  ValueId product = f.call("MatMulInteger", factors(node, operand(0, "transA"), operand(3, "transB"), 2, 5));
  if (has_input(node, 6)) product = f.call("Add", {product, node.inputs[6]});
  ValueId y = scaled_product(f, product, single(f, node.inputs[1]), node.inputs[4], kNoValue);
  if (const float alpha = node.attributes.real("alpha", 1); alpha != 1) y = f.call("Mul", {y, f.scalar(DType::kFloat32, alpha)});
  if (has_input(node, 7)) quantize(f, rewriter, node, y, 7, 8);
  else f.call_into(node.outputs[0], "Identity", {y});
  return f.finish();
}

// A, B, scales, zero points, group of each row, bias.
Result<bool> expand_matmul_nbits(Rewriter& rewriter, Node& node) {
  for (std::size_t i : {1, 2, 3})
    if (has_input(node, i) && rewriter.constant(node.inputs[i]) == nullptr)
      return fail(Code::kUnsupported, "MatMulNBits with weights, scales or zero points that are computed while running");
  if (has_input(node, 4)) return fail(Code::kUnsupported, "MatMulNBits with g_idx: export the weights in the order of their groups");
  const Tensor* zeros = has_input(node, 3) ? rewriter.constant(node.inputs[3]) : nullptr;
  XI_TRY(Tensor weights, forge::reference::nbits_weights(node, *rewriter.constant(node.inputs[1]), *rewriter.constant(node.inputs[2]), zeros));
  Formula f(rewriter);
  const DType dtype = rewriter.type(node.inputs[0]).dtype;
  const ValueId b = f.cast(f.constant(std::move(weights)), dtype);
  if (!has_input(node, 5)) f.call_into(node.outputs[0], "MatMul", {node.inputs[0], b});
  else f.call_into(node.outputs[0], "Add", {f.call("MatMul", {node.inputs[0], b}), node.inputs[5]});
  return f.finish();
}

// A, B, the largest value of each block.
Result<bool> expand_matmul_bnb4(Rewriter& rewriter, Node& node) {
  if (rewriter.constant(node.inputs[1]) == nullptr || rewriter.constant(node.inputs[2]) == nullptr)
    return fail(Code::kUnsupported, "MatMulBnb4 with weights that are computed while running");
  XI_TRY(Tensor weights, forge::reference::bnb4_weights(node, *rewriter.constant(node.inputs[1]), *rewriter.constant(node.inputs[2])));
  Formula f(rewriter);
  f.call_into(node.outputs[0], "MatMul", {node.inputs[0], f.cast(f.constant(std::move(weights)), rewriter.type(node.inputs[0]).dtype)});
  return f.finish();
}

// Data, indices, scales, zero points: rows are gathered first, and only they become real numbers.
Result<bool> expand_gather_block_quantized(Rewriter& rewriter, Node& node) {
  const ir::ValueType& result = rewriter.type(node.outputs[0]);
  const auto data = rewriter.type(node.inputs[0]).dims;
  const std::int64_t block = node.attributes.integer("block_size", 128), bits = node.attributes.integer("bits", 4);
  if (!result.dims || !data || !result.dims->back().is_static()) return false;
  const DType stored = rewriter.type(node.inputs[0]).dtype;
  const std::int64_t width = result.dims->back().value, blocks = block > 0 ? (width + block - 1) / block : 0;
  if (block < 16 || width % block != 0) return fail(Code::kUnsupported, "GatherBlockQuantized of {} numbers in blocks of {}", width, block);
  const bool packed = stored == DType::kUint8 && bits == 4;
  const auto rank = static_cast<std::int64_t>(result.dims->size());
  Formula f(rewriter);
  // Rows of `table`, whose last axis has `size` numbers, as real ones.
  const auto rows = [&](ValueId table, std::int64_t size) {
    ValueId x = f.call("Gather", {table, node.inputs[1]}, with("axis", 0));
    if (packed) {
      const ValueId low = f.call("BitwiseAnd", {x, f.scalar(DType::kUint8, 15)}), high = f.call("Div", {x, f.scalar(DType::kUint8, 16)});
      x = f.concat({f.unsqueeze(low, {rank}), f.unsqueeze(high, {rank})}, rank);
      std::vector<std::int64_t> shape(static_cast<std::size_t>(rank), 0);  // as it is
      shape.back() = -1;
      if (!f.failed()) x = f.call("Reshape", {x, f.integers(std::move(shape))});
      if (size % 2 != 0) x = f.slice(x, rank - 1, 0, size);
    }
    return f.cast(x, DType::kFloat32);
  };
  // [..., blocks, numbers of a block]
  const auto split = [&](ValueId x, std::int64_t last) {
    std::vector<std::int64_t> shape(static_cast<std::size_t>(rank) - 1, 0);
    shape.insert(shape.end(), {blocks, last});
    return f.failed() ? x : f.call("Reshape", {x, f.integers(std::move(shape))});
  };
  ValueId y = split(rows(node.inputs[0], width), block);
  const ValueId scales = split(f.cast(f.call("Gather", {node.inputs[2], node.inputs[1]}, with("axis", 0)), DType::kFloat32), 1);
  if (has_input(node, 3)) y = f.call("Sub", {y, split(rows(node.inputs[3], blocks), 1)});
  else if (stored == DType::kUint8) y = f.call("Sub", {y, f.scalar(DType::kFloat32, static_cast<double>(std::int64_t{1} << (bits - 1)))});
  y = f.call("Mul", {y, scales});
  std::vector<std::int64_t> whole(static_cast<std::size_t>(rank), 0);
  whole.back() = width;
  if (f.failed()) return f.finish();
  y = f.call("Reshape", {y, f.integers(std::move(whole))});
  f.call_into(node.outputs[0], "Cast", {y}, with("to", static_cast<std::int64_t>(result.dtype)));
  return f.finish();
}

// X, W, R, B, lengths, first states, peepholes; scales and zero points of W and R. ONNX Runtime makes whole numbers of the data too,
// anew in each step; here they stay real, which is nearer to the model before it was quantised.
Result<bool> expand_dynamic_lstm(Rewriter& rewriter, Node& node) {
  if (!has_static_inputs(rewriter, node)) return false;
  Formula f(rewriter);
  const auto weights = [&](std::size_t input, std::size_t scale) {
    const tensor::Shape shape = rewriter.type(node.inputs[input]).shape();
    const auto wide = [&](ValueId x) {
      const bool one = tensor::num_elements(rewriter.type(x).shape()) == shape[0];
      return f.reshape(f.cast(x, DType::kFloat32), {shape[0], 1, one ? 1 : shape[2]});
    };
    const ValueId real = f.call("Mul", {f.call("Sub", {f.cast(node.inputs[input], DType::kFloat32), wide(node.inputs[scale + 1])}), wide(node.inputs[scale])});
    return f.transpose(real, {0, 2, 1});
  };
  std::vector<ValueId> inputs{node.inputs[0], weights(1, 8), weights(2, 10)};
  inputs.insert(inputs.end(), node.inputs.begin() + 3, node.inputs.begin() + 8);
  while (inputs.back() == kNoValue) inputs.pop_back();
  const auto results = f.call_all("LSTM", std::move(inputs), 3, node.attributes);
  for (std::size_t i = 0; i < 3; ++i)
    if (has_output(node, i)) f.call_into(node.outputs[i], "Identity", {results[i]});
  return f.finish();
}

// The standard operator on data whose channels come last.
Result<bool> channels_first(Rewriter& rewriter, Node& node, const std::string& op) {
  const auto dims = rewriter.type(node.inputs[0]).dims;
  if (!dims) return false;
  const auto rank = static_cast<std::int64_t>(dims->size());
  std::vector<std::int64_t> there{0, rank - 1}, back{0};
  for (std::int64_t i = 1; i + 1 < rank; ++i) there.push_back(i), back.push_back(i + 1);
  back.push_back(1);
  Formula f(rewriter);
  std::vector<ValueId> inputs = node.inputs;
  inputs[0] = f.transpose(inputs[0], std::move(there));
  ir::Attributes attributes = node.attributes;
  attributes.erase("channels_last");
  ir::Attributes order;
  order.set("perm", std::move(back));
  f.call_into(node.outputs[0], "Transpose", {f.call(op, std::move(inputs), std::move(attributes))}, std::move(order));
  return f.finish();
}
Result<bool> expand_max_pool(Rewriter& rewriter, Node& node) { return channels_first(rewriter, node, "MaxPool"); }
Result<bool> expand_conv(Rewriter& rewriter, Node& node) {
  if (node.attributes.integer("channels_last", 0) != 0) return channels_first(rewriter, node, "QLinearConv");
  node.attributes.erase("channels_last");
  return rename(rewriter, node);
}

constexpr Expansion kQuantized[] = {{"com.microsoft.QuantizeLinear", rename},
                                    {"com.microsoft.DequantizeLinear", rename},
                                    {"com.microsoft.QLinearAveragePool", expand_average_pool},
                                    {"com.microsoft.QLinearSoftmax", expand_softmax},
                                    {"com.microsoft.QLinearConcat", expand_concat},
                                    {"com.microsoft.QLinearReduceMean", expand_reduce_mean},
                                    {"com.microsoft.QLinearWhere", expand_where},
                                    {"com.microsoft.MatMulIntegerToFloat", expand_matmul_to_float},
                                    {"com.microsoft.DynamicQuantizeMatMul", expand_dynamic_matmul},
                                    {"com.microsoft.QGemm", expand_qgemm},
                                    {"com.microsoft.MatMulNBits", expand_matmul_nbits},
                                    {"com.microsoft.MatMulBnb4", expand_matmul_bnb4},
                                    {"com.microsoft.GatherBlockQuantized", expand_gather_block_quantized},
                                    {"com.microsoft.DynamicQuantizeLSTM", expand_dynamic_lstm},
                                    {"com.microsoft.NhwcMaxPool", expand_max_pool},
                                    {"com.microsoft.QLinearConv", expand_conv},
                                    {"com.microsoft.Trilu", rename},
                                    {"com.microsoft.Pad", rename},
                                    {"com.microsoft.GatherND", rename},
                                    {"com.microsoft.Range", rename}};

}  // namespace

std::span<const Expansion> quantized_expansions() { return kQuantized; }

}  // namespace xinfer::passes
