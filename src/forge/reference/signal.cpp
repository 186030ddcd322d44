// Fourier transforms, windows, determinants.
#include <algorithm>
#include <cmath>
#include <complex>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

using Complex = std::complex<double>;

// X[k] = sum x[n] exp(-+2 pi i n k / N), by the definition: exact enough for any length.
std::vector<Complex> transform(const std::vector<Complex>& x, bool inverse) {
  const std::size_t n = x.size();
  std::vector<Complex> roots(n), out(n);
  for (std::size_t k = 0; k < n; ++k)
    roots[k] = std::polar(1.0, (inverse ? 2 : -2) * M_PI * static_cast<double>(k) / static_cast<double>(n));
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t i = 0; i < n; ++i) out[k] += x[i] * roots[i * k % n];
  if (inverse)
    for (auto& v : out) v /= static_cast<double>(n);
  return out;
}

Values dft(const Call& call) {
  Tensor out = call.make();
  const Tensor& in = call.in(0);
  const bool inverse = call.integer("inverse", 0) != 0, onesided = call.integer("onesided", 0) != 0;
  const std::int64_t axis = positive_axis(call.has(2) ? call.in(2).as_int64(0) : call.integer("axis", -2), in.rank());
  const std::int64_t parts = in.shape().back(), out_parts = out.shape().back();
  // Inner size without the last axis, which holds the parts.
  AxisView from = view_axis(in.shape(), axis), to = view_axis(out.shape(), axis);
  const std::int64_t inner = from.inner / parts;
  std::int64_t length = inverse && onesided ? to.size : from.size;
  if (call.has(1) && call.in(1).num_elements()) length = call.in(1).as_int64(0);
  auto x = doubles(in);
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  for (std::int64_t o = 0; o < from.outer; ++o)
    for (std::int64_t i = 0; i < inner; ++i) {
      std::vector<Complex> line(index_of(length));
      for (std::int64_t a = 0; a < std::min(length, from.size); ++a) {
        const std::size_t at = index_of(((o * from.size + a) * inner + i) * parts);
        line[index_of(a)] = {x[at], parts == 2 ? x[at + 1] : 0.0};
      }
      if (inverse && onesided)  // the other half mirrors the first
        for (std::int64_t a = from.size; a < length; ++a) line[index_of(a)] = std::conj(line[index_of(length - a)]);
      line = transform(line, inverse);
      for (std::int64_t a = 0; a < to.size; ++a) {
        const std::size_t at = index_of(((o * to.size + a) * inner + i) * out_parts);
        y[at] = line[index_of(a)].real();
        if (out_parts == 2) y[at + 1] = line[index_of(a)].imag();
      }
    }
  store(out, y);
  return result(std::move(out));
}

Values stft(const Call& call) {
  Tensor out = call.make();
  const Shape &s = call.in(0).shape(), &o = out.shape();
  const std::int64_t step = call.in(1).as_int64(0), parts = s.size() > 2 ? s[2] : 1;
  const std::int64_t frame = call.has(3) && call.in(3).num_elements() ? call.in(3).as_int64(0) : call.in(2).shape()[0];
  auto x = doubles(call.in(0));
  auto window = call.has(2) ? doubles(call.in(2)) : std::vector<double>(index_of(frame), 1.0);
  if (static_cast<std::int64_t>(window.size()) > frame)
    return fail(Code::kInvalidArgument, "a window of {} for frames of {}", window.size(), frame);
  const std::size_t margin = (index_of(frame) - window.size()) / 2;
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  for (std::int64_t n = 0; n < o[0]; ++n)
    for (std::int64_t f = 0; f < o[1]; ++f) {
      std::vector<Complex> line(index_of(frame));
      for (std::size_t i = 0; i < window.size(); ++i) {
        const std::size_t at = index_of((n * s[1] + f * step) * parts) + (margin + i) * index_of(parts);
        line[margin + i] = window[i] * Complex{x[at], parts == 2 ? x[at + 1] : 0.0};
      }
      line = transform(line, false);
      for (std::int64_t k = 0; k < o[2]; ++k) {
        y[index_of(((n * o[1] + f) * o[2] + k) * 2)] = line[index_of(k)].real();
        y[index_of(((n * o[1] + f) * o[2] + k) * 2 + 1)] = line[index_of(k)].imag();
      }
    }
  store(out, y);
  return result(std::move(out));
}

