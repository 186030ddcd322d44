#include <gtest/gtest.h>

#include "ir/operator.h"
#include "passes/passes.h"

namespace xinfer::passes {
namespace {

// Some models choose a network for the input's size by a condition that is computed: the other one fits no value of it.
TEST(InlineControlFlow, ABranchThatSizesDoNotFitLeavesTheIf) {
  auto graph = ir::parse(R"(graph "g" {
    input %x: float32[?]
    input %c: bool[]
    constant %last = int64[1] {1}
    %y: float32[?] = If(%c) {else_branch = graph "no" {
        capture %x: float32[?] = %x
        capture %last: int64[1] = %last
        %n: float32[?] = Squeeze(%x, %last)
        output %n
      }, then_branch = graph "yes" {
        capture %x: float32[?] = %x
        %r: float32[?] = Relu(%x)
        output %r
      }}
    output %y
  })");
  ASSERT_TRUE(graph) << graph.error().text();
  graph->value(graph->inputs[0]).type = ir::ValueType::of(tensor::DType::kFloat32, tensor::Shape{1, 2});  // known since
  const auto changed = inline_control_flow(*graph);
  ASSERT_TRUE(changed) << changed.error().text();
  ASSERT_EQ(graph->nodes.size(), 1u);
  EXPECT_EQ(graph->nodes[0].op, "If");
}

}  // namespace
}  // namespace xinfer::passes
