// One evaluation of one node: what the reference functions see, and element access that they share.
#pragma once
#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <random>
#include <utility>

#include "forge/reference/reference.h"
#include "ir/operator.h"

namespace xinfer::forge::reference {

using base::Code;
using base::fail;
using base::Result;
using tensor::DType;
using tensor::Shape;
using Values = Result<std::vector<Value>>;

struct Call {
  const ir::Node& node;
  std::span<const Value* const> inputs;
  const std::vector<ir::ValueType>& types;  // of the outputs, by the shape rule

  bool has(std::size_t i) const { return i < inputs.size() && inputs[i]; }
  const Value& value(std::size_t i) const { return *inputs[i]; }
  const Tensor& in(std::size_t i) const { return *inputs[i]->tensor; }
  DType dtype(std::size_t i) const { return has(i) ? in(i).dtype() : DType::kUndefined; }
  std::size_t num_outputs() const { return types.size(); }
  bool wants(std::size_t output) const { return output < node.outputs.size() && node.outputs[output] != ir::kNoValue; }
  /// A zeroed tensor of output i's type, which the shape rule knew in full.
  Tensor make(std::size_t i = 0) const { return Tensor(types[i].dtype, types[i].shape()); }

  std::int64_t integer(std::string_view name, std::int64_t fallback) const {
    return node.attributes.integer(name, fallback);
  }
  double real(std::string_view name, float fallback) const { return node.attributes.real(name, fallback); }
  std::string text(std::string_view name, std::string_view fallback) const {
    return node.attributes.string(name, fallback);
  }
  std::vector<std::int64_t> integers(std::string_view name, std::vector<std::int64_t> fallback = {}) const {
    return node.attributes.integers(name, std::move(fallback));
  }
};

/// The results in order, for functions with several outputs.
template <class... T>
std::vector<Value> results(T&&... values) {
  std::vector<Value> out;
  (out.emplace_back(std::forward<T>(values)), ...);
  return out;
}
/// The only result.
std::vector<Value> result(Tensor value);

// Elements as numbers. uint64 keeps its bits in the int64.
std::vector<double> doubles(const Tensor& tensor);
std::vector<float> floats(const Tensor& tensor);
std::vector<std::int64_t> ints(const Tensor& tensor);
/// Stores rounded (floats) or truncated (integers) to the tensor's dtype.
void store(Tensor& tensor, std::span<const double> values);
void store(Tensor& tensor, std::span<const std::int64_t> values);
Tensor from_doubles(DType dtype, Shape shape, std::span<const double> values);
Tensor from_ints(DType dtype, Shape shape, std::span<const std::int64_t> values);

inline bool is_real(DType dtype) { return tensor::is_float(dtype); }
inline std::size_t index_of(std::int64_t i) { return static_cast<std::size_t>(i); }

/// axis in [-rank, rank), made non-negative. The shape rule has checked it.
inline std::int64_t positive_axis(std::int64_t axis, std::int64_t rank) { return axis < 0 ? axis + rank : axis; }

/// A shape seen as [outer, axis, inner].
struct AxisView {
  std::int64_t outer = 1, size = 1, inner = 1;
};
AxisView view_axis(std::span<const std::int64_t> shape, std::int64_t axis);
/// As above with axes [begin, end) taken as one.
AxisView view_axes(std::span<const std::int64_t> shape, std::int64_t begin, std::int64_t end);

/// Strides of a tensor of `shape` read at indices of `out`: 0 along broadcast axes.
Shape broadcast_strides(std::span<const std::int64_t> shape, std::span<const std::int64_t> out);

/// Calls f(out_index, offset_0 … offset_N-1) for every index of `shape` in order.
template <std::size_t N, class F>
void for_each_index(const Shape& shape, const std::array<Shape, N>& strides, F&& f) {
  const std::int64_t count = tensor::num_elements(shape);
  if (count == 0) return;
  std::array<std::int64_t, N> offsets{};
  if (shape.empty()) {
    std::apply([&](auto... o) { f(std::int64_t{0}, o...); }, offsets);
    return;
  }
  const std::size_t last = shape.size() - 1;
  std::vector<std::int64_t> index(shape.size(), 0);
  std::array<std::int64_t, N> step;
  for (std::size_t n = 0; n < N; ++n) step[n] = strides[n][last];
  for (std::int64_t i = 0; i < count;) {
    auto inner = offsets;
    for (std::int64_t j = 0; j < shape[last]; ++j, ++i) {
      std::apply([&](auto... o) { f(i, o...); }, inner);
      for (std::size_t n = 0; n < N; ++n) inner[n] += step[n];
    }
    for (std::size_t d = last; d-- > 0;) {
      for (std::size_t n = 0; n < N; ++n) offsets[n] += strides[n][d];
      if (++index[d] < shape[d]) break;
      for (std::size_t n = 0; n < N; ++n) offsets[n] -= strides[n][d] * shape[d];
      index[d] = 0;
    }
  }
}

/// Calls f(copy) with copy(out_index, in_index) moving one element of whatever type the tensors have; an in_index is
/// always in range.
template <class F>
void with_copier(Tensor& out, const Tensor& in, F&& f) {
  if (in.dtype() == DType::kString) {
    auto& to = out.strings();
    const auto& from = in.strings();
    f([&](std::int64_t o, std::int64_t i) { to[index_of(o)] = from[index_of(i)]; });
    return;
  }
  auto typed = [&](auto type) {
    using T = decltype(type);
    T* to = out.data<T>().data();
    const T* from = in.data<T>().data();
    f([to, from](std::int64_t o, std::int64_t i) { to[o] = from[i]; });
  };
  switch (tensor::size_of(in.dtype())) {
    case 1: return typed(std::uint8_t{});
    case 2: return typed(std::uint16_t{});
    case 4: return typed(std::uint32_t{});
    case 8: return typed(std::uint64_t{});
    default: return typed(std::pair<std::uint64_t, std::uint64_t>{});
  }
}

/// Copies `count` consecutive elements.
void copy_run(Tensor& out, std::int64_t to, const Tensor& in, std::int64_t from, std::int64_t count);

/// Runs f(begin, end) over [0, count) split between threads; results must not depend on the split.
void parallel_for(std::int64_t count, double work_per_item, const std::function<void(std::int64_t, std::int64_t)>& f);

/// What the random operators draw from: the Mersenne Twister, seeded and read as NumPy's RandomState does, which the standard's
/// reference implementation uses. The same seed gives the same numbers everywhere.
class Random {
 public:
  explicit Random(std::uint32_t seed) : twister_(seed) {}
  double uniform();  // [0, 1)
  double normal();   // mean 0, standard deviation 1

 private:
  std::mt19937 twister_;
  std::optional<double> kept_;
};

// Rows of each category: name and body.
using Entries = std::vector<std::pair<std::string_view, Body>>;
void add_pointwise(Entries& entries);
void add_movement(Entries& entries);
void add_reduction(Entries& entries);
void add_normalization(Entries& entries);
void add_convolution(Entries& entries);
void add_matmul(Entries& entries);
void add_pooling(Entries& entries);
void add_attention(Entries& entries);
void add_recurrent(Entries& entries);
void add_selection(Entries& entries);
void add_scatter(Entries& entries);
void add_resize(Entries& entries);
void add_sampling(Entries& entries);
void add_signal(Entries& entries);
void add_quantized(Entries& entries);
void add_generators(Entries& entries);
void add_sequences(Entries& entries);
void add_text(Entries& entries);
void add_classical(Entries& entries);
void add_microsoft(Entries& entries);
void add_quantized_microsoft(Entries& entries);

}  // namespace xinfer::forge::reference
