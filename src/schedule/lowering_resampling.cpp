// Resize (and its predecessor Upsample): every coordinate is known at build time, so indices and weights are tables.
#include <algorithm>
#include <cmath>

#include "schedule/lowering.h"

namespace xinfer::schedule {

namespace {

using base::Code;
using base::fail;
using base::Result;
using Context = LoweringContext;

// How one dimension is resampled.
struct AxisPlan {
  std::int64_t in = 1, out = 1;
  double scale = 1;
  double roi_start = 0, roi_end = 1;
};

struct Settings {
  std::string mode, coordinates, nearest;
  double cubic_a = -0.75, extrapolation = 0;
  bool exclude_outside = false, antialias = false;
};

double source_position(const Settings& s, const AxisPlan& axis, double x) {
  double out = static_cast<double>(axis.out), in = static_cast<double>(axis.in);
  if (s.coordinates == "asymmetric") return x / axis.scale;
  if (s.coordinates == "align_corners") return out == 1 ? 0 : x * (in - 1) / (out - 1);
  if (s.coordinates == "pytorch_half_pixel") return out > 1 ? (x + 0.5) / axis.scale - 0.5 : 0;
  if (s.coordinates == "tf_half_pixel_for_nn") return (x + 0.5) / axis.scale;
  if (s.coordinates == "half_pixel_symmetric") {
    double adjustment = out / (in * axis.scale), center = in / 2;
    return center * (1 - adjustment) + (x + 0.5) / axis.scale - 0.5;
  }
  if (s.coordinates == "tf_crop_and_resize")
    return out > 1 ? axis.roi_start * (in - 1) + x * (axis.roi_end - axis.roi_start) * (in - 1) / (out - 1)
                   : 0.5 * (axis.roi_start + axis.roi_end) * (in - 1);
  return (x + 0.5) / axis.scale - 0.5;  // half_pixel
}

// Coordinates come from divisions: one that should be whole may be a rounding error away.
double snapped(double x) {
  double whole = std::round(x);
  return std::abs(x - whole) < 1e-9 ? whole : x;
}

double nearest_of(const Settings& s, double x) {
  x = snapped(x);
  if (s.nearest == "round_prefer_ceil") return std::floor(x + 0.5);
  if (s.nearest == "floor") return std::floor(x);
  if (s.nearest == "ceil") return std::ceil(x);
  return std::ceil(x - 0.5);  // round_prefer_floor
}

double cubic_weight(double a, double t) {
  t = std::abs(t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return 0;
}

// taps[k][i]: for output position i, the k-th source index and its weight.
struct Taps {
  std::vector<std::vector<double>> index, weight;
  std::vector<double> outside;  // 1 where the position falls outside (tf_crop_and_resize)
};

// Weights of all taps around position x, antialiased (stretched by 1/scale when shrinking) or not.
void add_taps(const Settings& s, const AxisPlan& axis, double x, std::size_t i, Taps& taps, std::int64_t count,
              double stretch) {
  bool cubic = s.mode == "cubic";
  double support = (cubic ? 2.0 : 1.0) * stretch, total = 0;
  std::int64_t first = static_cast<std::int64_t>(std::floor(x - support)) + 1;
  std::vector<double> weights(static_cast<std::size_t>(count));
  for (std::int64_t k = 0; k < count; ++k) {
    double t = (static_cast<double>(first + k) - x) / stretch;
    double w = cubic ? cubic_weight(s.cubic_a, t) : std::max(0.0, 1 - std::abs(t));
    bool out = first + k < 0 || first + k >= axis.in;
    if (out && s.exclude_outside) w = 0;
    weights[static_cast<std::size_t>(k)] = w, total += w;
  }
  bool normalize = s.exclude_outside || stretch != 1;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    std::int64_t from = std::clamp<std::int64_t>(first + static_cast<std::int64_t>(k), 0, axis.in - 1);
    taps.index[k][i] = static_cast<double>(from);
    taps.weight[k][i] = normalize && total != 0 ? weights[k] / total : weights[k];
  }
}

Taps make_taps(const Settings& s, const AxisPlan& axis) {
  bool nearest = s.mode == "nearest", cubic = s.mode == "cubic";
  double stretch = s.antialias && axis.scale < 1 ? 1 / axis.scale : 1;
  std::int64_t count = nearest ? 1 : static_cast<std::int64_t>(std::ceil((cubic ? 4 : 2) * stretch));
  std::size_t out = static_cast<std::size_t>(axis.out), n = static_cast<std::size_t>(count);
  Taps taps{std::vector(n, std::vector<double>(out)), std::vector(n, std::vector<double>(out)),
            std::vector<double>(out)};
  for (std::size_t i = 0; i < out; ++i) {
    double x = source_position(s, axis, static_cast<double>(i));
    taps.outside[i] = x < 0 || x > static_cast<double>(axis.in - 1);
    if (nearest) {
      taps.index[0][i] = std::clamp<double>(nearest_of(s, x), 0, static_cast<double>(axis.in - 1));
      taps.weight[0][i] = 1;
    } else {
      // Outside positions of linear interpolation read the border.
      if (!cubic && stretch == 1) x = std::clamp(x, 0.0, static_cast<double>(axis.in - 1));
      add_taps(s, axis, snapped(x), i, taps, count, stretch);
    }
  }
  // Taps that never weigh anything need no reading.
  for (std::size_t k = taps.index.size(); k-- > 1;)
    if (std::ranges::all_of(taps.weight[k], [](double w) { return w == 0; })) {
      taps.index.erase(taps.index.begin() + static_cast<std::ptrdiff_t>(k));
      taps.weight.erase(taps.weight.begin() + static_cast<std::ptrdiff_t>(k));
    }
  return taps;
}

// The scale of every dimension: from scales where given, else from the sizes.
Result<std::vector<AxisPlan>> plan_axes(Context& c, const Settings& s) {
  bool upsample = c.node.op == "Upsample";
  std::size_t scales_input = upsample ? 1 : c.node.inputs.size() == 2 ? 1 : 2, sizes_input = 3, rank = c.index.size();
  std::vector<AxisPlan> axes(rank);
  std::vector<std::int64_t> which = c.node.attributes.integers("axes");
  if (which.empty())
    for (std::size_t d = 0; d < rank; ++d) which.push_back(static_cast<std::int64_t>(d));
  for (std::size_t d = 0; d < rank; ++d) {
    axes[d].in = c.shape(0)[d], axes[d].out = c.out_shape()[d];
    axes[d].scale = static_cast<double>(axes[d].out) / static_cast<double>(std::max<std::int64_t>(axes[d].in, 1));
  }
  bool by_scales = c.has(scales_input) && tensor::num_elements(c.shape(scales_input)) > 0;
  const tensor::Tensor* scales = by_scales ? c.constant(scales_input) : nullptr;
  if (by_scales && !scales)
    return fail(Code::kUnsupported, "the scales are computed at run time; only constants are supported");
  std::string policy = c.node.attributes.string("keep_aspect_ratio_policy", "stretch");
  const tensor::Tensor* sizes = c.has(sizes_input) && !upsample ? c.constant(sizes_input) : nullptr;
  double kept = 0;
  if (policy != "stretch" && sizes && !by_scales)
    for (std::size_t k = 0; k < which.size(); ++k) {
      double ratio =
          sizes->as_double(static_cast<std::int64_t>(k)) / static_cast<double>(axes[c.axis(which[k], rank)].in);
      kept = kept == 0 ? ratio : policy == "not_larger" ? std::min(kept, ratio) : std::max(kept, ratio);
    }
  const tensor::Tensor* roi = !upsample && c.has(1) && c.node.inputs.size() > 2 ? c.constant(1) : nullptr;
  if (s.coordinates == "tf_crop_and_resize" && !roi)
    return fail(Code::kUnsupported, "the region of interest is computed at run time; only a constant is supported");
  for (std::size_t k = 0; k < which.size(); ++k) {
    AxisPlan& axis = axes[c.axis(which[k], rank)];
    std::int64_t at = static_cast<std::int64_t>(k), count = static_cast<std::int64_t>(which.size());
    if (scales) axis.scale = scales->as_double(at);
    if (kept != 0) axis.scale = kept;
    if (roi && roi->num_elements() == 2 * count)
      axis.roi_start = roi->as_double(at), axis.roi_end = roi->as_double(at + count);
  }
  return axes;
}

Result<E> resize(Context& c) {
  auto text = [&](std::string_view name, std::string_view fallback) {
    return c.node.attributes.string(name, fallback);
  };
  Settings s{text("mode", "nearest"),
             text("coordinate_transformation_mode", c.node.op == "Upsample" ? "asymmetric" : "half_pixel"),
             text("nearest_mode", c.node.op == "Upsample" ? "floor" : "round_prefer_floor"),
             c.node.attributes.real("cubic_coeff_a", -0.75f),
             c.node.attributes.real("extrapolation_value", 0),
             c.node.attributes.integer("exclude_outside", 0) != 0,
             c.node.attributes.integer("antialias", 0) != 0};
  if (s.mode == "bilinear") s.mode = "linear";
  XI_TRY(auto axes, plan_axes(c, s));
  // The element is a sum over the product of all dimensions' taps.
  struct Term {
    std::vector<E> at;
    E weight = nullptr;
  };
  std::vector<Term> terms = {{c.index, nullptr}};
  E outside = c.pool.boolean(false);
  DType dtype = c.dtype(0), weight_dtype = dtype == DType::kFloat64 ? dtype : DType::kFloat32;
  for (std::size_t d = 0; d < axes.size(); ++d) {
    const AxisPlan& axis = axes[d];
    bool cropped = s.coordinates == "tf_crop_and_resize" && (axis.roi_start != 0 || axis.roi_end != 1);
    if (axis.in == axis.out && axis.scale == 1 && !cropped) continue;
    Taps taps = make_taps(s, axis);
    if (s.coordinates == "tf_crop_and_resize")
      outside = c.pool.call(Fn::kOr, outside,
                            c.pool.call(Fn::kLt, c.pool.integer(0), c.table(taps.outside, DType::kInt64, c.index[d])));
    std::vector<Term> next;
    for (const Term& term : terms)
      for (std::size_t k = 0; k < taps.index.size(); ++k) {
        Term made = term;
        made.at[d] = c.table(taps.index[k], DType::kInt64, c.index[d]);
        if (s.mode != "nearest") {
          E weight = c.table(taps.weight[k], weight_dtype, c.index[d]);
          made.weight = made.weight ? c.pool.call(Fn::kMul, made.weight, weight) : weight;
        }
        next.push_back(std::move(made));
      }
    if (next.size() > 256)
      return fail(Code::kUnsupported, "the resampling needs {} input elements for each output, more than 256",
                  next.size());
    terms = std::move(next);
  }
  E sum = nullptr;
  for (const Term& term : terms) {
    E x = c.read(0, term.at);
    if (term.weight) x = c.pool.call(Fn::kMul, c.pool.cast(x, weight_dtype), term.weight);
    sum = sum ? c.pool.call(Fn::kAdd, sum, x) : x;
  }
  if (sum->dtype != dtype) sum = c.pool.cast(c.pool.call(Fn::kRound, sum), dtype);
  return c.pool.select(outside, c.pool.constant(s.extrapolation, dtype), sum);
}

constexpr LoweringRow kRows[] = {{"Resize", resize, 4}, {"Upsample", resize, 4}};

}  // namespace

std::span<const LoweringRow> resampling_lowerings() { return kRows; }

}  // namespace xinfer::schedule
