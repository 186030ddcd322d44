// Pools.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"
#include "ir/operators/windows.h"

namespace xinfer::forge::reference {

namespace {

using ir::Window;

// Calls visit(out_index, in_index or -1 for padding) for every position of every window of every plane; windows of one
// output follow each other. Positions past the padding (ceil_mode) are not visited.
template <class Visit>
void for_each_window(const Shape& input, const Window& window, std::int64_t planes, Visit visit) {
  const std::size_t rank = window.kernel.size();
  const std::int64_t outs = tensor::num_elements(window.output), ins = tensor::num_elements(input),
                     taps = tensor::num_elements(window.kernel);
  std::vector<std::int64_t> at(rank, 0);
  for (std::int64_t o = 0; o < outs; ++o) {
    for (std::int64_t t = 0; t < taps; ++t) {
      std::int64_t rest_out = o, rest_tap = t, offset = 0, stride = 1;
      bool inside = true, padded = true;
      for (std::size_t d = rank; d-- > 0;) {
        const std::int64_t position = rest_out % window.output[d] * window.strides[d] - window.pads_begin[d] +
                                      rest_tap % window.kernel[d] * window.dilations[d];
        rest_out /= window.output[d];
        rest_tap /= window.kernel[d];
        inside = inside && position >= 0 && position < input[d];
        padded = padded && position < input[d] + window.pads_end[d];
        offset += position * stride;
        stride *= input[d];
      }
      if (!padded) continue;
      for (std::int64_t p = 0; p < planes; ++p) visit(index_of(p * outs + o), inside ? p * ins + offset : -1);
    }
  }
}

Shape spatial(const Tensor& tensor) { return Shape(tensor.shape().begin() + 2, tensor.shape().end()); }

Result<Window> window_of(const Call& call) {
  return ir::resolve_window(call.node.attributes, spatial(call.in(0)), call.integers("kernel_shape"),
                            call.integer("ceil_mode", 0) != 0);
}

std::int64_t planes_of(const Call& call) { return call.in(0).shape()[0] * call.in(0).shape()[1]; }

Values average_pool(const Call& call) {
  XI_TRY(Window window, window_of(call));
  Tensor out = call.make();
  const bool include_pad = call.integer("count_include_pad", 0) != 0;
  auto x = doubles(call.in(0));
  std::vector<double> total(index_of(out.num_elements()), 0.0), count(total.size(), 0.0);
  for_each_window(spatial(call.in(0)), window, planes_of(call), [&](std::size_t o, std::int64_t i) {
    if (i >= 0) total[o] += x[index_of(i)];
    if (i >= 0 || include_pad) count[o] += 1;
  });
  for (std::size_t i = 0; i < total.size(); ++i) total[i] /= count[i];
  store(out, total);
  return result(std::move(out));
}

Values max_pool(const Call& call) {
  XI_TRY(Window window, window_of(call));
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  std::vector<double> best(index_of(out.num_elements()), -INFINITY);
  std::vector<std::int64_t> where(best.size(), -1);
  for_each_window(spatial(call.in(0)), window, planes_of(call), [&](std::size_t o, std::int64_t i) {
    if (i < 0) return;
    const double v = x[index_of(i)];
    if (where[o] >= 0 && !(v > best[o]) && !std::isnan(v)) return;
    best[o] = v;
    where[o] = i;
  });
  store(out, best);
  std::vector<Value> values = result(std::move(out));
  if (call.num_outputs() > 1) {
    if (call.integer("storage_order", 0) != 0) {  // column-major positions within each plane
      const Shape shape = spatial(call.in(0));
      const std::int64_t size = tensor::num_elements(shape);
      for (auto& at : where) {
        if (at < 0) continue;
        std::int64_t rest = at % size, column_major = 0;
        for (std::size_t d = shape.size(); d-- > 0;) {
          std::int64_t stride = 1;
          for (std::size_t k = 0; k < d; ++k) stride *= shape[k];
          column_major += rest % shape[d] * stride;
          rest /= shape[d];
        }
        at = at / size * size + column_major;
      }
    }
    values.emplace_back(from_ints(DType::kInt64, call.types[1].shape(), where));
  }
  return values;
}

Values lp_pool(const Call& call) {
  XI_TRY(Window window, window_of(call));
  Tensor out = call.make();
  const auto p = static_cast<double>(call.integer("p", 2));
  auto x = doubles(call.in(0));
  std::vector<double> total(index_of(out.num_elements()), 0.0);
  for_each_window(spatial(call.in(0)), window, planes_of(call), [&](std::size_t o, std::int64_t i) {
    if (i >= 0) total[o] += std::pow(std::fabs(x[index_of(i)]), p);
  });
  for (double& v : total) v = std::pow(v, 1 / p);
  store(out, total);
  return result(std::move(out));
}

// Values go to the flat positions that MaxPool recorded, which refer to the unpooled tensor of the default size.
Values max_unpool(const Call& call) {
  Tensor out = call.make();
  const Shape& in = call.in(0).shape();
  auto kernel = call.integers("kernel_shape");
  auto strides = call.integers("strides", std::vector<std::int64_t>(kernel.size(), 1));
  auto pads = call.integers("pads", std::vector<std::int64_t>(2 * kernel.size(), 0));
  Shape inferred{in[0], in[1]};
  for (std::size_t i = 0; i < kernel.size(); ++i)
    inferred.push_back((in[i + 2] - 1) * strides[i] - pads[i] - pads[i + kernel.size()] + kernel[i]);
  Shape out_strides = tensor::strides_of(out.shape());
  auto indices = call.in(1).as_int64s();
  auto x = doubles(call.in(0));
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    std::int64_t rest = indices[i], to = 0;
    for (std::size_t d = inferred.size(); d-- > 0;) {
      to += rest % inferred[d] * out_strides[d];
      rest /= inferred[d];
    }
    if (indices[i] < 0 || to >= out.num_elements())
      return fail(Code::kInvalidArgument, "index {} lies outside the output", indices[i]);
    y[index_of(to)] = x[i];
  }
  store(out, y);
  return result(std::move(out));
}

// Regions [batch, x1, y1, x2, y2] in image coordinates, each pooled to a fixed grid.
Values max_roi_pool(const Call& call) {
  Tensor out = call.make();
  const Shape &xs = call.in(0).shape(), &os = out.shape();
  const double scale = call.real("spatial_scale", 1.0f);
  auto x = doubles(call.in(0)), rois = doubles(call.in(1));
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  for (std::int64_t r = 0; r < os[0]; ++r) {
    const double* roi = rois.data() + r * 5;
    const auto batch = static_cast<std::int64_t>(roi[0]);
    if (batch < 0 || batch >= xs[0]) return fail(Code::kInvalidArgument, "region {} names image {}", r, batch);
    const std::int64_t left = std::lround(roi[1] * scale), top = std::lround(roi[2] * scale);
    const std::int64_t width = std::max<std::int64_t>(std::lround(roi[3] * scale) - left + 1, 1),
                       height = std::max<std::int64_t>(std::lround(roi[4] * scale) - top + 1, 1);
    for (std::int64_t i = 0; i < os[1] * os[2] * os[3]; ++i) {
      const std::int64_t c = i / (os[2] * os[3]), ph = i / os[3] % os[2], pw = i % os[3];
      const double bin_h = static_cast<double>(height) / static_cast<double>(os[2]),
                   bin_w = static_cast<double>(width) / static_cast<double>(os[3]);
      auto edge = [](double at, std::int64_t start, std::int64_t limit) {
        return std::clamp<std::int64_t>(static_cast<std::int64_t>(at) + start, 0, limit);
      };
      const std::int64_t h0 = edge(std::floor(static_cast<double>(ph) * bin_h), top, xs[2]),
                         h1 = edge(std::ceil(static_cast<double>(ph + 1) * bin_h), top, xs[2]);
      const std::int64_t w0 = edge(std::floor(static_cast<double>(pw) * bin_w), left, xs[3]),
                         w1 = edge(std::ceil(static_cast<double>(pw + 1) * bin_w), left, xs[3]);
      double best = h0 < h1 && w0 < w1 ? -INFINITY : 0;
      for (std::int64_t h = h0; h < h1; ++h)
        for (std::int64_t w = w0; w < w1; ++w)
          best = std::max(best, x[index_of(((batch * xs[1] + c) * xs[2] + h) * xs[3] + w)]);
      y[index_of(r * os[1] * os[2] * os[3] + i)] = best;
    }
  }
  store(out, y);
  return result(std::move(out));
}

}  // namespace

void add_pooling(Entries& e) {
  e.emplace_back("AveragePool", average_pool);
  e.emplace_back("MaxPool", max_pool);
  e.emplace_back("LpPool", lp_pool);
  e.emplace_back("MaxUnpool", max_unpool);
  e.emplace_back("MaxRoiPool", max_roi_pool);
}

}  // namespace xinfer::forge::reference
