// Quantisation and its inverse.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

// Offset into scale and zero point for every element of the input: one number, one per index of an axis, or one per block.
std::vector<std::int64_t> parameter_index(const Call& call) {
  const Tensor &x = call.in(0), &scale = call.in(1);
  std::vector<std::int64_t> index(index_of(x.num_elements()), 0);
  if (scale.num_elements() == 1 || x.rank() == 0) return index;
  const std::int64_t axis = positive_axis(call.integer("axis", 1), x.rank());
  AxisView view = view_axis(x.shape(), axis);
  std::int64_t block = call.integer("block_size", 0);
  if (scale.rank() <= 1) {
    for (std::int64_t i = 0; i < x.num_elements(); ++i) index[index_of(i)] = i / view.inner % view.size;
    return index;
  }
  const std::int64_t blocks = scale.shape()[index_of(axis)];
  if (block <= 0) block = (view.size + blocks - 1) / std::max<std::int64_t>(1, blocks);
  for (std::int64_t i = 0; i < x.num_elements(); ++i) {
    const std::int64_t inner = i % view.inner, at = i / view.inner % view.size, outer = i / (view.inner * view.size);
    index[index_of(i)] = (outer * blocks + at / block) * view.inner + inner;
  }
  return index;
}

Result<void> check_parameters(const Call& call, const std::vector<std::int64_t>& index) {
  for (auto i : index)
    if (i >= call.in(1).num_elements() || (call.has(2) && i >= call.in(2).num_elements()))
      return fail(Code::kInvalidArgument, "scale or zero point has too few elements: {}", call.in(1).num_elements());
  return {};
}

struct Limits {
  double low, high;
};
Limits limits_of(DType dtype) {
  switch (dtype) {
    case DType::kInt2: return {-2, 1};
    case DType::kUint2: return {0, 3};
    case DType::kInt4: return {-8, 7};
    case DType::kUint4: return {0, 15};
    case DType::kInt8: return {-128, 127};
    case DType::kInt16: return {-32768, 32767};
    case DType::kUint16: return {0, 65535};
    case DType::kInt32: return {-2147483648.0, 2147483647.0};
    default: return {0, 255};
  }
}

Values quantize_linear(const Call& call) {
  Tensor out = call.make();
  auto index = parameter_index(call);
  XI_CHECK(check_parameters(call, index));
  auto x = floats(call.in(0)), scale = floats(call.in(1));
  auto zero = call.has(2) ? doubles(call.in(2)) : std::vector<double>(scale.size(), 0.0);
  const bool to_float = is_real(out.dtype()), saturate = call.integer("saturate", 1) != 0;
  const bool half = call.dtype(1) == DType::kFloat16;
  const Limits limits = limits_of(out.dtype());
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    // The division is in the scale's precision: ties decide the result.
    float quotient = x[i] / scale[index_of(index[i])];
    if (half) quotient = tensor::from_float16(tensor::to_float16(quotient));
    const double z = zero[index_of(index[i])];
    if (to_float) y[i] = static_cast<double>(quotient) + z;
    else y[i] = std::clamp(std::nearbyint(static_cast<double>(quotient)) + z, limits.low, limits.high);
  }
  if (to_float && tensor::size_of(out.dtype()) == 1 && out.dtype() != DType::kFloat4E2M1) {
    for (std::size_t i = 0; i < y.size(); ++i)
      out.data<std::uint8_t>()[i] = tensor::to_float8(out.dtype(), static_cast<float>(y[i]), saturate);
  } else {
    store(out, y);
  }
  return result(std::move(out));
}

Values dequantize_linear(const Call& call) {
  Tensor out = call.make();
  auto index = parameter_index(call);
  XI_CHECK(check_parameters(call, index));
  auto x = doubles(call.in(0)), scale = doubles(call.in(1));
  auto zero = call.has(2) ? doubles(call.in(2)) : std::vector<double>(scale.size(), 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = (x[i] - zero[index_of(index[i])]) * scale[index_of(index[i])];
  store(out, x);
  return result(std::move(out));
}

Values dynamic_quantize_linear(const Call& call) {
  auto x = floats(call.in(0));
  float low = 0, high = 0;
  for (float v : x) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  const float scale = high == low ? 1.0f : (high - low) / 255.0f;
  const float zero = std::nearbyint(std::clamp(0.0f - low / scale, 0.0f, 255.0f));
  Tensor out = call.make(0);
  for (std::size_t i = 0; i < x.size(); ++i)
    out.data<std::uint8_t>()[i] =
        static_cast<std::uint8_t>(std::clamp(std::nearbyint(x[i] / scale) + zero, 0.0f, 255.0f));
  Tensor zero_point(DType::kUint8, {});
  zero_point.data<std::uint8_t>()[0] = static_cast<std::uint8_t>(zero);
  return results(std::move(out), Tensor::scalar(scale), std::move(zero_point));
}

}  // namespace

void add_quantized(Entries& e) {
  for (std::string_view name : {"QuantizeLinear", "com.microsoft.QuantizeLinear"}) e.emplace_back(name, quantize_linear);
  for (std::string_view name : {"DequantizeLinear", "com.microsoft.DequantizeLinear"}) e.emplace_back(name, dequantize_linear);
  e.emplace_back("DynamicQuantizeLinear", dynamic_quantize_linear);
}

}  // namespace xinfer::forge::reference
