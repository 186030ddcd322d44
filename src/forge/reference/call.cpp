#include "forge/reference/call.h"

#include <algorithm>
#include <cmath>
#include <thread>

namespace xinfer::forge::reference {

std::vector<Value> result(Tensor value) {
  std::vector<Value> out;
  out.emplace_back(std::move(value));
  return out;
}

namespace {

// Calls f with the tensor's elements as T, for the types that C++ has; false for the small floats.
template <class TensorType, class F>
bool with_elements(TensorType& tensor, F&& f) {
  switch (tensor.dtype()) {
    case DType::kFloat32: f(tensor.template data<float>()); return true;
    case DType::kFloat64: f(tensor.template data<double>()); return true;
    case DType::kInt8:
    case DType::kInt2:
    case DType::kInt4: f(tensor.template data<std::int8_t>()); return true;
    case DType::kInt16: f(tensor.template data<std::int16_t>()); return true;
    case DType::kInt32: f(tensor.template data<std::int32_t>()); return true;
    case DType::kInt64: f(tensor.template data<std::int64_t>()); return true;
    case DType::kBool:
    case DType::kUint2:
    case DType::kUint4:
    case DType::kUint8: f(tensor.template data<std::uint8_t>()); return true;
    case DType::kUint16: f(tensor.template data<std::uint16_t>()); return true;
    case DType::kUint32: f(tensor.template data<std::uint32_t>()); return true;
    case DType::kUint64: f(tensor.template data<std::uint64_t>()); return true;
    default: return false;
  }
}

template <class N>
std::vector<N> numbers(const Tensor& tensor) {
  std::vector<N> out(index_of(tensor.num_elements()));
  if (tensor.dtype() == DType::kString) return out;
  if (!with_elements(tensor, [&](auto data) {
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<N>(data[i]);
      }))
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<N>(tensor.as_double(static_cast<std::int64_t>(i)));
  return out;
}

// A double as integer type T: truncated, wrapped like a conversion through 64 bits; never undefined.
template <class T>
T truncate(double value) {
  if (std::isnan(value)) return 0;
  if constexpr (std::is_same_v<T, std::uint64_t>) {
    if (value >= 18446744073709551616.0) return ~std::uint64_t{0};
    if (value >= 0) return static_cast<std::uint64_t>(value);
  }
  if (value >= 9223372036854775808.0) return static_cast<T>(std::numeric_limits<std::int64_t>::max());
  if (value <= -9223372036854775808.0) return static_cast<T>(std::numeric_limits<std::int64_t>::min());
  return static_cast<T>(static_cast<std::int64_t>(value));
}

}  // namespace

std::vector<double> doubles(const Tensor& tensor) { return numbers<double>(tensor); }
std::vector<float> floats(const Tensor& tensor) { return numbers<float>(tensor); }
std::vector<std::int64_t> ints(const Tensor& tensor) { return numbers<std::int64_t>(tensor); }

void store(Tensor& tensor, std::span<const double> values) {
  if (tensor.dtype() == DType::kBool) {
    auto data = tensor.data<std::uint8_t>();
    for (std::size_t i = 0; i < values.size(); ++i) data[i] = values[i] != 0;
    return;
  }
  if (!with_elements(tensor, [&](auto data) {
        using T = std::remove_reference_t<decltype(data[0])>;
        for (std::size_t i = 0; i < values.size(); ++i) {
          if constexpr (std::is_floating_point_v<T>) data[i] = static_cast<T>(values[i]);
          else data[i] = truncate<T>(values[i]);
        }
      }))
    for (std::size_t i = 0; i < values.size(); ++i) tensor.set(static_cast<std::int64_t>(i), values[i]);
}

void store(Tensor& tensor, std::span<const std::int64_t> values) {
  if (tensor.dtype() == DType::kBool) {
    auto data = tensor.data<std::uint8_t>();
    for (std::size_t i = 0; i < values.size(); ++i) data[i] = values[i] != 0;
    return;
  }
  if (!with_elements(tensor, [&](auto data) {
        using T = std::remove_reference_t<decltype(data[0])>;
        for (std::size_t i = 0; i < values.size(); ++i) data[i] = static_cast<T>(values[i]);
      }))
    for (std::size_t i = 0; i < values.size(); ++i)
      tensor.set(static_cast<std::int64_t>(i), static_cast<double>(values[i]));
}

Tensor from_doubles(DType dtype, Shape shape, std::span<const double> values) {
  Tensor tensor(dtype, std::move(shape));
  store(tensor, values);
  return tensor;
}

Tensor from_ints(DType dtype, Shape shape, std::span<const std::int64_t> values) {
  Tensor tensor(dtype, std::move(shape));
  store(tensor, values);
  return tensor;
}

AxisView view_axes(std::span<const std::int64_t> shape, std::int64_t begin, std::int64_t end) {
  AxisView view;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(shape.size()); ++i)
    (i < begin ? view.outer : i < end ? view.size : view.inner) *= shape[index_of(i)];
  return view;
}

AxisView view_axis(std::span<const std::int64_t> shape, std::int64_t axis) { return view_axes(shape, axis, axis + 1); }

Shape broadcast_strides(std::span<const std::int64_t> shape, std::span<const std::int64_t> out) {
  Shape dense = tensor::strides_of(shape), strides(out.size(), 0);
  for (std::size_t i = 0; i < shape.size() && i < out.size(); ++i)
    if (shape[shape.size() - 1 - i] != 1) strides[out.size() - 1 - i] = dense[shape.size() - 1 - i];
  return strides;
}

void copy_run(Tensor& out, std::int64_t to, const Tensor& in, std::int64_t from, std::int64_t count) {
  if (count <= 0) return;
  if (in.dtype() == DType::kString) {
    std::copy_n(in.strings().begin() + from, count, out.strings().begin() + to);
    return;
  }
  const std::size_t size = tensor::size_of(in.dtype());
  std::memcpy(out.bytes().data() + index_of(to) * size, in.bytes().data() + index_of(from) * size,
              index_of(count) * size);
}

void parallel_for(std::int64_t count, double work_per_item, const std::function<void(std::int64_t, std::int64_t)>& f) {
  auto threads = static_cast<std::int64_t>(std::max(1u, std::thread::hardware_concurrency()));
  threads = std::min({threads, count, static_cast<std::int64_t>(static_cast<double>(count) * work_per_item / 2e6) + 1});
  if (threads <= 1) return f(0, count);
  std::vector<std::jthread> workers;
  for (std::int64_t t = 1; t < threads; ++t)
    workers.emplace_back([&, t] { f(count * t / threads, count * (t + 1) / threads); });
  f(0, count / threads);
}

double Random::uniform() {
  const std::uint32_t high = static_cast<std::uint32_t>(twister_()) >> 5, low = static_cast<std::uint32_t>(twister_()) >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

double Random::normal() {  // Marsaglia's polar method: two at a time
  if (kept_) return *std::exchange(kept_, std::nullopt);
  double x, y, square;
  do {
    x = 2 * uniform() - 1;
    y = 2 * uniform() - 1;
    square = x * x + y * y;
  } while (square >= 1 || square == 0);
  const double factor = std::sqrt(-2 * std::log(square) / square);
  kept_ = factor * x;
  return factor * y;
}

}  // namespace xinfer::forge::reference
