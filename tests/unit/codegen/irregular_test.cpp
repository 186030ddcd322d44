// Operators with templates of their own, in graphs: on CPUs, and on GPUs by threads alone or by blocks together.
#include <gtest/gtest.h>

#include "run_graph.h"

namespace xinfer::codegen::cpu {
namespace {

using Attributes = std::vector<std::pair<std::string, ir::Attribute>>;

std::int64_t integer(int value) { return value; }

TEST(IrregularGraphs, RecurrentCells) {
  for (const auto& [op, gates] : {std::pair("RNN", 1), std::pair("GRU", 3), std::pair("LSTM", 4)})
    for (bool both : {false, true}) {
      GraphBuilder b;
      const std::int64_t directions = both ? 2 : 1, hidden = 20, inputs = 7;
      ValueId x = b.input({5, 3, inputs});
      Attributes attributes = {{"hidden_size", hidden}, {"direction", std::string(both ? "bidirectional" : "forward")}};
      if (gates == 3) attributes.emplace_back("linear_before_reset", integer(both));
      ValueId y = b.op(op, {x, b.random({directions, gates * hidden, inputs}), b.random({directions, gates * hidden, hidden}),
                            b.random({directions, 2 * gates * hidden})},
                       attributes);
      b.output(y);
      EXPECT_GE(check(b, 1e-4), 1) << op;
    }
}

TEST(IrregularGraphs, Selections) {
  GraphBuilder b;
  ValueId x = b.input({6, 50});
  ir::Node& top = b.node("TopK", {x, b.ints({7})}, 2);
  ValueId values = top.outputs[0], indices = top.outputs[1];
  b.output(values), b.output(indices);
  b.output(b.op("CumSum", {x, b.ints({0})}));
  b.output(b.op("CumSum", {x, b.ints({1})}, {{"reverse", integer(1)}}));
  check(b);
}

// On GPUs by blocks; whole numbers make equals.
TEST(IrregularGraphs, SelectionsFromLongLines) {
  for (std::int64_t axis : {0, 1}) {
    GraphBuilder b;
    ir::Node& top = b.node("TopK", {b.input({axis == 0 ? 300 : 3, axis == 0 ? 2 : 200}, DType::kInt32), b.ints({40})}, 2);
    top.attributes.set("axis", axis);
    top.attributes.set("largest", axis);
    b.output(top.outputs[0]), b.output(top.outputs[1]);
    check(b);
  }
  GraphBuilder b;
  b.output(b.node("TopK", {b.input({1, 129}), b.ints({129})}, 2).outputs[1]);
  check(b);
}

TEST(IrregularGraphs, Scatters) {
  GraphBuilder b;
  ValueId x = b.input({9, 40}), updates = b.input({3, 40});
  Tensor places(DType::kInt64, {3, 40});
  for (std::int64_t i = 0; i < 120; ++i) places.set(i, static_cast<double>((i / 40 * 3 + i % 3) % 9));
  Tensor twice(DType::kInt64, {3, 40});
  for (std::int64_t i = 0; i < 120; ++i) twice.set(i, static_cast<double>(i % 2));
  b.output(b.op("ScatterElements", {x, b.constant(places), updates}, {{"axis", integer(0)}}));
  b.output(b.op("ScatterElements", {x, b.constant(twice), updates},
                {{"axis", integer(0)}, {"reduction", std::string("add")}}));
  Tensor points(DType::kInt64, {3, 1});
  points.set(0, 4), points.set(1, 1), points.set(2, 8);
  b.output(b.op("ScatterND", {x, b.constant(points), updates}));
  check(b);
}

TEST(IrregularGraphs, FourierTransform) {
  GraphBuilder b;
  ValueId x = b.input({2, 30, 1});
  b.output(b.op("DFT", {x}, {{"axis", integer(1)}, {"onesided", integer(1)}}));
  check(b, 1e-4);
}

}  // namespace
}  // namespace xinfer::codegen::cpu
