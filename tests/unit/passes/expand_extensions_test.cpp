// Operators of other domains: what they are spelled out as computes what their reference functions do.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "forge/reference/reference.h"
#include "ir/operator.h"
#include "passes/passes.h"

namespace xinfer::passes {
namespace {

using forge::reference::Value;
using ir::Attribute;
using ir::Shape;
using tensor::DType;
using tensor::Tensor;
using Ints = std::vector<std::int64_t>;
using Floats = std::vector<float>;
using Texts = std::vector<std::string>;

Attribute number(std::int64_t v) { return v; }
Attribute text(const char* v) { return std::string(v); }

struct Input {
  DType dtype = DType::kFloat32;
  Shape shape;
  double low = -1, high = 1;
  std::vector<double> values;  // instead of random ones
  bool constant = false;
  bool absent = false;
};
Input reals(Shape shape, double low = -1, double high = 1) { return {DType::kFloat32, std::move(shape), low, high}; }
Input bytes(Shape shape) { return {DType::kUint8, std::move(shape), 0, 255.9}; }
Input listed(DType dtype, Shape shape, std::vector<double> values, bool constant = false) {
  return {dtype, std::move(shape), 0, 0, std::move(values), constant};
}
const Input kAbsent{.absent = true};

struct Problem {
  std::string op;
  std::vector<Input> inputs;
  std::vector<std::pair<std::string, Attribute>> attributes;
  int outputs = 1;
};

Tensor make(const Input& input, std::mt19937& random) {
  Tensor tensor(input.dtype, input.shape);
  std::uniform_real_distribution<double> uniform(input.low, input.high);
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.set(i, input.values.empty() ? uniform(random) : input.values[static_cast<std::size_t>(i)]);
  return tensor;
}

// Both ways by the reference functions: the node itself, and the graph that the pass leaves, in which it must not be.
void expect_same(const Problem& problem, bool gone = true) {
  SCOPED_TRACE(problem.op);
  std::mt19937 random(7);
  ir::Graph graph;
  ir::Node node;
  node.op = problem.op;
  for (const auto& [name, value] : problem.attributes) node.attributes.set(name, value);
  std::vector<Value> values;
  for (const Input& input : problem.inputs) {
    if (input.absent) {
      node.inputs.push_back(ir::kNoValue);
      continue;
    }
    Tensor tensor = make(input, random);
    const std::string name = "in" + std::to_string(node.inputs.size());
    if (input.constant) {
      node.inputs.push_back(graph.add_constant(name, std::move(tensor)));
      continue;
    }
    node.inputs.push_back(graph.add_value(name, ir::ValueType::of(input.dtype, input.shape)));
    graph.inputs.push_back(node.inputs.back());
    values.emplace_back(std::move(tensor));
  }
  for (int i = 0; i < problem.outputs; ++i) {
    node.outputs.push_back(graph.add_value("out" + std::to_string(i), {}));
    graph.outputs.push_back(node.outputs.back());
  }
  graph.nodes.push_back(std::move(node));
  auto typed = ir::infer_types(graph);
  ASSERT_TRUE(typed) << typed.error().text();
  const auto wanted = forge::reference::evaluate(graph, values);
  ASSERT_TRUE(wanted) << wanted.error().text();
  const auto changed = expand_extensions(graph);
  ASSERT_TRUE(changed) << changed.error().text();
  ASSERT_TRUE(*changed);
  auto sound = ir::verify(graph);
  ASSERT_TRUE(sound) << sound.error().text();
  typed = ir::infer_types(graph);
  ASSERT_TRUE(typed) << typed.error().text();
  EXPECT_TRUE(!gone || std::ranges::none_of(graph.nodes, [&](const ir::Node& left) { return left.op == problem.op; }));
  const auto got = forge::reference::evaluate(graph, values);
  ASSERT_TRUE(got) << got.error().text();
  for (std::size_t o = 0; o < wanted->size(); ++o) {
    const Tensor &w = *(*wanted)[o].tensor, &g = *(*got)[o].tensor;
    ASSERT_EQ(g.shape(), w.shape()) << "output " << o;
    ASSERT_EQ(g.dtype(), w.dtype()) << "output " << o;
    if (w.dtype() == DType::kString) {
      EXPECT_EQ(g.strings(), w.strings());
      continue;
    }
    const double step = w.dtype() == DType::kUint8 || w.dtype() == DType::kInt8 ? 1 : 0;  // ties may fall either way
    for (std::int64_t i = 0; i < w.num_elements(); ++i)
      ASSERT_NEAR(g.as_double(i), w.as_double(i), step + 1e-5 * (1 + std::fabs(w.as_double(i)))) << "output " << o << " element " << i;
  }
}

const Input kScaleA = listed(DType::kFloat32, {}, {0.02}), kScaleB = listed(DType::kFloat32, {1}, {0.03}), kZero = listed(DType::kUint8, {}, {120}),
            kZeros = listed(DType::kUint8, {1}, {121});

TEST(ExpandExtensions, FusedOperators) {
  expect_same({"com.microsoft.FusedConv",
               {reals({1, 4, 5, 5}), reals({6, 4, 3, 3}), reals({6}), reals({1, 6, 5, 5})},
               {{"pads", Ints{1, 1, 1, 1}}, {"activation", text("LeakyRelu")}, {"activation_params", Floats{0.2f}}}});
  expect_same({"com.microsoft.FusedConv", {reals({1, 4, 5, 5}), reals({6, 4, 3, 3})}, {{"activation", text("Clip")}, {"activation_params", Floats{-0.5f, 0.5f}}}});
  expect_same({"com.microsoft.FusedGemm", {reals({3, 4}), reals({5, 4}), reals({5})}, {{"transB", number(1)}, {"alpha", Attribute(0.5f)}, {"activation", text("Tanh")}}});
  expect_same({"com.microsoft.BiasAdd", {reals({2, 3, 4}), reals({4}), reals({2, 3, 4})}, {}});
  expect_same({"com.microsoft.BiasSplitGelu", {reals({2, 3, 8}), reals({8})}, {}});
  for (const char* metric : {"euclidean", "sqeuclidean"}) expect_same({"com.microsoft.CDist", {reals({3, 4}), reals({5, 4})}, {{"metric", text(metric)}}});
  expect_same({"com.microsoft.FusedMatMul", {reals({2, 4, 3}), reals({2, 5, 4})}, {{"transA", number(1)}, {"transB", number(1)}, {"alpha", Attribute(0.25f)}}});
}

TEST(ExpandExtensions, Quantised) {
  const Input scale_y = listed(DType::kFloat32, {}, {0.05});
  expect_same({"com.microsoft.QLinearConcat", {scale_y, kZero, bytes({2, 3}), kScaleA, kZero, bytes({2, 4}), kScaleB, kZeros}, {{"axis", number(1)}}});
  expect_same({"com.microsoft.QLinearAveragePool",
               {bytes({1, 2, 5, 5}), kScaleA, kZero, scale_y, kZero},
               {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}, {"count_include_pad", number(1)}}});
  expect_same({"com.microsoft.QLinearSoftmax", {bytes({3, 7}), kScaleA, kZero, listed(DType::kFloat32, {}, {1.0 / 256}), listed(DType::kUint8, {}, {0})}, {}});
  const Input columns = listed(DType::kFloat32, {5}, {0.01, 0.02, 0.03, 0.01, 0.02}), of_columns = listed(DType::kUint8, {5}, {1, 2, 130, 4, 5});
  expect_same({"com.microsoft.MatMulIntegerToFloat", {bytes({2, 3, 4}), bytes({4, 5}), kScaleA, columns, kZero, of_columns, reals({5})}, {}});
  expect_same({"com.microsoft.DynamicQuantizeMatMul", {reals({3, 4}), bytes({4, 5}), columns, of_columns, reals({5})}, {}});
  expect_same({"com.microsoft.QGemm",
               {bytes({4, 3}), kScaleA, kZero, bytes({5, 4}), columns, of_columns, listed(DType::kInt32, {5}, {5, -900, 30, 0, 7}), scale_y, kZero},
               {{"transA", number(1)}, {"transB", number(1)}, {"alpha", Attribute(0.5f)}}});
  expect_same({"com.microsoft.QGemm", {bytes({3, 4}), kScaleA, kZero, bytes({4, 5}), columns, of_columns}, {}});
  expect_same({"com.microsoft.QLinearReduceMean", {bytes({2, 3, 4}), kScaleA, kZero, scale_y, kZero}, {{"axes", Ints{1}}, {"keepdims", number(0)}}});
  expect_same({"com.microsoft.QLinearWhere",
               {listed(DType::kBool, {3, 1}, {1, 0, 1}), bytes({3, 4}), kScaleA, kZero, bytes({4}), kScaleB, kZeros, scale_y, kZero}, {}});
  expect_same({"com.microsoft.DequantizeLinear", {bytes({3, 4}), kScaleA, kZero}, {}});
}

TEST(ExpandExtensions, WeightsOfFewBits) {
  auto constant = [](Input input) {
    input.constant = true;
    return input;
  };
  for (int bits : {2, 4, 8}) {
    const std::int64_t blocks = 3, block = 16, k = 40, n = 5;
    expect_same({"com.microsoft.MatMulNBits",
                 {reals({2, 3, k}), constant(bytes({n, blocks, block * bits / 8})), constant(reals({n * blocks})),
                  constant(bytes({n * ((blocks * bits + 7) / 8)})), kAbsent, reals({n})},
                 {{"K", number(k)}, {"N", number(n)}, {"bits", number(bits)}, {"block_size", number(block)}}});
  }
}

TEST(ExpandExtensions, Attention) {
  const std::vector<std::pair<std::string, Attribute>> two = {{"num_heads", number(2)}};
  auto causal = two;
  causal.emplace_back("unidirectional", number(1));
  const Input x = reals({2, 3, 6}), w = reals({6, 24}), bias = reals({24});
  expect_same({"com.microsoft.Attention", {x, w, bias, listed(DType::kInt32, {2, 3}, {1, 1, 0, 1, 1, 1})}, two});
  expect_same({"com.microsoft.Attention", {x, w, bias, listed(DType::kInt32, {2}, {3, 2})}, two});
  expect_same({"com.microsoft.Attention", {x, w, bias, listed(DType::kInt32, {4}, {3, 2, 1, 0}), kAbsent, reals({1, 2, 3, 3})}, two});
  expect_same({"com.microsoft.Attention", {x, w, bias, kAbsent, reals({2, 2, 2, 4, 4})}, causal, 2});
  expect_same({"com.microsoft.QAttention", {bytes({2, 3, 6}), bytes({6, 24}), bias, kScaleA, kScaleB, kAbsent, kZero, kZero, reals({2, 2, 2, 4, 4})}, causal, 2});
  expect_same({"com.microsoft.MultiHeadAttention",
               {x, reals({2, 5, 6}), reals({2, 5, 8}), reals({20}), listed(DType::kInt32, {2, 9}, {1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1}), kAbsent,
                reals({2, 2, 4, 3}), reals({2, 2, 4, 4})},
               two, 3});
  // Across to keys that another network has split.
  expect_same({"com.microsoft.MultiHeadAttention", {x, reals({2, 2, 5, 3}), reals({2, 2, 5, 4}), reals({20})}, two});
}

TEST(ExpandExtensions, GroupQueryAttention) {
  std::vector<std::pair<std::string, Attribute>> a = {{"num_heads", number(4)}, {"kv_num_heads", number(2)}};
  const Input total = listed(DType::kInt32, {1}, {8}, true), first = listed(DType::kInt32, {1}, {3}, true);
  // A prompt, whose second row is shorter.
  expect_same({"com.microsoft.GroupQueryAttention", {reals({2, 3, 16}), reals({2, 3, 8}), reals({2, 3, 8}), kAbsent, kAbsent, listed(DType::kInt32, {2}, {2, 1}), first}, a, 3});
  // Packed, rotated, with a window; rows of different lengths in a cache with room to spare.
  a.emplace_back("do_rotary", number(1));
  a.emplace_back("local_window_size", number(4));
  expect_same({"com.microsoft.GroupQueryAttention",
               {reals({2, 2, 32}), kAbsent, kAbsent, reals({2, 2, 8, 4}), reals({2, 2, 8, 4}), listed(DType::kInt32, {2}, {6, 3}), total, reals({9, 2}), reals({9, 2})},
               a, 3});
  a.emplace_back("softcap", Attribute(1.5f));
  expect_same({"com.microsoft.GroupQueryAttention",
               {reals({1, 1, 16}), reals({1, 1, 8}), reals({1, 1, 8}), reals({1, 2, 7, 4}), reals({1, 2, 7, 4}), listed(DType::kInt32, {1}, {7}), total, reals({9, 2}),
                reals({9, 2}), kAbsent, reals({1, 4, 1, 8})},
               a, 3});
}

TEST(ExpandExtensions, EmbedLayerNormalization) {
  const Input ids = listed(DType::kInt32, {2, 3}, {4, 0, 2, 1, 1, 3}), segments = listed(DType::kInt32, {2, 3}, {0, 0, 1, 0, 1, 1}),
              mask = listed(DType::kInt32, {2, 3}, {1, 1, 0, 1, 0, 0});
  expect_same({"com.microsoft.EmbedLayerNormalization", {ids, segments, reals({5, 6}), reals({7, 6}), reals({2, 6}), reals({6}), reals({6}), mask}, {}, 3});
}

TEST(ExpandExtensions, FeaturesOfClassicalModels) {
  expect_same({"ai.onnx.ml.ArrayFeatureExtractor", {reals({3, 4}), listed(DType::kInt64, {2}, {3, 1})}, {}});
  expect_same({"ai.onnx.ml.ArrayFeatureExtractor", {listed(DType::kInt64, {4}, {5, 6, 7, 8}), listed(DType::kInt64, {1, 2}, {3, 1})}, {}});
  expect_same({"ai.onnx.ml.Binarizer", {reals({3, 4})}, {{"threshold", Attribute(0.1f)}}});
  expect_same({"ai.onnx.ml.Binarizer", {listed(DType::kInt64, {3}, {0, 1, 2})}, {{"threshold", Attribute(0.5f)}}});
  expect_same({"ai.onnx.ml.Scaler", {listed(DType::kInt64, {2, 3}, {1, 2, 3, 4, 5, 6})}, {{"offset", Floats{1, 2, 3}}, {"scale", Floats{0.5f}}}});
  for (const char* norm : {"MAX", "L1", "L2"}) expect_same({"ai.onnx.ml.Normalizer", {listed(DType::kFloat32, {3, 2}, {3, 4, 0, 0, -1, 5})}, {{"norm", text(norm)}}});
  expect_same({"ai.onnx.ml.Imputer", {listed(DType::kFloat32, {2, 2}, {NAN, 1, 2, NAN})}, {{"imputed_value_floats", Floats{7, 8}}, {"replaced_value_float", Attribute(NAN)}}});
  expect_same({"ai.onnx.ml.Imputer", {listed(DType::kInt64, {2, 2}, {-1, 1, 2, -1})}, {{"imputed_value_int64s", Ints{9}}, {"replaced_value_int64", number(-1)}}});
  expect_same({"ai.onnx.ml.OneHotEncoder", {listed(DType::kInt64, {2, 2}, {3, 1, 9, 2})}, {{"cats_int64s", Ints{1, 2, 3}}}});
  expect_same({"ai.onnx.ml.FeatureVectorizer", {reals({2, 3}), listed(DType::kInt64, {2, 1}, {4, 5})}, {{"inputdimensions", Ints{3, 1}}}});
}

TEST(ExpandExtensions, LinearModels) {
  for (const char* mode : {"NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"}) {
    expect_same({"ai.onnx.ml.LinearRegressor",
                 {reals({4, 2})},
                 {{"targets", number(3)}, {"coefficients", Floats{1, 2, -1, 0.5f, 0, 0}}, {"intercepts", Floats{0.1f, 0.2f, 0}}, {"post_transform", text(mode)}}});
    expect_same({"ai.onnx.ml.LinearClassifier",
                 {reals({4, 2})},
                 {{"classlabels_ints", Ints{7, 9}}, {"coefficients", Floats{1, 2}}, {"intercepts", Floats{0.1f}}, {"post_transform", text(mode)}},
                 2});
  }
  expect_same({"ai.onnx.ml.LinearClassifier",
               {reals({4, 2})},
               {{"classlabels_strings", Texts{"a", "b", "c"}}, {"coefficients", Floats{1, 2, -1, 0.5f, 0, 0}}, {"intercepts", Floats{0.1f, 0.2f, 0}}},
               2});
  expect_same({"ai.onnx.ml.LinearRegressor", {reals({4, 2}, 0.1, 0.2)}, {{"coefficients", Floats{1, 2}}, {"post_transform", text("PROBIT")}}});
  for (const char* kind : {"LINEAR", "POLY", "RBF", "SIGMOID"})
    expect_same({"ai.onnx.ml.SVMRegressor",
                 {reals({4, 2})},
                 {{"kernel_type", text(kind)},
                  {"kernel_params", Floats{0.5f, 0.25f, 3}},
                  {"n_supports", number(3)},
                  {"support_vectors", Floats{1, 2, -1, 0.5f, 0.3f, 0}},
                  {"coefficients", Floats{0.5f, -1, 2}},
                  {"rho", Floats{0.25f}}}});
}

std::vector<std::pair<std::string, Attribute>> tree(const std::string& prefix, Ints ids, Floats weights) {
  return {{"nodes_treeids", Ints{0, 0, 0}},           {"nodes_nodeids", Ints{0, 1, 2}},        {"nodes_featureids", Ints{1, 0, 0}},
          {"nodes_modes", Texts{"BRANCH_LT", "LEAF", "LEAF"}}, {"nodes_values", Floats{0.2f, 0, 0}}, {"nodes_truenodeids", Ints{1, 0, 0}},
          {"nodes_falsenodeids", Ints{2, 0, 0}},      {prefix + "_treeids", Ints{0, 0}},       {prefix + "_nodeids", Ints{1, 2}},
          {prefix + "_ids", std::move(ids)},          {prefix + "_weights", std::move(weights)}};
}

TEST(ExpandExtensions, TreesKeepOnlyTheirSums) {
  auto add = [](auto list, std::string name, Attribute value) {
    list.emplace_back(std::move(name), std::move(value));
    return list;
  };
  const Attribute labels = Ints{4, 6}, words = Texts{"no", "yes"};
  for (const char* mode : {"NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"}) {
    for (const Floats& weights : {Floats{0.25f, 0.75f}, Floats{-1, 2}})
      expect_same({"ai.onnx.ml.TreeEnsembleClassifier", {reals({6, 2})}, add(add(tree("class", {1, 1}, weights), "classlabels_int64s", labels), "post_transform", text(mode)), 2});
    expect_same({"ai.onnx.ml.TreeEnsembleClassifier", {reals({6, 2})}, add(add(tree("class", {0, 1}, {2, 3}), "classlabels_strings", words), "post_transform", text(mode)), 2});
  }
  expect_same({"ai.onnx.ml.TreeEnsembleRegressor", {reals({6, 2})}, add(tree("target", {0, 0}, {2, -3}), "post_transform", text("LOGISTIC"))}, false);
}

TEST(ExpandExtensions, WhatAnEngineCannotDoIsRefused) {
  ir::Graph graph;
  ir::Node node{"ai.onnx.ml.OneHotEncoder", "encoder", {graph.add_value("x", ir::ValueType::of(DType::kInt64, Shape{2}))}, {graph.add_value("y", {})}, {}};
  node.attributes.set("cats_int64s", Ints{1, 2});
  node.attributes.set("zeros", std::int64_t{0});
  graph.inputs = node.inputs, graph.outputs = node.outputs;
  graph.nodes.push_back(std::move(node));
  ASSERT_TRUE(ir::infer_types(graph));
  const auto changed = expand_extensions(graph);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, base::Code::kUnsupported);
  EXPECT_NE(changed.error().text().find("OneHotEncoder with zeros = 0"), std::string::npos) << changed.error().text();
}

}  // namespace
}  // namespace xinfer::passes
