// Evaluation of nodes whose inputs are known at build time, by the reference functions.
#pragma once
#include <memory>

#include "base/error.h"
#include "ir/graph.h"

namespace xinfer::passes {

/// Gives the node's outputs constants if its inputs have some (or if only their shapes matter) and the result is not
/// needlessly large. True if all outputs became constants. The node's types are inferred.
[[nodiscard]] base::Result<bool> fold_node(ir::Graph& graph, const ir::Node& node);

/// The first output of a node whose inputs are constants, however large; null where it cannot be evaluated.
std::shared_ptr<const tensor::Tensor> evaluate_node(const ir::Graph& graph, const ir::Node& node);

}  // namespace xinfer::passes
