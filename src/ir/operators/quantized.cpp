// Quantisation.
#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

// A scale for all, one for each place of an axis, or one for each block.
Result<void> check_scale(const ShapeContext& context) {
  const Dims *in = dims_of(context, 0), *scale = dims_of(context, 1);
  if (!in || !scale || scale->empty() || (scale->size() == 1 && (*scale)[0].is_static() && (*scale)[0].value == 1)) return {};
  XI_TRY(const std::int64_t axis, normalize_axis(context.node.attributes.integer("axis", 1), static_cast<std::int64_t>(in->size())));
  if (scale->size() == 1) XI_CHECK(merge_dim((*in)[static_cast<std::size_t>(axis)], (*scale)[0], "places of the axis and scales"));
  return {};
}

Types quantize(const ShapeContext& context) {
  XI_CHECK(check_scale(context));
  XI_TRY(DType dtype, dtype_attribute(context, "output_dtype", DType::kUint8));
  if (context.has_input(2)) dtype = dtype_of(context, 2);
  return output(context, tensor_type(dtype, context.input(0).dims));
}

Types dequantize(const ShapeContext& context) {
  XI_CHECK(check_scale(context));
  if (context.has_input(2)) {
    if (dtype_of(context, 2) != dtype_of(context, 0))
      return fail(Code::kInvalidArgument, "the zero point must have the input's element type");
  }
  XI_TRY(DType dtype, dtype_attribute(context, "output_dtype", dtype_of(context, 1)));
  return output(context, tensor_type(dtype, context.input(0).dims));
}

Types dynamic_quantize(const ShapeContext& context) {
  return outputs(context,
                 {tensor_type(DType::kUint8, context.input(0).dims), scalar(DType::kFloat32), scalar(DType::kUint8)});
}

}  // namespace

void add_quantized(Rows& rows) {
  rows.push_back(
      {"QuantizeLinear",
       2,
       3,
       1,
       1,
       {integer("axis"), integer("block_size"), integer("output_dtype"), integer("precision"), integer("saturate")},
       quantize,
       Lowering::kPointwise});
  rows.push_back({"DequantizeLinear",
                  2,
                  3,
                  1,
                  1,
                  {integer("axis"), integer("block_size"), integer("output_dtype")},
                  dequantize,
                  Lowering::kPointwise});
  rows.push_back({"DynamicQuantizeLinear", 1, 1, 3, 3, {}, dynamic_quantize, Lowering::kIrregular});
}

}  // namespace xinfer::ir::rules
