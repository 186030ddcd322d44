// Ranges of a profile: narrower ones than the engine's.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "ir/graph.h"
#include "tensor/size.h"

namespace xinfer::compiler {

using Ranges = std::map<std::string, std::vector<tensor::Symbol>>;  // of each input's dimensions

/// The ranges of all inputs of `graph`, which has the engine's, with those of the profile in place of them.
/// kInvalidArgument: a range outside of the engine's, or none that is narrower.
[[nodiscard]] base::Result<Ranges> complete_profile(const ir::Graph& graph, const Ranges& profile);

}  // namespace xinfer::compiler
