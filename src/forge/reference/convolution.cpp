// Convolutions in every form.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"
#include "forge/reference/kernels.h"
#include "ir/operators/windows.h"

namespace xinfer::forge::reference {

namespace {

using ir::Window;

// [C, D, H, W] of one image; missing leading spatial axes have size 1.
struct Spatial {
  std::int64_t d = 1, h = 1, w = 1;
  std::int64_t size() const { return d * h * w; }
};
Spatial last_three(std::span<const std::int64_t> sizes, std::int64_t fill) {
  Spatial s{fill, fill, fill};
  const std::size_t n = sizes.size();
  if (n > 0) s.w = sizes[n - 1];
  if (n > 1) s.h = sizes[n - 2];
  if (n > 2) s.d = sizes[n - 3];
  return s;
}

Shape spatial_shape(const Tensor& tensor) { return Shape(tensor.shape().begin() + 2, tensor.shape().end()); }

Result<Window> window_of(const Call& call, const Tensor& x, const Tensor& w) {
  if (x.rank() > 5)
    return fail(Code::kUnsupported, "a convolution over {} spatial axes; at most 3 are supported", x.rank() - 2);
  return ir::resolve_window(call.node.attributes, spatial_shape(x), spatial_shape(w));
}

// Adds the contribution of one input plane through one kernel tap to an output plane; the range of valid outputs is
// clipped first so that the inner loop is plain.
struct Tap {
  std::int64_t begin, end, offset;  // outputs [begin, end) read input at out * stride + offset
};
Tap tap(std::int64_t k, std::int64_t in, std::int64_t out, std::int64_t stride, std::int64_t dilation,
        std::int64_t pad) {
  const std::int64_t offset = k * dilation - pad;
  std::int64_t begin = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  std::int64_t end = in - 1 - offset < 0 ? 0 : (in - 1 - offset) / stride + 1;
  end = std::min(end, out);
  return {std::min(begin, end), end, offset};
}

}  // namespace

// y[n, m, ...] = sum over c and the window of x[n, c, ...] * w[m, c, ...], double accumulation.
std::vector<double> convolve(const std::vector<double>& x, const Shape& x_shape, const std::vector<double>& w,
                             const Shape& w_shape, const Window& window, std::int64_t group) {
  const std::span<const std::int64_t> xs(x_shape), ws(w_shape);
  const Spatial in = last_three(xs.subspan(2), 1), kernel = last_three(ws.subspan(2), 1),
                out = last_three(window.output, 1);
  const Spatial stride = last_three(window.strides, 1), dilation = last_three(window.dilations, 1),
                pad = last_three(window.pads_begin, 0);
  const std::int64_t channels = x_shape[1], maps = w_shape[0], per_group = w_shape[1], maps_per_group = maps / group;
  std::vector<double> y(index_of(x_shape[0] * maps * out.size()), 0.0);
  const double work = 2.0 * static_cast<double>(per_group * kernel.size() * out.size());
  // Output channels of one group are taken in blocks of up to 4, which share the loads of x.
  constexpr std::int64_t kBlock = 4;
  const std::int64_t blocks = (maps_per_group + kBlock - 1) / kBlock;
  parallel_for(x_shape[0] * group * blocks, work * kBlock, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t n = item / (group * blocks), g = item / blocks % group, first = item % blocks * kBlock;
      const std::int64_t m = g * maps_per_group + first, count = std::min(kBlock, maps_per_group - first);
      for (std::int64_t c = 0; c < per_group; ++c) {
        const double* plane = x.data() + (n * channels + g * per_group + c) * in.size();
        double* rows[kBlock];
        const double* weights[kBlock];
        for (std::int64_t k = 0; k < kBlock; ++k) {
          rows[k] = y.data() + (n * maps + m + std::min(k, count - 1)) * out.size();
          weights[k] = w.data() + ((m + std::min(k, count - 1)) * per_group + c) * kernel.size();
        }
        for (std::int64_t kd = 0; kd < kernel.d; ++kd)
          for (std::int64_t kh = 0; kh < kernel.h; ++kh)
            for (std::int64_t kw = 0; kw < kernel.w; ++kw) {
              const std::int64_t at = (kd * kernel.h + kh) * kernel.w + kw;
              const Tap td = tap(kd, in.d, out.d, stride.d, dilation.d, pad.d),
                        th = tap(kh, in.h, out.h, stride.h, dilation.h, pad.h),
                        tw = tap(kw, in.w, out.w, stride.w, dilation.w, pad.w);
              const double factors[kBlock] = {weights[0][at], weights[1][at], weights[2][at], weights[3][at]};
              // A 1x1 kernel without stride is one long row.
              const bool flat = kernel.size() == 1 && stride.h == 1 && stride.w == 1 && stride.d == 1 &&
                                in.size() == out.size() && tw.offset == 0;
              for (std::int64_t od = td.begin; od < (flat ? 1 : td.end); ++od)
                for (std::int64_t oh = th.begin; oh < (flat ? 1 : th.end); ++oh) {
                  const double* source = plane +
                                         ((od * stride.d + td.offset) * in.h + oh * stride.h + th.offset) * in.w +
                                         tw.begin * stride.w + tw.offset;
                  const std::int64_t to = (od * out.h + oh) * out.w + tw.begin;
                  double* targets[kBlock] = {rows[0] + to, rows[1] + to, rows[2] + to, rows[3] + to};
                  accumulate_rows(targets, factors, static_cast<int>(count), source,
                                  flat ? out.size() : tw.end - tw.begin, stride.w);
                }
            }
      }
    }
  });
  return y;
}

