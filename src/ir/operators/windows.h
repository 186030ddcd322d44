// Sliding windows of convolutions and pools: sizes, padding and output extent from the attributes.
#pragma once
#include "ir/operator.h"

namespace xinfer::ir {

/// One entry per spatial axis. `pads_begin` and `pads_end` are what auto_pad asks for, or the attribute `pads`.
struct Window {
  std::vector<std::int64_t> kernel, strides, dilations, pads_begin, pads_end, output;
};

/// The window of Conv, its quantised forms and the pools for inputs of spatial size `input`. `ceil_mode` as in the pools:
/// the last window may start inside the input or its left padding only.
[[nodiscard]] base::Result<Window> resolve_window(const Attributes& attributes, const Shape& input, const Shape& kernel,
                                                  bool ceil_mode = false);

/// The window of ConvTranspose: pads are what the output is cropped by; output_padding and output_shape are honoured.
[[nodiscard]] base::Result<Window> resolve_transposed_window(const Attributes& attributes, const Shape& input,
                                                             const Shape& kernel);

/// The output's size along `axis` for a size that is a formula; `window` as resolved for any number in its place.
tensor::Size window_output(const Attributes& attributes, const Window& window, std::size_t axis, const tensor::Size& in,
                           bool ceil_mode = false);
tensor::Size transposed_window_output(const Attributes& attributes, const Window& window, std::size_t axis,
                                      const tensor::Size& in);

}  // namespace xinfer::ir
