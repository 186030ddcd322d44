// Copies of subgraphs into the graph around them.
#pragma once
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "passes/rewriter.h"

namespace xinfer::passes {

/// Values of the graph that is being rewritten, by name: what captures of subgraphs refer to.
class OuterValues {
 public:
  explicit OuterValues(const ir::Graph& graph);
  void add(const std::string& name, ir::ValueId id) { by_name_[name] = id; }
  /// kNoValue when there is none.
  ir::ValueId find(const std::string& name) const;

 private:
  std::unordered_map<std::string, ir::ValueId> by_name_;
};

/// What a node visitor does with each copied node; the same as Rewriter::Visit.
using Visit = Rewriter::Visit;

/// Appends a copy of `body` whose inputs are `arguments`; `visit` sees every copied node (types inferred) and may deal with
/// it. Returns the body's outputs as values of the graph.
[[nodiscard]] base::Result<std::vector<ir::ValueId>> inline_graph(Rewriter& rewriter, OuterValues& outer, const ir::Graph& body,
                                                                  std::span<const ir::ValueId> arguments, const Visit& visit);

}  // namespace xinfer::passes
