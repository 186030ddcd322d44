// com.microsoft operators that are a standard one behind a change of layout or of weights.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"
#include "forge/reference/kernels.h"
#include "forge/reference/microsoft.h"

namespace xinfer::forge::reference {

Result<Tensor> bnb4_weights(const ir::Node& node, const Tensor& b, const Tensor& largest) {
  // FP4 and NF4 of bitsandbytes: the latter are quantiles of the normal distribution.
  static constexpr double kValues[2][16] = {
      {0, 0.0052083333333, 2.0 / 3, 1, 1.0 / 3, 0.5, 1.0 / 6, 0.25, 0, -0.0052083333333, -2.0 / 3, -1, -1.0 / 3, -0.5, -1.0 / 6, -0.25},
      {-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
       0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1}};
  const std::int64_t k = node.attributes.integer("K", 0), n = node.attributes.integer("N", 0), block = node.attributes.integer("block_size", 64),
                     kind = node.attributes.integer("quant_type", 1);
  if (k <= 0 || n <= 0 || block <= 0 || (kind != 0 && kind != 1) || k > (std::int64_t{1} << 40) / n)
    return fail(Code::kUnsupported, "{} x {} weights in blocks of {} of type {}", k, n, block, kind);
  if (node.attributes.integer("transB", 1) == 0) return fail(Code::kUnsupported, "MatMulBnb4 with transB = 0");
  if (b.dtype() != DType::kUint8 || b.num_elements() < (k * n + 1) / 2 || largest.num_elements() < (k * n + block - 1) / block)
    return fail(Code::kInvalidArgument, "B or the blocks' largest values are too few for {} x {} weights", k, n);
  const auto bytes = b.data<std::uint8_t>();
  Tensor out(DType::kFloat32, {k, n});
  auto weights = out.data<float>();
  for (std::int64_t i = 0; i < k * n; ++i) {
    const int code = i % 2 == 0 ? bytes[index_of(i / 2)] >> 4 : bytes[index_of(i / 2)] & 15;
    weights[index_of(i % k * n + i / k)] = static_cast<float>(kValues[kind][code] * largest.as_double(i / block));
  }
  return out;
}

namespace {

Values matmul_bnb4(const Call& call) {
  XI_TRY(const Tensor weights, bnb4_weights(call.node, call.in(1), call.in(2)));
  const std::int64_t k = weights.shape()[0], n = weights.shape()[1];
  const auto a = doubles(call.in(0)), b = doubles(weights);
  Tensor out = call.make();
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  multiply_matrices(a.data(), b.data(), y.data(), static_cast<std::int64_t>(a.size()) / k, k, n);
  store(out, y);
  return result(std::move(out));
}

Values gather_block_quantized(const Call& call) {
  Tensor out = call.make();
  const auto data = doubles(call.in(0)), scales = doubles(call.in(2));
  const auto rows = call.in(1).as_int64s();
  const bool packed = call.dtype(0) == DType::kUint8 && call.integer("bits", 4) == 4, zeros = call.has(3);
  const std::vector<double> zero = zeros ? doubles(call.in(3)) : std::vector<double>{};
  const std::int64_t count = call.in(0).shape()[0], parts = packed ? 2 : 1, block = call.integer("block_size", 128);
  const std::int64_t row = count > 0 ? static_cast<std::int64_t>(data.size()) / count * parts : 0, width = out.shape().back(),
                     blocks = block > 0 ? (width + block - 1) / block : 0, lines = width > 0 ? row / width : 0;
  if (block < 16 || static_cast<std::int64_t>(scales.size()) != count * lines * blocks) return fail(Code::kInvalidArgument, "{} scales for blocks of {}", scales.size(), block);
  auto part_of = [&](const std::vector<double>& list, std::int64_t line, std::int64_t at, std::int64_t size) {
    if (!packed) return list[index_of(line * size + at)];
    const auto byte = static_cast<std::int64_t>(list[index_of(line * ((size + 1) / 2) + at / 2)]);
    return static_cast<double>(at % 2 == 0 ? byte & 15 : byte >> 4);
  };
  const double middle = call.dtype(0) == DType::kUint8 ? std::exp2(call.integer("bits", 4) - 1) : 0;
  std::vector<double> y;
  for (std::int64_t index : rows) {
    if (index < 0) index += count;
    if (index < 0 || index >= count) return fail(Code::kInvalidArgument, "row {} of {}", index, count);
    for (std::int64_t line = index * lines; line < (index + 1) * lines; ++line)
      for (std::int64_t i = 0; i < width; ++i) {
        const double from = zeros ? part_of(zero, line, i / block, blocks) : middle;
        y.push_back((part_of(data, line, i, width) - from) * scales[index_of(line * blocks + i / block)]);
      }
  }
  store(out, y);
  return result(std::move(out));
}

// Weights [directions, rows, columns] of whole numbers as LSTM's real ones, [directions, columns, rows]; scales and zero points are of
// directions or of their columns.
Tensor real_weights(const Call& call, std::size_t input, std::size_t scale, std::size_t zero) {
  const Tensor& w = call.in(input);
  const std::int64_t directions = w.shape()[0], rows = w.shape()[1], columns = w.shape()[2];
  const auto q = doubles(w), scales = doubles(call.in(scale)), zeros = doubles(call.in(zero));
  auto of = [&](const std::vector<double>& list, std::int64_t d, std::int64_t c) {
    return list[index_of(list.size() == index_of(directions) ? d : d * columns + c) % list.size()];
  };
  std::vector<double> real(q.size());
  for (std::int64_t d = 0; d < directions; ++d)
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c)
        real[index_of((d * columns + c) * rows + r)] = (q[index_of((d * rows + r) * columns + c)] - of(zeros, d, c)) * of(scales, d, c);
  return from_doubles(DType::kFloat32, {directions, columns, rows}, real);
}

Values dynamic_quantize_lstm(const Call& call) {
  const Tensor w = real_weights(call, 1, 8, 9), r = real_weights(call, 2, 10, 11);
  std::vector<const Tensor*> inputs{&call.in(0), &w, &r};
  for (std::size_t i = 3; i < 8; ++i) inputs.push_back(call.has(i) ? &call.in(i) : nullptr);
  return standard_all("LSTM", inputs, call.node.attributes, call.num_outputs());
}

// With the axes of the data in the standard's order, and back.
Values channels_first(const Call& call, std::string op) {
  const std::int64_t rank = call.in(0).rank();
  std::vector<std::int64_t> there{0, rank - 1}, back{0};
  for (std::int64_t i = 1; i + 1 < rank; ++i) there.push_back(i), back.push_back(i + 1);
  back.push_back(1);
  ir::Attributes order, reverse, attributes = call.node.attributes;
  order.set("perm", there), reverse.set("perm", back);
  attributes.erase("channels_last");
  XI_TRY(const Tensor x, standard("Transpose", {&call.in(0)}, order));
  std::vector<const Tensor*> inputs{&x};
  for (std::size_t i = 1; i < call.node.inputs.size(); ++i) inputs.push_back(call.has(i) ? &call.in(i) : nullptr);
  XI_TRY(const Tensor y, standard(std::move(op), inputs, attributes));
  XI_TRY(Tensor out, standard("Transpose", {&y}, reverse));
  return result(std::move(out));
}

Values nhwc_max_pool(const Call& call) { return channels_first(call, "MaxPool"); }

Values same_standard(const Call& call) {
  std::vector<const Tensor*> inputs;
  for (std::size_t i = 0; i < call.node.inputs.size(); ++i) inputs.push_back(call.has(i) ? &call.in(i) : nullptr);
  ir::Attributes attributes = call.node.attributes;
  attributes.erase("channels_last");
  return standard_all(call.node.op.substr(call.node.op.rfind('.') + 1), inputs, attributes, call.num_outputs());
}

Values qlinear_conv(const Call& call) { return call.integer("channels_last", 0) != 0 ? channels_first(call, "QLinearConv") : same_standard(call); }

}  // namespace

void add_layers_microsoft(Entries& e) {
  e.emplace_back("com.microsoft.DynamicQuantizeLSTM", dynamic_quantize_lstm);
  e.emplace_back("com.microsoft.GatherBlockQuantized", gather_block_quantized);
  e.emplace_back("com.microsoft.MatMulBnb4", matmul_bnb4);
  e.emplace_back("com.microsoft.NhwcMaxPool", nhwc_max_pool);
  e.emplace_back("com.microsoft.QLinearConv", qlinear_conv);
  for (std::string_view name : {"com.microsoft.Trilu", "com.microsoft.Pad", "com.microsoft.GatherND", "com.microsoft.Range"}) e.emplace_back(name, same_standard);
}

}  // namespace xinfer::forge::reference
