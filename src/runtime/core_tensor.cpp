#include "runtime/core_tensor.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "runtime/raise.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"
#include "tensor/text.h"
#include "xinfer/core/tensor.h"

namespace xinfer::core {

namespace {

constexpr std::size_t kAlignment = 64;

[[noreturn]] void invalid(std::string message) {
  runtime::raise({base::Code::kInvalidArgument, std::move(message), {}});
}

std::size_t count_elements(const Shape& shape) {
  constexpr std::size_t kLimit = std::size_t{1} << 40;
  std::size_t count = 1;
  for (auto size : shape) {
    if (size < 0) invalid(fmt::format("shape {} has a negative size", tensor::to_string(shape)));
    auto factor = static_cast<std::size_t>(size);
    if (factor > kLimit || (factor > 0 && count > kLimit / factor))
      invalid(fmt::format("shape {} has more than 2^40 elements", tensor::to_string(shape)));
    count *= factor;
  }
  return count;
}

}  // namespace

static_assert(sizeof(Text) == sizeof(tensor::Text) && offsetof(Text, size) == offsetof(tensor::Text, size));

std::size_t size_of(DataType dtype) noexcept { return tensor::stored_bytes(static_cast<tensor::DType>(dtype)); }
std::string_view name(DataType dtype) noexcept { return tensor::name(static_cast<tensor::DType>(dtype)); }

void Tensor::Free::operator()(void* memory) const noexcept { std::free(memory); }

Tensor::Tensor(Shape shape, DataType dtype) {
  *this = TensorFactory::uninitialised(std::move(shape), dtype);
  std::memset(data_, 0, size_bytes());
}

Tensor::Tensor(Shape shape, const std::vector<std::string>& values) {
  if (count_elements(shape) != values.size()) invalid(fmt::format("{} strings for a tensor of shape {}", values.size(), tensor::to_string(shape)));
  std::vector<Text> texts;
  for (const std::string& text : values) texts.push_back({text.data(), static_cast<std::int64_t>(text.size())});
  *this = TensorFactory::of_texts(std::move(shape), texts.data());
}

Tensor TensorFactory::of_texts(Shape shape, const Text* texts) {
  const std::size_t count = count_elements(shape);
  if (auto sound = tensor::check_texts({reinterpret_cast<const tensor::Text*>(texts), count}); !sound) runtime::raise(sound.error());
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<std::size_t>(texts[i].size);
  Tensor tensor = allocated(std::move(shape), DataType::kString, bytes);
  auto* to = static_cast<Text*>(tensor.data_);
  char* text = reinterpret_cast<char*>(to + count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto size = static_cast<std::size_t>(texts[i].size);
    if (size) std::memcpy(text, texts[i].data, size);
    to[i] = {text, texts[i].size};
    text += size;
  }
  return tensor;
}

Tensor TensorFactory::uninitialised(Shape shape, DataType dtype) { return allocated(std::move(shape), dtype, 0); }

Tensor TensorFactory::allocated(Shape shape, DataType dtype, std::size_t text_bytes) {
  if (size_of(dtype) == 0) invalid(fmt::format("{} is no element type", static_cast<int>(dtype)));
  Tensor tensor;
  tensor.count_ = count_elements(shape);
  tensor.shape_ = std::move(shape);
  tensor.dtype_ = dtype;
  // Whole cache lines: kernels may read the last one to its end.
  std::size_t bytes = (tensor.size_bytes() + text_bytes + kAlignment) / kAlignment * kAlignment;
  tensor.memory_.reset(std::aligned_alloc(kAlignment, bytes));
  if (!tensor.memory_) throw std::bad_alloc();
  tensor.data_ = tensor.memory_.get();
  return tensor;
}

void TensorFactory::shrink(Tensor& tensor, Shape shape) {
  tensor.count_ = count_elements(shape);
  tensor.shape_ = std::move(shape);
}

Tensor Tensor::view(void* data, Shape shape, DataType dtype) {
  if (core::size_of(dtype) == 0) invalid(fmt::format("{} is no element type", static_cast<int>(dtype)));
  Tensor tensor;
  tensor.count_ = count_elements(shape);
  tensor.shape_ = std::move(shape);
  tensor.dtype_ = dtype;
  tensor.data_ = data;
  return tensor;
}

Tensor::Tensor(const Tensor& other) {
  if (other.empty()) return;
  if (other.dtype_ == DataType::kString) {
    *this = TensorFactory::of_texts(other.shape_, static_cast<const Text*>(other.data_));
    return;
  }
  *this = TensorFactory::uninitialised(other.shape_, other.dtype_);
  std::memcpy(data_, other.data_, size_bytes());
}

Tensor& Tensor::operator=(const Tensor& other) {
  if (this != &other) *this = Tensor(other);
  return *this;
}

Tensor::Tensor(Tensor&& other) noexcept { *this = std::move(other); }

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  shape_ = std::move(other.shape_);
  other.shape_.clear();
  dtype_ = other.dtype_;
  count_ = std::exchange(other.count_, 0);
  data_ = std::exchange(other.data_, nullptr);
  memory_ = std::move(other.memory_);
  return *this;
}

void Tensor::copy_from_host(const void* source, std::size_t bytes) {
  if (dtype_ == DataType::kString) invalid("strings are copied with Tensor(shape, strings)");
  if (bytes != size_bytes()) invalid(fmt::format("a tensor of {} bytes cannot take {} bytes", size_bytes(), bytes));
  if (bytes) std::memcpy(data_, source, bytes);
}

void Tensor::copy_to_host(void* destination, std::size_t bytes) const {
  if (dtype_ == DataType::kString) invalid("strings are copied with to_strings()");
  if (bytes != size_bytes()) invalid(fmt::format("a tensor of {} bytes cannot fill {} bytes", size_bytes(), bytes));
  if (bytes) std::memcpy(destination, data_, bytes);
}

std::vector<std::string> Tensor::to_strings() const {
  const Text* first = data<Text>();
  std::vector<std::string> strings;
  for (std::size_t i = 0; i < count_; ++i) strings.emplace_back(first[i].view());
  return strings;
}

void Tensor::reshape(Shape shape) {
  if (count_elements(shape) != count_)
    invalid(fmt::format("a tensor of shape {} cannot become {}", tensor::to_string(shape_), tensor::to_string(shape)));
  shape_ = std::move(shape);
}

void Tensor::check_type(DataType dtype) const {
  bool half = dtype == DataType::kUint16 && (dtype_ == DataType::kFloat16 || dtype_ == DataType::kBfloat16);
  bool boolean = dtype == DataType::kUint8 && dtype_ == DataType::kBool;
  if (dtype != dtype_ && !half && !boolean)
    invalid(fmt::format("the tensor holds {}, not {}", core::name(dtype_), core::name(dtype)));
}

}  // namespace xinfer::core
