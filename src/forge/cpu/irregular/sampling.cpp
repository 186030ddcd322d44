// Reading between elements, Fourier transforms, losses.
#include <fmt/format.h>

#include <algorithm>

#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cpu::irregular {

namespace {

Kernel grid_sample(Builder& b) {
  const Shape x = b.shape(0), grid = b.shape(1), spatial(x.begin() + 2, x.end());
  if (spatial.size() > 3) return fail(Code::kUnsupported, "GridSample over {} spatial axes", spatial.size());
  const std::string mode = b.text("mode", "linear"), padding = b.text("padding_mode", "zeros");
  const std::int64_t points = tensor::num_elements(grid) / std::max<std::int64_t>(1, grid[0] * grid.back()),
                     plane = tensor::num_elements(spatial);
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
  b.add("kChannels", x[1]).list("kSpatial", spatial).list("kStrides", tensor::strides_of(spatial));
  return b.finish(grid[0] * points, 20.0 * static_cast<double>(grid[0] * points * x[1]), 0, "grid sample " + mode,
                  {kIrregularGridSampleInc});
}

Kernel roi_align(Builder& b) {
  const Shape x = b.shape(0), out = b.out_shape();
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
  return b.finish(out[0] * out[1], 40.0 * static_cast<double>(tensor::num_elements(out)), 0, "region align",
                  {kIrregularRoiAlignInc});
}

struct Fourier {
  std::int64_t length = 1, bins = 1, size = 1, inner = 1, parts = 1, out_parts = 2, frames = 0, step = 1, window = 0,
               margin = 0;
  bool inverse = false, mirror = false;
};
Kernel fourier(Builder& b, const Fourier& f, std::int64_t items) {
  b.add("kLength", f.length)
      .add("kBins", f.bins)
      .add("kSize", f.size)
      .add("kInner", f.inner)
      .add("kParts", f.parts)
      .add("kOutParts", f.out_parts);
  b.add("kFrames", f.frames)
      .add("kStep", f.step)
      .add("kWindow", f.window)
      .add("kMargin", f.margin)
      .flag("kInverse", f.inverse)
      .flag("kMirror", f.mirror);
  b.together(f.bins);
  return b.finish(items, 8.0 * static_cast<double>(items * f.length * f.bins),
                  static_cast<std::uint64_t>(f.length) * 4 * 8, fmt::format("fourier transform of {}", f.length),
                  {kIrregularFourierInc});
}

Kernel dft(Builder& b) {
  const Shape in = b.shape(0), out = b.out_shape();
  if ((b.has(1) && !b.constant(1)) || (b.has(2) && !b.constant(2)))
    return fail(Code::kUnsupported, "length and axis of a DFT must be constants");
  const std::int64_t axis = Builder::axis(b.has(2) ? b.constant(2)->as_int64(0) : b.integer("axis", -2), in.size());
  const bool inverse = b.integer("inverse", 0) != 0, onesided = b.integer("onesided", 0) != 0;
  const AxisSizes from = sizes_around(in, axis), to = sizes_around(out, axis);
  Fourier f;
  f.size = from.size;
  f.bins = to.size;
  f.parts = in.back();
  f.out_parts = out.back();
  f.inner = from.inner / f.parts;
  f.inverse = inverse;
  f.mirror = inverse && onesided;
  f.length = f.mirror ? to.size : from.size;
  if (b.has(1) && b.constant(1)->num_elements() > 0) f.length = b.constant(1)->as_int64(0);
  return fourier(b, f, from.outer * f.inner);
}

Kernel stft(Builder& b) {
  if (!b.constant(1) || (b.has(3) && !b.constant(3)))
    return fail(Code::kUnsupported, "step and length of an STFT must be constants");
  const Shape in = b.shape(0), out = b.out_shape();
  Fourier f;
  f.length = b.has(3) && b.constant(3)->num_elements() > 0 ? b.constant(3)->as_int64(0) : b.shape(2)[0];
  f.window = b.has(2) ? b.shape(2)[0] : f.length;
  if (f.window > f.length) return fail(Code::kInvalidArgument, "a window of {} for frames of {}", f.window, f.length);
  f.margin = (f.length - f.window) / 2;
  f.size = in[1];
  f.parts = in.size() > 2 ? in[2] : 1;
  f.frames = out[1];
  f.bins = out[2];
  f.step = b.constant(1)->as_int64(0);
  return fourier(b, f, out[0] * out[1]);
}

template <bool kSoftmax>
Kernel loss(Builder& b) {
  const AxisSizes sizes = sizes_around(b.shape(0), 1);
  const std::string reduction = b.text("reduction", "mean");
  b.add("kClasses", sizes.size).add("kInner", sizes.inner).add("kLabels", b.count(1)).flag("kSoftmax", kSoftmax);
  b.add("kReduction", std::int64_t{reduction == "none" ? 0 : reduction == "sum" ? 1 : 2});
  b.flag("kHasIgnored", b.node.attributes.has("ignore_index")).add("kIgnored", b.integer("ignore_index", 0));
  return b.finish(1, 10.0 * static_cast<double>(b.count(0)), 0, "likelihood loss", {kIrregularLossInc});
}

constexpr Row kRows[] = {{"GridSample", grid_sample},
                         {"RoiAlign", roi_align},
                         {"DFT", dft},
                         {"STFT", stft},
                         {"NegativeLogLikelihoodLoss", loss<false>},
                         {"SoftmaxCrossEntropyLoss", loss<true>}};

}  // namespace

std::span<const Row> sampling_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
