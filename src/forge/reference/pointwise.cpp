// Pointwise operators.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"
#include "tensor/text.h"

namespace xinfer::forge::reference {

namespace {

// f on every element as double.
template <auto F>
Values unary(const Call& call) {
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  for (double& v : x) v = F(v);
  store(out, x);
  return result(std::move(out));
}

// As above with the attributes: f(x, alpha, beta).
template <auto F>
std::vector<Value> parametric(const Call& call, double alpha, double beta) {
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  for (double& v : x) v = F(v, alpha, beta);
  store(out, x);
  return result(std::move(out));
}

// Floats by R, integers by I, so that int64 stays exact.
template <auto R, auto I>
Values unary_exact(const Call& call) {
  if (is_real(call.dtype(0))) return unary<R>(call);
  Tensor out = call.make();
  auto x = ints(call.in(0));
  for (std::int64_t& v : x) v = I(v);
  store(out, x);
  return result(std::move(out));
}

template <class T, class U, class F>
std::vector<U> broadcast_pairs(const Call& call, const std::vector<T>& a, const std::vector<T>& b, F f) {
  const Shape shape = call.types[0].shape();
  std::vector<U> out(index_of(tensor::num_elements(shape)));
  if (call.in(0).shape() == call.in(1).shape()) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = f(a[i], b[i]);
  } else {
    std::array<Shape, 2> strides{broadcast_strides(call.in(0).shape(), shape),
                                 broadcast_strides(call.in(1).shape(), shape)};
    for_each_index(shape, strides,
                   [&](auto i, auto x, auto y) { out[index_of(i)] = f(a[index_of(x)], b[index_of(y)]); });
  }
  return out;
}

// R(double, double); I(int64, int64, is_uint64).
template <auto R, auto I>
Values binary(const Call& call) {
  Tensor out = call.make();
  if (is_real(call.dtype(0))) {
    store(out, broadcast_pairs<double, double>(call, doubles(call.in(0)), doubles(call.in(1)), R));
  } else {
    const bool wide = call.dtype(0) == DType::kUint64;
    store(out, broadcast_pairs<std::int64_t, std::int64_t>(
                   call, ints(call.in(0)), ints(call.in(1)),
                   [wide](std::int64_t a, std::int64_t b) { return I(a, b, wide); }));
  }
  return result(std::move(out));
}

std::uint64_t bits(std::int64_t value) { return static_cast<std::uint64_t>(value); }
std::int64_t value_of(std::uint64_t bits) { return static_cast<std::int64_t>(bits); }

std::int64_t divide(std::int64_t a, std::int64_t b, bool wide) {
  if (b == 0) return 0;  // undefined by the specification; never a trap
  if (wide) return value_of(bits(a) / bits(b));
  return b == -1 ? value_of(-bits(a)) : a / b;
}
std::int64_t remainder(std::int64_t a, std::int64_t b, bool wide) {
  if (b == 0 || (b == -1 && !wide)) return 0;
  return wide ? value_of(bits(a) % bits(b)) : a % b;
}
std::int64_t floor_modulo(std::int64_t a, std::int64_t b, bool wide) {
  std::int64_t r = remainder(a, b, wide);
  return !wide && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
double floor_modulo_real(double a, double b) {
  double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
bool less(std::int64_t a, std::int64_t b, bool wide) { return wide ? bits(a) < bits(b) : a < b; }

double propagate_max(double a, double b) { return std::isnan(a) || a > b ? a : b; }
double propagate_min(double a, double b) { return std::isnan(a) || a < b ? a : b; }
std::int64_t integer_max(std::int64_t a, std::int64_t b, bool wide) { return less(a, b, wide) ? b : a; }
std::int64_t integer_min(std::int64_t a, std::int64_t b, bool wide) { return less(b, a, wide) ? b : a; }

Values modulo(const Call& call) {
  if (call.integer("fmod", 0) != 0) return binary<[](double a, double b) { return std::fmod(a, b); }, remainder>(call);
  return binary<floor_modulo_real, floor_modulo>(call);
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
  std::uint64_t out = 1, factor = bits(base);
  for (auto e = bits(exponent); e; e >>= 1, factor *= factor)
    if (e & 1) out *= factor;
  return value_of(out);
}

Values power(const Call& call) {
  if (!is_real(call.dtype(0)) && !is_real(call.dtype(1)))
    return binary<[](double a, double b) { return std::pow(a, b); },
                  [](std::int64_t a, std::int64_t b, bool) { return integer_power(a, b); }>(call);
  Tensor out = call.make();
  store(out, broadcast_pairs<double, double>(call, doubles(call.in(0)), doubles(call.in(1)),
                                             [](double a, double b) { return std::pow(a, b); }));
  return result(std::move(out));
}

// R(a, b, wide) on doubles or int64s gives a truth value; strings only compare for equality.
template <auto R, auto I>
Values comparison(const Call& call) {
  Tensor out = call.make();
  std::vector<std::int64_t> truth;
  if (is_real(call.dtype(0))) {
    truth = broadcast_pairs<double, std::int64_t>(call, doubles(call.in(0)), doubles(call.in(1)),
                                                  [](double a, double b) { return std::int64_t{R(a, b)}; });
  } else {
    const bool wide = call.dtype(0) == DType::kUint64;
    truth = broadcast_pairs<std::int64_t, std::int64_t>(
        call, ints(call.in(0)), ints(call.in(1)),
        [wide](std::int64_t a, std::int64_t b) { return std::int64_t{I(a, b, wide)}; });
  }
  store(out, truth);
  return result(std::move(out));
}

Values equal(const Call& call) {
  if (call.dtype(0) != DType::kString)
    return comparison<[](double a, double b) { return a == b; },
                      [](std::int64_t a, std::int64_t b, bool) { return a == b; }>(call);
  Tensor out = call.make();
  store(out,
        broadcast_pairs<std::string, std::int64_t>(call, call.in(0).strings(), call.in(1).strings(),
                                                   [](const auto& a, const auto& b) { return std::int64_t{a == b}; }));
  return result(std::move(out));
}

Values bit_shift(const Call& call) {
  if (call.text("direction", "LEFT") == "LEFT")
    return binary<[](double a, double) { return a; },
                  [](std::int64_t a, std::int64_t b, bool) {
                    return (bits(b) > 63) ? 0 : value_of(bits(a) << bits(b));
                  }>(call);
  return binary<[](double a, double) { return a; },
                [](std::int64_t a, std::int64_t b, bool) { return (bits(b) > 63) ? 0 : value_of(bits(a) >> bits(b)); }>(
      call);
}

// Folds all inputs, broadcast, from the first on.
template <auto R, auto I, bool kMean = false>
Values fold(const Call& call) {
  Tensor out = call.make();
  const Shape& shape = out.shape();
  auto run = [&](auto load, auto combine) {
    auto first = load(call.in(0));
    decltype(first) total(index_of(out.num_elements()));
    for_each_index(shape, std::array{broadcast_strides(call.in(0).shape(), shape)},
                   [&](auto i, auto x) { total[index_of(i)] = first[index_of(x)]; });
    for (std::size_t n = 1; n < call.inputs.size(); ++n) {
      auto other = load(call.in(n));
      for_each_index(shape, std::array{broadcast_strides(call.in(n).shape(), shape)},
                     [&](auto i, auto x) { total[index_of(i)] = combine(total[index_of(i)], other[index_of(x)]); });
    }
    return total;
  };
  if (is_real(out.dtype())) {
    auto total = run(doubles, R);
    if (kMean)
      for (double& v : total) v /= static_cast<double>(call.inputs.size());
    store(out, total);
  } else {
    const bool wide = out.dtype() == DType::kUint64;
    store(out, run(ints, [wide](std::int64_t a, std::int64_t b) { return I(a, b, wide); }));
  }
  return result(std::move(out));
}

Values where(const Call& call) {
  Tensor out = call.make();
  const Shape& shape = out.shape();
  auto condition = ints(call.in(0));
  std::array<Shape, 3> strides;
  for (std::size_t i = 0; i < 3; ++i) strides[i] = broadcast_strides(call.in(i).shape(), shape);
  with_copier(out, call.in(1), [&](auto take_first) {
    with_copier(out, call.in(2), [&](auto take_second) {
      for_each_index(shape, strides, [&](auto i, auto c, auto x, auto y) {
        if (condition[index_of(c)]) take_first(i, x);
        else take_second(i, y);
      });
    });
  });
  return result(std::move(out));
}

Values clip(const Call& call) {
  Tensor out = call.make();
  if (is_real(out.dtype())) {
    const double low = call.has(1) ? call.in(1).as_double(0) : -INFINITY,
                 high = call.has(2) ? call.in(2).as_double(0) : INFINITY;
    auto x = doubles(call.in(0));
    for (double& v : x) v = std::isnan(v) ? v : std::min(std::max(v, low), high);
    store(out, x);
  } else {
    const bool wide = out.dtype() == DType::kUint64;
    auto x = ints(call.in(0));
    for (auto& v : x) {
      if (call.has(1)) v = integer_max(v, call.in(1).as_int64(0), wide);
      if (call.has(2)) v = integer_min(v, call.in(2).as_int64(0), wide);
    }
    store(out, x);
  }
  return result(std::move(out));
}

Values prelu(const Call& call) {
  return binary<[](double x, double slope) { return x < 0 ? x * slope : x; },
                [](std::int64_t x, std::int64_t slope, bool wide) { return !wide && x < 0 ? x * slope : x; }>(call);
}

Values is_inf(const Call& call) {
  const bool negative = call.integer("detect_negative", 1) != 0, positive = call.integer("detect_positive", 1) != 0;
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  for (double& v : x) v = std::isinf(v) && (v < 0 ? negative : positive);
  store(out, x);
  return result(std::move(out));
}

Values gelu(const Call& call) {
  if (call.text("approximate", "none") == "tanh")
    return unary<[](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }>(
        call);
  return unary<[](double x) { return 0.5 * x * (1 + std::erf(x / M_SQRT2)); }>(call);
}

double softplus(double x) { return x > 30 ? x : std::log1p(std::exp(x)); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double clamp_unit(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

std::string to_text(const Tensor& tensor, std::int64_t i) {
  if (tensor.dtype() == DType::kBool) return tensor.as_int64(i) ? "True" : "False";
  if (tensor.dtype() == DType::kUint64) return std::to_string(tensor.data<std::uint64_t>()[index_of(i)]);
  if (!is_real(tensor.dtype())) return std::to_string(tensor.as_int64(i));
  char text[tensor::kMaxNumberBytes];
  return std::string(text, index_of(tensor::format_real(tensor.as_double(i), tensor.dtype() != DType::kFloat64, text)));
}

Values cast_strings(const Call& call, Tensor out) {
  for (std::int64_t i = 0; i < out.num_elements(); ++i) {
    const std::string& text = call.in(0).strings()[index_of(i)];
    char* end = nullptr;
    if (is_real(out.dtype())) {
      out.set(i, std::strtod(text.c_str(), &end));
    } else {
      std::int64_t number = std::strtoll(text.c_str(), &end, 10);
      if (*end != '\0') number = static_cast<std::int64_t>(std::strtod(text.c_str(), &end));
      Tensor one = from_ints(out.dtype(), {}, std::vector{number});
      copy_run(out, i, one, 0, 1);
    }
    if (text.empty() || *end != '\0')
      return fail(Code::kInvalidArgument, "cannot cast the string '{}' to a number", text);
  }
  return result(std::move(out));
}

// Two- and four-bit integers keep the low bits, sign-extended.
void wrap_bits(DType dtype, std::vector<std::int64_t>& values) {
  const std::int64_t count = dtype == DType::kInt2 || dtype == DType::kUint2 ? 4 : 16;
  for (auto& v : values) {
    v &= count - 1;
    if (tensor::is_signed(dtype) && v >= count / 2) v -= count;
  }
}

Values cast(const Call& call) {
  Tensor out = call.make();
  const Tensor& in = call.in(0);
  const DType from = in.dtype(), to = out.dtype();
  if (from == to) return std::vector<Value>{*call.inputs[0]};
  if (from == DType::kString) return cast_strings(call, std::move(out));
  if (to == DType::kString) {
    for (std::int64_t i = 0; i < out.num_elements(); ++i) out.strings()[index_of(i)] = to_text(in, i);
    return result(std::move(out));
  }
  if (to == DType::kInt4 || to == DType::kUint4 || to == DType::kInt2 || to == DType::kUint2) {
    std::vector<std::int64_t> values(index_of(in.num_elements()));
    auto x = is_real(from) ? doubles(in) : std::vector<double>{};
    if (is_real(from)) std::ranges::transform(x, values.begin(), [](double v) { return static_cast<std::int64_t>(v); });
    else values = ints(in);
    wrap_bits(to, values);
    store(out, values);
    return result(std::move(out));
  }
  if (is_real(to) && tensor::size_of(to) == 1 && to != DType::kFloat4E2M1) {
    const bool saturate = call.integer("saturate", 1) != 0;
    auto x = floats(in);
    if (to == DType::kFloat8E8M0) {
      const std::string round = call.text("round_mode", "up");
      for (std::size_t i = 0; i < x.size(); ++i) out.data<std::uint8_t>()[i] = tensor::to_float8e8m0(x[i], saturate, round);
      return result(std::move(out));
    }
    for (std::size_t i = 0; i < x.size(); ++i) out.data<std::uint8_t>()[i] = tensor::to_float8(to, x[i], saturate);
    return result(std::move(out));
  }
  if (is_real(from) || is_real(to)) store(out, doubles(in));
  else store(out, ints(in));
  return result(std::move(out));
}

Values bit_cast(const Call& call) {
  Tensor out = call.make();
  std::ranges::copy(call.in(0).bytes(), out.bytes().begin());
  return result(std::move(out));
}

Values dropout(const Call& call) {
  const bool training = call.has(2) && call.in(2).as_int64(0) != 0;
  const double ratio = call.has(1) ? call.in(1).as_double(0) : 0.5;
  Tensor mask(DType::kBool, call.in(0).shape());
  std::ranges::fill(mask.data<std::uint8_t>(), std::uint8_t{1});
  if (!training || ratio == 0) return results(call.value(0), std::move(mask));
  Random random(static_cast<std::uint32_t>(call.integer("seed", 0)));
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool keep = random.uniform() >= ratio;
    mask.data<std::uint8_t>()[i] = keep;
    x[i] = keep ? x[i] * (1 / (1 - ratio)) : 0;
  }
  store(out, x);
  return results(std::move(out), std::move(mask));
}

Values identity(const Call& call) { return std::vector<Value>{call.value(0)}; }

void add_unary(Entries& e) {
  e.emplace_back("Identity", identity);
  e.emplace_back("Abs", unary_exact<[](double x) { return std::fabs(x); },
                                    [](std::int64_t x) { return x < 0 ? value_of(-bits(x)) : x; }>);
  e.emplace_back("Neg", unary_exact<[](double x) { return -x; }, [](std::int64_t x) { return value_of(-bits(x)); }>);
  e.emplace_back("Sign", [](const Call& call) -> Values {
    if (call.dtype(0) == DType::kUint64)
      return unary_exact<[](double x) { return x; }, [](std::int64_t x) { return std::int64_t{x != 0}; }>(call);
    return unary_exact<[](double x) { return (x > 0)   ? 1.0
                                             : (x < 0) ? -1.0
                                                       : x; },
                       [](std::int64_t x) { return std::int64_t{(x > 0) - (x < 0)}; }>(call);
  });
  e.emplace_back("Relu",
                 unary_exact<[](double x) { return x < 0 ? 0.0 : x; }, [](std::int64_t x) { return x < 0 ? 0 : x; }>);
  e.emplace_back(
      "Not", unary_exact<[](double x) { return double(x == 0); }, [](std::int64_t x) { return std::int64_t{x == 0}; }>);
  e.emplace_back("BitwiseNot", unary_exact<[](double x) { return x; }, [](std::int64_t x) { return ~x; }>);
  e.emplace_back("Acos", unary<[](double x) { return std::acos(x); }>);
  e.emplace_back("Acosh", unary<[](double x) { return std::acosh(x); }>);
  e.emplace_back("Asin", unary<[](double x) { return std::asin(x); }>);
  e.emplace_back("Asinh", unary<[](double x) { return std::asinh(x); }>);
  e.emplace_back("Atan", unary<[](double x) { return std::atan(x); }>);
  e.emplace_back("Atanh", unary<[](double x) { return std::atanh(x); }>);
  e.emplace_back("Ceil", unary<[](double x) { return std::ceil(x); }>);
  e.emplace_back("Cos", unary<[](double x) { return std::cos(x); }>);
  e.emplace_back("Cosh", unary<[](double x) { return std::cosh(x); }>);
  e.emplace_back("Erf", unary<[](double x) { return std::erf(x); }>);
  e.emplace_back("Exp", unary<[](double x) { return std::exp(x); }>);
  e.emplace_back("Floor", unary<[](double x) { return std::floor(x); }>);
  e.emplace_back("HardSwish", unary<[](double x) { return x * clamp_unit(x / 6 + 0.5); }>);
  e.emplace_back("Log", unary<[](double x) { return std::log(x); }>);
  e.emplace_back("Mish", unary<[](double x) { return x * std::tanh(softplus(x)); }>);
  e.emplace_back("Reciprocal", unary<[](double x) { return 1 / x; }>);
  e.emplace_back("Round", unary<[](double x) { return std::nearbyint(x); }>);
  e.emplace_back("Sigmoid", unary<sigmoid>);
  e.emplace_back("Sin", unary<[](double x) { return std::sin(x); }>);
  e.emplace_back("Sinh", unary<[](double x) { return std::sinh(x); }>);
  e.emplace_back("Softplus", unary<softplus>);
  e.emplace_back("Softsign", unary<[](double x) { return x / (1 + std::fabs(x)); }>);
  e.emplace_back("Sqrt", unary<[](double x) { return std::sqrt(x); }>);
  e.emplace_back("Tan", unary<[](double x) { return std::tan(x); }>);
  e.emplace_back("Tanh", unary<[](double x) { return std::tanh(x); }>);
  e.emplace_back("IsNaN", unary<[](double x) { return double(std::isnan(x)); }>);
  e.emplace_back("IsInf", is_inf);
  e.emplace_back("Gelu", gelu);
  e.emplace_back("Cast", cast);
  e.emplace_back("CastLike", cast);
  e.emplace_back("BitCast", bit_cast);
  e.emplace_back("Dropout", dropout);
}

void add_parametric(Entries& e) {
  e.emplace_back("Elu", [](const Call& c) -> Values {
    return parametric<[](double x, double a, double) { return x < 0 ? a * std::expm1(x) : x; }>(
        c, c.real("alpha", 1.0f), 0);
  });
  e.emplace_back("Celu", [](const Call& c) -> Values {
    return parametric<[](double x, double a, double) { return std::fmax(0, x) + std::fmin(0, a * std::expm1(x / a)); }>(
        c, c.real("alpha", 1.0f), 0);
  });
  e.emplace_back("Selu", [](const Call& c) -> Values {
    return parametric<[](double x, double a, double g) { return g * ((x > 0) ? x : a * std::expm1(x)); }>(
        c, c.real("alpha", 1.67326319217681884765625f), c.real("gamma", 1.05070102214813232421875f));
  });
  e.emplace_back("LeakyRelu", [](const Call& c) -> Values {
    return parametric<[](double x, double a, double) { return x < 0 ? a * x : x; }>(c, c.real("alpha", 0.01f), 0);
  });
  e.emplace_back("ThresholdedRelu", [](const Call& c) -> Values {
    return parametric<[](double x, double a, double) { return (x > a) ? x : 0.0; }>(c, c.real("alpha", 1.0f), 0);
  });
  e.emplace_back("HardSigmoid", [](const Call& c) -> Values {
    return parametric<[](double x, double a, double b) { return clamp_unit(a * x + b); }>(c, c.real("alpha", 0.2f),
                                                                                          c.real("beta", 0.5f));
  });
  e.emplace_back("Shrink", [](const Call& c) -> Values {
    return parametric<[](double x, double bias, double lambd) {
      return x < -lambd ? x + bias : (x > lambd) ? x - bias : 0.0;
    }>(c, c.real("bias", 0.0f), c.real("lambd", 0.5f));
  });
  e.emplace_back("Swish", [](const Call& c) -> Values {
    return parametric<[](double x, double a, double) { return x * sigmoid(a * x); }>(c, c.real("alpha", 1.0f), 0);
  });
}

}  // namespace

void add_pointwise(Entries& e) {
  add_unary(e);
  add_parametric(e);
  e.emplace_back("Add", binary<[](double a, double b) { return a + b; },
                               [](std::int64_t a, std::int64_t b, bool) { return value_of(bits(a) + bits(b)); }>);
  e.emplace_back("Sub", binary<[](double a, double b) { return a - b; },
                               [](std::int64_t a, std::int64_t b, bool) { return value_of(bits(a) - bits(b)); }>);
  e.emplace_back("Mul", binary<[](double a, double b) { return a * b; },
                               [](std::int64_t a, std::int64_t b, bool) { return value_of(bits(a) * bits(b)); }>);
  e.emplace_back("Div", binary<[](double a, double b) { return a / b; }, divide>);
  e.emplace_back("And", binary<[](double a, double b) { return double(a != 0 && b != 0); },
                               [](std::int64_t a, std::int64_t b, bool) { return std::int64_t{a && b}; }>);
  e.emplace_back("Or", binary<[](double a, double b) { return double(a != 0 || b != 0); },
                              [](std::int64_t a, std::int64_t b, bool) { return std::int64_t{a || b}; }>);
  e.emplace_back("Xor", binary<[](double a, double b) { return double((a != 0) != (b != 0)); },
                               [](std::int64_t a, std::int64_t b, bool) { return std::int64_t{!a != !b}; }>);
  e.emplace_back(
      "BitwiseAnd",
      binary<[](double a, double) { return a; }, [](std::int64_t a, std::int64_t b, bool) { return a & b; }>);
  e.emplace_back(
      "BitwiseOr",
      binary<[](double a, double) { return a; }, [](std::int64_t a, std::int64_t b, bool) { return a | b; }>);
  e.emplace_back(
      "BitwiseXor",
      binary<[](double a, double) { return a; }, [](std::int64_t a, std::int64_t b, bool) { return a ^ b; }>);
  e.emplace_back("BitShift", bit_shift);
  e.emplace_back("Mod", modulo);
  e.emplace_back("Pow", power);
  e.emplace_back("PRelu", prelu);
  e.emplace_back("Equal", equal);
  e.emplace_back("Greater", comparison<[](double a, double b) { return (a > b); },
                                       [](std::int64_t a, std::int64_t b, bool w) { return less(b, a, w); }>);
  e.emplace_back("GreaterOrEqual", comparison<[](double a, double b) { return (a >= b); },
                                              [](std::int64_t a, std::int64_t b, bool w) { return !less(a, b, w); }>);
  e.emplace_back("Less", comparison<[](double a, double b) { return a < b; }, less>);
  e.emplace_back("LessOrEqual", comparison<[](double a, double b) { return a <= b; },
                                           [](std::int64_t a, std::int64_t b, bool w) { return !less(b, a, w); }>);
  e.emplace_back("Max", fold<propagate_max, integer_max>);
  e.emplace_back("Min", fold<propagate_min, integer_min>);
  e.emplace_back(
      "Sum",
      fold<[](double a, double b) { return a + b; }, [](std::int64_t a, std::int64_t b, bool) { return a + b; }>);
  e.emplace_back(
      "Mean",
      fold<[](double a, double b) { return a + b; }, [](std::int64_t a, std::int64_t b, bool) { return a + b; }, true>);
  e.emplace_back("Where", where);
  e.emplace_back("Clip", clip);
}

}  // namespace xinfer::forge::reference
