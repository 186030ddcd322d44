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
  b.output(b.op("com.microsoft.FusedGemm", {real, b.random({8, 3}), b.random({3})}, {{"activation", std::string("Sigmoid")}, {"activation_alpha", 0.5f}}));
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

TEST(Extensions, SupportVectorClassifiers) {
  GraphBuilder b;
  const ValueId x = b.input({5, 3});
  const Floats vectors{-0.507f, 0.088f, 0.148f, -0.974f, -0.567f, -0.441f, 0.833f, 0.531f, -0.681f, 0.594f, -0.722f, 0.235f, -0.747f, -0.996f, 0.743f};
  const auto classifier = [&](const char* kernel, const char* transform, Ints per_class, Floats coefficients, Floats rho, bool probable) {
    ir::Node& node = b.node("ai.onnx.ml.SVMClassifier", {x}, 2);
    for (auto& [name, value] : std::initializer_list<std::pair<std::string, ir::Attribute>>{{"kernel_type", std::string(kernel)}, {"post_transform", std::string(transform)},
             {"kernel_params", Floats{0.7f, 0.3f, 2}}, {"coefficients", coefficients}, {"rho", rho}})
      node.attributes.set(name, value);
    node.attributes.set("classlabels_ints", per_class.size() == 2 ? Ints{4, 6} : Ints{4, 6, 9});
    if (!per_class.empty()) node.attributes.set("vectors_per_class", per_class), node.attributes.set("support_vectors", vectors);
    if (probable) node.attributes.set("prob_a", Floats(rho.size(), -0.6f)), node.attributes.set("prob_b", Floats(rho.size(), 0.2f));
    for (ValueId id : node.outputs) b.output(id);
    return node.outputs[1];
  };
  const Floats two{0.5f, -1, 0.25f, 1, -0.5f}, three{0.246f, 0.484f, -0.59f, 0.885f, 0.48f, -0.845f, -0.942f, -0.069f, 0.887f, 0.298f};
  classifier("RBF", "NONE", {2, 3}, two, {0.1f}, false);
  classifier("LINEAR", "LOGISTIC", {2, 3}, two, {0.1f}, true);
  classifier("POLY", "LOGISTIC", {2, 1, 2}, three, {0.8f, -0.77f, -0.06f}, false);
  classifier("LINEAR", "SOFTMAX", {}, {1, 2, -1, 0, 1, 1, -1, 0, 2}, {0.25f}, false);
  const ValueId scores = classifier("SIGMOID", "NONE", {2, 1, 2}, three, {0.8f, -0.77f, -0.06f}, true);
  b.output(b.op("ai.onnx.ml.ZipMap", {scores}, {{"classlabels_int64s", Ints{4, 6, 9}}}));
  check_passed(b);
}

TEST(Extensions, StandardOperatorsInOtherForms) {
  GraphBuilder b;
  const ValueId x = b.input({4, 2, 3}), rows = b.ints({2, 0, -1}), image = b.input({1, 5, 5, 2}, DType::kUint8);
  const ValueId zero = b.constant(listed(DType::kInt8, {2}, {1, -2})), scale = b.constant(listed(DType::kFloat32, {2}, {0.01, 0.02}));
  std::vector<double> whole(2 * 5 * 20);
  for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<double>((i * 37 + 11) % 255) - 127;
  const auto bytes = [&](Shape shape) { return b.constant(listed(DType::kInt8, shape, {whole.begin(), whole.begin() + tensor::num_elements(shape)})); };
  ir::Node& lstm = b.node("com.microsoft.DynamicQuantizeLSTM", {x, bytes({2, 3, 20}), bytes({2, 5, 20}), ir::kNoValue, ir::kNoValue, ir::kNoValue, ir::kNoValue, ir::kNoValue, scale, zero, scale, zero}, 3);
  lstm.attributes.set("direction", std::string("bidirectional"));
  lstm.attributes.set("hidden_size", integer(5));
  for (ValueId id : lstm.outputs) b.output(id);
  std::vector<double> table(3 * 16);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<double>((i * 91 + 7) % 256);
  const ValueId data = b.constant(listed(DType::kUint8, {3, 16}, table)), scales = b.random({3, 2}), zeros = b.constant(listed(DType::kUint8, {3, 1}, {43, 176, 66}));
  for (const std::vector<ValueId>& inputs : {std::vector{data, rows, scales}, std::vector{data, rows, scales, zeros}})
    b.output(b.op("com.microsoft.GatherBlockQuantized", inputs, {{"bits", integer(4)}, {"block_size", integer(16)}}));
  b.output(b.op("com.microsoft.MatMulBnb4", {x, b.constant(listed(DType::kUint8, {6}, {18, 200, 77, 3, 254, 129})), b.constant(listed(DType::kFloat32, {1}, {0.7}))},
                {{"K", integer(3)}, {"N", integer(4)}, {"block_size", integer(16)}, {"quant_type", integer(1)}}));
  b.output(b.op("com.microsoft.NhwcMaxPool", {image}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}));
  const ValueId one = b.constant(Tensor::scalar(0.05f)), none = b.constant(listed(DType::kUint8, {}, {3}));
  b.output(b.op("com.microsoft.QLinearConv", {image, one, none, bytes({3, 2, 3, 3}), one, b.constant(listed(DType::kInt8, {}, {0})), one, none}, {{"channels_last", integer(1)}}));
  b.output(b.op("com.microsoft.Trilu", {x}, {{"upper", integer(0)}}));
  b.output(b.op("com.microsoft.Pad", {x, b.ints({0, 1, 0, 1, 0, 2})}));
  b.output(b.op("com.microsoft.GatherND", {x, b.constant(listed(DType::kInt64, {2, 2}, {0, 1, 3, 0}))}));
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