namespace {

// One number per channel of [N, C, ...].
void add_bias(std::vector<double>& y, const Tensor& bias, std::int64_t batch, std::int64_t channels) {
  auto b = doubles(bias);
  if (batch == 0 || channels == 0) return;
  const std::size_t size = y.size() / index_of(batch * channels);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += b[i / size % index_of(channels)];
}

Values conv(const Call& call) {
  XI_TRY(Window window, window_of(call, call.in(0), call.in(1)));
  Tensor out = call.make();
  auto y = convolve(doubles(call.in(0)), call.in(0).shape(), doubles(call.in(1)), call.in(1).shape(), window,
                    call.integer("group", 1));
  if (call.has(2)) add_bias(y, call.in(2), out.shape()[0], out.shape()[1]);
  store(out, y);
  return result(std::move(out));
}

Values conv_integer(const Call& call) {
  XI_TRY(Window window, window_of(call, call.in(0), call.in(1)));
  auto x = doubles(call.in(0)), w = doubles(call.in(1));
  if (call.has(2)) {
    const double zero = call.in(2).as_double(0);
    for (double& v : x) v -= zero;
  }
  if (call.has(3)) {  // one, or one per output channel
    auto zeros = doubles(call.in(3));
    const std::size_t size = w.size() / std::max<std::size_t>(1, index_of(call.in(1).shape()[0]));
    for (std::size_t i = 0; i < w.size(); ++i) w[i] -= zeros[zeros.size() == 1 ? 0 : i / size];
  }
  Tensor out = call.make();
  store(out, convolve(x, call.in(0).shape(), w, call.in(1).shape(), window, call.integer("group", 1)));
  return result(std::move(out));
}

// x, x scale, x zero, w, w scale, w zero, y scale, y zero, bias as int32 in units of x scale * w scale.
Values qlinear_conv(const Call& call) {
  XI_TRY(Window window, window_of(call, call.in(0), call.in(3)));
  auto x = doubles(call.in(0)), w = doubles(call.in(3)), w_scale = doubles(call.in(4)), w_zero = doubles(call.in(5));
  const double x_scale = call.in(1).as_double(0), x_zero = call.in(2).as_double(0), y_scale = call.in(6).as_double(0),
               y_zero = call.in(7).as_double(0);
  for (double& v : x) v -= x_zero;
  const std::size_t maps = index_of(call.in(3).shape()[0]), size = w.size() / std::max<std::size_t>(1, maps);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] -= w_zero[w_zero.size() == 1 ? 0 : i / size];
  Tensor out = call.make();
  auto y = convolve(x, call.in(0).shape(), w, call.in(3).shape(), window, call.integer("group", 1));
  if (call.has(8)) add_bias(y, call.in(8), out.shape()[0], out.shape()[1]);
  const std::size_t plane = y.empty() ? 1 : y.size() / (index_of(out.shape()[0]) * maps);
  const double low = out.dtype() == DType::kInt8 ? -128 : 0, high = out.dtype() == DType::kInt8 ? 127 : 255;
  for (std::size_t i = 0; i < y.size(); ++i) {
    // The sum is exact; scales and product are float32, since ties decide the result.
    const float scale = static_cast<float>(x_scale) *
                        static_cast<float>(w_scale[w_scale.size() == 1 ? 0 : i / plane % maps]) /
                        static_cast<float>(y_scale);
    y[i] = std::clamp(static_cast<double>(std::nearbyint(static_cast<float>(y[i]) * scale)) + y_zero, low, high);
  }
  store(out, y);
  return result(std::move(out));
}

