// What the library may do with a public Tensor and its users may not.
#pragma once
#include "xinfer/core/tensor.h"

namespace xinfer::core {

struct TensorFactory {
  /// Elements of unspecified value, for outputs that are about to be written.
  static Tensor uninitialised(Shape shape, DataType dtype);
  /// Keeps the first elements under a smaller shape.
  static void shrink(Tensor& tensor, Shape shape);
};

}  // namespace xinfer::core
