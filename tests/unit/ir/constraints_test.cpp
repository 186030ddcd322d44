// The tables of constraints speak of operators that there are.
#include "ir/constraints.h"

#include <gtest/gtest.h>

#include "ir/operator.h"

namespace xinfer::ir {
namespace {

TEST(Constraints, EveryOperatorIsInTheTable) {
  for (std::string_view op : constrained_operators()) EXPECT_NE(find_operator(op), nullptr) << op;
}

TEST(Constraints, OptionalInputsAndUnknownTypesPass) {
  Graph graph;
  const ValueId x = graph.add_value("x", ValueType::of(DType::kFloat32, {2})), unknown = graph.add_value("u", {});
  EXPECT_TRUE(check_constraints(graph, {"Clip", "n", {x, kNoValue, unknown}, {}, {}}));
  EXPECT_TRUE(check_constraints(graph, {"MyOperator", "n", {x}, {}, {}}));
  EXPECT_FALSE(check_constraints(graph, {"Where", "n", {x, x, x}, {}, {}}));
  EXPECT_EQ(first_opset("Gelu"), 20);
  EXPECT_EQ(first_opset("Relu"), 1);
}

}  // namespace
}  // namespace xinfer::ir
