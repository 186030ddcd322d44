// Reading between elements, Fourier transforms, losses.
#include <fmt/format.h>

#include <algorithm>

#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cpu::irregular {

namespace {

Kernel grid_sample(Builder& b) {
  const Sizes x = b.sizes(0), grid = b.sizes(1), spatial(x.begin() + 2, x.end());
  if (spatial.size() > 3) return fail(Code::kUnsupported, "GridSample over {} spatial axes", spatial.size());
  const std::string mode = b.text("mode", "linear"), padding = b.text("padding_mode", "zeros");
  XI_CHECK(b.require_equal(x[0], grid[0], "batches of image and grid"));
  const Size points = tensor::num_elements({grid.begin() + 1, grid.end() - 1}), plane = tensor::num_elements(spatial);
  b.add("kMode", std::int64_t{mode == "nearest"                      ? 0
                              : mode == "cubic" || mode == "bicubic" ? 2
                                                                     : 1})
      .add("kPadding", std::int64_t{padding == "border"       ? 1
                                    : padding == "reflection" ? 2
                                                              : 0});
  b.flag("kAlignCorners", b.integer("align_corners", 0) != 0)
      .add("kRank", static_cast<std::int64_t>(spatial.size()))
      .add("kPoints", points)
      .add("kPlane", plane);
  b.add("kChannels", x[1]).list("kSpatial", spatial).list("kStrides", dense_strides(spatial));
  return b.finish(grid[0] * points, 20.0 * estimate(grid[0] * points * x[1]), 0, "grid sample " + mode,
                  {kIrregularGridSampleInc});
}

Kernel roi_align(Builder& b) {
  const Sizes x = b.sizes(0), out = b.out_sizes();
  XI_CHECK(b.require_equal(b.sizes(1)[0], b.elements(2), "regions and the images they are of"));
  b.add("kBatch", x[0])
      .add("kChannels", x[1])
      .add("kHeight", x[2])
      .add("kWidth", x[3])
      .add("kOutHeight", out[2])
      .add("kOutWidth", out[3]);
  b.flag("kHalfPixel", b.text("coordinate_transformation_mode", "half_pixel") == "half_pixel")
      .flag("kMaximum", b.text("mode", "avg") == "max");
  b.add("kScale", static_cast<double>(b.node.attributes.real("spatial_scale", 1)))
      .add("kSampling", b.integer("sampling_ratio", 0));
  return b.finish(out[0] * out[1], 40.0 * estimate(tensor::num_elements(out)), 0, "region align",
                  {kIrregularRoiAlignInc});
}

struct Fourier {
  Size length = 1, bins = 1, size = 1, inner = 1, frames = 1;
  std::int64_t parts = 1, out_parts = 2, step = 1, window = 0, margin = 0;
  bool framed = false, inverse = false, mirror = false;
};
Kernel fourier(Builder& b, const Fourier& f, const Size& items) {
  b.add("kLength", f.length)
      .add("kBins", f.bins)
      .add("kSize", f.size)
      .add("kInner", f.inner)
      .add("kParts", f.parts)
      .add("kOutParts", f.out_parts);
  b.flag("kFramed", f.framed)
      .add("kFrames", f.frames)
      .add("kStep", f.step)
      .add("kWindow", f.window)
      .add("kMargin", f.margin)
      .flag("kInverse", f.inverse)
      .flag("kMirror", f.mirror);
  b.together(f.bins.opt());
  return b.finish(items, 8.0 * estimate(items * f.length * f.bins), static_cast<std::uint64_t>(f.length.max()) * 4 * 8,
                  fmt::format("fourier transform of {}", f.length.text()), {kIrregularFourierInc});
}

Kernel dft(Builder& b) {
  const Sizes in = b.sizes(0), out = b.out_sizes();
  if ((b.has(1) && !b.constant(1)) || (b.has(2) && !b.constant(2)))
    return fail(Code::kUnsupported, "length and axis of a DFT must be constants");
  const std::int64_t axis = Builder::axis(b.has(2) ? b.constant(2)->as_int64(0) : b.integer("axis", -2), in.size());
  const bool inverse = b.integer("inverse", 0) != 0, onesided = b.integer("onesided", 0) != 0;
  // The last size is not of the signal: real numbers, or pairs.
  const AxisSizes from = sizes_around({in.begin(), in.end() - 1}, axis), to = sizes_around({out.begin(), out.end() - 1}, axis);
  Fourier f;
  f.size = from.size;
  f.bins = to.size;
  XI_TRY(f.parts, b.fixed(in.back(), "the last size"));
  XI_TRY(f.out_parts, b.fixed(out.back(), "the last size"));
  f.inner = from.inner;
  f.inverse = inverse;
  f.mirror = inverse && onesided;
  f.length = f.mirror ? to.size : from.size;
  if (b.has(1) && b.constant(1)->num_elements() > 0) f.length = b.constant(1)->as_int64(0);
  return fourier(b, f, from.outer * f.inner);
}

Kernel stft(Builder& b) {
  if (!b.constant(1) || (b.has(3) && !b.constant(3)))
    return fail(Code::kUnsupported, "step and length of an STFT must be constants");
  const Sizes in = b.sizes(0), out = b.out_sizes();
  std::int64_t window = 0, length = 0;
  if (b.has(2)) {
    XI_TRY(window, b.fixed(b.sizes(2)[0], "the window"));
  }
  length = b.has(3) && b.constant(3)->num_elements() > 0 ? b.constant(3)->as_int64(0) : window;
  Fourier f;
  f.framed = true;
  f.length = length;
  f.window = b.has(2) ? window : length;
  if (f.window > length) return fail(Code::kInvalidArgument, "a window of {} for frames of {}", f.window, length);
  f.margin = (length - f.window) / 2;
  f.size = in[1];
  if (in.size() > 2) {
    XI_TRY(f.parts, b.fixed(in[2], "the last size"));
  }
  f.frames = out[1];
  f.bins = out[2];
  f.step = b.constant(1)->as_int64(0);
  return fourier(b, f, out[0] * out[1]);
}

template <bool kSoftmax>
Kernel loss(Builder& b) {
  const AxisSizes sizes = sizes_around(b.sizes(0), 1);
  XI_CHECK(b.require_equal(sizes.outer * sizes.inner, b.elements(1), "scores and labels"));
  if (b.has(2)) XI_CHECK(b.require_equal(sizes.size, b.elements(2), "classes and their weights"));
  const std::string reduction = b.text("reduction", "mean");
  b.add("kClasses", sizes.size).add("kInner", sizes.inner).add("kLabels", b.elements(1)).flag("kSoftmax", kSoftmax);
  b.add("kReduction", std::int64_t{reduction == "none" ? 0 : reduction == "sum" ? 1 : 2});
  b.flag("kHasIgnored", b.node.attributes.has("ignore_index")).add("kIgnored", b.integer("ignore_index", 0));
  return b.finish(1, 10.0 * estimate(b.elements(0)), 0, "likelihood loss", {kIrregularLossInc});
}

constexpr Row kRows[] = {{"GridSample", grid_sample, true},
                         {"RoiAlign", roi_align, true},
                         {"DFT", dft, true},
                         {"STFT", stft, true},
                         {"NegativeLogLikelihoodLoss", loss<false>, true},
                         {"SoftmaxCrossEntropyLoss", loss<true>, true}};

}  // namespace

std::span<const Row> sampling_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
