// Matrix products.
#include <algorithm>
#include <cmath>
#include <map>

#include "forge/reference/call.h"
#include "forge/reference/kernels.h"

namespace xinfer::forge::reference {

namespace {

using reference::multiply_matrices;  // of doubles
// Integers of 64 bits, which doubles cannot hold; sums wrap around.
void multiply_matrices(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* c, std::int64_t m, std::int64_t k, std::int64_t n) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < k; ++j)
      for (std::int64_t l = 0; l < n; ++l) c[i * n + l] += a[i * k + j] * b[j * n + l];
}

// numpy's matmul: leading axes broadcast, vectors are promoted.
template <typename T>
std::vector<T> batched_product(std::span<const T> a, Shape a_shape, std::span<const T> b, Shape b_shape) {
  if (a_shape.size() == 1) a_shape.insert(a_shape.begin(), 1);
  if (b_shape.size() == 1) b_shape.push_back(1);
  const std::int64_t m = a_shape[a_shape.size() - 2], k = a_shape.back(), n = b_shape.back();
  const Shape a_batch(a_shape.begin(), a_shape.end() - 2), b_batch(b_shape.begin(), b_shape.end() - 2);
  const Shape batch = tensor::broadcast(a_batch, b_batch).value_or(Shape{});
  std::vector<T> c(index_of(tensor::num_elements(batch) * m * n), T{});
  if (tensor::num_elements(b_batch) == 1 && a_batch == batch) {  // one matrix for all: a single tall product
    multiply_matrices(a.data(), b.data(), c.data(), tensor::num_elements(batch) * m, k, n);
    return c;
  }
  std::array<Shape, 2> strides{broadcast_strides(a_batch, batch), broadcast_strides(b_batch, batch)};
  for_each_index(batch, strides, [&](auto i, auto at_a, auto at_b) {
    multiply_matrices(a.data() + at_a * m * k, b.data() + at_b * k * n, c.data() + i * m * n, m, k, n);
  });
  return c;
}
std::vector<double> batched_product(const std::vector<double>& a, const Shape& a_shape, const std::vector<double>& b, const Shape& b_shape) {
  return batched_product(std::span(a), a_shape, std::span(b), b_shape);
}

Values matmul(const Call& call) {
  Tensor out = call.make();
  const Tensor &a = call.in(0), &b = call.in(1);
  if (!is_real(out.dtype()) && tensor::size_of(out.dtype()) == 8) {
    std::ranges::copy(batched_product(std::span(a.data<std::uint64_t>()), a.shape(), std::span(b.data<std::uint64_t>()), b.shape()), out.data<std::uint64_t>().begin());
    return result(std::move(out));
  }
  store(out, batched_product(doubles(a), a.shape(), doubles(b), b.shape()));
  return result(std::move(out));
}

// Subtracts a zero point that is one number, or one per row (of a) or column (of b).
void subtract_zero(std::vector<double>& values, const Shape& shape, const Tensor& zero, bool per_row) {
  auto zeros = doubles(zero);
  if (zeros.empty()) return;
  const std::size_t columns = index_of(shape.back()), rows = shape.size() > 1 ? index_of(shape[shape.size() - 2]) : 1;
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::size_t at = 0;
    if (zeros.size() > 1) {
      at = per_row ? i / columns % rows : i % columns;
      if (zeros.size() > (per_row ? rows : columns))
        at = per_row ? i / columns : i / (rows * columns) * columns + i % columns;
    }
    values[i] -= zeros[std::min(at, zeros.size() - 1)];
  }
}

Values matmul_integer(const Call& call) {
  auto a = doubles(call.in(0)), b = doubles(call.in(1));
  if (call.has(2)) subtract_zero(a, call.in(0).shape(), call.in(2), true);
  if (call.has(3)) subtract_zero(b, call.in(1).shape(), call.in(3), false);
  Tensor out = call.make();
  store(out, batched_product(a, call.in(0).shape(), b, call.in(1).shape()));
  return result(std::move(out));
}

