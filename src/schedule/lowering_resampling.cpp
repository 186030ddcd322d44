// Resize: where the sizes are numbers, every coordinate is known at build time, and neighbours and weights become tables;
// where they are formulas, coordinates are computed.
#include <algorithm>

#include "forge/reference/resize_weights.h"
#include "ir/operators/resampling.h"
#include "schedule/lowering.h"

namespace xinfer::schedule {

namespace {

using base::Code;
using base::fail;
using base::Result;
using Context = LoweringContext;

constexpr std::size_t kMaxTaps = 256;

// Column k of the axis' taps: the k-th neighbour of every output position and its weight. Taps that never weigh anything
// are left out.
struct Tap {
  std::vector<double> index, weight;
};
std::vector<Tap> columns(const forge::reference::AxisWeights& axis) {
  std::size_t count = 0;
  for (const auto& taps : axis.taps) count = std::max(count, taps.size());
  std::vector<Tap> result;
  for (std::size_t k = 0; k < count; ++k) {
    Tap tap;
    for (const auto& taps : axis.taps) {
      bool present = k < taps.size();
      tap.index.push_back(present ? static_cast<double>(taps[k].first) : 0);
      tap.weight.push_back(present ? taps[k].second : 0);
    }
    if (std::ranges::any_of(tap.weight, [](double w) { return w != 0; })) result.push_back(std::move(tap));
  }
  return result;
}

// One summand of an output element: where it reads and its weight (null: 1).
struct Term {
  std::vector<E> at;
  E weight = nullptr;
};

// The neighbours of an output position along an axis whose sizes are formulas, and their weights.
struct Neighbour {
  E index, weight;
};

// The input's coordinate (float64) of output position i: ONNX's coordinate_transformation_mode.
Result<E> coordinate(Context& c, E i, const Size& in, const Size& out, double scale) {
  const std::string mode = c.node.attributes.string("coordinate_transformation_mode", "half_pixel");
  auto real = [&](double x) { return c.pool.real(x, DType::kFloat64); };
  auto of = [&](const Size& size) { return c.pool.cast(c.pool.size(size), DType::kFloat64); };
  auto call = [&](Fn f, E a, E b) { return c.pool.call(f, a, b); };
  E x = c.pool.cast(i, DType::kFloat64);
  // Positions of the input for each of the output: what a given scale says, else the ratio of the sizes.
  E step = scale > 0 ? real(1 / scale) : call(Fn::kDiv, of(in), of(out));
  if (mode == "asymmetric") return call(Fn::kMul, x, step);
  if (mode == "align_corners") {
    E span = call(Fn::kMax, of(out - 1), real(1));
    return call(Fn::kDiv, call(Fn::kMul, x, of(in - 1)), span);
  }
  E half = call(Fn::kSub, call(Fn::kMul, call(Fn::kAdd, x, real(0.5)), step), real(0.5));
  if (mode == "half_pixel") return half;
  if (mode == "pytorch_half_pixel") return c.pool.select(c.pool.call(Fn::kLt, real(1), of(out)), half, real(0));
  return fail(Code::kUnsupported, "coordinate_transformation_mode '{}' needs fixed sizes", mode);
}

Result<std::vector<Neighbour>> neighbours(Context& c, std::size_t d, double scale) {
  const Size in = c.shape(0)[d], out = c.out_shape()[d];
  const std::string mode = c.node.attributes.string("mode", "nearest");
  if (c.node.attributes.integer("antialias", 0) != 0 || (mode != "nearest" && mode != "linear"))
    return fail(Code::kUnsupported, "mode '{}' needs fixed sizes", mode);
  XI_TRY(E x, coordinate(c, c.index[d], in, out, scale));
  auto real = [&](double value) { return c.pool.real(value, DType::kFloat64); };
  auto placed = [&](E at) { return c.pool.clamp(c.pool.cast(at, DType::kInt64), 0, in - 1); };
  if (mode == "linear") {
    E low = c.pool.call(Fn::kFloor, x), part = c.pool.call(Fn::kSub, x, low);
    E high = c.pool.call(Fn::kAdd, low, real(1));
    return std::vector<Neighbour>{{placed(low), c.pool.call(Fn::kSub, real(1), part)}, {placed(high), part}};
  }
  const std::string nearest = c.node.attributes.string("nearest_mode", "round_prefer_floor");
  if (nearest == "floor") x = c.pool.call(Fn::kFloor, x);
  else if (nearest == "ceil") x = c.pool.call(Fn::kCeil, x);
  else if (nearest == "round_prefer_ceil") x = c.pool.call(Fn::kFloor, c.pool.call(Fn::kAdd, x, real(0.5)));
  else x = c.pool.call(Fn::kCeil, c.pool.call(Fn::kSub, x, real(0.5)));
  return std::vector<Neighbour>{{placed(x), nullptr}};
}

// A whole multiple of the input under the modes where position i reads i / factor: no arithmetic but a division.
std::optional<std::int64_t> repeats(Context& c, std::size_t d) {
  auto factor = c.out_shape()[d].over(c.shape(0)[d]);
  if (!factor || !factor->is_number() || c.node.attributes.string("mode", "nearest") != "nearest") return std::nullopt;
  const std::string mode = c.node.attributes.string("coordinate_transformation_mode", "half_pixel");
  const std::string nearest = c.node.attributes.string("nearest_mode", "round_prefer_floor");
  const bool good = (mode == "asymmetric" && (nearest == "floor" || (nearest == "round_prefer_floor" && factor->number() == 2))) ||
                    (mode == "half_pixel" && nearest.starts_with("round"));
  return good ? std::optional(factor->number()) : std::nullopt;
}

// Sizes that are formulas. Axes are all of the input's; scales may be given as numbers.
Result<E> resize_formula(Context& c) {
  if (!c.node.attributes.integers("axes").empty() || c.node.attributes.string("keep_aspect_ratio_policy", "stretch") != "stretch")
    return fail(Code::kUnsupported, "axes and keep_aspect_ratio_policy need fixed sizes");
  const auto* scales = c.constant(2);
  std::vector<Term> terms = {{c.index, nullptr}};
  const DType dtype = c.dtype(0);
  for (std::size_t d = 0; d < c.index.size(); ++d) {
    const bool scaled = scales && scales->num_elements() > static_cast<std::int64_t>(d);
    const double scale = scaled ? scales->as_double(static_cast<std::int64_t>(d)) : 0;
    if (c.shape(0)[d] == c.out_shape()[d] && (!scaled || scale == 1)) continue;
    std::vector<Neighbour> taps;
    if (auto factor = repeats(c, d)) {
      taps.push_back({c.pool.div(c.index[d], *factor), nullptr});
    } else {
      XI_TRY(taps, neighbours(c, d, scale));
    }
    std::vector<Term> next;
    for (const Term& term : terms)
      for (const Neighbour& tap : taps) {
        Term made = term;
        made.at[d] = tap.index;
        if (tap.weight) {
          E weight = c.pool.cast(tap.weight, dtype == DType::kFloat64 ? dtype : DType::kFloat32);
          made.weight = made.weight ? c.pool.call(Fn::kMul, made.weight, weight) : weight;
        }
        next.push_back(std::move(made));
      }
    terms = std::move(next);
  }
  E sum = nullptr;
  for (const Term& term : terms) {
    E x = c.read(0, term.at);
    if (term.weight) x = c.pool.call(Fn::kMul, c.pool.cast(x, term.weight->dtype), term.weight);
    sum = sum ? c.pool.call(Fn::kAdd, sum, x) : x;
  }
  return sum->dtype == dtype ? sum : c.pool.cast(c.pool.call(Fn::kRound, sum), dtype);
}

Result<E> resize(Context& c) {
  const auto& type = c.graph.value(c.node.outputs[0]).type;
  if (!type.is_static() || !c.graph.value(c.node.inputs[0]).type.is_static()) return resize_formula(c);
  for (std::size_t i = 1; i < c.node.inputs.size(); ++i)
    if (c.has(i) && !c.constant(i))
      return fail(Code::kUnsupported, "input {} is computed at run time; only constants are supported", i);
  const auto& attributes = c.node.attributes;
  XI_TRY(const auto in_shape, c.fixed_shape(0));
  XI_TRY(auto plan, ir::plan_resize(attributes, in_shape, c.constant(1), c.constant(2), c.constant(3)));
  bool nearest = attributes.string("mode", "nearest") == "nearest";
  bool crops = attributes.string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize";
  DType dtype = c.dtype(0), weight_dtype = dtype == DType::kFloat64 ? dtype : DType::kFloat32;
  std::vector<Term> terms = {{c.index, nullptr}};
  E outside = c.pool.boolean(false);
  for (std::size_t d = 0; d < c.index.size(); ++d) {
    std::int64_t in = in_shape[d], out = c.out_shape()[d].number();
    if (in == out && plan.scales[d] == 1 && plan.roi_begin[d] == 0 && plan.roi_end[d] == 1) continue;
    auto axis =
        forge::reference::resize_weights(attributes, in, out, plan.scales[d], plan.roi_begin[d], plan.roi_end[d]);
    if (crops) {
      std::vector<double> flags(axis.outside.begin(), axis.outside.end());
      E flag = c.table(std::move(flags), DType::kInt64, c.index[d]);
      outside = c.pool.call(Fn::kOr, outside, c.pool.call(Fn::kLt, c.pool.integer(0), flag));
    }
    std::vector<Tap> taps = columns(axis);
    if (taps.size() * terms.size() > kMaxTaps)
      return fail(Code::kUnsupported, "the resampling reads {} elements for each output, more than {}",
                  taps.size() * terms.size(), kMaxTaps);
    std::vector<Term> next;
    for (const Term& term : terms)
      for (const Tap& tap : taps) {
        Term made = term;
        made.at[d] = c.table(tap.index, DType::kInt64, c.index[d]);
        if (!nearest) {
          E weight = c.table(tap.weight, weight_dtype, c.index[d]);
          made.weight = made.weight ? c.pool.call(Fn::kMul, made.weight, weight) : weight;
        }
        next.push_back(std::move(made));
      }
    terms = std::move(next);
  }
  E sum = nullptr;
  for (const Term& term : terms) {
    E x = c.read(0, term.at);
    if (term.weight) x = c.pool.call(Fn::kMul, c.pool.cast(x, weight_dtype), term.weight);
    sum = sum ? c.pool.call(Fn::kAdd, sum, x) : x;
  }
  if (sum->dtype != dtype) sum = c.pool.cast(c.pool.call(Fn::kRound, sum), dtype);
  double fill = attributes.real("extrapolation_value", 0);
  return c.pool.select(outside, c.pool.constant(fill, dtype), sum);
}

constexpr LoweringRow kRows[] = {{"Resize", resize, 4}};

}  // namespace

std::span<const LoweringRow> resampling_lowerings() { return kRows; }

}  // namespace xinfer::schedule
