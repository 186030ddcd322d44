// Contractions with fused epilogues, blocked layouts, views and in-place concatenations, against the reference functions.
#include <algorithm>

#include "run_graph.h"

namespace xinfer::codegen::cpu {
namespace {

using Ints = std::vector<std::int64_t>;
using Attributes = std::vector<std::pair<std::string, ir::Attribute>>;

ValueId conv(GraphBuilder& b, ValueId x, std::int64_t in, std::int64_t out, std::int64_t kernel, Attributes more = {}) {
  Attributes attributes = {{"kernel_shape", Ints{kernel, kernel}}, {"pads", Ints(4, kernel / 2)}};
  attributes.insert(attributes.end(), more.begin(), more.end());
  return b.op("Conv", {x, b.random({out, in, kernel, kernel}, 0.2f), b.random({out})}, attributes);
}

TEST(Contractions, ConvolutionWithActivationAndResidualIsOneKernel) {
  GraphBuilder b;
  ValueId x = b.input({1, 3, 14, 18});
  ValueId y = b.op("Relu", {conv(b, x, 3, 24, 3)});
  ValueId z = conv(b, y, 24, 24, 3);
  z = b.op("Add", {z, y});
  z = b.op("Mul", {z, b.op("Sigmoid", {z})});
  b.output(b.op("ReduceMean", {z, b.ints({2, 3})}));
  // First convolution, second with its epilogue, mean (and for AVX-512 nothing more).
  EXPECT_LE(check(std::move(b), 1e-4), 4);
}

TEST(Contractions, SqueezeAndExcitation) {
  GraphBuilder b;
  ValueId x = conv(b, b.input({1, 8, 9, 11}), 8, 40, 1);
  ValueId s = b.op("GlobalAveragePool", {x});
  s = b.op("Relu", {conv(b, s, 40, 10, 1)});
  s = b.op("HardSigmoid", {conv(b, s, 10, 40, 1)});
  ValueId y = conv(b, b.op("Mul", {x, s}), 40, 12, 3);
  b.output(b.op("Transpose", {y}, {{"perm", Ints{0, 2, 3, 1}}}));
  check(std::move(b), 1e-4);
}

TEST(Contractions, ChannelsThatDoNotFillBlocks) {
  GraphBuilder b;
  ValueId x = b.input({2, 5, 8, 8});
  ValueId y = conv(b, x, 5, 7, 3), z = conv(b, x, 5, 30, 1);
  ValueId all = b.op("Concat", {b.op("Relu", {y}), z, y}, {{"axis", std::int64_t{1}}});
  b.output(conv(b, b.op("Tanh", {all}), 44, 3, 1));
  b.output(b.op("PRelu", {z, b.random({30, 1, 1})}));
  check(std::move(b), 1e-4);
}

TEST(Contractions, ConcatenationsAreComputedInPlace) {
  GraphBuilder b;
  ValueId x = b.input({1, 16, 10, 10});
  ValueId p = b.op("Relu", {conv(b, x, 16, 32, 1)});
  ValueId q = b.op("Relu", {conv(b, p, 32, 16, 3)});
  ValueId inner = b.op("Concat", {p, q}, {{"axis", std::int64_t{1}}});
  ValueId r = conv(b, inner, 48, 16, 1);
  ValueId outer = b.op("Concat", {inner, r}, {{"axis", std::int64_t{1}}});
  b.output(conv(b, outer, 64, 8, 1));
  // Four convolutions and at most a reordering at each end.
  EXPECT_LE(check(std::move(b), 1e-4), 6);
}

TEST(Contractions, SplitChannelsAreViews) {
  GraphBuilder b;
  ValueId x = conv(b, b.input({1, 4, 6, 6}), 4, 64, 1);
  ir::Node& split = b.node("Split", {x, b.ints({32, 32})}, 2);
  split.attributes.set("axis", std::int64_t{1});
  std::vector<ValueId> parts = split.outputs;
  b.output(conv(b, parts[0], 32, 8, 1));
  b.output(conv(b, parts[1], 32, 8, 3));
  check(std::move(b), 1e-4);
}

TEST(Contractions, Attention) {
  GraphBuilder b;
  ValueId x = b.input({2, 10, 32});
  auto heads = [&](Ints order) {
    ValueId y = b.op("Add", {b.op("MatMul", {x, b.random({32, 32}, 0.3f)}), b.random({32})});
    return b.op("Transpose", {b.op("Reshape", {y, b.ints({2, 10, 4, 8})})}, {{"perm", order}});
  };
  ValueId q = heads({0, 2, 1, 3}), k = heads({0, 2, 3, 1}), v = heads({0, 2, 1, 3});
  ValueId scores = b.op("Softmax", {b.op("Mul", {b.op("MatMul", {q, k}), b.constant(Tensor::scalar(0.35f))})});
  ValueId y = b.op(
      "Reshape", {b.op("Transpose", {b.op("MatMul", {scores, v})}, {{"perm", Ints{0, 2, 1, 3}}}), b.ints({2, 10, 32})});
  y = b.op("Add", {y, x});
  y = b.op("LayerNormalization", {y, b.random({32}), b.random({32})});
  b.output(b.op("Gelu", {b.op("MatMul", {y, b.random({32, 48}, 0.3f)})}));
  check(std::move(b), 1e-4);
}

TEST(Contractions, GemmInAllForms) {
  for (bool column : {false, true}) {
    GraphBuilder b;
    ValueId x = b.input({6, 20});
    ValueId c = column ? b.random({6, 1}) : b.random({9});
    b.output(b.op("Relu", {b.op("Gemm", {x, b.random({9, 20}), c},
                                {{"transB", std::int64_t{1}}, {"alpha", 0.5f}, {"beta", 2.0f}})}));
    b.output(b.op("Gemm", {b.op("Transpose", {x}), b.random({20, 5})}, {{"transA", std::int64_t{1}}}));
    check(std::move(b), 1e-4, {"host"});
  }
}

TEST(Contractions, PoolsAndTransposedConvolutions) {
  GraphBuilder b;
  ValueId x = conv(b, b.input({1, 4, 12, 13}), 4, 20, 3);
  ValueId y = b.op("MaxPool", {x}, {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}});
  b.output(b.op("AveragePool", {b.op("Relu", {y})},
                {{"kernel_shape", Ints{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}}));
  b.output(b.op("Sigmoid", {b.op("ConvTranspose", {y, b.random({20, 1, 2, 2})}, {{"strides", Ints{2, 2}}})}));
  b.output(b.op("Conv", {b.input({1, 6, 40}), b.random({5, 6, 3})}, {{"pads", Ints{1, 1}}}));
  check(std::move(b), 1e-4);
}

TEST(Contractions, UnsupportedNodesAreReportedTogether) {
  GraphBuilder b;
  ValueId x = b.input({1, 2, 4, 4}, DType::kFloat64);
  b.output(b.op("Conv", {x, b.constant(Tensor(DType::kFloat64, {2, 2, 1, 1}))}));
  b.output(b.op("Relu", {b.op("Conv", {x, b.constant(Tensor(DType::kFloat64, {3, 2, 1, 1}))})}));
  ASSERT_TRUE(ir::infer_types(b.graph));
  auto made = schedule::make_schedule(b.graph, *(*target::find("x86-64-v3"))->isa);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, base::Code::kUnsupported);
  EXPECT_EQ(std::ranges::count(made.error().message, '\n'), 1) << made.error().message;
}

TEST(Contractions, SymbolicShapesAreRefusedWithAdvice) {
  GraphBuilder b;
  ValueId x = b.graph.add_value("x", {});
  b.graph.value(x).type.dtype = DType::kFloat32;
  b.graph.value(x).type.dims = std::vector<ir::Dim>{ir::Dim("N"), ir::Dim(3)};
  b.graph.inputs.push_back(x);
  b.output(b.op("Relu", {x}));
  ASSERT_TRUE(ir::infer_types(b.graph));
  auto made = schedule::make_schedule(b.graph, *(*target::find("x86-64-v3"))->isa);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, base::Code::kUnsupported);
  EXPECT_NE(made.error().message.find("give the sizes"), std::string::npos);
}

}  // namespace
}  // namespace xinfer::codegen::cpu
