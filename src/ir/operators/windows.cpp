#include "ir/operators/windows.h"

#include <algorithm>

namespace xinfer::ir {

namespace {

using base::Code;
using base::fail;
using base::Result;

// Of sizes, strides and dilations: products of two and their sums stay exact.
constexpr std::int64_t kLargest = std::int64_t{1} << 31;

Result<std::vector<std::int64_t>> list(const Attributes& attributes, std::string_view name, std::size_t rank,
                                       std::int64_t fallback, std::int64_t least) {
  auto values = attributes.integers(name);
  if (values.empty()) values.assign(rank, fallback);
  if (values.size() != rank)
    return fail(Code::kInvalidArgument, "attribute '{}' has {} entries for {} spatial axes", name, values.size(), rank);
  for (auto value : values)
    if (value < least || value > kLargest)
      return fail(Code::kInvalidArgument, "attribute '{}' holds {}", name, value);
  return values;
}

Result<Window> common(const Attributes& attributes, const Shape& input, const Shape& kernel) {
  const std::size_t rank = input.size();
  if (kernel.size() != rank)
    return fail(Code::kInvalidArgument, "the kernel has {} axes, the input {} spatial ones", kernel.size(), rank);
  Window window;
  window.kernel = kernel;
  for (auto size : kernel)
    if (size <= 0 || size > kLargest) return fail(Code::kInvalidArgument, "the kernel has size {}", size);
  for (auto size : input)
    if (size > kLargest) return fail(Code::kLimit, "a spatial axis has {} elements, more than {}", size, kLargest);
  XI_TRY(window.strides, list(attributes, "strides", rank, 1, 1));
  XI_TRY(window.dilations, list(attributes, "dilations", rank, 1, 1));
  XI_TRY(auto pads, list(attributes, "pads", 2 * rank, 0, -kLargest));
  window.pads_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(rank));
  window.pads_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(rank), pads.end());
  return window;
}

Result<std::string> auto_pad_of(const Attributes& attributes) {
  std::string mode = attributes.string("auto_pad", "NOTSET");
  if (mode.empty()) mode = "NOTSET";
  if (mode != "NOTSET" && mode != "VALID" && mode != "SAME_UPPER" && mode != "SAME_LOWER")
    return fail(Code::kInvalidArgument, "auto_pad '{}' is none of NOTSET, VALID, SAME_UPPER, SAME_LOWER", mode);
  return mode;
}

}  // namespace

Result<Window> resolve_window(const Attributes& attributes, const Shape& input, const Shape& kernel, bool ceil_mode) {
  XI_TRY(Window window, common(attributes, input, kernel));
  XI_TRY(const std::string mode, auto_pad_of(attributes));
  for (std::size_t i = 0; i < input.size(); ++i) {
    const std::int64_t extent = (kernel[i] - 1) * window.dilations[i] + 1, stride = window.strides[i];
    std::int64_t &begin = window.pads_begin[i], &end = window.pads_end[i];
    if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
      const std::int64_t out = (input[i] + stride - 1) / stride;
      const std::int64_t total = std::max<std::int64_t>(0, (out - 1) * stride + extent - input[i]);
      begin = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
      end = total - begin;
      window.output.push_back(out);
      continue;
    }
    if (mode == "VALID") begin = end = 0;
    const std::int64_t span = input[i] + begin + end - extent;
    if (span < 0) {
      if (input[i] == 0) {
        window.output.push_back(0);
        continue;
      }
      return fail(Code::kInvalidArgument, "a window of extent {} does not fit {} elements with padding {} and {}",
                  extent, input[i], begin, end);
    }
    std::int64_t out = span / stride + 1;
    if (ceil_mode && span % stride != 0 && out * stride < input[i] + begin) ++out;
    window.output.push_back(out);
  }
  return window;
}

Result<Window> resolve_transposed_window(const Attributes& attributes, const Shape& input, const Shape& kernel) {
  XI_TRY(Window window, common(attributes, input, kernel));
  XI_TRY(const std::string mode, auto_pad_of(attributes));
  XI_TRY(auto extra, list(attributes, "output_padding", input.size(), 0, 0));
  auto wanted = attributes.integers("output_shape");
  if (wanted.size() > input.size())
    wanted.erase(wanted.begin(), wanted.end() - static_cast<std::ptrdiff_t>(input.size()));
  if (!wanted.empty() && wanted.size() != input.size())
    return fail(Code::kInvalidArgument, "output_shape has {} entries", wanted.size());
  for (auto size : wanted)
    if (size < 0 || size > kLargest) return fail(Code::kInvalidArgument, "output_shape holds {}", size);
  const bool same = mode == "SAME_UPPER" || mode == "SAME_LOWER";
  for (std::size_t i = 0; i < input.size(); ++i) {
    const std::int64_t full = (input[i] - 1) * window.strides[i] + extra[i] + (kernel[i] - 1) * window.dilations[i] + 1;
    std::int64_t &begin = window.pads_begin[i], &end = window.pads_end[i];
    if (mode == "VALID") begin = end = 0;
    if (!wanted.empty() || same) {
      const std::int64_t out = wanted.empty() ? input[i] * window.strides[i] : wanted[i];
      const std::int64_t total = full - out;
      // SAME_UPPER puts the odd element at the end, everything else at the beginning; a negative total grows the output.
      const std::int64_t half = total >= 0 ? total / 2 : -((1 - total) / 2);
      begin = mode == "SAME_UPPER" ? half : total - half;
      end = total - begin;
    }
    const std::int64_t out = full - begin - end;
    if (out < 0) return fail(Code::kInvalidArgument, "the output of spatial axis {} would have size {}", i, out);
    window.output.push_back(out);
  }
  return window;
}

tensor::Size window_output(const Attributes& attributes, const Window& window, std::size_t axis, const tensor::Size& in,
                           bool ceil_mode) {
  const std::int64_t stride = window.strides[axis], extent = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
  const std::string mode = attributes.string("auto_pad", "NOTSET");
  if (mode.starts_with("SAME")) return ceil_div(in, stride);
  const std::int64_t begin = mode == "VALID" ? 0 : window.pads_begin[axis], end = mode == "VALID" ? 0 : window.pads_end[axis];
  const tensor::Size span = in + (begin + end - extent);
  if (!ceil_mode) return floor_div(span, stride) + 1;
  return smaller(ceil_div(span, stride) + 1, ceil_div(in + begin, stride));  // the last window begins inside
}

tensor::Size transposed_window_output(const Attributes& attributes, const Window& window, std::size_t axis,
                                      const tensor::Size& in) {
  const std::string mode = attributes.string("auto_pad", "NOTSET");
  const auto wanted = attributes.integers("output_shape"), extra = attributes.integers("output_padding");
  if (!wanted.empty()) return wanted[wanted.size() - window.kernel.size() + axis];
  if (mode.starts_with("SAME")) return in * window.strides[axis];
  const std::int64_t cropped = mode == "VALID" ? 0 : window.pads_begin[axis] + window.pads_end[axis];
  return (in - 1) * window.strides[axis] + ((extra.empty() ? 0 : extra[axis]) + (window.kernel[axis] - 1) * window.dilations[axis] + 1 - cropped);
}

}  // namespace xinfer::ir
