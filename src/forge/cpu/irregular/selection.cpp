// TopK, running sums, scatters.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cpu::irregular {

namespace {

constexpr std::int64_t kLongLine = 128, kManyLines = 16384;

Kernel top_k(Builder& b) {
  const Sizes in = b.sizes(0);
  const std::int64_t axis = Builder::axis(b.integer("axis", -1), in.size());
  const AxisSizes sizes = sizes_around(in, axis);
  const Size k = b.out_sizes(b.wants(0) ? 0 : 1)[static_cast<std::size_t>(axis)];
  if (!surely_at_most(k, sizes.size))
    return fail(Code::kInvalidArgument, "k is {}, and the axis may have as few as {} elements ({}): give a range that begins higher", k.text(),
                sizes.size.min(), sizes.size.text());
  b.add("kInner", sizes.inner).add("kSize", sizes.size).add("kK", k).flag("kLargest", b.integer("largest", 1) != 0);
  const Size lines = k == Size(0) ? Size(0) : sizes.outer * sizes.inner;
  const auto power = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(sizes.size.max())));
  // Short lines, and so many that they fill a GPU a thread each, gain nothing from more threads.
  const bool blocks = sizes.size.max() >= kLongLine && lines.max() < kManyLines && power < std::int64_t{1} << 31;
  if (blocks) b.add("kPower", power);
  XI_TRY(Irregular made, b.finish(lines, estimate(lines * sizes.size) * 4, static_cast<std::uint64_t>(k.max()) * 8,
                                  fmt::format("top {} of {}", k.text(), sizes.size.text()), {kIrregularTopKLineInc, kIrregularTopKInc}));
  if (!blocks) return made;
  const auto threads = static_cast<int>(std::min<std::int64_t>(1024, power / 2));
  return Builder::in_blocks(made, threads, static_cast<std::uint64_t>(power) * (power <= 65536 ? 2 : 4), {kIrregularTopKLineInc, kIrregularTopKTogetherInc});
}

template <bool kProduct>
Kernel cumulative(Builder& b) {
  const tensor::Tensor* at = b.constant(1);
  if (!at) return fail(Code::kUnsupported, "the axis of {} must be a constant", b.node.op);
  const AxisSizes sizes = sizes_around(b.sizes(0), Builder::axis(at->as_int64(0), b.sizes(0).size()));
  b.add("kInner", sizes.inner).add("kSize", sizes.size).flag("kProduct", kProduct);
  b.flag("kReverse", b.integer("reverse", 0) != 0).flag("kExclusive", b.integer("exclusive", 0) != 0);
  if (sizes.inner.max() > 1) b.together(sizes.inner.opt());
  return b.finish(sizes.outer, estimate(b.elements(0)), static_cast<std::uint64_t>(sizes.inner.max()) * 8, "running sum",
                  {kIrregularCumulativeInc});
}

Kernel store_slice(Builder& b) {
  const Size slice = b.elements(0);
  b.add("kElements", slice);
  return b.finish(1, 0, 0, "slice of a loop's results", {kIrregularSliceInc});
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
  const Sizes data = b.sizes(0), indices = b.sizes(1);
  const std::int64_t axis = Builder::axis(b.integer("axis", 0), data.size());
  for (std::size_t d = 0; d < indices.size(); ++d) {
    XI_CHECK(b.require_equal(indices[d], b.sizes(2)[d], "indices and updates"));
    if (static_cast<std::int64_t>(d) != axis && !surely_at_most(indices[d], data[d]))
      return fail(Code::kUnsupported, "indices of size {} into an axis of {} may lie outside", indices[d].text(), data[d].text());
  }
  b.flag("kElements", true).add("kReduction", reduction).add("kCount", b.elements(0)).add("kUpdates", b.elements(1));
  b.add("kRank", static_cast<std::int64_t>(data.size())).add("kAxis", axis);
  b.list("kShape", indices)
      .list("kSizes", data)
      .list("kStrides", dense_strides(data))
      .add("kDepth", std::int64_t{0})
      .add("kRun", std::int64_t{1});
  b.together(b.elements(0).opt() / 4);
  return b.finish(1, estimate(b.elements(1)), 0, "scatter elements", {kIrregularScatterInc});
}

Kernel scatter_nd(Builder& b) {
  XI_TRY(auto reduction, reduction_of(b));
  const Sizes data = b.sizes(0), indices = b.sizes(1);
  XI_TRY(const std::int64_t depth, b.fixed(indices.back(), "the length of each index"));
  const Size rows = tensor::num_elements({indices.begin(), indices.end() - 1}),
             run = tensor::num_elements({data.begin() + depth, data.end()});
  XI_CHECK(b.require_equal(rows * run, b.elements(2), "indices and updates"));
  b.flag("kElements", false).add("kReduction", reduction).add("kCount", b.elements(0)).add("kUpdates", depth ? rows : Size(0));
  b.add("kRank", std::int64_t{0})
      .add("kAxis", std::int64_t{0})
      .list("kShape", indices)
      .list("kSizes", data)
      .list("kStrides", dense_strides(data));
  b.add("kDepth", depth).add("kRun", run);
  b.together(b.elements(0).opt() / 4);
  return b.finish(1, estimate(rows * run), 0, fmt::format("scatter runs of {}", run.text()), {kIrregularScatterInc});
}

constexpr Row kRows[] = {
    {"TopK", top_k, true},
    {"CumSum", cumulative<false>, true},
    {"CumProd", cumulative<true>, true},
    {"ScatterElements", scatter_elements, true},
    {"ScatterND", scatter_nd, true},
    {"xinfer.StoreSlice", store_slice, true, true},
};

}  // namespace

std::span<const Row> selection_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
