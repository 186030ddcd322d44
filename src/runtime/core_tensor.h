// What the library may do with a public Tensor and its users may not.
#pragma once
#include "xinfer/core/tensor.h"

namespace xinfer::core {

struct TensorFactory {
  /// Elements of unspecified value, for outputs that are about to be written.
  static Tensor uninitialised(Shape shape, DataType dtype);
  /// A string tensor that owns copies of so many texts as the shape has elements.
  static Tensor of_texts(Shape shape, const Text* texts);
  /// Keeps the first elements under a smaller shape.
  static void shrink(Tensor& tensor, Shape shape);

 private:
  static Tensor allocated(Shape shape, DataType dtype, std::size_t text_bytes);
};

}  // namespace xinfer::core
