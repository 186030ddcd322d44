// Pointwise operators. Formulas are those of the ONNX operator specification.
#include <cmath>

#include "schedule/lowering.h"

namespace xinfer::schedule {

namespace {

using base::Code;
using base::fail;
using base::Result;
using Context = LoweringContext;

bool is_real(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

template <Fn function>
Result<E> unary(Context& c) {
  E x = c.broadcast(0);
  bool rounding = function == Fn::kFloor || function == Fn::kCeil || function == Fn::kRound;
  return rounding && !is_real(x->dtype) ? x : c.pool.call(function, x);
}
template <Fn function>
Result<E> binary(Context& c) {
  return c.pool.call(function, c.broadcast(0), c.broadcast(1));
}
template <Fn function, bool swap>
Result<E> compare(Context& c) {
  E a = c.broadcast(0), b = c.broadcast(1);
  return swap ? c.pool.call(function, b, a) : c.pool.call(function, a, b);
}
template <Fn function>
Result<E> variadic(Context& c) {
  E sum = c.broadcast(0);
  for (std::size_t i = 1; i < c.node.inputs.size(); ++i) sum = c.pool.call(function, sum, c.broadcast(i));
  return sum;
}

Result<E> mean(Context& c) {
  XI_TRY(E sum, variadic<Fn::kAdd>(c));
  return c.pool.call(Fn::kMul, sum, c.pool.real(1.0 / static_cast<double>(c.node.inputs.size()), sum->dtype));
}

Result<E> identity(Context& c) { return c.broadcast(0); }
Result<E> reciprocal(Context& c) {
  E x = c.broadcast(0);
  return c.pool.call(Fn::kDiv, c.pool.real(1, x->dtype), x);
}
E maximum0(Context& c, E x) { return c.pool.call(Fn::kMax, x, c.pool.constant(0, x->dtype)); }
Result<E> relu(Context& c) { return maximum0(c, c.broadcast(0)); }

// x < 0 (or whatever `limit`) ? negative : positive
E if_below(Context& c, E x, double limit, E below, E otherwise) {
  return c.pool.select(c.pool.call(Fn::kLt, x, c.pool.constant(limit, x->dtype)), below, otherwise);
}
E times(Context& c, E x, double factor) { return c.pool.call(Fn::kMul, x, c.pool.real(factor, x->dtype)); }
E plus(Context& c, E x, double term) { return c.pool.call(Fn::kAdd, x, c.pool.real(term, x->dtype)); }

Result<E> leaky_relu(Context& c) {
  E x = c.broadcast(0);
  return if_below(c, x, 0, times(c, x, c.node.attributes.real("alpha", 0.01f)), x);
}
Result<E> prelu(Context& c) {
  E x = c.broadcast(0);
  return if_below(c, x, 0, c.pool.call(Fn::kMul, x, c.broadcast(1)), x);
}
Result<E> thresholded_relu(Context& c) {
  E x = c.broadcast(0), alpha = c.pool.real(c.node.attributes.real("alpha", 1), x->dtype);
  return c.pool.select(c.pool.call(Fn::kLt, alpha, x), x, c.pool.real(0, x->dtype));
}
Result<E> elu(Context& c) {
  E x = c.broadcast(0);
  return if_below(c, x, 0, times(c, c.pool.call(Fn::kExpm1, x), c.node.attributes.real("alpha", 1)), x);
}
Result<E> celu(Context& c) {
  E x = c.broadcast(0);
  double alpha = c.node.attributes.real("alpha", 1);
  return if_below(c, x, 0, times(c, c.pool.call(Fn::kExpm1, times(c, x, 1 / alpha)), alpha), x);
}
Result<E> selu(Context& c) {
  E x = c.broadcast(0);
  double alpha = c.node.attributes.real("alpha", 1.67326319217681884765625f);
  double gamma = c.node.attributes.real("gamma", 1.05070102214813232421875f);
  return if_below(c, x, 0, times(c, c.pool.call(Fn::kExpm1, x), alpha * gamma), times(c, x, gamma));
}
E cut(Context& c, E x, double low, double high) {
  x = c.pool.call(Fn::kMax, x, c.pool.constant(low, x->dtype));
  return c.pool.call(Fn::kMin, x, c.pool.constant(high, x->dtype));
}
Result<E> hard_sigmoid(Context& c) {
  double alpha = c.node.attributes.real("alpha", 0.2f), beta = c.node.attributes.real("beta", 0.5f);
  return cut(c, plus(c, times(c, c.broadcast(0), alpha), beta), 0, 1);
}
Result<E> hard_swish(Context& c) {
  E x = c.broadcast(0);
  return c.pool.call(Fn::kMul, x, cut(c, plus(c, times(c, x, 1.0 / 6), 0.5), 0, 1));
}
Result<E> swish(Context& c) {
  E x = c.broadcast(0);
  return c.pool.call(Fn::kMul, x, c.pool.call(Fn::kSigmoid, times(c, x, c.node.attributes.real("alpha", 1))));
}
// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))
E softplus_of(Context& c, E x) {
  E tail = c.pool.call(Fn::kLog1p, c.pool.call(Fn::kExp, c.pool.call(Fn::kNeg, c.pool.call(Fn::kAbs, x))));
  return c.pool.call(Fn::kAdd, maximum0(c, x), tail);
}
Result<E> softplus(Context& c) { return softplus_of(c, c.broadcast(0)); }
Result<E> softsign(Context& c) {
  E x = c.broadcast(0);
  return c.pool.call(Fn::kDiv, x, plus(c, c.pool.call(Fn::kAbs, x), 1));
}
Result<E> mish(Context& c) {
  E x = c.broadcast(0);
  return c.pool.call(Fn::kMul, x, c.pool.call(Fn::kTanh, softplus_of(c, x)));
}
E gelu_of(Context& c, E x, bool approximate) {
  E inner;
  if (approximate) {
    E cube = c.pool.call(Fn::kMul, c.pool.call(Fn::kMul, x, x), x);
    inner = c.pool.call(Fn::kTanh, times(c, c.pool.call(Fn::kAdd, x, times(c, cube, 0.044715)), std::sqrt(2 / M_PI)));
  } else {
    inner = c.pool.call(Fn::kErf, times(c, x, std::sqrt(0.5)));
  }
  return c.pool.call(Fn::kMul, times(c, x, 0.5), plus(c, inner, 1));
}
Result<E> gelu(Context& c) {
  return gelu_of(c, c.broadcast(0), c.node.attributes.string("approximate", "none") == "tanh");
}
Result<E> bias_gelu(Context& c) { return gelu_of(c, c.pool.call(Fn::kAdd, c.broadcast(0), c.broadcast(1)), false); }
Result<E> fast_gelu(Context& c) {
  E x = c.broadcast(0);
  return gelu_of(c, c.has(1) ? c.pool.call(Fn::kAdd, x, c.broadcast(1)) : x, true);
}
Result<E> quick_gelu(Context& c) {
  E x = c.broadcast(0);
  return c.pool.call(Fn::kMul, x, c.pool.call(Fn::kSigmoid, times(c, x, c.node.attributes.real("alpha", 1.702f))));
}
Result<E> shrink(Context& c) {
  E x = c.broadcast(0);
  double bias = c.node.attributes.real("bias", 0), lambda = c.node.attributes.real("lambd", 0.5f);
  auto k = [&](double value) { return c.pool.constant(value, x->dtype); };
  E inner = c.pool.select(c.pool.call(Fn::kLt, k(lambda), x), c.pool.call(Fn::kSub, x, k(bias)), k(0));
  return c.pool.select(c.pool.call(Fn::kLt, x, k(-lambda)), c.pool.call(Fn::kAdd, x, k(bias)), inner);
}

Result<E> clip(Context& c) {
  E x = c.broadcast(0);
  auto bound = [&](std::size_t i) { return c.read(i, std::vector<E>(c.shape(i).size(), c.pool.integer(0))); };
  if (c.has(1)) x = c.pool.call(Fn::kMax, x, bound(1));
  return c.has(2) ? c.pool.call(Fn::kMin, x, bound(2)) : x;
}

Result<E> modulo(Context& c) {
  E a = c.broadcast(0), b = c.broadcast(1);
  bool as_c = c.node.attributes.integer("fmod", 0) != 0;
  return c.pool.call(as_c ? Fn::kFmod : Fn::kMod, a, b);
}

Result<E> power(Context& c) {
  E base = c.broadcast(0), exponent = c.broadcast(1);
  if (is_real(base->dtype)) return c.pool.call(Fn::kPow, base, c.pool.cast(exponent, base->dtype));
  // Integers: in double, which holds every result that an int32 can.
  E wide = c.pool.call(Fn::kPow, c.pool.cast(base, DType::kFloat64), c.pool.cast(exponent, DType::kFloat64));
  E whole = c.pool.call(Fn::kRound, wide);
  if (!is_real(exponent->dtype)) return c.pool.cast(whole, base->dtype);
  // What a fractional exponent gives is cut, except where only the last digits are missing to a whole number.
  E off = c.pool.call(Fn::kAbs, c.pool.call(Fn::kSub, wide, whole));
  E near = c.pool.call(Fn::kLe, off, c.pool.call(Fn::kMul, c.pool.call(Fn::kAbs, whole), c.pool.real(1e-12, DType::kFloat64)));
  return c.pool.cast(c.pool.select(near, whole, wide), base->dtype);
}

Result<E> bit_shift(Context& c) {
  bool left = c.node.attributes.string("direction", "LEFT") == "LEFT";
  return c.pool.call(left ? Fn::kShl : Fn::kShr, c.broadcast(0), c.broadcast(1));
}

Result<E> is_inf(Context& c) {
  E x = c.broadcast(0);
  auto equals = [&](double value) { return c.pool.call(Fn::kEq, x, c.pool.real(value, x->dtype)); };
  E found = c.pool.boolean(false);
  if (c.node.attributes.integer("detect_positive", 1)) found = c.pool.call(Fn::kOr, found, equals(INFINITY));
  if (c.node.attributes.integer("detect_negative", 1)) found = c.pool.call(Fn::kOr, found, equals(-INFINITY));
  return found;
}

Result<E> where(Context& c) { return c.pool.select(c.broadcast(0), c.broadcast(1), c.broadcast(2)); }

E cast_to(Context& c, E x, DType to) {
  switch (to) {
    case DType::kFloat16: return c.pool.call(Fn::kRoundF16, c.pool.cast(x, DType::kFloat32));
    case DType::kBfloat16: return c.pool.call(Fn::kRoundBf16, c.pool.cast(x, DType::kFloat32));
    case DType::kInt2:
    case DType::kInt4: {
      E high = c.pool.integer(to == DType::kInt2 ? 6 : 4, DType::kInt8);
      E wide = c.pool.cast(c.pool.cast(x, DType::kInt64), DType::kInt8);
      return c.pool.call(Fn::kShr, c.pool.call(Fn::kShl, wide, high), high);
    }
    case DType::kUint2:
    case DType::kUint4:
      return c.pool.call(Fn::kBitAnd, c.pool.cast(c.pool.cast(x, DType::kInt64), DType::kUint8),
                         c.pool.integer(to == DType::kUint2 ? 3 : 15, DType::kUint8));
    default: break;
  }
  if (tensor::size_of(to) != 1 || !tensor::is_float(to)) return c.pool.cast(x, compute_type(to));
  std::string mode = c.node.attributes.string("round_mode", "up");
  return c.pool.round_small(c.pool.cast(x, DType::kFloat32), to, c.node.attributes.integer("saturate", 1) != 0,
                            mode == "up"     ? 0
                            : mode == "down" ? 1
                                             : 2);
}
Result<E> cast(Context& c) {
  DType to = c.graph.value(c.node.outputs[0]).type.dtype, from = c.stored_dtype(0);
  if (to == DType::kString || from == DType::kString) return fail(Code::kUnsupported, "strings have no native code");
  return cast_to(c, c.broadcast(0), to);
}

Result<E> bit_cast(Context& c) {
  DType to = c.graph.value(c.node.outputs[0]).type.dtype, from = c.stored_dtype(0);
  for (DType dtype : {to, from})
    if (compute_type(dtype) != dtype || to == DType::kBool)
      return fail(Code::kUnsupported, "BitCast of {} is not supported", tensor::name(dtype));
  return c.pool.bit_cast(c.broadcast(0), to);
}

// The quantisation parameters' element for this output: one for all, one per `axis`, or one per block along it.
E parameter(Context& c, std::size_t i) {
  const auto& dims = c.shape(i);
  std::size_t rank = c.shape(0).size();
  if (tensor::num_elements(dims) == Size(1)) return c.read(i, std::vector<E>(dims.size(), c.pool.integer(0)));
  std::size_t axis = c.axis(c.node.attributes.integer("axis", 1), rank);
  if (dims.size() == 1) return c.read(i, std::vector<E>{c.index[axis]});
  std::int64_t block = std::max<std::int64_t>(c.node.attributes.integer("block_size", 0), 1);
  std::vector<E> at = c.index;
  at[axis] = c.pool.div(at[axis], block);
  return c.read(i, at);
}

Result<E> dequantize(Context& c) {
  E x = c.broadcast(0), scale = parameter(c, 1);
  DType to = c.out_dtype();
  if (!is_real(x->dtype) && c.has(2)) {
    E wide = c.pool.cast(x, DType::kInt32), zero = c.pool.cast(parameter(c, 2), DType::kInt32);
    x = c.pool.call(Fn::kSub, wide, zero);
  }
  return c.pool.call(Fn::kMul, c.pool.cast(x, to), c.pool.cast(scale, to));
}

Result<E> quantize(Context& c) {
  DType to = c.graph.value(c.node.outputs[0]).type.dtype;
  E scaled = c.pool.call(Fn::kDiv, c.pool.cast(c.broadcast(0), DType::kFloat32),
                         c.pool.cast(parameter(c, 1), DType::kFloat32));
  if (tensor::is_float(to)) return cast_to(c, scaled, to);
  double low, high;
  switch (to) {
    case DType::kInt8: low = -128, high = 127; break;
    case DType::kUint8: low = 0, high = 255; break;
    case DType::kInt16: low = -32768, high = 32767; break;
    case DType::kUint16: low = 0, high = 65535; break;
    case DType::kInt2: low = -2, high = 1; break;
    case DType::kUint2: low = 0, high = 3; break;
    case DType::kInt4: low = -8, high = 7; break;
    case DType::kUint4: low = 0, high = 15; break;
    default: return fail(Code::kUnsupported, "quantisation to {} is not supported", tensor::name(to));
  }
  E q = c.pool.call(Fn::kRound, scaled);
  if (c.has(2)) q = c.pool.call(Fn::kAdd, q, c.pool.cast(parameter(c, 2), DType::kFloat32));
  return c.pool.cast(c.pool.cast(cut(c, q, low, high), DType::kInt32), compute_type(to));
}

constexpr LoweringRow kRows[] = {
    {"Abs", unary<Fn::kAbs>, 1},
    {"Neg", unary<Fn::kNeg>, 1},
    {"Sign", unary<Fn::kSign>, 2},
    {"Floor", unary<Fn::kFloor>, 1},
    {"Ceil", unary<Fn::kCeil>, 1},
    {"Round", unary<Fn::kRound>, 1},
    {"Sqrt", unary<Fn::kSqrt>, 4},
    {"Exp", unary<Fn::kExp>, 12},
    {"Log", unary<Fn::kLog>, 15},
    {"Sin", unary<Fn::kSin>, 30},
    {"Cos", unary<Fn::kCos>, 30},
    {"Tan", unary<Fn::kTan>, 60},
    {"Asin", unary<Fn::kAsin>, 40},
    {"Acos", unary<Fn::kAcos>, 40},
    {"Atan", unary<Fn::kAtan>, 40},
    {"Sinh", unary<Fn::kSinh>, 30},
    {"Cosh", unary<Fn::kCosh>, 30},
    {"Tanh", unary<Fn::kTanh>, 20},
    {"Asinh", unary<Fn::kAsinh>, 50},
    {"Acosh", unary<Fn::kAcosh>, 50},
    {"Atanh", unary<Fn::kAtanh>, 40},
    {"Erf", unary<Fn::kErf>, 25},
    {"Sigmoid", unary<Fn::kSigmoid>, 16},
    {"Not", unary<Fn::kNot>, 1},
    {"BitwiseNot", unary<Fn::kBitNot>, 1},
    {"IsNaN", unary<Fn::kIsNan>, 1},
    {"IsInf", is_inf, 2},
    {"Identity", identity, 0},
    {"Reciprocal", reciprocal, 4},
    {"Relu", relu, 1},
    {"LeakyRelu", leaky_relu, 2},
    {"PRelu", prelu, 2},
    {"ThresholdedRelu", thresholded_relu, 2},
    {"Elu", elu, 15},
    {"Celu", celu, 16},
    {"Selu", selu, 16},
    {"HardSigmoid", hard_sigmoid, 3},
    {"HardSwish", hard_swish, 4},
    {"Swish", swish, 18},
    {"Softplus", softplus, 30},
    {"Softsign", softsign, 5},
    {"Mish", mish, 50},
    {"Gelu", gelu, 28},
    {"com.microsoft.Gelu", gelu, 28},
    {"com.microsoft.BiasGelu", bias_gelu, 29},
    {"com.microsoft.FastGelu", fast_gelu, 28},
    {"com.microsoft.QuickGelu", quick_gelu, 18},
    {"Shrink", shrink, 3},
    {"Clip", clip, 2},
    {"Add", binary<Fn::kAdd>, 1},
    {"Sub", binary<Fn::kSub>, 1},
    {"Mul", binary<Fn::kMul>, 1},
    {"Div", binary<Fn::kDiv>, 4},
    {"And", binary<Fn::kAnd>, 1},
    {"Or", binary<Fn::kOr>, 1},
    {"Xor", binary<Fn::kXor>, 1},
    {"BitwiseAnd", binary<Fn::kBitAnd>, 1},
    {"BitwiseOr", binary<Fn::kBitOr>, 1},
    {"BitwiseXor", binary<Fn::kBitXor>, 1},
    {"BitShift", bit_shift, 1},
    {"Mod", modulo, 10},
    {"Pow", power, 30},
    {"Equal", compare<Fn::kEq, false>, 1},
    {"Less", compare<Fn::kLt, false>, 1},
    {"LessOrEqual", compare<Fn::kLe, false>, 1},
    {"Greater", compare<Fn::kLt, true>, 1},
    {"GreaterOrEqual", compare<Fn::kLe, true>, 1},
    {"Max", variadic<Fn::kMax>, 1},
    {"Min", variadic<Fn::kMin>, 1},
    {"Sum", variadic<Fn::kAdd>, 1},
    {"Mean", mean, 2},
    {"Where", where, 1},
    {"Cast", cast, 1},
    {"CastLike", cast, 1},
    {"BitCast", bit_cast, 1},
    {"DequantizeLinear", dequantize, 3},
    {"QuantizeLinear", quantize, 6},
};

}  // namespace

std::span<const LoweringRow> pointwise_lowerings() { return kRows; }

}  // namespace xinfer::schedule
