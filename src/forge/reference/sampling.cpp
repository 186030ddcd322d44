// Operators that read images between their elements.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

double denormalize(double x, std::int64_t size, bool align_corners) {
  const auto length = static_cast<double>(size);
  return align_corners ? (x + 1) / 2 * (length - 1) : ((x + 1) * length - 1) / 2;
}

// Mirrors x at both ends until it lies within.
double reflect(double x, double low, double high) {
  const double range = high - low;
  if (range <= 0) return low;
  if (x < low) {
    const double distance = low - x, turns = std::trunc(distance / range), rest = distance - turns * range;
    return std::fmod(turns, 2) == 0 ? low + rest : high - rest;
  }
  if (x > high) {
    const double distance = x - high, turns = std::trunc(distance / range), rest = distance - turns * range;
    return std::fmod(turns, 2) == 0 ? high - rest : low + rest;
  }
  return x;
}

struct Padding {
  std::string mode;
  bool align_corners;

  // A fractional position brought inside, where the mode moves positions.
  double position(double x, std::int64_t size) const {
    const double low = align_corners ? 0 : -0.5,
                 high = align_corners ? static_cast<double>(size - 1) : static_cast<double>(size) - 0.5;
    if (x >= low && x <= high) return x;
    if (mode == "border") return std::clamp(x, 0.0, static_cast<double>(size - 1));
    return mode == "reflection" ? reflect(x, low, high) : x;
  }
  // The element at a whole position, or -1 for zero.
  std::int64_t element(std::int64_t i, std::int64_t size) const {
    if (i >= 0 && i < size) return i;
    if (mode == "border") return std::clamp<std::int64_t>(i, 0, size - 1);
    if (mode != "reflection") return -1;
    const double low = align_corners ? 0 : -0.5,
                 high = align_corners ? static_cast<double>(size - 1) : static_cast<double>(size) - 0.5;
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(reflect(static_cast<double>(i), low, high)), 0, size - 1);
  }
};

