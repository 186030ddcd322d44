// Resize: every coordinate is known at build time, so neighbours and weights become tables.
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

Result<E> resize(Context& c) {
  for (std::size_t i = 1; i < c.node.inputs.size(); ++i)
    if (c.has(i) && !c.constant(i))
      return fail(Code::kUnsupported, "input {} is computed at run time; only constants are supported", i);
  const auto& attributes = c.node.attributes;
  XI_TRY(auto plan, ir::plan_resize(attributes, c.shape(0), c.constant(1), c.constant(2), c.constant(3)));
  bool nearest = attributes.string("mode", "nearest") == "nearest";
  bool crops = attributes.string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize";
  DType dtype = c.dtype(0), weight_dtype = dtype == DType::kFloat64 ? dtype : DType::kFloat32;
  std::vector<Term> terms = {{c.index, nullptr}};
  E outside = c.pool.boolean(false);
  for (std::size_t d = 0; d < c.index.size(); ++d) {
    std::int64_t in = c.shape(0)[d], out = c.out_shape()[d];
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