// a, a scale, a zero, b, b scale, b zero, y scale, y zero.
Values qlinear_matmul(const Call& call) {
  auto a = doubles(call.in(0)), b = doubles(call.in(3));
  subtract_zero(a, call.in(0).shape(), call.in(2), true);
  subtract_zero(b, call.in(3).shape(), call.in(5), false);
  Tensor out = call.make();
  auto y = batched_product(a, call.in(0).shape(), b, call.in(3).shape());
  auto a_scale = doubles(call.in(1)), b_scale = doubles(call.in(4)), y_scale = doubles(call.in(6)),
       y_zero = doubles(call.in(7));
  const std::size_t columns = out.rank() ? index_of(out.shape().back()) : 1,
                    rows = out.rank() > 1 ? index_of(out.shape()[out.shape().size() - 2]) : 1;
  const bool is_signed = out.dtype() == DType::kInt8;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t row = i / columns % rows, column = i % columns;
    // The sum is exact; scales and product are float32, since ties decide the result.
    const float scale = static_cast<float>(a_scale[a_scale.size() == 1 ? 0 : row % a_scale.size()]) *
                        static_cast<float>(b_scale[b_scale.size() == 1 ? 0 : column % b_scale.size()]) /
                        static_cast<float>(y_scale[y_scale.size() == 1 ? 0 : row % y_scale.size()]);
    const double zero = y_zero[y_zero.size() == 1 ? 0 : row % y_zero.size()];
    y[i] = std::clamp(static_cast<double>(std::nearbyint(static_cast<float>(y[i]) * scale)) + zero,
                      is_signed ? -128.0 : 0.0, is_signed ? 127.0 : 255.0);
  }
  store(out, y);
  return result(std::move(out));
}

std::vector<double> transposed(const std::vector<double>& a, std::int64_t rows, std::int64_t columns) {
  std::vector<double> out(a.size());
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) out[index_of(c * rows + r)] = a[index_of(r * columns + c)];
  return out;
}

Values gemm(const Call& call) {
  Tensor out = call.make();
  auto a = doubles(call.in(0)), b = doubles(call.in(1));
  const Shape &as = call.in(0).shape(), &bs = call.in(1).shape();
  if (call.integer("transA", 0)) a = transposed(a, as[0], as[1]);
  if (call.integer("transB", 0)) b = transposed(b, bs[0], bs[1]);
  const std::int64_t m = out.shape()[0], n = out.shape()[1], k = call.integer("transA", 0) ? as[0] : as[1];
  std::vector<double> y(index_of(m * n), 0.0);
  multiply_matrices(a.data(), b.data(), y.data(), m, k, n);
  const double alpha = call.real("alpha", 1.0f), beta = call.real("beta", 1.0f);
  for (double& v : y) v *= alpha;
  if (call.has(2)) {
    auto c = doubles(call.in(2));
    for_each_index(out.shape(), std::array{broadcast_strides(call.in(2).shape(), out.shape())},
                   [&](auto i, auto at) { y[index_of(i)] += beta * c[index_of(at)]; });
  }
  store(out, y);
  return result(std::move(out));
}

// Strides of one operand over the letters; the ellipsis uses the upper-case-free characters 1, 2, … for its axes.
std::string expand_ellipsis(std::string_view term, std::size_t rank) {
  std::string out;
  const std::size_t dots = term.find("...");
  if (dots == term.npos) return std::string(term);
  const std::size_t extra = rank - (term.size() - 3);
  out = term.substr(0, dots);
  for (std::size_t i = extra; i-- > 0;)
    out += static_cast<char>('0' + i);  // numbered from the right, as broadcasting aligns
  return out + std::string(term.substr(dots + 3));
}

