// TopK, running sums, scatters.
#include <fmt/format.h>

#include <algorithm>

#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cpu::irregular {

namespace {

Kernel top_k(Builder& b) {
  const Shape in = b.shape(0);
  const std::int64_t axis = Builder::axis(b.integer("axis", -1), in.size());
  const AxisSizes sizes = sizes_around(in, axis);
  const std::int64_t k = b.out_shape(b.wants(0) ? 0 : 1)[static_cast<std::size_t>(axis)];
  b.add("kInner", sizes.inner).add("kSize", sizes.size).add("kK", k).flag("kLargest", b.integer("largest", 1) != 0);
  const std::int64_t lines = k == 0 ? 0 : sizes.outer * sizes.inner;
  return b.finish(lines, static_cast<double>(lines * sizes.size) * 4, static_cast<std::uint64_t>(k) * 8,
                  fmt::format("top {} of {}", k, sizes.size), {kIrregularTopKInc});
}

template <bool kProduct>
Kernel cumulative(Builder& b) {
  const tensor::Tensor* at = b.constant(1);
  if (!at) return fail(Code::kUnsupported, "the axis of {} must be a constant", b.node.op);
  const AxisSizes sizes = sizes_around(b.shape(0), Builder::axis(at->as_int64(0), b.shape(0).size()));
  b.add("kInner", sizes.inner).add("kSize", sizes.size).flag("kProduct", kProduct);
  b.flag("kReverse", b.integer("reverse", 0) != 0).flag("kExclusive", b.integer("exclusive", 0) != 0);
  if (sizes.inner > 1) b.together(sizes.inner);
  return b.finish(sizes.outer, static_cast<double>(b.count(0)), static_cast<std::uint64_t>(sizes.inner) * 8,
                  "running sum", {kIrregularCumulativeInc});
}

Result<std::int64_t> reduction_of(const Builder& b) {
  static constexpr std::string_view kNames[] = {"none", "add", "mul", "max", "min"};
  const std::string name = b.text("reduction", "none");
  auto it = std::ranges::find(kNames, name);
  if (it == std::end(kNames)) return fail(Code::kUnsupported, "reduction '{}'", name);
  return it - std::begin(kNames);
}

Kernel scatter_elements(Builder& b) {
  XI_TRY(auto reduction, reduction_of(b));
  const Shape data = b.shape(0), indices = b.shape(1);
  b.flag("kElements", true).add("kReduction", reduction).add("kCount", b.count(0)).add("kUpdates", b.count(1));
  b.add("kRank", static_cast<std::int64_t>(data.size())).add("kAxis", Builder::axis(b.integer("axis", 0), data.size()));
  b.list("kShape", indices)
      .list("kSizes", data)
      .list("kStrides", tensor::strides_of(data))
      .add("kDepth", std::int64_t{0})
      .add("kRun", std::int64_t{1});
  b.together(b.count(0) / 4);
  return b.finish(1, static_cast<double>(b.count(1)), 0, "scatter elements", {kIrregularScatterInc});
}

Kernel scatter_nd(Builder& b) {
  XI_TRY(auto reduction, reduction_of(b));
  const Shape data = b.shape(0), indices = b.shape(1);
  const std::int64_t depth = indices.back(), rows = depth ? b.count(1) / depth : 0;
  std::int64_t run = 1;
  for (std::size_t i = static_cast<std::size_t>(depth); i < data.size(); ++i) run *= data[i];
  b.flag("kElements", false).add("kReduction", reduction).add("kCount", b.count(0)).add("kUpdates", rows);
  b.add("kRank", std::int64_t{0})
      .add("kAxis", std::int64_t{0})
      .list("kShape", indices)
      .list("kSizes", data)
      .list("kStrides", tensor::strides_of(data));
  b.add("kDepth", depth).add("kRun", run);
  b.together(b.count(0) / 4);
  return b.finish(1, static_cast<double>(rows * run), 0, fmt::format("scatter runs of {}", run),
                  {kIrregularScatterInc});
}

constexpr Row kRows[] = {
    {"TopK", top_k},
    {"CumSum", cumulative<false>},
    {"CumProd", cumulative<true>},
    {"ScatterElements", scatter_elements},
    {"ScatterND", scatter_nd},
};

}  // namespace

std::span<const Row> selection_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
