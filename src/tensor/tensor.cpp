#include "tensor/tensor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>

namespace xinfer::tensor {

namespace {
// Calls f(T{}) with the C++ type whose arithmetic fits the dtype; small floats are handled by the callers.
template <class F>
auto with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kFloat32: return f(float{});
    case DType::kFloat64: return f(double{});
    case DType::kInt8:
    case DType::kInt2:
    case DType::kInt4: return f(std::int8_t{});
    case DType::kInt16: return f(std::int16_t{});
    case DType::kInt32: return f(std::int32_t{});
    case DType::kInt64: return f(std::int64_t{});
    case DType::kUint16: return f(std::uint16_t{});
    case DType::kUint32: return f(std::uint32_t{});
    case DType::kUint64: return f(std::uint64_t{});
    default: return f(std::uint8_t{});
  }
}

// What does not fit wraps around as on all our machines, where C++ leaves it open; NaN is the smallest number.
template <class T>
T to_number(double value) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(value);
  } else {
    constexpr double kEnd = 9223372036854775808.0;  // of int64
    if (std::is_same_v<T, std::uint64_t> && value >= kEnd) return value < 2 * kEnd ? static_cast<T>(value) : std::numeric_limits<T>::max();
    return static_cast<T>(value >= -kEnd && value < kEnd ? static_cast<std::int64_t>(value) : std::numeric_limits<std::int64_t>::min());
  }
}

bool is_small_float(DType dtype) { return is_float(dtype) && size_of(dtype) < 4; }

float load_small_float(const Tensor& tensor, std::int64_t index) {
  auto i = static_cast<std::size_t>(index);
  switch (tensor.dtype()) {
    case DType::kFloat16: return from_float16(tensor.data<std::uint16_t>()[i]);
    case DType::kBfloat16: return from_bfloat16(tensor.data<std::uint16_t>()[i]);
    case DType::kFloat4E2M1: return from_float4(tensor.data<std::uint8_t>()[i]);
    default: return from_float8(tensor.dtype(), tensor.data<std::uint8_t>()[i]);
  }
}
}  // namespace

std::int64_t num_elements(std::span<const std::int64_t> shape) {
  // Too many to count are more than any limit.
  std::int64_t count = 1;
  bool overflow = false;
  for (auto size : shape) {
    if (size == 0) return 0;
    overflow = overflow || __builtin_mul_overflow(count, size, &count);
  }
  return overflow ? std::numeric_limits<std::int64_t>::max() : count;
}

Shape strides_of(std::span<const std::int64_t> shape) {
  Shape strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

std::string to_string(std::span<const std::int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

base::Result<Shape> broadcast(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1)
      return base::fail(base::Code::kInvalidArgument, "shapes {} and {} do not broadcast", to_string(a), to_string(b));
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

void Tensor::Free::operator()(std::byte* pointer) const { std::free(pointer); }

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)), count_(tensor::num_elements(shape_)) {
  if (dtype_ == DType::kString) {
    strings_.resize(static_cast<std::size_t>(count_));
    return;
  }
  std::size_t bytes = (size_bytes() + 63) / 64 * 64;
  if (bytes == 0) bytes = 64;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(64, bytes));
  if (!memory) throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  data_.reset(memory);
}

Tensor::Tensor(const Tensor& other)
    : dtype_(other.dtype_), shape_(other.shape_), count_(other.count_), strings_(other.strings_) {
  if (!other.data_) return;
  Tensor copy(dtype_, shape_);
  std::memcpy(copy.data_.get(), other.data_.get(), size_bytes());
  data_ = std::move(copy.data_);
}
Tensor& Tensor::operator=(const Tensor& other) {
  if (this != &other) *this = Tensor(other);
  return *this;
}

Tensor Tensor::from_int64s(std::span<const std::int64_t> values) {
  return from<std::int64_t>(DType::kInt64, {static_cast<std::int64_t>(values.size())}, values);
}
Tensor Tensor::scalar(float value) { return from<float>(DType::kFloat32, {}, std::span<const float>(&value, 1)); }
Tensor Tensor::scalar(std::int64_t value) { return from<std::int64_t>(DType::kInt64, {}, std::span<const std::int64_t>(&value, 1)); }

base::Result<Tensor> Tensor::reshaped(Shape shape) && {
  if (tensor::num_elements(shape) != count_)
    return base::fail(base::Code::kInvalidArgument, "cannot view {} elements of shape {} as {}", count_, to_string(shape_), to_string(shape));
  shape_ = std::move(shape);
  return std::move(*this);
}

double Tensor::as_double(std::int64_t index) const {
  if (is_small_float(dtype_)) return load_small_float(*this, index);
  return with_type(dtype_, [&](auto type) { return static_cast<double>(data<decltype(type)>()[static_cast<std::size_t>(index)]); });
}

std::int64_t Tensor::as_int64(std::int64_t index) const {
  if (is_small_float(dtype_)) return to_number<std::int64_t>(load_small_float(*this, index));
  return with_type(dtype_, [&](auto type) {
    const auto value = data<decltype(type)>()[static_cast<std::size_t>(index)];
    if constexpr (std::is_floating_point_v<decltype(type)>) return to_number<std::int64_t>(value);
    else return static_cast<std::int64_t>(value);
  });
}

std::vector<std::int64_t> Tensor::as_int64s() const {
  std::vector<std::int64_t> values(static_cast<std::size_t>(count_));
  for (std::int64_t i = 0; i < count_; ++i) values[static_cast<std::size_t>(i)] = as_int64(i);
  return values;
}

void Tensor::set(std::int64_t index, double value) {
  auto i = static_cast<std::size_t>(index);
  switch (dtype_) {
    case DType::kBool: data<std::uint8_t>()[i] = value != 0; return;
    case DType::kFloat16: data<std::uint16_t>()[i] = to_float16(static_cast<float>(value)); return;
    case DType::kBfloat16: data<std::uint16_t>()[i] = to_bfloat16(static_cast<float>(value)); return;
    case DType::kFloat4E2M1: data<std::uint8_t>()[i] = to_float4(static_cast<float>(value)); return;
    default: break;
  }
  if (is_small_float(dtype_)) {
    data<std::uint8_t>()[i] = to_float8(dtype_, static_cast<float>(value));
    return;
  }
  with_type(dtype_, [&](auto type) { data<decltype(type)>()[i] = to_number<decltype(type)>(value); });
}

}  // namespace xinfer::tensor
