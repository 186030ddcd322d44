// Pointwise operators: one output element from the elements at the broadcast index.
#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

Types to_bool(const ShapeContext& context) { return output(context, tensor_type(DType::kBool, context.input(0).dims)); }

Types cast(const ShapeContext& context) {
  XI_TRY(DType dtype, dtype_attribute(context, "to", DType::kUndefined));
  return output(context, tensor_type(dtype, context.input(0).dims));
}

Types cast_like(const ShapeContext& context) {
  return output(context, tensor_type(dtype_of(context, 1), context.input(0).dims));
}

Types bit_cast(const ShapeContext& context) {
  XI_TRY(DType dtype, dtype_attribute(context, "to", DType::kUndefined));
  if (tensor::size_of(dtype) == 0 || tensor::size_of(dtype) != tensor::size_of(dtype_of(context, 0)))
    return fail(Code::kInvalidArgument, "BitCast from {} to {}: the sizes differ", tensor::name(dtype_of(context, 0)),
                tensor::name(dtype));
  return output(context, tensor_type(dtype, context.input(0).dims));
}

Types where(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 1, 2));
  Dims dims;
  for (std::size_t i = 0; i < 3; ++i) {
    const Dims* other = dims_of(context, i);
    if (!other) return output(context, unknown_rank(dtype_of(context, 1)));
    XI_TRY(dims, broadcast_dims(dims, *other));
  }
  return output(context, tensor_type(dtype_of(context, 1), std::move(dims)));
}

// The second operand may have another element type (Pow), and broadcasts.
Types broadcast_mixed(const ShapeContext& context) {
  const Dims *a = dims_of(context, 0), *b = dims_of(context, 1);
  if (!a || !b) return output(context, unknown_rank(dtype_of(context, 0)));
  XI_TRY(auto dims, broadcast_dims(*a, *b));
  return output(context, tensor_type(dtype_of(context, 0), std::move(dims)));
}

// The slope broadcasts to the first input, not both ways.
Types prelu(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 0, 1));
  XI_CHECK(broadcast_mixed(context));
  return output(context, context.input(0));
}

Types clip(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 0, 2));
  return output(context, context.input(0));
}

Types dropout(const ShapeContext& context) {
  return outputs(context, {context.input(0), tensor_type(DType::kBool, context.input(0).dims)});
}

void unary(Rows& rows, std::string_view name, std::vector<AttributeInfo> attributes = {}) {
  rows.push_back({name, 1, 1, 1, 1, std::move(attributes), same_as_first, Lowering::kPointwise});
}
void binary(Rows& rows, std::string_view name, ShapeRule rule, std::vector<AttributeInfo> attributes = {}) {
  rows.push_back({name, 2, 2, 1, 1, std::move(attributes), rule, Lowering::kPointwise});
}
void variadic(Rows& rows, std::string_view name) {
  rows.push_back({name, 1, kVariadic, 1, 1, {}, broadcast_all, Lowering::kPointwise});
}

}  // namespace

void add_pointwise(Rows& rows) {
  for (std::string_view name : {"Abs",  "Acos", "Acosh",    "Asin",       "Asinh", "Atan",  "Atanh",     "BitwiseNot",
                                "Ceil", "Cos",  "Cosh",     "Erf",        "Exp",   "Floor", "HardSwish", "Log",
                                "Mish", "Neg",  "Not",      "Reciprocal", "Relu",  "Round", "Sign",      "Sigmoid",
                                "Sin",  "Sinh", "Softplus", "Softsign",   "Sqrt",  "Tan",   "Tanh",      "Identity"})
    unary(rows, name);
  unary(rows, "Elu", {real("alpha")});
  unary(rows, "Celu", {real("alpha")});
  unary(rows, "Selu", {real("alpha"), real("gamma")});
  unary(rows, "LeakyRelu", {real("alpha")});
  unary(rows, "ThresholdedRelu", {real("alpha")});
  unary(rows, "HardSigmoid", {real("alpha"), real("beta")});
  unary(rows, "Shrink", {real("bias"), real("lambd")});
  unary(rows, "Gelu", {text("approximate")});
  unary(rows, "Swish", {real("alpha")});
  rows.push_back({"IsNaN", 1, 1, 1, 1, {}, to_bool, Lowering::kPointwise});
  rows.push_back(
      {"IsInf", 1, 1, 1, 1, {integer("detect_negative"), integer("detect_positive")}, to_bool, Lowering::kPointwise});
  rows.push_back(
      {"Cast", 1, 1, 1, 1, {integer("to", true), integer("saturate"), text("round_mode")}, cast, Lowering::kPointwise});
  rows.push_back({"CastLike", 2, 2, 1, 1, {integer("saturate"), text("round_mode")}, cast_like, Lowering::kPointwise});
  rows.push_back({"BitCast", 1, 1, 1, 1, {integer("to", true)}, bit_cast, Lowering::kPointwise});

  for (std::string_view name :
       {"Add", "Sub", "Mul", "Div", "And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor"})
    binary(rows, name, broadcast_all);
  for (std::string_view name : {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
    binary(rows, name, compare);
  binary(rows, "Mod", broadcast_all, {integer("fmod")});
  binary(rows, "BitShift", broadcast_all, {text("direction", true)});
  binary(rows, "Pow", broadcast_mixed);
  binary(rows, "PRelu", prelu);
  for (std::string_view name : {"Max", "Min", "Mean", "Sum"}) variadic(rows, name);
  rows.push_back({"Where", 3, 3, 1, 1, {}, where, Lowering::kPointwise});
  rows.push_back({"Clip", 1, 3, 1, 1, {}, clip, Lowering::kPointwise});
  rows.push_back({"Dropout", 1, 3, 1, 2, {integer("seed")}, dropout, Lowering::kComposite});
}

}  // namespace xinfer::ir::rules