Values einsum(const Call& call) {
  Tensor out = call.make();
  std::string equation = call.text("equation", "");
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  std::string left = equation.substr(0, arrow), letters;
  std::vector<std::string> terms;
  std::map<char, std::int64_t> sizes;
  for (std::size_t begin = 0, n = 0; begin <= left.size(); ++n) {
    const std::size_t end = std::min(left.find(',', begin), left.size());
    terms.push_back(expand_ellipsis(std::string_view(left).substr(begin, end - begin), call.in(n).shape().size()));
    for (std::size_t i = 0; i < terms[n].size(); ++i)
      sizes[terms[n][i]] = std::max(sizes[terms[n][i]], call.in(n).shape()[i]);
    begin = end + 1;
  }
  std::string right;
  if (arrow == equation.npos) {
    std::map<char, int> seen;
    for (const auto& term : terms)
      for (char c : term) ++seen[c];
    for (auto it = seen.rbegin(); it != seen.rend(); ++it)
      if (std::isdigit(static_cast<unsigned char>(it->first))) right += it->first;
    for (auto [c, count] : seen)
      if (!std::isdigit(static_cast<unsigned char>(c)) && count == 1) right += c;
  } else {
    const std::string given = equation.substr(arrow + 2);
    right = given.find("...") == given.npos ? given : expand_ellipsis(given, out.shape().size());
  }
  // Loop over the result's letters, then over those that are summed.
  letters = right;
  for (auto [c, size] : sizes)
    if (letters.find(c) == letters.npos) letters += c;
  Shape shape;
  for (char c : letters) shape.push_back(sizes[c]);
  std::vector<Shape> strides(terms.size() + 1, Shape(letters.size(), 0));
  for (std::size_t n = 0; n < terms.size(); ++n) {
    Shape dense = tensor::strides_of(call.in(n).shape());
    for (std::size_t i = 0; i < terms[n].size(); ++i)
      if (call.in(n).shape()[i] != 1) strides[n][letters.find(terms[n][i])] += dense[i];
  }
  Shape out_dense = tensor::strides_of(out.shape());
  for (std::size_t i = 0; i < right.size(); ++i) strides.back()[i] = out_dense[i];
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  std::vector<std::vector<double>> inputs;
  for (std::size_t n = 0; n < terms.size(); ++n) inputs.push_back(doubles(call.in(n)));
  const std::vector<double> one{1.0};
  const auto& second = inputs.size() > 1 ? inputs[1] : one;
  if (terms.size() <= 2) {
    std::array<Shape, 3> two{strides[0], terms.size() > 1 ? strides[1] : Shape(letters.size(), 0), strides.back()};
    for_each_index(shape, two, [&](auto, auto a, auto b, auto o) {
      y[index_of(o)] += inputs[0][index_of(a)] * second[index_of(b)];
    });
  } else {
    std::vector<std::int64_t> index(shape.size(), 0);
    for (std::int64_t i = 0; i < tensor::num_elements(shape); ++i) {
      double value = 1;
      std::int64_t to = 0;
      for (std::size_t n = 0; n < terms.size(); ++n) {
        std::int64_t at = 0;
        for (std::size_t d = 0; d < index.size(); ++d) at += index[d] * strides[n][d];
        value *= inputs[n][index_of(at)];
      }
      for (std::size_t d = 0; d < index.size(); ++d) to += index[d] * strides.back()[d];
      y[index_of(to)] += value;
      for (std::size_t d = index.size(); d-- > 0;) {
        if (++index[d] < shape[d]) break;
        index[d] = 0;
      }
    }
  }
  store(out, y);
  return result(std::move(out));
}

}  // namespace

void add_matmul(Entries& e) {
  e.emplace_back("MatMul", matmul);
  e.emplace_back("MatMulInteger", matmul_integer);
  e.emplace_back("QLinearMatMul", qlinear_matmul);
  e.emplace_back("Gemm", gemm);
  e.emplace_back("Einsum", einsum);
}

}  // namespace xinfer::forge::reference
