// Convolution and pooling at places that data decide; determinants and inverses.
#include <algorithm>

#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cpu::irregular {

namespace {

using Ints = std::vector<std::int64_t>;

// A list attribute, or as many of `fallback` as it should have; an error when it has another length.
Result<Ints> listed(const Builder& b, std::string_view name, std::size_t size, std::int64_t fallback) {
  Ints values = b.node.attributes.integers(name, Ints(size, fallback));
  if (values.size() != size) return fail(Code::kInvalidArgument, "'{}' has {} numbers, {} wanted", name, values.size(), size);
  return values;
}

Kernel deform_conv(Builder& b) {
  const Sizes x = b.sizes(0), out = b.out_sizes(), offset = b.sizes(2);
  if (x.size() != 4) return fail(Code::kUnsupported, "DeformConv over {} axes", x.size());
  XI_TRY(const Ints strides, listed(b, "strides", 2, 1));
  XI_TRY(const Ints dilations, listed(b, "dilations", 2, 1));
  XI_TRY(const Ints pads, listed(b, "pads", 4, 0));
  Ints w;
  for (const Size& size : b.sizes(1)) {
    XI_TRY(const std::int64_t number, b.fixed(size, "the kernel"));
    w.push_back(number);
  }
  XI_TRY(const std::int64_t channels, b.fixed(x[1], "the number of channels"));
  const std::int64_t groups = b.integer("group", 1), offset_groups = b.integer("offset_group", 1), taps = w[2] * w[3];
  if (groups < 1 || offset_groups < 1 || channels % groups != 0 || channels % offset_groups != 0 || w[0] % groups != 0 || w[1] != channels / groups)
    return fail(Code::kInvalidArgument, "{} channels and {} maps in {} groups, {} of offsets", channels, w[0], groups, offset_groups);
  for (std::size_t i = 0; i < 4; ++i) {
    const Size wanted[] = {x[0], offset_groups * taps, out[2], out[3]};
    XI_CHECK(b.require_equal(offset[i], i == 1 ? wanted[i] * 2 : wanted[i], "offsets and output"));
    if (b.has(4)) XI_CHECK(b.require_equal(b.sizes(4)[i], wanted[i], "mask and output"));
  }
  b.add("kChannels", channels).add("kHeight", x[2]).add("kWidth", x[3]).add("kMaps", w[0]).add("kKernelHeight", w[2]).add("kKernelWidth", w[3]);
  b.add("kOutHeight", out[2]).add("kOutWidth", out[3]).add("kGroups", groups).add("kOffsetGroups", offset_groups);
  b.add("kStrideY", strides[0]).add("kStrideX", strides[1]).add("kDilationY", dilations[0]).add("kDilationX", dilations[1]);
  b.add("kPadY", pads[0]).add("kPadX", pads[1]);
  const Size items = x[0] * out[2] * out[3];
  return b.finish(items, estimate(items * taps) * static_cast<double>(20 * channels + 2 * w[1] * w[0]),
                  static_cast<std::uint64_t>(channels * taps) * 8, "deformable convolution", {kIrregularDeformConvInc});
}

Kernel max_unpool(Builder& b) {
  const Sizes in = b.sizes(0), out = b.out_sizes();
  const Ints kernel = b.node.attributes.integers("kernel_shape");
  if (in.size() != kernel.size() + 2) return fail(Code::kInvalidArgument, "a kernel of {} axes over a tensor of {}", kernel.size(), in.size());
  XI_TRY(const Ints strides, listed(b, "strides", kernel.size(), 1));
  XI_TRY(const Ints pads, listed(b, "pads", 2 * kernel.size(), 0));
  Sizes pooled{in[0], in[1]};  // the tensor that the indices count in
  for (std::size_t i = 0; i < kernel.size(); ++i) {
    pooled.push_back((in[i + 2] - 1) * strides[i] - pads[i] - pads[i + kernel.size()] + kernel[i]);
    if (pooled.back().min() < 1) return fail(Code::kInvalidArgument, "the unpooled size of axis {} is {}", i + 2, pooled.back().min());
  }
  const Size count = tensor::num_elements(out);
  b.add("kCount", count).add("kValues", b.elements(0)).add("kRank", static_cast<std::int64_t>(pooled.size()));
  b.list("kInner", pooled).list("kStrides", dense_strides(out));
  b.together(count.opt() / 4);
  return b.finish(1, estimate(count), 0, "unpooling", {kIrregularUnpoolInc});
}

Kernel max_roi_pool(Builder& b) {
  const Sizes x = b.sizes(0), out = b.out_sizes();
  XI_TRY(const std::int64_t numbers, b.fixed(b.sizes(1)[1], "the numbers of a region"));
  if (numbers != 5) return fail(Code::kInvalidArgument, "regions of {} numbers, 5 wanted", numbers);
  b.add("kImages", x[0]).add("kChannels", x[1]).add("kHeight", x[2]).add("kWidth", x[3]).add("kOutHeight", out[2]).add("kOutWidth", out[3]);
  b.add("kScale", static_cast<double>(b.node.attributes.real("spatial_scale", 1)));
  return b.finish(out[0] * out[1], 4 * estimate(out[0] * out[1] * x[2] * x[3]), 0, "region pooling", {kIrregularRoiPoolInc});
}

Kernel col2im(Builder& b) {
  if (!b.constant(1) || !b.constant(2)) return fail(Code::kUnsupported, "the image's and block's shape of Col2Im must be constants");
  const Ints image = b.constant(1)->as_int64s(), block = b.constant(2)->as_int64s();
  const std::size_t rank = image.size();
  XI_TRY(const Ints strides, listed(b, "strides", rank, 1));
  XI_TRY(const Ints dilations, listed(b, "dilations", rank, 1));
  XI_TRY(const Ints pads, listed(b, "pads", 2 * rank, 0));
  if (block.size() != rank) return fail(Code::kInvalidArgument, "a block of {} axes for an image of {}", block.size(), rank);
  Ints windows;
  for (std::size_t d = 0; d < rank; ++d)
    windows.push_back((image[d] + pads[d] + pads[d + rank] - dilations[d] * (block[d] - 1) - 1) / strides[d] + 1);
  const std::int64_t count = tensor::num_elements(windows), taps = tensor::num_elements(block);
  XI_TRY(const std::int64_t columns, b.fixed(b.sizes(0)[2], "the number of columns"));
  if (count != columns) return fail(Code::kInvalidArgument, "{} columns for {} windows", columns, count);
  b.add("kImageSize", tensor::num_elements(image)).add("kTaps", taps).add("kWindowCount", count).add("kRank", static_cast<std::int64_t>(rank));
  b.list("kImage", image).list("kBlock", block).list("kWindows", windows).list("kSteps", strides).list("kDilations", dilations);
  b.list("kPads", pads).list("kStrides", tensor::strides_of(image));
  const Sizes out = b.out_sizes();
  return b.finish(out[0] * out[1], 6 * estimate(b.elements(0)), 0, "columns to image", {kIrregularCol2imInc});
}

template <bool kInverse>
Kernel eliminate(Builder& b) {
  const Sizes in = b.sizes(0);
  XI_TRY(const std::int64_t size, b.fixed(in.back(), "the size of the matrices"));
  XI_CHECK(b.require_equal(in[in.size() - 2], size, "rows and columns"));
  const Size items = tensor::num_elements({in.begin(), in.end() - 2});
  b.add("kSize", size).flag("kInverse", kInverse);
  return b.finish(items, estimate(items * size * size * size), static_cast<std::uint64_t>(2 * size * size) * 8,
                  kInverse ? "inverse" : "determinant", {kIrregularEliminateInc});
}

constexpr Row kRows[] = {{"DeformConv", deform_conv, true}, {"MaxUnpool", max_unpool, true}, {"MaxRoiPool", max_roi_pool, true},
                         {"Col2Im", col2im, true},          {"Det", eliminate<false>, true}, {"com.microsoft.Inverse", eliminate<true>, true}};

}  // namespace

std::span<const Row> region_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