Values mel_weight_matrix(const Call& call) {
  Tensor out = call.make();
  const std::int64_t bins = call.in(0).as_int64(0), length = call.in(1).as_int64(0), rate = call.in(2).as_int64(0);
  auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const double low = mel(call.in(3).as_double(0)), high = mel(call.in(4).as_double(0));
  std::vector<std::int64_t> edges;
  for (std::int64_t i = 0; i < bins + 2; ++i) {
    const double hertz =
        700 * (std::pow(10, (static_cast<double>(i) * (high - low) / static_cast<double>(bins + 2) + low) / 2595) - 1);
    edges.push_back(
        static_cast<std::int64_t>(std::floor(static_cast<double>(length + 1) * hertz / static_cast<double>(rate))));
  }
  const std::int64_t rows = out.shape()[0];
  auto put = [&](std::int64_t row, std::int64_t column, double value) {
    if (row >= 0 && row < rows) out.set(row * bins + column, value);
  };
  for (std::int64_t i = 0; i < bins; ++i) {
    const std::int64_t lower = edges[index_of(i)], centre = edges[index_of(i + 1)], upper = edges[index_of(i + 2)];
    if (centre == lower) put(centre, i, 1);
    else
      for (std::int64_t j = lower; j <= centre; ++j)
        put(j, i, static_cast<double>(j - lower) / static_cast<double>(centre - lower));
    for (std::int64_t j = centre; j < upper; ++j)
      put(j, i, static_cast<double>(upper - j) / static_cast<double>(upper - centre));
  }
  return result(std::move(out));
}

// a0 - a1 cos + a2 cos of twice the angle.
std::vector<Value> cosine_window(const Call& call, double a0, double a1, double a2) {
  Tensor out = call.make();
  const std::int64_t size = out.num_elements();
  const auto period = static_cast<double>(call.integer("periodic", 1) != 0 ? size : size - 1);
  for (std::int64_t i = 0; i < size; ++i) {
    const double angle = size > 1 || period > 0 ? 2 * M_PI * static_cast<double>(i) / period : 0;
    out.set(i, a0 - a1 * std::cos(angle) + a2 * std::cos(2 * angle));
  }
  return result(std::move(out));
}

Values det(const Call& call) {
  Tensor out = call.make();
  const std::int64_t n = call.in(0).shape().back();
  auto x = doubles(call.in(0));
  std::vector<double> y;
  for (std::int64_t m = 0; m < out.num_elements(); ++m) {
    double* a = x.data() + m * n * n;
    double product = 1;
    for (std::int64_t k = 0; k < n; ++k) {  // elimination with partial pivoting
      std::int64_t pivot = k;
      for (std::int64_t r = k + 1; r < n; ++r)
        if (std::fabs(a[r * n + k]) > std::fabs(a[pivot * n + k])) pivot = r;
      if (pivot != k) {
        std::swap_ranges(a + k * n, a + (k + 1) * n, a + pivot * n);
        product = -product;
      }
      product *= a[k * n + k];
      if (a[k * n + k] == 0) break;
      for (std::int64_t r = k + 1; r < n; ++r) {
        const double factor = a[r * n + k] / a[k * n + k];
        for (std::int64_t c = k; c < n; ++c) a[r * n + c] -= factor * a[k * n + c];
      }
    }
    y.push_back(product);
  }
  store(out, y);
  return result(std::move(out));
}

}  // namespace

void add_signal(Entries& e) {
  e.emplace_back("DFT", dft);
  e.emplace_back("STFT", stft);
  e.emplace_back("MelWeightMatrix", mel_weight_matrix);
  e.emplace_back("HannWindow", [](const Call& c) -> Values { return cosine_window(c, 0.5, 0.5, 0); });
  e.emplace_back("HammingWindow", [](const Call& c) -> Values { return cosine_window(c, 25.0 / 46, 21.0 / 46, 0); });
  e.emplace_back("BlackmanWindow", [](const Call& c) -> Values { return cosine_window(c, 0.42, 0.5, 0.08); });
  e.emplace_back("Det", det);
}

}  // namespace xinfer::forge::reference
