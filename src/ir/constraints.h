// What the ONNX standard says of an operator besides its shape rule: element types of inputs, words that attributes take, sizes
// that must agree, and the operator set that it came with. Asked of what is imported; the compiler's own nodes may do more.
#pragma once
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace xinfer::ir {

/// kInvalidArgument names the input or attribute and what is allowed there. Types and sizes that are not known pass.
[[nodiscard]] base::Result<void> check_constraints(const Graph& graph, const Node& node);
/// The part of it that looks at sizes, numbers in attributes, and constants.
[[nodiscard]] base::Result<void> check_values(const Graph& graph, const Node& node);

/// The first operator set of the default domain that has the operator; 1 where nothing is said.
int first_opset(std::string_view op);

/// Every operator that the tables name, for the test that holds them against the operator table.
std::vector<std::string_view> constrained_operators();

}  // namespace xinfer::ir
