// Before: operators that the back ends do not know by themselves. After: the operators that they are made of.
#include <cmath>

#include "passes/decompositions.h"
#include "passes/formula.h"
#include "passes/passes.h"
#include "passes/rewriter.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

// A constant times a factor.
ValueId scaled(Rewriter& rewriter, const Tensor& tensor, double factor) {
  Tensor out(tensor.dtype(), tensor.shape());
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i) out.set(i, tensor.as_double(i) * factor);
  return rewriter.add_constant(std::move(out));
}

Result<ValueId> times(Rewriter& rewriter, ValueId x, double factor) {
  if (factor == 1) return x;
  if (const Tensor* tensor = rewriter.constant(x)) return scaled(rewriter, *tensor, factor);
  return rewriter.add("Mul", {x, rewriter.add_scalar(rewriter.type(x).dtype, factor)});
}

// Gemm with factors, or with a bias that is not one row, is a plain product and an Add.
Result<bool> decompose_gemm(Rewriter& rewriter, Node& node) {
  const double alpha = node.attributes.real("alpha", 1), beta = node.attributes.real("beta", 1);
  const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  const ir::ValueType& out = rewriter.type(node.outputs[0]);
  if (!out.dims || !(*out.dims)[1].is_static()) return false;
  const bool is_real = tensor::is_float(out.dtype);
  const std::int64_t columns = (*out.dims)[1].value;
  const Tensor* bias = has_bias ? rewriter.constant(node.inputs[2]) : nullptr;
  const bool row = bias != nullptr && bias->num_elements() == columns && (bias->rank() == 0 || bias->shape().back() == columns);
  const bool row_shape = row && bias->rank() == 1;
  if (alpha == 1 && beta == 1 && (!has_bias || row_shape)) return false;
  if (!is_real && (alpha != 1 || beta != 1)) return false;
  Node product{"Gemm", node.name, {node.inputs[0], node.inputs[1]}, {}, node.attributes};
  product.attributes.erase("alpha");
  product.attributes.erase("beta");
  const bool scale_weights = rewriter.constant(product.inputs[1]) != nullptr || rewriter.constant(product.inputs[0]) == nullptr;
  XI_TRY(product.inputs[scale_weights ? 1 : 0], times(rewriter, product.inputs[scale_weights ? 1 : 0], alpha));
  if (row) {
    Tensor flat(bias->dtype(), {columns});
    for (std::int64_t i = 0; i < columns; ++i) flat.set(i, bias->as_double(i) * beta);
    product.inputs.push_back(rewriter.add_constant(std::move(flat)));
  }
  if (row || !has_bias || beta == 0) {
    product.outputs = node.outputs;
    XI_CHECK(rewriter.keep(std::move(product)));
    return true;
  }
  product.outputs = {rewriter.add_value(node.name.empty() ? "Gemm" : node.name + ".Gemm")};
  const ValueId result = product.outputs[0];
  XI_CHECK(rewriter.keep(std::move(product)));
  XI_TRY(const ValueId addend, times(rewriter, node.inputs[2], beta));
  XI_CHECK(rewriter.add_as(node.outputs[0], "Add", {result, addend}));
  return true;
}

// The grid of an identity transformation, one row (x, y, [z,] 1) per position, times the transposed matrices.
Result<bool> decompose_affine_grid(Rewriter& rewriter, Node& node) {
  const Tensor* size = rewriter.constant(node.inputs[1]);
  if (size == nullptr || size->num_elements() < 4) return false;
  const bool align = node.attributes.integer("align_corners", 0) != 0;
  const std::vector<std::int64_t> sizes = size->as_int64s();
  const auto axes = static_cast<std::int64_t>(sizes.size()) - 2;
  const tensor::Shape spatial(sizes.begin() + 2, sizes.end());
  const std::int64_t positions = tensor::num_elements(spatial);
  const ir::DType dtype = rewriter.type(node.inputs[0]).dtype;
  Tensor grid(dtype, {1, positions, axes + 1});
  for (std::int64_t p = 0; p < positions; ++p) {
    std::int64_t rest = p;
    for (std::int64_t axis = axes; axis-- > 0;) {  // the last axis, x, comes first
      const std::int64_t at = rest % spatial[axis], count = spatial[axis];
      rest /= count;
      const double value = align ? (count > 1 ? 2.0 * static_cast<double>(at) / static_cast<double>(count - 1) - 1 : -1)
                                 : (2.0 * static_cast<double>(at) + 1) / static_cast<double>(count) - 1;
      grid.set(p * (axes + 1) + (axes - 1 - axis), value);
    }
    grid.set(p * (axes + 1) + axes, 1);
  }
  ir::Attributes swap, exact;
  swap.set("perm", std::vector<std::int64_t>{0, 2, 1});
  exact.set("allowzero", std::int64_t{1});
  XI_TRY(const ValueId matrices, rewriter.add("Transpose", {node.inputs[0]}, std::move(swap)));
  XI_TRY(const ValueId product, rewriter.add("MatMul", {rewriter.add_constant(std::move(grid)), matrices}));
  tensor::Shape shape{sizes[0]};
  shape.insert(shape.end(), spatial.begin(), spatial.end());
  shape.push_back(axes);
  XI_CHECK(rewriter.add_as(node.outputs[0], "Reshape", {product, rewriter.add_int64s(shape)}, std::move(exact)));
  return true;
}

