// Searching and sorting, resampling, generators, control flow.
#include "generator.h"

namespace xinfer::fuzz {
namespace {

bool top_k(Generator& g, const std::string& op) {
  g.rounding = Rounding::kJumps;
  const Operand x = g.operand(g.chance(80) ? DType::kFloat32 : g.pick({DType::kInt64, DType::kInt32}), 1);
  const std::int64_t axis = g.between(-x.rank(), x.rank() - 1);
  const ir::Dim& dim = x.dims()[static_cast<std::size_t>(axis < 0 ? axis + x.rank() : axis)];
  const std::int64_t k = g.between(0, dim.is_static() ? dim.value : 1);
  if (g.opset() < 10) return false;
  g.node(op, {x, g.ints({k})}, 2);
  g.set("axis", axis);
  if (g.opset() >= 11 && g.chance(50)) g.set("largest", g.below(2));
  return true;
}
bool non_zero(Generator& g, const std::string& op) {
  g.rounding = Rounding::kJumps;
  g.node(op, {g.operand(g.chance(30) ? DType::kBool : g.pick({DType::kFloat32, DType::kInt64, DType::kInt32}), 1)});
  return true;
}
bool unique(Generator& g, const std::string& op) {
  if (g.opset() < 11) return false;
  g.rounding = Rounding::kJumps;
  const Operand x = g.operand(g.pick({DType::kFloat32, DType::kInt64}), 1, 3);
  g.node(op, {x}, static_cast<int>(g.between(1, 4)));
  if (g.chance(40)) g.set("sorted", g.below(2));
  if (g.chance(40)) g.set("axis", g.between(-x.rank(), x.rank() - 1));
  return true;
}
bool compress(Generator& g, const std::string& op) {
  g.rounding = Rounding::kJumps;
  const Operand x = g.operand(g.number_type(), 1);
  const std::int64_t axis = g.below(x.rank());
  const ir::Dim& dim = x.dims()[static_cast<std::size_t>(axis)];
  if (!dim.is_static()) return false;
  g.node(op, {x, g.fresh(DType::kBool, {ir::Dim(g.between(0, dim.value))})});
  g.set("axis", axis);
  return true;
}

bool resize(Generator& g, const std::string& op) {
  if (g.opset() < 11) return false;
  const std::string mode = g.pick({"nearest", "linear", "cubic"});
  g.rounding = mode == "nearest" ? Rounding::kExact : Rounding::kSmooth;
  const Operand x = g.fresh(DType::kFloat32, {g.random_dims(1)[0], ir::Dim(g.between(1, 3)), ir::Dim(g.between(1, 6)), ir::Dim(g.between(2, 6))});
  if (g.chance(50)) {
    std::vector<float> scales{1, 1, static_cast<float>(g.pick({0.5, 1.0, 2.0, 1.5})), static_cast<float>(g.pick({0.5, 1.0, 2.0, 3.0}))};
    const Operand roi = g.constant(Tensor(DType::kFloat32, {0}));
    g.node(op, {x, roi, g.constant(Tensor::from<float>(DType::kFloat32, {4}, scales))});
  } else {
    if (!x.dims()[0].is_static()) return false;
    const Operand none = g.constant(Tensor(DType::kFloat32, {0}));
    g.node(op, {x, none, none, g.ints({x.dims()[0].value, x.dims()[1].value, g.between(1, 9), g.between(1, 9)})});
  }
  g.set("mode", mode);
  g.set("coordinate_transformation_mode", std::string(g.pick({"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"})));
  if (mode == "nearest" && g.chance(50)) g.set("nearest_mode", std::string(g.pick({"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"})));
  if (mode == "cubic" && g.chance(30)) g.set("exclude_outside", std::int64_t{1});
  return true;
}
bool grid_sample(Generator& g, const std::string& op) {
  if (g.opset() < 16) return false;
  const ir::Dim batch = g.random_dims(1)[0];
  const Operand x = g.fresh(DType::kFloat32, {batch, ir::Dim(2), ir::Dim(g.between(2, 5)), ir::Dim(g.between(2, 5))});
  g.node(op, {x, g.fresh(DType::kFloat32, {batch, ir::Dim(g.between(1, 4)), ir::Dim(g.between(1, 4)), ir::Dim(2)})});
  g.set("mode", std::string(g.opset() < 20 ? "bilinear" : "linear"));
  g.set("padding_mode", std::string(g.pick({"zeros", "border", "reflection"})));
  g.set("align_corners", g.below(2));
  return true;
}

bool range(Generator& g, const std::string& op) {
  if (g.opset() < 11) return false;
  g.rounding = Rounding::kExact;
  const auto number = [&](std::int64_t low, std::int64_t high) { return g.constant(Tensor::scalar(g.between(low, high))); };
  const Operand start = number(-3, 3), limit = number(0, 9);
  g.node(op, {start, limit, number(1, 3)});
  return true;
}
bool constant_of_shape(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  g.node(op, {g.ints({g.between(0, 4), g.between(1, 3)})});
  return true;
}
bool eye_like(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  g.node(op, {g.operand(DType::kFloat32, 2, 2)});
  if (g.chance(60)) g.set("k", g.between(-2, 2));
  return true;
}
bool dropout(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  g.node(op, {g.operand(DType::kFloat32)}, static_cast<int>(g.between(1, 2)));
  return true;
}
bool skip_norm(Generator& g, const std::string& op) {
  g.rounding = Rounding::kSteep;
  const Operand x = g.operand(DType::kFloat32, 3, 3);
  if (!Generator::is_spellable(x.dims()) || !Generator::is_static({x.dims()[2]})) return false;
  std::vector<Operand> inputs{x, g.fresh(DType::kFloat32, x.dims())};
  for (std::int64_t i = g.between(2, 3); i > 0; --i) inputs.push_back(g.fresh(DType::kFloat32, {x.dims()[2]}));
  g.node(op, inputs, 1, "com.microsoft");
  g.set("epsilon", 0.01f);
  return true;
}
bool fused_matmul(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  const Operand a = g.operand(DType::kFloat32, 2, 4);
  const bool ta = g.chance(50), tb = g.chance(50);
  const ir::Dim k = a.dims()[a.dims().size() - (ta ? 2 : 1)], n = g.random_dims(1)[0];
  if (!Generator::is_spellable({k})) return false;
  g.node(op, {a, g.fresh(DType::kFloat32, tb ? Dims{n, k} : Dims{k, n})}, 1, "com.microsoft");
  g.set("transA", std::int64_t{ta}), g.set("transB", std::int64_t{tb});
  g.set("alpha", 0.5f);
  return true;
}

}  // namespace

void add_others(std::vector<Entry>& entries) {
  const Entry all[] = {{"TopK", top_k}, {"NonZero", non_zero}, {"Unique", unique}, {"Compress", compress}, {"Resize", resize},
                       {"GridSample", grid_sample}, {"Range", range}, {"ConstantOfShape", constant_of_shape}, {"EyeLike", eye_like},
                       {"Dropout", dropout}, {"SkipLayerNormalization", skip_norm}, {"FusedMatMul", fused_matmul}};
  entries.insert(entries.end(), std::begin(all), std::end(all));
}

}  // namespace xinfer::fuzz