double cubic(double distance) {
  constexpr double a = -0.75;
  const double x = std::fabs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

// Elements and weights along one axis.
std::vector<std::pair<std::int64_t, double>> taps(std::string_view mode, double x, std::int64_t size,
                                                  const Padding& padding) {
  if (mode == "nearest") return {{padding.element(static_cast<std::int64_t>(x), size), 1.0}};
  const double base = std::floor(x);
  const auto first = static_cast<std::int64_t>(base);
  std::vector<std::pair<std::int64_t, double>> out;
  const int before = mode == "cubic" ? 1 : 0, after = mode == "cubic" ? 2 : 1;
  for (int i = -before; i <= after; ++i) {
    const double distance = std::fabs(x - (base + i));
    out.emplace_back(padding.element(first + i, size), mode == "cubic" ? cubic(distance) : 1 - distance);
  }
  return out;
}

Values grid_sample(const Call& call) {
  Tensor out = call.make();
  const Shape &xs = call.in(0).shape(), &gs = call.in(1).shape();
  const std::size_t rank = xs.size() - 2;
  std::string mode = call.text("mode", "linear");
  if (mode == "bilinear") mode = "linear";
  if (mode == "bicubic") mode = "cubic";
  const Padding padding{call.text("padding_mode", "zeros"), call.integer("align_corners", 0) != 0};
  auto x = doubles(call.in(0)), grid = doubles(call.in(1));
  const Shape spatial(xs.begin() + 2, xs.end()), strides = tensor::strides_of(spatial);
  const std::int64_t plane = tensor::num_elements(spatial),
                     points = tensor::num_elements(gs) / (gs[0] * static_cast<std::int64_t>(rank));
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  for (std::int64_t n = 0; n < xs[0]; ++n)
    for (std::int64_t p = 0; p < points; ++p) {
      // The grid's coordinates come last axis first. `where` lists elements and weights of all axes multiplied out.
      std::vector<std::pair<std::int64_t, double>> where{{0, 1.0}};
      for (std::size_t d = 0; d < rank; ++d) {
        double at = denormalize(grid[index_of((n * points + p) * static_cast<std::int64_t>(rank)) + rank - 1 - d],
                                spatial[d], padding.align_corners);
        if (mode == "nearest") at = std::nearbyint(at);
        at = std::isfinite(at) ? std::clamp(padding.position(at, spatial[d]), -1e9, 1e9) : -1e9;
        std::vector<std::pair<std::int64_t, double>> next;
        for (auto [offset, weight] : where)
          for (auto [i, factor] : taps(mode, at, spatial[d], padding))
            if (i >= 0) next.emplace_back(offset + i * strides[d], weight * factor);
        where = std::move(next);
      }
      for (std::int64_t c = 0; c < xs[1]; ++c)
        for (auto [offset, weight] : where)
          y[index_of((n * xs[1] + c) * points + p)] += weight * x[index_of((n * xs[1] + c) * plane + offset)];
    }
  store(out, y);
  return result(std::move(out));
}

Values affine_grid(const Call& call) {
  Tensor out = call.make();
  auto theta = doubles(call.in(0));
  auto size = call.in(1).as_int64s();
  const bool align = call.integer("align_corners", 0) != 0;
  const std::size_t rank = size.size() - 2;
  const Shape spatial(size.begin() + 2, size.end()), strides = tensor::strides_of(spatial);
  const std::int64_t points = tensor::num_elements(spatial);
  std::vector<double> y;
  for (std::int64_t n = 0; n < size[0]; ++n)
    for (std::int64_t p = 0; p < points; ++p)
      for (std::size_t row = 0; row < rank; ++row) {
        const double* line = theta.data() + (index_of(n) * rank + row) * (rank + 1);
        double value = line[rank];
        for (std::size_t k = 0; k < rank; ++k) {  // coordinate k is that of axis rank - 1 - k
          const std::size_t d = rank - 1 - k;
          const auto i = static_cast<double>(p / strides[d] % spatial[d]), length = static_cast<double>(spatial[d]);
          value += line[k] * (align ? (length > 1 ? 2 * i / (length - 1) - 1 : -1) : (2 * i + 1) / length - 1);
        }
        y.push_back(value);
      }
  store(out, y);
  return result(std::move(out));
}

struct Corners {
  std::int64_t at[4];
  double weight[4];
};

// The four elements around a point of a plane; none when it lies more than one element outside.
bool corners_of(double y, double x, std::int64_t height, std::int64_t width, Corners& corners) {
  if (y < -1 || y > static_cast<double>(height) || x < -1 || x > static_cast<double>(width)) return false;
  y = std::max(y, 0.0);
  x = std::max(x, 0.0);
  auto y0 = static_cast<std::int64_t>(y), x0 = static_cast<std::int64_t>(x);
  std::int64_t y1 = y0 + 1, x1 = x0 + 1;
  if (y0 >= height - 1) y = static_cast<double>(y0 = y1 = height - 1);
  if (x0 >= width - 1) x = static_cast<double>(x0 = x1 = width - 1);
  const double ly = y - static_cast<double>(y0), lx = x - static_cast<double>(x0);
  corners = {{y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1},
             {(1 - ly) * (1 - lx), (1 - ly) * lx, ly * (1 - lx), ly * lx}};
  return true;
}

Values roi_align(const Call& call) {
  Tensor out = call.make();
  const Shape &xs = call.in(0).shape(), &os = out.shape();
  const bool half_pixel = call.text("coordinate_transformation_mode", "half_pixel") == "half_pixel",
             maximum = call.text("mode", "avg") == "max";
  const double scale = call.real("spatial_scale", 1.0f), shift = half_pixel ? 0.5 : 0;
  const std::int64_t sampling = call.integer("sampling_ratio", 0);
  auto x = doubles(call.in(0)), rois = doubles(call.in(1));
  auto batches = call.in(2).as_int64s();
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  for (std::int64_t r = 0; r < os[0]; ++r) {
    if (batches[index_of(r)] < 0 || batches[index_of(r)] >= xs[0])
      return fail(Code::kInvalidArgument, "region {} names image {}", r, batches[index_of(r)]);
    const double* roi = rois.data() + r * 4;
    const double left = roi[0] * scale - shift, top = roi[1] * scale - shift;
    double width = roi[2] * scale - shift - left, height = roi[3] * scale - shift - top;
    if (!half_pixel) {
      width = std::max(width, 1.0);
      height = std::max(height, 1.0);
    }
    const double bin_h = height / static_cast<double>(os[2]), bin_w = width / static_cast<double>(os[3]);
    const auto grid_h = sampling > 0 ? sampling : static_cast<std::int64_t>(std::ceil(bin_h)),
               grid_w = sampling > 0 ? sampling : static_cast<std::int64_t>(std::ceil(bin_w));
    const auto count = static_cast<double>(std::max<std::int64_t>(grid_h * grid_w, 1));
    for (std::int64_t i = 0; i < os[1] * os[2] * os[3]; ++i) {
      const std::int64_t c = i / (os[2] * os[3]), ph = i / os[3] % os[2], pw = i % os[3];
      const double* plane = x.data() + (batches[index_of(r)] * xs[1] + c) * xs[2] * xs[3];
      double total = maximum ? -INFINITY : 0;
      for (std::int64_t gy = 0; gy < grid_h; ++gy)
        for (std::int64_t gx = 0; gx < grid_w; ++gx) {
          Corners corners;
          const double at_y =
              top + (static_cast<double>(ph) + (static_cast<double>(gy) + 0.5) / static_cast<double>(grid_h)) * bin_h;
          const double at_x =
              left + (static_cast<double>(pw) + (static_cast<double>(gx) + 0.5) / static_cast<double>(grid_w)) * bin_w;
          if (!corners_of(at_y, at_x, xs[2], xs[3], corners)) {
            if (maximum) total = std::max(total, 0.0);
            continue;
          }
          for (int k = 0; k < 4; ++k) {
            const double part = corners.weight[k] * plane[corners.at[k]];
            total = maximum ? std::max(total, part) : total + part;
          }
        }
      y[index_of(r * os[1] * os[2] * os[3] + i)] = maximum ? (std::isinf(total) ? 0 : total) : total / count;
    }
  }
  store(out, y);
  return result(std::move(out));
}

}  // namespace

void add_sampling(Entries& e) {
  e.emplace_back("GridSample", grid_sample);
  e.emplace_back("AffineGrid", affine_grid);
  e.emplace_back("RoiAlign", roi_align);
}

}  // namespace xinfer::forge::reference
