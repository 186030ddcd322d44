// com.microsoft's quantised operators: dequantise, compute, quantise again.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"
#include "forge/reference/kernels.h"

namespace xinfer::forge::reference {

namespace {

// (x - zero) * scale with one scale for all, in float32 as the scales are; the zero point may be absent.
std::vector<double> dequantized(const Call& call, std::size_t data, std::size_t scale, std::size_t zero) {
  auto x = doubles(call.in(data));
  const double s = call.in(scale).as_double(0), z = call.has(zero) ? call.in(zero).as_double(0) : 0;
  for (double& v : x) v = static_cast<float>(v - z) * static_cast<float>(s);
  return x;
}

Tensor quantized(const Call& call, const std::vector<double>& y, double scale, double zero) {
  Tensor out = call.make();
  const bool is_signed = out.dtype() == DType::kInt8;
  std::vector<double> q(y.size());
  for (std::size_t i = 0; i < y.size(); ++i)
    q[i] = std::clamp(static_cast<double>(std::nearbyint(static_cast<float>(y[i]) / static_cast<float>(scale))) + zero,
                      is_signed ? -128.0 : 0.0, is_signed ? 127.0 : 255.0);
  store(out, q);
  return out;
}

double number(const Call& call, std::size_t input) { return call.has(input) ? call.in(input).as_double(0) : 0; }

// A, A scale, A zero, B, B scale, B zero, C scale, C zero.
template <auto F>
Values binary(const Call& call) {
  auto a = dequantized(call, 0, 1, 2), b = dequantized(call, 3, 4, 5);
  const Shape shape = call.types[0].shape();
  std::vector<double> y(index_of(tensor::num_elements(shape)));
  std::array strides{broadcast_strides(call.in(0).shape(), shape), broadcast_strides(call.in(3).shape(), shape)};
  for_each_index(shape, strides, [&](auto o, auto i, auto j) { y[index_of(o)] = F(a[index_of(i)], b[index_of(j)]); });
  return result(quantized(call, y, call.in(6).as_double(0), number(call, 7)));
}

Values sigmoid(const Call& call) {
  auto x = dequantized(call, 0, 1, 2);
  for (double& v : x) v = 1 / (1 + std::exp(-v));
  return result(quantized(call, x, call.in(3).as_double(0), number(call, 4)));
}

Values leaky_relu(const Call& call) {
  auto x = dequantized(call, 0, 1, 2);
  const double alpha = call.real("alpha", 0.01f);
  for (double& v : x) v = v < 0 ? alpha * v : v;
  return result(quantized(call, x, call.in(3).as_double(0), number(call, 4)));
}

// The standard operator on dequantised data, and on axes where it takes such.
Values through(const Call& call, std::string op, const ir::Attributes& attributes, const Tensor* axes = nullptr) {
  ir::Node node;
  node.op = std::move(op);
  node.attributes = attributes;
  node.outputs = {0};
  const Value input(from_doubles(DType::kFloat64, call.in(0).shape(), dequantized(call, 0, 1, 2))), of_axes(axes ? *axes : Tensor());
  std::vector<const Value*> arguments{&input};
  if (axes) arguments.push_back(&of_axes);
  node.inputs.assign(arguments.size(), 0);
  XI_TRY(auto outputs, find(node.op)(node, {}, arguments));
  return result(quantized(call, doubles(*outputs[0].tensor), call.in(3).as_double(0), number(call, 4)));
}

Values softmax(const Call& call) {
  ir::Attributes attributes;
  attributes.set("axis", call.integer("axis", -1));
  return through(call, "Softmax", attributes);
}
Values global_average_pool(const Call& call) { return through(call, "GlobalAveragePool", {}); }
Values reduce_mean(const Call& call) {
  const Tensor axes = Tensor::from_int64s(call.integers("axes"));
  ir::Attributes attributes;
  attributes.set("keepdims", call.integer("keepdims", 1));
  return through(call, "ReduceMean", attributes, &axes);
}

// Condition, X, scale, zero point, Y, scale, zero point, Z scale, zero point.
Values where(const Call& call) {
  auto x = dequantized(call, 1, 2, 3), y = dequantized(call, 4, 5, 6), chosen = doubles(call.in(0));
  const Shape shape = call.types[0].shape();
  std::vector<double> z(index_of(tensor::num_elements(shape)));
  std::array strides{broadcast_strides(call.in(0).shape(), shape), broadcast_strides(call.in(1).shape(), shape), broadcast_strides(call.in(4).shape(), shape)};
  for_each_index(shape, strides, [&](auto o, auto c, auto i, auto j) { z[index_of(o)] = chosen[index_of(c)] != 0 ? x[index_of(i)] : y[index_of(j)]; });
  return result(quantized(call, z, call.in(7).as_double(0), number(call, 8)));
}

Values average_pool(const Call& call) { return through(call, "AveragePool", call.node.attributes); }

Values concat(const Call& call) {
  const Shape shape = call.types[0].shape();
  AxisView whole = view_axis(shape, positive_axis(call.integer("axis", 0), static_cast<std::int64_t>(shape.size())));
  std::vector<double> y(index_of(tensor::num_elements(shape)));
  std::int64_t start = 0;
  for (std::size_t n = 2; n + 2 < call.inputs.size(); n += 3) {
    auto x = dequantized(call, n, n + 1, n + 2);
    const std::int64_t run = whole.outer ? static_cast<std::int64_t>(x.size()) / whole.outer : 0;
    for (std::int64_t o = 0; o < whole.outer; ++o)
      std::copy_n(x.begin() + o * run, run, y.begin() + o * whole.size * whole.inner + start);
    start += run;
  }
  return result(quantized(call, y, call.in(0).as_double(0), call.in(1).as_double(0)));
}

// Columns of b [k, n] have a scale and a zero point each, or share one.
std::vector<double> dequantized_columns(const Call& call, std::size_t data, std::size_t scale, std::size_t zero,
                                        std::int64_t columns) {
  auto b = doubles(call.in(data)), scales = doubles(call.in(scale));
  auto zeros = call.has(zero) ? doubles(call.in(zero)) : std::vector<double>{0.0};
  for (std::size_t i = 0; i < b.size(); ++i) {
    const std::size_t c = i % index_of(columns);
    b[i] = (b[i] - zeros[zeros.size() == 1 ? 0 : c]) * scales[scales.size() == 1 ? 0 : c];
  }
  return b;
}

Values qgemm(const Call& call) {
  const Shape &as = call.in(0).shape(), &bs = call.in(3).shape();
  const bool ta = call.integer("transA", 0) != 0, tb = call.integer("transB", 0) != 0;
  const std::int64_t m = as[ta ? 1 : 0], k = as[ta ? 0 : 1], n = bs[tb ? 0 : 1];
  auto a = doubles(call.in(0)), b = doubles(call.in(3)), scales = doubles(call.in(4)), zeros = doubles(call.in(5));
  const double a_zero = call.in(2).as_double(0), alpha = call.real("alpha", 1.0f), a_scale = call.in(1).as_double(0);
  std::vector<double> left(index_of(m * k)), right(index_of(k * n)), y(index_of(m * n), 0.0);
  for (std::int64_t i = 0; i < m * k; ++i) left[index_of(i)] = a[index_of(ta ? i % k * m + i / k : i)] - a_zero;
  for (std::int64_t i = 0; i < k * n; ++i)
    right[index_of(i)] = b[index_of(tb ? i % n * k + i / n : i)] - zeros[zeros.size() == 1 ? 0 : index_of(i % n)];
  multiply_matrices(left.data(), right.data(), y.data(), m, k, n);
  if (call.has(6)) {  // in units of the product of the scales
    auto c = doubles(call.in(6));
    for_each_index(Shape{m, n}, std::array{broadcast_strides(call.in(6).shape(), Shape{m, n})},
                   [&](auto i, auto at) { y[index_of(i)] += c[index_of(at)]; });
  }
  for (std::int64_t i = 0; i < m * n; ++i)
    y[index_of(i)] *= alpha * a_scale * scales[scales.size() == 1 ? 0 : index_of(i % n)];
  if (call.has(7)) return result(quantized(call, y, call.in(7).as_double(0), number(call, 8)));
  Tensor out = call.make();
  store(out, y);
  return result(std::move(out));
}

// a (batched rows) times b [k, n], plus bias.
std::vector<Value> product(const Call& call, const std::vector<double>& a, const std::vector<double>& b,
                           std::size_t bias_input) {
  Tensor out = call.make();
  const std::int64_t k = call.in(0).shape().back(), n = out.shape().back(),
                     m = k ? static_cast<std::int64_t>(a.size()) / k : 0;
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  multiply_matrices(a.data(), b.data(), y.data(), m, k, n);
  if (call.has(bias_input)) {
    auto bias = doubles(call.in(bias_input));
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += bias[i % bias.size()];
  }
  store(out, y);
  return result(std::move(out));
}

// A, B, A scale, B scale, A zero, B zero, bias.
Values matmul_integer_to_float(const Call& call) {
  if (call.in(1).rank() != 2)
    return fail(Code::kUnsupported, "MatMulIntegerToFloat with a B of rank {}", call.in(1).rank());
  return product(call, dequantized(call, 0, 2, 4), dequantized_columns(call, 1, 3, 5, call.in(1).shape()[1]), 6);
}

// A in float32, B, B scale, B zero, bias: A is quantised to 8 bits by its own range first.
Values dynamic_quantize_matmul(const Call& call) {
  if (call.in(1).rank() != 2)
    return fail(Code::kUnsupported, "DynamicQuantizeMatMul with a B of rank {}", call.in(1).rank());
  auto a = floats(call.in(0));
  float low = 0, high = 0;
  for (float v : a) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  const float scale = high == low ? 1.0f : (high - low) / 255.0f,
              zero = std::nearbyint(std::clamp(0.0f - low / scale, 0.0f, 255.0f));
  std::vector<double> q;
  for (float v : a)
    q.push_back((std::clamp(std::nearbyint(v / scale) + zero, 0.0f, 255.0f) - zero) * static_cast<double>(scale));
  return product(call, q, dequantized_columns(call, 1, 2, 3, call.in(1).shape()[1]), 4);
}

}  // namespace

void add_layers_microsoft(Entries& entries);  // layers_microsoft.cpp

void add_quantized_microsoft(Entries& e) {
  add_layers_microsoft(e);
  e.emplace_back("com.microsoft.QLinearAdd", binary<[](double a, double b) { return a + b; }>);
  e.emplace_back("com.microsoft.QLinearMul", binary<[](double a, double b) { return a * b; }>);
  e.emplace_back("com.microsoft.QLinearSigmoid", sigmoid);
  e.emplace_back("com.microsoft.QLinearLeakyRelu", leaky_relu);
  e.emplace_back("com.microsoft.QLinearSoftmax", softmax);
  e.emplace_back("com.microsoft.QLinearGlobalAveragePool", global_average_pool);
  e.emplace_back("com.microsoft.QLinearAveragePool", average_pool);
  e.emplace_back("com.microsoft.QLinearReduceMean", reduce_mean);
  e.emplace_back("com.microsoft.QLinearWhere", where);
  e.emplace_back("com.microsoft.QLinearConcat", concat);
  e.emplace_back("com.microsoft.QGemm", qgemm);
  e.emplace_back("com.microsoft.MatMulIntegerToFloat", matmul_integer_to_float);
  e.emplace_back("com.microsoft.DynamicQuantizeMatMul", dynamic_quantize_matmul);
}

}  // namespace xinfer::forge::reference
