// Convolutions, products, pools, recurrent cells.
#include <algorithm>

#include "generator.h"

namespace xinfer::fuzz {
namespace {

bool matmul(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  const DType dtype = g.chance(85) ? DType::kFloat32 : g.pick({DType::kFloat64, DType::kFloat16, DType::kInt32});
  const Operand a = g.operand(dtype, 1);
  const ir::Dim k = a.dims().back();
  if (!Generator::is_spellable({k})) return false;
  Dims b{k};
  if (a.rank() == 1 || g.chance(85)) b.push_back(g.random_dims(1)[0]);
  if (b.size() == 2 && a.rank() > 2 && g.chance(50))
    for (std::int64_t i = a.rank() - 3; i >= 0; --i) {
      const ir::Dim& batch = a.dims()[static_cast<std::size_t>(i)];
      b.insert(b.begin(), !Generator::is_spellable({batch}) || g.chance(30) ? ir::Dim(1) : batch);
    }
  g.node(op, {a, g.fresh(dtype, b)});
  return true;
}
bool gemm(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  const DType dtype = g.chance(90) ? DType::kFloat32 : DType::kFloat64;
  const Operand a = g.operand(dtype, 2, 2);
  const bool ta = g.chance(40), tb = g.chance(40);
  const ir::Dim m = a.dims()[ta ? 1 : 0], k = a.dims()[ta ? 0 : 1], n = g.random_dims(1)[0];
  if (!Generator::is_spellable({m, k})) return false;
  std::vector<Operand> inputs{a, g.fresh(dtype, tb ? Dims{n, k} : Dims{k, n})};
  const Dims bias[] = {{}, {n}, {m, n}, {ir::Dim(1), n}, {m, ir::Dim(1)}, {ir::Dim(1)}};
  if (g.opset() < 11 || g.chance(70)) inputs.push_back(g.fresh(dtype, bias[g.below(6)]));
  g.node(op, inputs);
  if (ta) g.set("transA", std::int64_t{1});
  if (tb) g.set("transB", std::int64_t{1});
  if (g.chance(30)) g.set("alpha", 0.5f);
  if (g.chance(30)) g.set("beta", 2.0f);
  return true;
}
bool einsum(Generator& g, const std::string& op) {
  if (g.opset() < 12) return false;
  g.rounding = Rounding::kExact;
  static const char* const kEquations[] = {"ij,jk->ik", "bij,bjk->bik", "ij->ji", "bhid,bhjd->bhij", "ij,ij->i", "i,j->ij", "...ij,jk->...ik", "bij->bj", "ii->i", "ij,kj"};
  const std::string equation = kEquations[g.below(10)];
  std::map<char, ir::Dim> sizes;
  for (char c = 'a'; c <= 'z'; ++c) sizes[c] = g.random_dims(1)[0];
  std::vector<Operand> inputs;
  Dims dims;
  for (char c : equation.substr(0, equation.find("->")) + ",") {
    if (c == ',') inputs.push_back(g.fresh(DType::kFloat32, dims)), dims.clear();
    else if (c != '.') dims.push_back(sizes[c]);
    else if (dims.empty()) dims.emplace_back(2);
  }
  g.node(op, inputs);
  g.set("equation", equation);
  return true;
}

struct WindowSizes {
  std::vector<std::int64_t> kernel, strides, dilations, pads;
};
WindowSizes window(Generator& g, std::int64_t axes, bool dilated) {
  WindowSizes w;
  for (std::int64_t i = 0; i < axes; ++i) {
    w.kernel.push_back(g.between(1, 3)), w.strides.push_back(g.chance(60) ? 1 : g.between(2, 3));
    w.dilations.push_back(dilated && g.chance(25) ? 2 : 1);
  }
  for (std::int64_t i = 0; i < 2 * axes; ++i) w.pads.push_back(g.below(w.kernel[static_cast<std::size_t>(i % axes)]));
  return w;
}
void set_window(Generator& g, const WindowSizes& w, bool padded = true) {
  g.set("kernel_shape", w.kernel);
  if (g.chance(80)) g.set("strides", w.strides);
  if (std::ranges::count(w.dilations, 2) > 0) g.set("dilations", w.dilations);
  const auto how = g.below(10);
  if (how < 6 && padded) g.set("pads", w.pads);
  else if (how < 9) g.set("auto_pad", std::string(g.pick({"SAME_UPPER", "SAME_LOWER", "VALID"})));
}
// [N, C, spatial...] of a rank that windows like.
Operand image(Generator& g, std::int64_t axes, std::int64_t channels) {
  Dims dims{g.random_dims(1)[0], channels};
  for (std::int64_t i = 0; i < axes; ++i) dims.push_back(g.chance(15) ? g.random_dims(1)[0] : ir::Dim(g.between(3, 9)));
  return g.fresh(DType::kFloat32, dims);
}

bool conv(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  const bool transposed = op == "ConvTranspose";
  const std::int64_t axes = g.pick<std::int64_t>({1, 2, 2, 2, 3}), groups = g.chance(65) ? 1 : g.between(2, 4);
  const std::int64_t each = g.between(1, 4), out = g.pick<std::int64_t>({1, 2, 3, 5, 8}), channels = groups * each;
  const Operand x = g.chance(30) ? g.operand(DType::kFloat32, axes + 2, axes + 2) : image(g, axes, channels);
  if (x.dims()[1] != ir::Dim(channels)) return false;
  const WindowSizes w = window(g, axes, true);
  Dims weights = transposed ? Dims{channels, out} : Dims{out * groups, each};
  for (std::int64_t size : w.kernel) weights.emplace_back(size);
  std::vector<Operand> inputs{x, g.fresh(DType::kFloat32, weights)};
  if (g.chance(60)) inputs.push_back(g.fresh(DType::kFloat32, {ir::Dim(out * groups)}));
  g.node(op, inputs);
  set_window(g, w);
  if (groups != 1) g.set("group", groups);
  return true;
}
bool pool(Generator& g, const std::string& op) {
  g.rounding = op == "MaxPool" ? Rounding::kExact : Rounding::kSmooth;
  const std::int64_t axes = g.pick<std::int64_t>({1, 2, 2, 2, 3});
  const Operand x = g.chance(30) ? g.operand(DType::kFloat32, axes + 2, axes + 2) : image(g, axes, g.pick<std::int64_t>({1, 2, 3, 8, 16}));
  const WindowSizes w = window(g, axes, op == "MaxPool" && g.opset() >= 10);
  const bool places = op == "MaxPool" && g.chance(15);
  if (places) g.rounding = Rounding::kJumps;
  g.node(op, {x}, places ? 2 : 1);
  set_window(g, w);
  if (op != "LpPool" && g.opset() >= 10 && g.chance(30)) g.set("ceil_mode", std::int64_t{1});
  if (op == "AveragePool" && g.chance(40)) g.set("count_include_pad", std::int64_t{1});
  if (op == "LpPool" && g.chance(50)) g.set("p", g.between(1, 3));
  return true;
}
bool global_pool(Generator& g, const std::string& op) {
  g.node(op, {g.operand(DType::kFloat32, 3)});
  return true;
}

Operand bytes(Generator& g, const Dims& dims) { return g.fresh(g.pick({DType::kUint8, DType::kInt8}), dims); }
bool integer_product(Generator& g, const std::string& op) {
  if (g.opset() < 10) return false;
  g.rounding = Rounding::kExact;
  const ir::Dim m = g.random_dims(1)[0], k = ir::Dim(g.between(1, 20)), n = ir::Dim(g.between(1, 9));
  const Operand a = bytes(g, {m, k}), b = bytes(g, {k, n});
  std::vector<Operand> inputs{a, b};
  if (g.chance(60)) inputs.push_back(g.fresh(a.dtype(), {}));
  if (inputs.size() == 3 && g.chance(60)) inputs.push_back(g.fresh(b.dtype(), g.chance(50) ? Dims{} : Dims{n}));
  g.node(op, inputs);
  return true;
}
bool integer_conv(Generator& g, const std::string& op) {
  if (g.opset() < 10) return false;
  g.rounding = Rounding::kExact;
  const Operand x = bytes(g, {g.random_dims(1)[0], ir::Dim(3), ir::Dim(6), ir::Dim(5)});
  const WindowSizes w = window(g, 2, false);
  const Operand weights = bytes(g, {ir::Dim(4), ir::Dim(3), ir::Dim(w.kernel[0]), ir::Dim(w.kernel[1])});
  std::vector<Operand> inputs{x, weights};
  if (g.chance(60)) inputs.push_back(g.fresh(x.dtype(), {}));
  g.node(op, inputs);
  set_window(g, w);
  return true;
}
Operand scale(Generator& g) { return g.constant(Tensor::scalar(static_cast<float>(g.pick({0.25, 0.5, 1.0, 2.0})))); }
bool quantize(Generator& g, const std::string& op) {
  if (g.opset() < 10) return false;
  g.rounding = Rounding::kJumps;
  const Operand x = g.operand(DType::kFloat32);
  g.node(op, {x, scale(g), g.fresh(g.pick({DType::kUint8, DType::kInt8}), {})});
  return true;
}
bool dequantize(Generator& g, const std::string& op) {
  if (g.opset() < 10) return false;
  g.rounding = Rounding::kExact;
  const Operand x = g.operand(g.pick({DType::kUint8, DType::kInt8}));
  if (g.chance(50)) g.node(op, {x, scale(g), g.fresh(x.dtype(), {})});
  else g.node(op, {x, scale(g)});
  return true;
}
bool quantized_matmul(Generator& g, const std::string& op) {
  if (g.opset() < 10) return false;
  g.rounding = Rounding::kJumps;
  const ir::Dim m = g.random_dims(1)[0], k = ir::Dim(g.between(1, 20)), n = ir::Dim(g.between(1, 9));
  const Operand a = bytes(g, {m, k}), b = bytes(g, {k, n});
  const Operand a_scale = scale(g), b_scale = scale(g), y_scale = g.constant(Tensor::scalar(16.0f));
  g.node(op, {a, a_scale, g.fresh(a.dtype(), {}), b, b_scale, g.fresh(b.dtype(), {}), y_scale, g.fresh(a.dtype(), {})});
  return true;
}

bool recurrent(Generator& g, const std::string& op) {
  const std::int64_t gates = op == "LSTM" ? 4 : op == "GRU" ? 3 : 1, hidden = g.between(1, 5), features = g.between(1, 5);
  const std::string direction = g.pick({"forward", "reverse", "bidirectional"});
  const ir::Dim directions(direction == "bidirectional" ? 2 : 1);
  const ir::Dim steps = ir::Dim(g.between(1, 5)), batch = ir::Dim(g.between(1, 3));
  const Operand x = g.fresh(DType::kFloat32, {steps, batch, ir::Dim(features)});
  std::vector<Operand> inputs{x, g.fresh(DType::kFloat32, {directions, ir::Dim(gates * hidden), ir::Dim(features)}),
                              g.fresh(DType::kFloat32, {directions, ir::Dim(gates * hidden), ir::Dim(hidden)})};
  if (g.chance(60)) inputs.push_back(g.fresh(DType::kFloat32, {directions, ir::Dim(2 * gates * hidden)}));
  g.node(op, inputs, op == "LSTM" ? 3 : 2);
  g.set("hidden_size", hidden), g.set("direction", direction);
  if (op == "GRU" && g.chance(50)) g.set("linear_before_reset", std::int64_t{1});
  return true;
}

}  // namespace

void add_contractions(std::vector<Entry>& entries) {
  const Entry all[] = {{"MatMul", matmul}, {"MatMul", matmul}, {"Gemm", gemm}, {"Einsum", einsum}, {"Conv", conv}, {"Conv", conv}, {"ConvTranspose", conv},
                       {"AveragePool", pool}, {"MaxPool", pool}, {"LpPool", pool}, {"GlobalAveragePool", global_pool}, {"GlobalMaxPool", global_pool},
                       {"MatMulInteger", integer_product}, {"ConvInteger", integer_conv}, {"QuantizeLinear", quantize}, {"DequantizeLinear", dequantize},
                       {"QLinearMatMul", quantized_matmul}, {"LSTM", recurrent}, {"GRU", recurrent}, {"RNN", recurrent}};
  entries.insert(entries.end(), std::begin(all), std::end(all));
}

}  // namespace xinfer::fuzz
