// Dense row-major tensors in host memory: the compiler's constants, test data and reference values.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "tensor/dtype.h"

namespace xinfer::tensor {

using Shape = std::vector<std::int64_t>;  // sizes; an empty shape is a scalar

/// Product of the sizes (1 for a scalar).
std::int64_t num_elements(std::span<const std::int64_t> shape);
/// Row-major strides, in elements.
Shape strides_of(std::span<const std::int64_t> shape);
/// "[1,3,224,224]".
std::string to_string(std::span<const std::int64_t> shape);
/// numpy's broadcasting; kInvalidArgument names both shapes.
[[nodiscard]] base::Result<Shape> broadcast(std::span<const std::int64_t> a, std::span<const std::int64_t> b);

/// A tensor that owns its elements (64-byte aligned, zero-initialised). Copying copies the elements.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape);

  template <class T>
  static Tensor from(DType dtype, Shape shape, std::span<const T> values);
  /// One-dimensional int64, as shapes and axes come.
  static Tensor from_int64s(std::span<const std::int64_t> values);
  static Tensor scalar(float value);
  static Tensor scalar(std::int64_t value);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t rank() const { return static_cast<std::int64_t>(shape_.size()); }
  std::int64_t num_elements() const { return count_; }
  std::size_t size_bytes() const { return static_cast<std::size_t>(count_) * size_of(dtype_); }

  std::span<const std::byte> bytes() const { return {data_.get(), size_bytes()}; }
  std::span<std::byte> bytes() { return {data_.get(), size_bytes()}; }
  /// The elements as T, whose size must be that of the dtype. Strings: see strings().
  template <class T>
  std::span<const T> data() const {
    return {reinterpret_cast<const T*>(data_.get()), static_cast<std::size_t>(count_)};
  }
  template <class T>
  std::span<T> data() {
    return {reinterpret_cast<T*>(data_.get()), static_cast<std::size_t>(count_)};
  }
  const std::vector<std::string>& strings() const { return strings_; }
  std::vector<std::string>& strings() { return strings_; }

  /// The same elements under another shape of equal count.
  [[nodiscard]] base::Result<Tensor> reshaped(Shape shape) &&;

  /// Element `index` (row-major) converted; floats truncate to integers, bool is 0 or 1.
  double as_double(std::int64_t index) const;
  std::int64_t as_int64(std::int64_t index) const;
  /// All elements as int64, for shapes, axes and the like.
  std::vector<std::int64_t> as_int64s() const;
  /// Stores `value` rounded or truncated to the dtype.
  void set(std::int64_t index, double value);

  Tensor(const Tensor& other);
  Tensor& operator=(const Tensor& other);
  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept = default;

 private:
  struct Free {
    void operator()(std::byte* pointer) const;
  };
  DType dtype_ = DType::kUndefined;
  Shape shape_;
  std::int64_t count_ = 0;
  std::unique_ptr<std::byte[], Free> data_;
  std::vector<std::string> strings_;
};

template <class T>
Tensor Tensor::from(DType dtype, Shape shape, std::span<const T> values) {
  Tensor tensor(dtype, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.data<T>().begin());
  return tensor;
}

}  // namespace xinfer::tensor
