// Operators of other domains as native code: through the passes, then compiled and compared with the reference functions.
// (What is included keeps its kernels under XI_BINARY_DIR.)
#include "../codegen/run_graph.h"
#include "passes/pass.h"

namespace xinfer::codegen::cpu {
namespace {

using Ints = std::vector<std::int64_t>;
using Floats = std::vector<float>;

std::int64_t integer(int value) { return value; }

Tensor listed(DType dtype, Shape shape, const std::vector<double>& values) {
  Tensor tensor(dtype, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) tensor.set(static_cast<std::int64_t>(i), values[i]);
  return tensor;
}

void check_passed(GraphBuilder& b, double tolerance = 1e-4) {
  auto typed = ir::infer_types(b.graph);
  ASSERT_TRUE(typed) << typed.error().text();
  auto passed = passes::run_pipeline(b.graph);
  ASSERT_TRUE(passed) << passed.error().text();
  check(b, tolerance, {"host"});
}

TEST(Extensions, ClassicalModels) {
  GraphBuilder b;
  const ValueId x = b.input({5, 4}), n = b.input({5, 2}, DType::kInt64);
  const auto output = [&](std::string op, std::vector<ValueId> inputs, std::vector<std::pair<std::string, ir::Attribute>> attributes = {}) {
    b.output(b.op("ai.onnx.ml." + op, std::move(inputs), std::move(attributes)));
  };
  output("ArrayFeatureExtractor", {x, b.ints({3, 1})});
  output("Binarizer", {x}, {{"threshold", 0.1f}});
  output("Scaler", {n}, {{"offset", Floats{1, 2}}, {"scale", Floats{0.5f}}});
  output("Normalizer", {x}, {{"norm", std::string("L2")}});
  output("Imputer", {x}, {{"imputed_value_floats", Floats{7}}, {"replaced_value_float", 0.0f}});
  output("OneHotEncoder", {n}, {{"cats_int64s", Ints{0, 2, 4}}});
  output("FeatureVectorizer", {x, n}, {{"inputdimensions", Ints{4, 2}}});
  output("LabelEncoder", {n}, {{"keys_int64s", Ints{3, 1}}, {"values_floats", Floats{0.5f, 1.5f}}});
  output("LinearRegressor", {x}, {{"coefficients", Floats{1, 2, -1, 0.5f}}, {"post_transform", std::string("LOGISTIC")}});
  output("SVMRegressor", {x},
         {{"kernel_type", std::string("RBF")}, {"kernel_params", Floats{0.5f, 0, 0}}, {"n_supports", integer(2)},
          {"support_vectors", Floats{1, 2, -1, 0.5f, 0, 0, 1, 1}}, {"coefficients", Floats{0.5f, -1}}, {"rho", Floats{0.25f}}});
  ir::Node& linear = b.node("ai.onnx.ml.LinearClassifier", {x}, 2);
  linear.attributes.set("classlabels_ints", Ints{3, 5, 7});
  linear.attributes.set("coefficients", Floats{1, 2, -1, 0.5f, 0, 1, 1, 0, -1, 0, 0, 2});
  linear.attributes.set("post_transform", std::string("SOFTMAX"));
  for (ValueId id : linear.outputs) b.output(id);
  ir::Node& trees = b.node("ai.onnx.ml.TreeEnsembleClassifier", {x}, 2);
  for (auto& [name, value] : std::initializer_list<std::pair<std::string, ir::Attribute>>{
           {"nodes_treeids", Ints{0, 0, 0}}, {"nodes_nodeids", Ints{0, 1, 2}}, {"nodes_featureids", Ints{1, 0, 0}},
           {"nodes_modes", std::vector<std::string>{"BRANCH_LT", "LEAF", "LEAF"}}, {"nodes_values", Floats{0.2f, 0, 0}},
           {"nodes_truenodeids", Ints{1, 0, 0}}, {"nodes_falsenodeids", Ints{2, 0, 0}}, {"class_treeids", Ints{0, 0}},
           {"class_nodeids", Ints{1, 2}}, {"class_ids", Ints{1, 1}}, {"class_weights", Floats{0.25f, 0.75f}}, {"classlabels_int64s", Ints{4, 6}}})
    trees.attributes.set(name, value);
  for (ValueId id : trees.outputs) b.output(id);
  check_passed(b);
}

TEST(Extensions, FusedAndQuantised) {
  GraphBuilder b;
  const ValueId x = b.input({1, 4, 6, 6}), q = b.input({2, 8}, DType::kUint8), real = b.input({2, 8});
  const ValueId scale = b.constant(Tensor::scalar(0.02f)), zero = b.constant(listed(DType::kUint8, {}, {4})), bytes = b.constant(listed(DType::kUint8, {8, 2}, {1, 9, 200, 4, 5, 30, 77, 8, 3, 140, 255, 6, 7, 8, 2, 1}));
  b.output(b.op("com.microsoft.FusedConv", {x, b.random({6, 4, 3, 3}), b.random({6})}, {{"activation", std::string("Relu")}}));
  b.output(b.op("com.microsoft.FusedGemm", {real, b.random({8, 3}), b.random({3})}, {{"activation", std::string("Sigmoid")}}));
  b.output(b.op("com.microsoft.FusedMatMul", {real, b.random({3, 8})}, {{"transB", integer(1)}, {"alpha", 0.5f}}));
  b.output(b.op("com.microsoft.QLinearConcat", {scale, zero, q, scale, zero, q, scale, zero}, {{"axis", integer(0)}}));
  b.output(b.op("com.microsoft.MatMulIntegerToFloat", {q, bytes, scale, scale, zero, zero}));
  b.output(b.op("com.microsoft.DynamicQuantizeMatMul", {real, bytes, scale, zero}));
  b.output(b.op("com.microsoft.QGemm", {q, scale, zero, bytes, scale, zero}));
  b.output(b.op("com.microsoft.MatMulNBits", {real, b.constant(listed(DType::kUint8, {2, 1, 8}, {1, 35, 66, 250, 7, 8, 9, 16, 17, 18, 100, 255, 0, 3, 4, 5})), b.random({2})},
                {{"K", integer(8)}, {"N", integer(2)}, {"bits", integer(4)}, {"block_size", integer(16)}}));
  b.output(b.op("com.microsoft.BiasGelu", {real, b.random({8})}));
  b.output(b.op("com.microsoft.SkipSimplifiedLayerNormalization", {real, real, b.random({8})}));
  check_passed(b);
}

TEST(Extensions, Attention) {
  GraphBuilder b;
  const ValueId x = b.input({2, 3, 8}), cache = b.input({2, 1, 5, 4}), other = b.input({2, 1, 5, 4});
  b.output(b.op("com.microsoft.Attention", {x, b.random({8, 24}), b.random({24})}, {{"num_heads", integer(2)}, {"unidirectional", integer(1)}}));
  b.output(b.op("com.microsoft.MultiHeadAttention", {x, x, x}, {{"num_heads", integer(2)}}));
  ir::Node& group = b.node("com.microsoft.GroupQueryAttention",
                           {x, b.random({2, 3, 4}), b.random({2, 3, 4}), cache, other, b.constant(listed(DType::kInt32, {2}, {7, 5})), b.constant(listed(DType::kInt32, {1}, {8})),
                            b.random({9, 2}), b.random({9, 2})},
                           3);
  group.attributes.set("num_heads", integer(2));
  group.attributes.set("kv_num_heads", integer(1));
  group.attributes.set("do_rotary", integer(1));
  for (ValueId id : group.outputs) b.output(id);
  check_passed(b);
}

}  // namespace
}  // namespace xinfer::codegen::cpu
