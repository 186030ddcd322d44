// Resize: the output size and the scales of every axis from its inputs, shared by shape rule, reference and kernels.
#pragma once
#include "ir/operator.h"

namespace xinfer::ir {

struct ResizePlan {
  Shape output;
  std::vector<double> scales;              // per axis of the input; 1 where not resized
  std::vector<double> roi_begin, roi_end;  // per axis, normalised; 0 and 1 where not given
};

/// `scales`, `sizes`, `roi` are the constant inputs, null or empty where absent.
[[nodiscard]] base::Result<ResizePlan> plan_resize(const Attributes& attributes, const Shape& input, const Tensor* roi,
                                                   const Tensor* scales, const Tensor* sizes);

}  // namespace xinfer::ir
