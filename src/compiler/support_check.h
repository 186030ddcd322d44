// Which nodes of a graph have no native code, all of them, and what its owner can do. Internal to src/compiler.
#pragma once
#include <functional>
#include <vector>

#include "compiler/preflight.h"
#include "ir/graph.h"
#include "onnx/import.h"
#include "schedule/schedule.h"

namespace xinfer::compiler {

/// What the importer does not take.
std::vector<Problem> unsupported_operators(const onnx::Survey& survey);

/// Nodes of a graph after the passes that cannot be scheduled, each tried by itself. Nodes behind an unknown size are left
/// out: what they wait for is a problem of its own. `attempt`: makes a schedule for the target.
using Attempt = std::function<base::Result<schedule::Schedule>(const ir::Graph&)>;
std::vector<Problem> unsupported_nodes(const ir::Graph& graph, const Attempt& attempt);

/// Adds to the problem of the same operator and reason, or a new one with its way out.
void add_problem(std::vector<Problem>& problems, std::string op, std::string node, std::string reason);

}  // namespace xinfer::compiler