// Every input element is spread over a window of the output: weights are [C, M/group, ...].
Values conv_transpose(const Call& call) {
  const Tensor &xt = call.in(0), &wt = call.in(1);
  if (xt.rank() > 5)
    return fail(Code::kUnsupported, "a transposed convolution over {} spatial axes; at most 3 are supported",
                xt.rank() - 2);
  XI_TRY(Window window, ir::resolve_transposed_window(call.node.attributes, spatial_shape(xt), spatial_shape(wt)));
  Tensor result_tensor = call.make();
  auto x = doubles(xt), w = doubles(wt);
  const Spatial in = last_three(spatial_shape(xt), 1), kernel = last_three(spatial_shape(wt), 1),
                out = last_three(window.output, 1);
  const Spatial stride = last_three(window.strides, 1), dilation = last_three(window.dilations, 1),
                pad = last_three(window.pads_begin, 0);
  const std::int64_t group = call.integer("group", 1), channels = xt.shape()[1], per_group = channels / group,
                     maps_per_group = wt.shape()[1];
  const std::int64_t maps = maps_per_group * group;
  std::vector<double> y(index_of(xt.shape()[0] * maps * out.size()), 0.0);
  const double work = 2.0 * static_cast<double>(per_group * kernel.size() * in.size());
  parallel_for(xt.shape()[0] * maps, work, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t n = item / maps, m = item % maps, g = m / maps_per_group;
      double* target = y.data() + item * out.size();
      for (std::int64_t c = g * per_group; c < (g + 1) * per_group; ++c) {
        const double* plane = x.data() + (n * channels + c) * in.size();
        const double* weights = w.data() + (c * maps_per_group + m % maps_per_group) * kernel.size();
        for (std::int64_t at = 0; at < kernel.size(); ++at) {
          const std::int64_t kd = at / (kernel.h * kernel.w), kh = at / kernel.w % kernel.h, kw = at % kernel.w;
          // in -> out: out = in * stride + offset; which inputs land inside is the tap with the roles exchanged.
          const std::int64_t od = kd * dilation.d - pad.d, oh = kh * dilation.h - pad.h, ow = kw * dilation.w - pad.w;
          const Tap tw = tap(kw, out.w, in.w, stride.w, dilation.w, pad.w);
          for (std::int64_t id = 0; id < in.d; ++id) {
            const std::int64_t yd = id * stride.d + od;
            if (yd < 0 || yd >= out.d) continue;
            for (std::int64_t ih = 0; ih < in.h; ++ih) {
              const std::int64_t yh = ih * stride.h + oh;
              if (yh < 0 || yh >= out.h) continue;
              double* row = target + (yd * out.h + yh) * out.w + ow;
              const double* source = plane + (id * in.h + ih) * in.w;
              for (std::int64_t iw = tw.begin; iw < tw.end; ++iw) row[iw * stride.w] += source[iw] * weights[at];
            }
          }
        }
      }
    }
  });
  if (call.has(2)) add_bias(y, call.in(2), result_tensor.shape()[0], maps);
  store(result_tensor, y);
  return result(std::move(result_tensor));
}

// Bilinear read of a plane at a fractional position; outside is 0.
double bilinear(const double* plane, std::int64_t height, std::int64_t width, double y, double x) {
  if (y <= -1 || y >= static_cast<double>(height) || x <= -1 || x >= static_cast<double>(width)) return 0;
  const double y0 = std::floor(y), x0 = std::floor(x);
  double total = 0;
  for (int dy = 0; dy < 2; ++dy)
    for (int dx = 0; dx < 2; ++dx) {
      const auto row = static_cast<std::int64_t>(y0) + dy, column = static_cast<std::int64_t>(x0) + dx;
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      total += plane[row * width + column] * (dy ? y - y0 : 1 - (y - y0)) * (dx ? x - x0 : 1 - (x - x0));
    }
  return total;
}

