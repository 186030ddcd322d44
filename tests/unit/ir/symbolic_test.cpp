// Shapes that are formulas: through operators, and through the arithmetic on shapes that exported models carry.
#include <gtest/gtest.h>

#include "ir/operator.h"

namespace xinfer::ir {
namespace {

// The type of the last node's output after inference of the nodes in `body`.
std::string inferred(std::string_view body, std::string_view outputs = "%y") {
  const std::string text = "graph \"g\" {\n  symbol N = 1:2:8\n  symbol H = 32:64:640\n  symbol S = 1:16:512\n" + std::string(body) + "\n  output " +
                           std::string(outputs) + "\n}\n";
  auto graph = parse(text);
  EXPECT_TRUE(graph) << graph.error().text();
  if (!graph) return "";
  auto done = infer_types(*graph);
  EXPECT_TRUE(done) << done.error().text();
  return to_string(graph->value(graph->outputs[0]).type);
}

TEST(Symbolic, ConvolutionsAndPoolsHalveAndKeep) {
  EXPECT_EQ(inferred(R"(  input %x: float32[N,3,H,W]
  input %w: float32[8,3,3,3]
  %y: float32[?] = Conv(%x, %w) {pads = [1, 1, 1, 1], strides = [2, 2]})"),
            "float32[N,8,(H + 1)/2,(W + 1)/2]");
  EXPECT_EQ(inferred(R"(  input %x: float32[N,3,32*H,96]
  %a: float32[?] = MaxPool(%x) {kernel_shape = [2, 2], strides = [2, 2]}
  %y: float32[?] = AveragePool(%a) {kernel_shape = [3, 3], strides = [4, 4], ceil_mode = 1})"),
            "float32[N,3,4*H,12]");
  EXPECT_EQ(inferred(R"(  input %x: float32[N,8,H,W]
  input %w: float32[8,4,2,2]
  %y: float32[?] = ConvTranspose(%x, %w) {strides = [2, 2]})"),
            "float32[N,4,2*H,2*W]");
}

TEST(Symbolic, ReshapeInfersFormulas) {
  EXPECT_EQ(inferred(R"(  input %x: float32[N,S,768]
  constant %shape = int64[4] {0, -1, 12, 64}
  %y: float32[?] = Reshape(%x, %shape))"),
            "float32[N,S,12,64]");
  EXPECT_EQ(inferred(R"(  input %x: float32[N,16,H,2]
  %y: float32[?] = Flatten(%x))"),
            "float32[N,32*H]");
}

// As PyTorch exports view(batch, length, heads, -1).
TEST(Symbolic, TargetsOfReshapeAreComputedFromShapes) {
  EXPECT_EQ(inferred(R"(  input %x: float32[N,S,768]
  constant %zero = int64[] {0}
  constant %one = int64[] {1}
  constant %axis = int64[1] {0}
  constant %heads = int64[2] {12, -1}
  %shape: int64[?] = Shape(%x)
  %n: int64[?] = Gather(%shape, %zero)
  %s: int64[?] = Gather(%shape, %one)
  %n1: int64[?] = Unsqueeze(%n, %axis)
  %s1: int64[?] = Unsqueeze(%s, %axis)
  %target: int64[?] = Concat(%n1, %s1, %heads) {axis = 0}
  %y: float32[?] = Reshape(%x, %target))"),
            "float32[N,S,12,64]");
}

TEST(Symbolic, ArithmeticAndComparisonsOnShapes) {
  EXPECT_EQ(inferred(R"(  input %x: float32[N,S]
  constant %two = int64[2] {2, 2}
  constant %minus = int64[2] {-1, -1}
  constant %ones = int64[2] {1, 1}
  %shape: int64[?] = Shape(%x)
  %twice: int64[?] = Mul(%shape, %two)
  %open: bool[?] = Equal(%twice, %minus)
  %target: int64[?] = Where(%open, %ones, %twice)
  %fill: float32[?] = ConstantOfShape(%target)
  %y: float32[?] = Relu(%fill))"),
            "float32[2*N,2*S]");
}

TEST(Symbolic, SlicesOfTablesAsLongAsTheInput) {
  EXPECT_EQ(inferred(R"(  input %ids: int64[N,S]
  input %positions: int64[1,512]
  constant %starts = int64[1] {0}
  constant %axes = int64[1] {1}
  constant %two = int64[1] {2}
  %shape: int64[?] = Shape(%ids)
  %length: int64[?] = Slice(%shape, %axes, %two)
  %y: int64[?] = Slice(%positions, %starts, %length, %axes))"),
            "int64[1,S]");
}

TEST(Symbolic, ConcatSplitPadAndResize) {
  EXPECT_EQ(inferred(R"(  input %x: float32[N,4,H,8]
  input %z: float32[N,4,S,8]
  %c: float32[?] = Concat(%x, %z) {axis = 2}
  constant %pads = int64[8] {0, 0, 1, 0, 0, 0, 2, 0}
  %p: float32[?] = Pad(%c, %pads)
  constant %scales = float32[4] {1.0, 1.0, 2.0, 1.0}
  %y: float32[?] = Resize(%p, _, %scales))"),
            "float32[N,4,2*H + 2*S + 6,8]");
  EXPECT_EQ(inferred(R"(  input %x: float32[2*H,4]
  %y: float32[?], %b: float32[?] = Split(%x) {axis = 0, num_outputs = 2})"),
            "float32[H,4]");
}

TEST(Symbolic, DifferentSizesDoNotBroadcastSilently) {
  EXPECT_EQ(inferred(R"(  input %x: float32[N,S]
  input %z: float32[N,H]
  %y: float32[?] = Add(%x, %z))"),
            "float32[N,_]");
  EXPECT_EQ(inferred(R"(  input %x: float32[N,1,S]
  input %z: float32[H,S]
  %y: float32[?] = Add(%x, %z))"),
            "float32[N,H,S]");
}

TEST(Symbolic, TextKeepsRangesAndFormulas) {
  const std::string text =
      "graph \"g\" {\n  symbol H = 32:64:640\n  symbol N = 1:2:8\n  input %x: float32[N,min(H, 300),(H + 1)/2]\n"
      "  %y: float32[N,min(H, 300),(H + 1)/2] = Relu(%x)\n  output %y\n}\n";
  auto graph = parse(text);
  ASSERT_TRUE(graph) << graph.error().text();
  EXPECT_EQ(print(*graph), text);
  EXPECT_EQ((*graph->value(graph->inputs[0]).type.dims)[1].size().max(), 300);
}

}  // namespace
}  // namespace xinfer::ir
