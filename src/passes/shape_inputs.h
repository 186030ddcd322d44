// Inputs whose values, not only their sizes, a build must know.
#pragma once
#include <string>
#include <vector>

#include "ir/graph.h"

namespace xinfer::passes {

/// Names of the inputs that decide the shapes (or the code) of nodes that are not static after the passes: axes of a
/// reduction, the shape of a Reshape, the k of TopK. Empty when there are none, or when shapes depend on data otherwise.
std::vector<std::string> shape_inputs(const ir::Graph& graph);

}  // namespace xinfer::passes
