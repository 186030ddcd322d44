// Random numbers.
#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

Types by_shape(const ShapeContext& context) {
  XI_TRY(DType dtype, dtype_attribute(context, "dtype", DType::kFloat32));
  auto shape = context.node.attributes.integers("shape");
  for (auto size : shape)
    if (size < 0) return fail(Code::kInvalidArgument, "size {} in the shape", size);
  return output(context, static_type(dtype, shape));
}

Types like_input(const ShapeContext& context) {
  XI_TRY(DType dtype, dtype_attribute(context, "dtype", dtype_of(context, 0)));
  return output(context, tensor_type(dtype, context.input(0).dims));
}

Types multinomial(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 2));
  XI_TRY(DType dtype, dtype_attribute(context, "dtype", DType::kInt32));
  const Dims* in = dims_of(context, 0);
  const auto count = context.node.attributes.integer("sample_size", 1);
  if (count < 0) return fail(Code::kInvalidArgument, "sample_size is {}", count);
  return output(context, tensor_type(dtype, Dims{in ? (*in)[0] : Dim{}, Dim(count)}));
}

}  // namespace

void add_generators(Rows& rows) {
  constexpr auto kIrregular = Lowering::kIrregular;
  rows.push_back({"RandomNormal",
                  0,
                  0,
                  1,
                  1,
                  {integer("dtype"), real("mean"), real("scale"), real("seed"), integers("shape", true)},
                  by_shape,
                  kIrregular});
  rows.push_back({"RandomUniform",
                  0,
                  0,
                  1,
                  1,
                  {integer("dtype"), real("high"), real("low"), real("seed"), integers("shape", true)},
                  by_shape,
                  kIrregular});
  rows.push_back({"RandomNormalLike",
                  1,
                  1,
                  1,
                  1,
                  {integer("dtype"), real("mean"), real("scale"), real("seed")},
                  like_input,
                  kIrregular});
  rows.push_back({"RandomUniformLike",
                  1,
                  1,
                  1,
                  1,
                  {integer("dtype"), real("high"), real("low"), real("seed")},
                  like_input,
                  kIrregular});
  rows.push_back({"Bernoulli", 1, 1, 1, 1, {integer("dtype"), real("seed")}, like_input, kIrregular});
  rows.push_back(
      {"Multinomial", 1, 1, 1, 1, {integer("dtype"), integer("sample_size"), real("seed")}, multinomial, kIrregular});
}

}  // namespace xinfer::ir::rules