// inputs: x, w, offset [N, 2*offset_groups*KH*KW, OH, OW], bias, mask [N, offset_groups*KH*KW, OH, OW].
Values deform_conv(const Call& call) {
  XI_TRY(Window window, window_of(call, call.in(0), call.in(1)));
  Tensor out = call.make();
  auto x = doubles(call.in(0)), w = doubles(call.in(1)), offset = doubles(call.in(2));
  auto mask = call.has(4) ? doubles(call.in(4)) : std::vector<double>{};
  const Shape &xs = call.in(0).shape(), &ws = call.in(1).shape(), &os = out.shape();
  const std::int64_t group = call.integer("group", 1), offset_groups = call.integer("offset_group", 1);
  const std::int64_t taps = ws[2] * ws[3], plane = os[2] * os[3], maps_per_group = ws[0] / group,
                     per_offset = xs[1] / offset_groups;
  if (call.in(2).num_elements() != xs[0] * offset_groups * taps * 2 * plane)
    return fail(Code::kInvalidArgument, "the offsets have the wrong size");
  if (call.has(4) && call.in(4).num_elements() != xs[0] * offset_groups * taps * plane)
    return fail(Code::kInvalidArgument, "the mask has the wrong size");
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  for (std::int64_t n = 0; n < xs[0]; ++n)
    for (std::int64_t c = 0; c < xs[1]; ++c)
      for (std::int64_t t = 0; t < taps; ++t)
        for (std::int64_t p = 0; p < plane; ++p) {
          const std::int64_t og = n * offset_groups + c / per_offset, oh = p / os[3], ow = p % os[3];
          const double dy = offset[index_of(((og * taps + t) * 2) * plane + p)],
                       dx = offset[index_of(((og * taps + t) * 2 + 1) * plane + p)];
          double value = bilinear(
              x.data() + (n * xs[1] + c) * xs[2] * xs[3], xs[2], xs[3],
              static_cast<double>(oh * window.strides[0] - window.pads_begin[0] + t / ws[3] * window.dilations[0]) + dy,
              static_cast<double>(ow * window.strides[1] - window.pads_begin[1] + t % ws[3] * window.dilations[1]) +
                  dx);
          if (!mask.empty()) value *= mask[index_of((og * taps + t) * plane + p)];
          const std::int64_t g = c / ws[1];
          for (std::int64_t m = g * maps_per_group; m < (g + 1) * maps_per_group; ++m)
            y[index_of((n * ws[0] + m) * plane + p)] += value * w[index_of((m * ws[1] + c % ws[1]) * taps + t)];
        }
  if (call.has(3)) add_bias(y, call.in(3), os[0], os[1]);
  store(out, y);
  return result(std::move(out));
}

// Sums overlapping blocks back into an image.
Values col2im(const Call& call) {
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  auto image = call.in(1).as_int64s(), block = call.in(2).as_int64s();
  const std::size_t rank = image.size();
  auto dilations = call.integers("dilations", std::vector<std::int64_t>(rank, 1)),
       strides = call.integers("strides", std::vector<std::int64_t>(rank, 1));
  auto pads = call.integers("pads", std::vector<std::int64_t>(2 * rank, 0));
  Shape windows, at_strides = tensor::strides_of(image);
  std::int64_t count = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    windows.push_back((image[d] + pads[d] + pads[d + rank] - dilations[d] * (block[d] - 1) - 1) / strides[d] + 1);
    count *= windows.back();
  }
  if (count != call.in(0).shape()[2])
    return fail(Code::kInvalidArgument, "{} columns for {} windows", call.in(0).shape()[2], count);
  const std::int64_t taps = tensor::num_elements(block), planes = out.shape()[0] * out.shape()[1],
                     size = tensor::num_elements(image);
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  for (std::int64_t p = 0; p < planes; ++p)
    for (std::int64_t t = 0; t < taps; ++t)
      for (std::int64_t c = 0; c < count; ++c) {
        std::int64_t to = 0, tap_rest = t, window_rest = c;
        bool inside = true;
        for (std::size_t d = rank; d-- > 0;) {
          const std::int64_t at = window_rest % windows[d] * strides[d] - pads[d] + tap_rest % block[d] * dilations[d];
          inside = inside && at >= 0 && at < image[d];
          to += at * at_strides[d];
          tap_rest /= block[d];
          window_rest /= windows[d];
        }
        if (inside) y[index_of(p * size + to)] += x[index_of((p * taps + t) * count + c)];
      }
  store(out, y);
  return result(std::move(out));
}

}  // namespace

void add_convolution(Entries& e) {
  e.emplace_back("Conv", conv);
  e.emplace_back("ConvInteger", conv_integer);
  e.emplace_back("QLinearConv", qlinear_conv);
  e.emplace_back("ConvTranspose", conv_transpose);
  e.emplace_back("DeformConv", deform_conv);
  e.emplace_back("Col2Im", col2im);
}

}  // namespace xinfer::forge::reference
