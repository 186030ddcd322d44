// Resize: separable, one list of weighted neighbours per output coordinate and axis.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"
#include "forge/reference/resize_weights.h"
#include "ir/operators/resampling.h"

namespace xinfer::forge::reference {

namespace {

// Where output coordinate `x` lies in the input. `width` is the resized length before rounding down.
template <typename Real>
Real original_position(std::string_view mode, Real x, Real scale, Real in, Real out, Real begin, Real end) {
  const Real width = scale * in, half = 0.5;
  if (mode == "align_corners") return width == 1 ? 0 : x * (in - 1) / (width - 1);
  if (mode == "asymmetric") return x / scale;
  if (mode == "tf_crop_and_resize")
    return width == 1 ? (begin + end) * (in - 1) / 2 : begin * (in - 1) + x * (end - begin) * (in - 1) / (width - 1);
  if (mode == "pytorch_half_pixel") return width == 1 ? -half : (x + half) / scale - half;
  if (mode == "half_pixel_symmetric") return in / 2 * (1 - out / width) + (x + half) / scale - half;
  return (x + half) / scale - half;  // half_pixel
}

// Which element is nearest is decided in single precision, as scales are given and others compute: 17 / 1.7f is 10 in floats
// and a little less in doubles.
double position(bool nearest, std::string_view mode, std::int64_t x, double scale, std::int64_t in, std::int64_t out,
                double begin, double end) {
  auto at = [&]<typename Real>(Real) {
    return original_position<Real>(mode, static_cast<Real>(x), static_cast<Real>(scale), static_cast<Real>(in),
                                   static_cast<Real>(out), static_cast<Real>(begin), static_cast<Real>(end));
  };
  return nearest ? at(0.0f) : at(0.0);
}

double cubic(double distance, double a) {
  const double x = std::fabs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

bool takes_right_neighbour(std::string_view mode, double ratio) {
  if (ratio == 1) return true;  // exactly on an element
  if (mode == "floor") return false;
  if (mode == "ceil") return true;
  return mode == "round_prefer_ceil" ? ratio >= 0.5 : ratio > 0.5;
}

}  // namespace

AxisWeights resize_weights(const ir::Attributes& attributes, std::int64_t in, std::int64_t out, double scale,
                           double roi_begin, double roi_end) {
  const std::string mode = attributes.string("mode", "nearest"),
                    transform = attributes.string("coordinate_transformation_mode", "half_pixel"),
                    nearest = attributes.string("nearest_mode", "round_prefer_floor");
  const bool antialias = attributes.integer("antialias", 0) != 0 && scale < 1,
             exclude = attributes.integer("exclude_outside", 0) != 0;
  const double a = attributes.real("cubic_coeff_a", -0.75f), stretch = antialias ? scale : 1;
  AxisWeights weights;
  for (std::int64_t o = 0; o < out; ++o) {
    const double at = position(mode == "nearest", transform, o, scale, in, out, roi_begin, roi_end);
    weights.outside.push_back(transform == "tf_crop_and_resize" && (at < 0 || at > static_cast<double>(in - 1)));
    // ratio in (0, 1]: the element on the left is preferred.
    const double left = std::ceil(at) - 1, ratio = at - left;
    std::vector<std::pair<std::int64_t, double>> taps;
    const auto base = static_cast<std::int64_t>(left);
    if (mode == "nearest") {
      taps.emplace_back(base + (takes_right_neighbour(nearest, ratio) ? 1 : 0), 1.0);
    } else {
      const double reach = mode == "cubic" ? 2 : 1;
      const auto first = static_cast<std::int64_t>(std::floor(-reach / stretch)) + 1;
      double total = 0;
      for (std::int64_t i = first; i < 2 - first; ++i) {
        const double distance = (static_cast<double>(i) - ratio) * stretch;
        const double weight = mode == "cubic" ? cubic(distance, a) : std::max(0.0, 1 - std::fabs(distance));
        taps.emplace_back(base + i, weight);
        total += weight;
      }
      if (antialias)
        for (auto& tap : taps) tap.second /= total;
    }
    if (exclude) {
      double total = 0;
      for (auto& [i, weight] : taps) total += weight = i < 0 || i >= in ? 0 : weight;
      for (auto& tap : taps) tap.second /= total;
    }
    for (auto& tap : taps) tap.first = std::clamp<std::int64_t>(tap.first, 0, in - 1);
    weights.taps.push_back(std::move(taps));
  }
  return weights;
}

namespace {

Values resize(const Call& call) {
  const Tensor& in = call.in(0);
  auto optional = [&](std::size_t i) { return call.has(i) ? &call.in(i) : nullptr; };
  XI_TRY(auto plan, ir::plan_resize(call.node.attributes, in.shape(), optional(1), optional(2), optional(3)));
  Tensor out = call.make();
  if (out.num_elements() == 0) return result(std::move(out));
  auto x = doubles(in);
  Shape shape = in.shape();
  std::vector<std::vector<bool>> outside(shape.size());
  for (std::size_t d = 0; d < shape.size(); ++d) {
    AxisWeights weights = resize_weights(call.node.attributes, shape[d], plan.output[d], plan.scales[d],
                                         plan.roi_begin[d], plan.roi_end[d]);
    outside[d] = weights.outside;
    if (plan.output[d] == shape[d] && plan.scales[d] == 1 && plan.roi_begin[d] == 0 && plan.roi_end[d] == 1) continue;
    AxisView view = view_axis(shape, static_cast<std::int64_t>(d));
    std::vector<double> y(index_of(view.outer * plan.output[d] * view.inner), 0.0);
    for (std::int64_t o = 0; o < view.outer; ++o)
      for (std::int64_t t = 0; t < plan.output[d]; ++t)
        for (const auto& [from, weight] : weights.taps[index_of(t)]) {
          const double* source = x.data() + (o * view.size + from) * view.inner;
          double* target = y.data() + (o * plan.output[d] + t) * view.inner;
          for (std::int64_t i = 0; i < view.inner; ++i) target[i] += weight * source[i];
        }
    x = std::move(y);
    shape[d] = plan.output[d];
  }
  if (call.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize") {
    const double fill = call.real("extrapolation_value", 0.0f);
    Shape strides = tensor::strides_of(shape);
    for (std::int64_t i = 0; i < out.num_elements(); ++i)
      for (std::size_t d = 0; d < shape.size(); ++d)
        if (outside[d][index_of(i / strides[d] % shape[d])]) x[index_of(i)] = fill;
  }
  if (!is_real(out.dtype())) {
    const bool byte = out.dtype() == DType::kUint8, signed_byte = out.dtype() == DType::kInt8;
    for (double& v : x) v = byte ? std::clamp(v, 0.0, 255.0) : signed_byte ? std::clamp(v, -128.0, 127.0) : v;
  }
  store(out, x);
  return result(std::move(out));
}

}  // namespace

void add_resize(Entries& e) { e.emplace_back("Resize", resize); }

}  // namespace xinfer::forge::reference
