#include "passes/shape_inputs.h"

#include <gtest/gtest.h>

#include "ir/operator.h"

namespace xinfer::passes {
namespace {

using Names = std::vector<std::string>;

Names shape_inputs_of(std::string_view text) {
  auto graph = ir::parse(text);
  if (!graph) return {graph.error().text()};
  if (auto typed = ir::infer_types(*graph); !typed) return {typed.error().text()};
  return shape_inputs(*graph);
}

TEST(ShapeInputs, ThoseBehindAReshapeButNotTheData) {
  EXPECT_EQ(shape_inputs_of(R"(graph "g" {
    input %x: float32[2,3]
    input %shape: int64[2]
    input %one: int64[2]
    %sum: int64[2] = Add(%shape, %one)
    %y: float32[?] = Reshape(%x, %sum)
    output %y
  })"), (Names{"one", "shape"}));
}

TEST(ShapeInputs, NoneWhereOnlyTypesMatter) {
  EXPECT_EQ(shape_inputs_of(R"(graph "g" {
    input %x: float32[2,3]
    input %ids: int64[4]
    %rows: float32[4,3] = Gather(%x, %ids) {axis = 0}
    output %rows
  })"), Names{});
}

TEST(ShapeInputs, AnAxisThatLeavesTheShapeAlone) {
  EXPECT_EQ(shape_inputs_of(R"(graph "g" {
    input %x: float32[2,3]
    input %axis: int64[]
    %y: float32[2,3] = CumSum(%x, %axis)
    output %y
  })"), Names{"axis"});
}

}  // namespace
}  // namespace xinfer::passes
