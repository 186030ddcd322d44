// Tensor: a dense row-major array in host memory, the input and output of engines.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace xinfer {
namespace core {

/// Element types. The numbers are those of ONNX's TensorProto.DataType.
enum class DataType : std::uint8_t {
  kFloat32 = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kFloat64 = 11,
  kUint32 = 12,
  kUint64 = 13,
  kBfloat16 = 16,
  // The names that users of earlier xInfer releases know.
  kFLOAT = kFloat32,
  kHALF = kFloat16,
  kINT8 = kInt8,
  kINT32 = kInt32,
  kINT64 = kInt64,
  kUINT8 = kUint8,
};

/// An element of a string tensor: text that lies elsewhere and has no zero byte at its end. What the bytes mean is the model's
/// business; mostly they are UTF-8.
struct Text {
  const char* data = nullptr;
  std::int64_t size = 0;
  std::string_view view() const noexcept { return std::string_view(data, static_cast<std::size_t>(size)); }
};

/// Bytes of one element, of a Text for strings; 0 for a number that is no DataType.
std::size_t size_of(DataType dtype) noexcept;
/// "float32", "int64", …
std::string_view name(DataType dtype) noexcept;

/// The DataType of a C++ type: data_type_of<float>::value.
template <class T>
struct data_type_of;
template <>
struct data_type_of<float> {
  static constexpr DataType value = DataType::kFloat32;
};
template <>
struct data_type_of<double> {
  static constexpr DataType value = DataType::kFloat64;
};
template <>
struct data_type_of<std::uint8_t> {
  static constexpr DataType value = DataType::kUint8;
};
template <>
struct data_type_of<std::int8_t> {
  static constexpr DataType value = DataType::kInt8;
};
template <>
struct data_type_of<std::uint16_t> {
  static constexpr DataType value = DataType::kUint16;
};
template <>
struct data_type_of<std::int16_t> {
  static constexpr DataType value = DataType::kInt16;
};
template <>
struct data_type_of<std::uint32_t> {
  static constexpr DataType value = DataType::kUint32;
};
template <>
struct data_type_of<std::int32_t> {
  static constexpr DataType value = DataType::kInt32;
};
template <>
struct data_type_of<std::uint64_t> {
  static constexpr DataType value = DataType::kUint64;
};
template <>
struct data_type_of<std::int64_t> {
  static constexpr DataType value = DataType::kInt64;
};
template <>
struct data_type_of<bool> {
  static constexpr DataType value = DataType::kBool;
};

template <>
struct data_type_of<Text> {
  static constexpr DataType value = DataType::kString;
};

using Shape = std::vector<std::int64_t>;  // sizes; empty for a scalar

/// A tensor that owns its elements (64-byte aligned) or, from view(), borrows the caller's. Copying copies the elements, of
/// strings the texts too.
/// Different tensors may be used from different threads; one tensor from one thread at a time.
class Tensor {
 public:
  /// Empty: no shape, no elements; data() is null.
  Tensor() noexcept = default;
  /// Zero-filled. Throws Error("invalid_argument") for a negative size or more than 2^40 elements.
  explicit Tensor(Shape shape, DataType dtype = DataType::kFloat32);
  /// A copy of `values`, whose count must be that of the shape.
  template <class T>
  Tensor(Shape shape, const std::vector<T>& values) : Tensor(std::move(shape), data_type_of<T>::value) {
    copy_from_host(values.data(), values.size() * sizeof(T));
  }
  /// A copy of strings.
  Tensor(Shape shape, const std::vector<std::string>& values);
  /// Borrows `data`, which must outlive the tensor and hold the shape's elements: for strings an array of Text.
  static Tensor view(void* data, Shape shape, DataType dtype = DataType::kFloat32);

  Tensor(const Tensor& other);
  Tensor& operator=(const Tensor& other);
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  ~Tensor() = default;

  const Shape& shape() const noexcept { return shape_; }
  DataType dtype() const noexcept { return dtype_; }
  std::size_t rank() const noexcept { return shape_.size(); }
  std::size_t num_elements() const noexcept { return count_; }
  std::size_t size_bytes() const noexcept { return count_ * size_of(dtype_); }
  bool empty() const noexcept { return data_ == nullptr; }
  bool is_view() const noexcept { return data_ != nullptr && !memory_; }

  void* data() noexcept { return data_; }
  const void* data() const noexcept { return data_; }
  /// The elements as T. Throws Error("invalid_argument") unless T is the dtype's C++ type (std::uint16_t for the 16-bit
  /// floating types).
  template <class T>
  T* data() {
    check_type(data_type_of<T>::value);
    return static_cast<T*>(data_);
  }
  template <class T>
  const T* data() const {
    check_type(data_type_of<T>::value);
    return static_cast<const T*>(data_);
  }

  /// Copies all elements from or to host memory; `bytes` must be size_bytes(). Throws Error("invalid_argument"), also for
  /// strings: their texts lie elsewhere.
  void copy_from_host(const void* source, std::size_t bytes);
  void copy_to_host(void* destination, std::size_t bytes) const;
  /// The same, the caller vouching for the sizes.
  void copy_from_host(const void* source) { copy_from_host(source, size_bytes()); }
  void copy_to_host(void* destination) const { copy_to_host(destination, size_bytes()); }
  /// All elements as a vector.
  template <class T>
  std::vector<T> to_vector() const {
    const T* first = data<T>();
    return std::vector<T>(first, first + count_);
  }

  /// Copies of a string tensor's elements. Throws Error("invalid_argument") for a tensor of numbers.
  std::vector<std::string> to_strings() const;

  /// Changes the shape, keeping the elements. Throws Error("invalid_argument") if the count differs.
  void reshape(Shape shape);

 private:
  friend struct TensorFactory;
  void check_type(DataType dtype) const;

  Shape shape_;
  DataType dtype_ = DataType::kFloat32;
  std::size_t count_ = 0;
  void* data_ = nullptr;
  struct Free {
    void operator()(void* memory) const noexcept;
  };
  std::unique_ptr<void, Free> memory_;  // null for views
};

}  // namespace core
}  // namespace xinfer