// Softmax along an axis with many elements behind it: each of its passes runs along those elements, many at once. (Along
// the last axis the back ends keep the row at hand, which is better.)
Result<bool> decompose_softmax(Rewriter& rewriter, Node& node) {
  const ir::ValueType& type = rewriter.type(node.inputs[0]);
  if (!type.is_known() || type.dtype != tensor::DType::kFloat32) return false;
  const auto rank = static_cast<std::int64_t>(type.dims->size());
  const std::int64_t given = node.attributes.integer("axis", -1), axis = given < 0 ? given + rank : given;
  std::int64_t behind = 1;
  for (std::int64_t i = axis + 1; i < rank; ++i) behind *= (*type.dims)[static_cast<std::size_t>(i)].size().opt();
  if (behind < 16) return false;
  const ValueId axes = rewriter.add_int64s({axis});
  XI_TRY(const ValueId top, rewriter.add("ReduceMax", {node.inputs[0], axes}));
  XI_TRY(const ValueId shifted, rewriter.add("Sub", {node.inputs[0], top}));
  XI_TRY(const ValueId exponentials, rewriter.add("Exp", {shifted}));
  XI_TRY(const ValueId sum, rewriter.add("ReduceSum", {exponentials, axes}));
  XI_CHECK(rewriter.add_as(node.outputs[0], "Div", {exponentials, sum}));
  return true;
}

// In training the batch's own statistics normalise it, and the running ones take their share of them.
Result<bool> decompose_batch_normalization(Rewriter& rewriter, Node& node) {
  const ir::ValueType type = rewriter.type(node.inputs[0]);
  if (node.attributes.integer("training_mode", 0) == 0 || !type.dims || type.dims->size() < 2) return false;
  const tensor::DType dtype = type.dtype;
  std::vector<std::int64_t> others{0}, behind;
  for (std::size_t i = 2; i < type.dims->size(); ++i) {
    others.push_back(static_cast<std::int64_t>(i));
    behind.push_back(static_cast<std::int64_t>(i) - 1);
  }
  Formula f(rewriter);
  const ValueId axes = rewriter.add_int64s(others);
  const auto column = [&](ValueId x) { return behind.empty() ? f.cast(x, dtype) : f.unsqueeze(f.cast(x, dtype), behind); };
  const ValueId mean = f.call("ReduceMean", {node.inputs[0], axes}), centred = f.call("Sub", {node.inputs[0], mean});
  const ValueId variance = f.call("ReduceMean", {f.call("Mul", {centred, centred}), axes});
  const ValueId deviation = f.call("Sqrt", {f.call("Add", {variance, f.scalar(dtype, node.attributes.real("epsilon", 1e-5f))})});
  const ValueId normal = f.call("Mul", {f.call("Div", {centred, deviation}), column(node.inputs[1])});
  const double momentum = node.attributes.real("momentum", 0.9f);
  const auto mix = [&](std::size_t output, ValueId running, ValueId now) {
    if (output >= node.outputs.size() || node.outputs[output] == kNoValue || f.failed()) return;
    const tensor::DType kept = rewriter.type(running).dtype;
    const ValueId share = f.call("Mul", {f.cast(f.reshape(now, {-1}), kept), f.scalar(kept, 1 - momentum)});
    f.call_into(node.outputs[output], "Add", {f.call("Mul", {running, f.scalar(kept, momentum)}), share});
  };
  mix(1, node.inputs[3], mean);
  mix(2, node.inputs[4], variance);
  f.call_into(node.outputs[0], "Add", {normal, column(node.inputs[2])});
  return f.finish();
}

struct Decomposition {
  std::string_view op;
  Result<bool> (*run)(Rewriter&, Node&);
};

constexpr Decomposition kDecompositions[] = {
    {"AffineGrid", decompose_affine_grid},
    {"Attention", decompose_attention},
    {"BatchNormalization", decompose_batch_normalization},
    {"CausalConvWithState", decompose_causal_convolution},
    {"ConvInteger", decompose_conv_integer},
    {"DynamicQuantizeLinear", decompose_dynamic_quantize},
    {"Einsum", decompose_einsum},
    {"Gemm", decompose_gemm},
    {"MatMulInteger", decompose_matmul_integer},
    {"NegativeLogLikelihoodLoss", decompose_likelihood_loss},
    {"QLinearConv", decompose_qlinear_conv},
    {"QLinearMatMul", decompose_qlinear_matmul},
    {"RotaryEmbedding", decompose_rotary_embedding},
    {"Softmax", decompose_softmax},
    {"SoftmaxCrossEntropyLoss", decompose_cross_entropy_loss},
};

}  // namespace

Result<bool> decompose_composites(ir::Graph& graph) {
  return Rewriter(graph).run([](Rewriter& rewriter, Node& node) -> Result<bool> {
    for (const Decomposition& row : kDecompositions)
      if (row.op == node.op) return row.run(rewriter, node);
    return false;
  });
}

}  // namespace xinfer::passes
