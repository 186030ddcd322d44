// Pointwise operators, reductions, normalisations.
#include "generator.h"

namespace xinfer::fuzz {
namespace {

bool real_unary(Generator& g, const std::string& op) {
  g.node(op, {g.operand(g.real_type())});
  return true;
}
bool steep_unary(Generator& g, const std::string& op) {
  g.rounding = Rounding::kSteep;
  return real_unary(g, op);
}
bool jumping_unary(Generator& g, const std::string& op) {
  g.rounding = Rounding::kJumps;
  return real_unary(g, op);
}
bool exact_unary(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  g.node(op, {g.operand(g.number_type())});
  return true;
}
bool sign(Generator& g, const std::string& op) {
  g.rounding = Rounding::kJumps;
  g.node(op, {g.operand(g.number_type())});
  return true;
}
bool parametric(Generator& g, const std::string& op) {
  if (op == "Shrink" || op == "ThresholdedRelu") g.rounding = Rounding::kJumps;
  g.node(op, {g.operand(g.real_type())});
  const auto value = [&] { return static_cast<float>(g.between(1, 12)) / 8; };
  if (op == "Shrink") g.set("lambd", value()), g.set("bias", value());
  else if (g.chance(70)) g.set("alpha", value());
  if (op == "HardSigmoid" && g.chance(50)) g.set("beta", value());
  if (op == "Selu" && g.chance(50)) g.set("gamma", value());
  return true;
}
bool gelu(Generator& g, const std::string& op) {
  g.node(op, {g.operand(g.real_type())});
  if (g.chance(50)) g.set("approximate", std::string("tanh"));
  return true;
}
bool microsoft_unary(Generator& g, const std::string& op) {
  g.node(op, {g.operand(DType::kFloat32)}, 1, "com.microsoft");
  return true;
}
bool bias_gelu(Generator& g, const std::string& op) {
  const Operand x = g.operand(DType::kFloat32, 1);
  if (!Generator::is_spellable({x.dims().back()})) return false;
  g.node(op, {x, g.fresh(DType::kFloat32, {x.dims().back()})}, 1, "com.microsoft");
  return true;
}

void node_of_two(Generator& g, const std::string& op, const Operand& a, const Operand& b) {
  if (g.chance(50)) g.node(op, {a, b});
  else g.node(op, {b, a});
}

bool arithmetic(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  const Operand a = g.operand(g.number_type());
  node_of_two(g, op, a, g.partner(a));
  return true;
}
bool division(Generator& g, const std::string& op) {
  g.rounding = Rounding::kSteep;
  const Operand a = g.operand(op == "Mod" && g.chance(60) ? g.pick({DType::kInt32, DType::kInt64, DType::kInt8}) : g.number_type());
  const bool real = tensor::is_float(a.dtype());
  if (!real || op == "Mod") g.rounding = Rounding::kJumps;
  g.node(op, {a, g.partner(a, Content::kPositive)});
  if (op == "Mod" && (real || g.chance(30))) g.set("fmod", std::int64_t{1});
  return true;
}
bool power(Generator& g, const std::string& op) {
  g.rounding = Rounding::kSteep;
  const Operand a = g.operand(g.real_type());
  g.node(op, {a, g.chance(40) ? g.constant(Tensor::scalar(static_cast<float>(g.between(-2, 3)))) : g.partner(a, Content::kPositive)});
  return true;
}
bool comparison(Generator& g, const std::string& op) {
  g.rounding = Rounding::kJumps;
  const Operand a = g.operand(g.number_type());
  node_of_two(g, op, a, g.partner(a));
  return true;
}
bool logic(Generator& g, const std::string& op) {
  const Operand a = g.operand(DType::kBool);
  g.rounding = Rounding::kExact;
  if (op == "Not") g.node(op, {a});
  else node_of_two(g, op, a, g.partner(a));
  return true;
}
bool bits(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  const bool shift = op == "BitShift";
  const Operand a = g.operand(g.pick(shift ? std::initializer_list<DType>{DType::kUint8, DType::kUint32, DType::kUint64, DType::kUint16}
                                           : std::initializer_list<DType>{DType::kUint8, DType::kInt32, DType::kInt64, DType::kInt8}));
  if (op == "BitwiseNot") {
    g.node(op, {a});
    return true;
  }
  g.node(op, {a, g.partner(a, shift ? Content::kSmall : Content::kGrid)});
  if (shift) g.set("direction", std::string(g.chance(50) ? "LEFT" : "RIGHT"));
  return true;
}
bool variadic(Generator& g, const std::string& op) {
  g.rounding = op == "Mean" ? Rounding::kSmooth : Rounding::kExact;
  const DType dtype = op == "Mean" || op == "Sum" ? g.real_type() : g.number_type();
  std::vector<Operand> inputs{g.operand(dtype)};
  for (std::int64_t i = g.below(4); i > 0; --i) inputs.push_back(g.partner(inputs[0]));
  g.node(op, inputs);
  return true;
}
bool where(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  const Operand condition = g.operand(DType::kBool);
  if (!Generator::is_spellable(condition.dims())) return false;
  const DType dtype = g.number_type();
  const Operand a = g.fresh(dtype, condition.dims());
  g.node(op, {condition, a, g.partner(a)});
  return true;
}
bool clip(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  const Operand x = g.operand(g.opset() < 12 ? DType::kFloat32 : g.number_type());
  if (g.opset() < 11) {
    g.node(op, {x});
    if (g.chance(70)) g.set("min", -1.5f);
    if (g.chance(70)) g.set("max", 1.25f);
    return true;
  }
  std::vector<Operand> inputs{x, {}, {}};
  for (std::size_t i = 1; i < 3; ++i)
    if (g.chance(70)) inputs[i] = g.fresh(x.dtype(), {}, i == 1 ? Content::kGrid : Content::kPositive);
  if (inputs[2].name.empty()) inputs.pop_back();
  g.node(op, inputs);
  return true;
}
bool prelu(Generator& g, const std::string& op) {
  const Operand x = g.operand(g.real_type());
  if (!Generator::is_spellable(x.dims())) return false;
  Dims slope = x.dims();
  for (ir::Dim& dim : slope)
    if (g.chance(50)) dim = ir::Dim(1);
  slope.erase(slope.begin(), slope.begin() + g.below(static_cast<std::int64_t>(slope.size()) + 1));
  g.node(op, {x, g.fresh(x.dtype(), slope)});
  return true;
}
bool cast(Generator& g, const std::string& op) {
  g.rounding = Rounding::kJumps;
  const Operand x = g.operand(g.chance(20) ? DType::kBool : g.number_type());
  g.node(op, {x});
  const DType to = g.chance(20) ? DType::kBool : g.chance(40) ? g.real_type() : g.pick({DType::kInt64, DType::kInt32, DType::kInt16, DType::kInt8});
  g.set("to", static_cast<std::int64_t>(to));
  return true;
}
bool finite(Generator& g, const std::string& op) {
  g.node(op, {g.operand(g.pick({DType::kFloat32, DType::kFloat32, DType::kFloat64}))});
  g.rounding = Rounding::kJumps;
  return true;
}

std::vector<std::int64_t> some_axes(Generator& g, std::int64_t rank) {
  std::vector<std::int64_t> axes;
  for (std::int64_t i = 0; i < rank; ++i)
    if (g.chance(45)) axes.push_back(g.chance(30) ? i - rank : i);
  return axes;
}

bool reduction(Generator& g, const std::string& op) {
  const bool sum = op == "ReduceSum" || op == "ReduceSumSquare" || op == "ReduceL1", order = op == "ReduceMax" || op == "ReduceMin";
  g.rounding = sum || order || op == "ReduceProd" ? Rounding::kExact : Rounding::kSteep;
  const bool logarithm = op.find("Log") != std::string::npos;  // no integer where a sum is not positive
  const Operand x = g.operand(order && g.chance(40) ? g.number_type() : !logarithm && g.chance(10) ? g.pick({DType::kInt32, DType::kInt64}) : g.real_type());
  const auto axes = some_axes(g, x.rank());
  g.node(op, {x});
  if (!axes.empty()) g.axes(axes, op == "ReduceSum" ? 13 : 18);
  if (g.chance(50)) g.set("keepdims", g.below(2));
  if (axes.empty() && g.opset() >= (op == "ReduceSum" ? 13 : 18) && g.chance(30)) g.set("noop_with_empty_axes", std::int64_t{1});
  return true;
}
bool arg_reduction(Generator& g, const std::string& op) {
  g.rounding = Rounding::kJumps;
  const Operand x = g.operand(g.number_type(), 1);
  g.node(op, {x});
  g.set("axis", g.between(-x.rank(), x.rank() - 1));
  if (g.chance(50)) g.set("keepdims", g.below(2));
  if (g.opset() >= 12 && g.chance(40)) g.set("select_last_index", g.below(2));
  return true;
}
bool along_axis(Generator& g, const std::string& op) {
  g.rounding = op == "Hardmax" ? Rounding::kJumps : op == "LpNormalization" ? Rounding::kSteep : Rounding::kSmooth;
  const Operand x = g.operand(g.real_type(), 1);
  g.node(op, {x});
  if (g.chance(70)) g.set("axis", g.between(-x.rank(), x.rank() - 1));
  if (op == "LpNormalization" && g.chance(50)) g.set("p", g.between(1, 2));
  return true;
}
bool cumulative(Generator& g, const std::string& op) {
  g.rounding = Rounding::kExact;
  const Operand x = g.operand(g.pick({DType::kFloat32, DType::kFloat32, DType::kInt32, DType::kInt64, DType::kFloat64}), 1);
  g.node(op, {x, g.constant(Tensor::scalar(g.between(-x.rank(), x.rank() - 1)))});
  if (g.chance(40)) g.set("exclusive", g.below(2));
  if (g.chance(40)) g.set("reverse", g.below(2));
  return true;
}

bool batch_norm(Generator& g, const std::string& op) {
  const Operand x = g.operand(DType::kFloat32, 2);
  if (!Generator::is_static({x.dims()[1]})) return false;
  const Dims channels{x.dims()[1]};
  std::vector<Operand> inputs{x};
  for (int i = 0; i < 3; ++i) inputs.push_back(g.fresh(x.dtype(), channels));
  inputs.push_back(g.fresh(x.dtype(), channels, Content::kPositive));
  g.node(op, inputs);
  if (g.chance(50)) g.set("epsilon", 0.01f);
  return true;
}
bool channel_norm(Generator& g, const std::string& op) {
  g.rounding = Rounding::kSteep;
  const bool groups = op == "GroupNormalization";
  if (groups && g.opset() < 18) return false;
  const Operand x = g.operand(DType::kFloat32, 3);
  if (!Generator::is_static({x.dims()[1]})) return false;
  const std::int64_t channels = x.dims()[1].value;
  std::int64_t group = g.between(1, 3);
  if (groups && (channels == 0 || channels % group != 0)) group = 1;
  const Dims parameters{groups && g.opset() < 21 ? ir::Dim(group) : ir::Dim(channels)};
  g.node(op, {x, g.fresh(x.dtype(), parameters), g.fresh(x.dtype(), parameters)});
  if (groups) g.set("num_groups", group);
  g.set("epsilon", 0.01f);
  return true;
}
bool layer_norm(Generator& g, const std::string& op) {
  g.rounding = Rounding::kSteep;
  if (g.opset() < (op == "RMSNormalization" ? 23 : 17)) return false;
  const Operand x = g.operand(DType::kFloat32, 1);
  const std::int64_t axis = g.below(x.rank());
  const Dims normalized(x.dims().begin() + axis, x.dims().end());
  if (!Generator::is_static(normalized)) return false;
  std::vector<Operand> inputs{x, g.fresh(x.dtype(), normalized)};
  if (op == "LayerNormalization" && g.chance(60)) inputs.push_back(g.fresh(x.dtype(), normalized));
  g.node(op, inputs);
  g.set("axis", g.chance(50) ? axis : axis - x.rank());
  g.set("epsilon", 0.01f);
  return true;
}
bool lrn(Generator& g, const std::string& op) {
  const Operand x = g.operand(DType::kFloat32, 3);
  g.node(op, {x});
  g.set("size", g.pick<std::int64_t>({1, 3, 5, 4}));
  if (g.chance(50)) g.set("alpha", 0.01f), g.set("beta", 0.5f), g.set("bias", 2.0f);
  return true;
}
bool mean_variance(Generator& g, const std::string& op) {
  g.rounding = Rounding::kSteep;
  const Operand x = g.operand(DType::kFloat32, 2, 4);
  g.node(op, {x});
  g.set("axes", std::vector<std::int64_t>{0, x.rank() - 1});
  return true;
}

}  // namespace

void add_elementwise(std::vector<Entry>& entries) {
  for (const char* op : {"Asinh", "Atan", "Cos", "Erf", "HardSwish", "Mish", "Sigmoid", "Sin", "Softplus", "Softsign", "Tanh"})
    entries.push_back({op, real_unary});
  for (const char* op : {"Acos", "Acosh", "Asin", "Atanh", "Cosh", "Exp", "Log", "Reciprocal", "Sinh", "Sqrt", "Tan"})
    entries.push_back({op, steep_unary});
  for (const char* op : {"Ceil", "Floor", "Round"}) entries.push_back({op, jumping_unary});
  for (const char* op : {"Abs", "Neg", "Relu", "Identity"}) entries.push_back({op, exact_unary});
  for (const char* op : {"Elu", "Celu", "Selu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "Shrink"}) entries.push_back({op, parametric});
  for (const char* op : {"Add", "Sub", "Mul"}) entries.push_back({op, arithmetic});
  for (const char* op : {"Div", "Mod"}) entries.push_back({op, division});
  for (const char* op : {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}) entries.push_back({op, comparison});
  for (const char* op : {"And", "Or", "Xor", "Not"}) entries.push_back({op, logic});
  for (const char* op : {"BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitShift"}) entries.push_back({op, bits});
  for (const char* op : {"Max", "Min", "Mean", "Sum"}) entries.push_back({op, variadic});
  for (const char* op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
                         "ReduceLogSumExp", "ReduceSumSquare"})
    entries.push_back({op, reduction});
  for (const char* op : {"ArgMax", "ArgMin"}) entries.push_back({op, arg_reduction});
  for (const char* op : {"Softmax", "LogSoftmax", "Hardmax", "LpNormalization"}) entries.push_back({op, along_axis});
  for (const char* op : {"InstanceNormalization", "GroupNormalization"}) entries.push_back({op, channel_norm});
  for (const char* op : {"LayerNormalization", "RMSNormalization"}) entries.push_back({op, layer_norm});
  for (const char* op : {"Gelu", "FastGelu", "QuickGelu"}) entries.push_back({op, microsoft_unary});
  const Entry single[] = {{"Sign", sign}, {"Gelu", gelu}, {"Pow", power}, {"Where", where}, {"Clip", clip}, {"PRelu", prelu}, {"Cast", cast},
                          {"IsNaN", finite}, {"IsInf", finite}, {"CumSum", cumulative}, {"BatchNormalization", batch_norm}, {"LRN", lrn},
                          {"MeanVarianceNormalization", mean_variance}, {"BiasGelu", bias_gelu}};
  entries.insert(entries.end(), std::begin(single), std::end(single));
}

}  // namespace xinfer::fuzz
