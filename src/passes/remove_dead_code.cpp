// Before: nodes and values that no output depends on. After: none; outputs that nobody reads are omitted.
#include <algorithm>
#include <unordered_map>

#include "ir/operator.h"
#include "passes/passes.h"

namespace xinfer::passes {

using base::Result;
using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

Result<bool> remove_dead_code(Graph& graph) {
  std::unordered_map<std::string_view, ValueId> by_name;
  for (ValueId id = 0; id < graph.values.size(); ++id) by_name.emplace(graph.values[id].name, id);
  std::vector<bool> needed(graph.values.size(), false);
  for (ValueId id : graph.outputs) needed[id] = true;
  std::vector<bool> alive(graph.nodes.size(), false);
  bool changed = false;
  for (std::size_t n = graph.nodes.size(); n-- > 0;) {
    Node& node = graph.nodes[n];
    for (ValueId id : node.outputs) alive[n] = alive[n] || (id != kNoValue && needed[id]);
    if (!alive[n]) continue;
    // Some operators have outputs that cannot be left out.
    const ir::OperatorInfo* info = ir::find_operator(node.op);
    const auto least = static_cast<std::size_t>(std::max(info ? info->min_outputs : 1, 1));
    while (node.outputs.size() > least && (node.outputs.back() == kNoValue || !needed[node.outputs.back()])) {
      // The number of outputs is part of what these compute.
      if (node.op == "Split" || node.op == "Loop" || node.op == "If" || node.op == "Scan" || node.op == ir::kLoopBegin || node.op == ir::kLoopEnd) break;
      node.outputs.pop_back();
      changed = true;
    }
    for (ValueId id : node.inputs)
      if (id != kNoValue) needed[id] = true;
    for (const auto& [name, attribute] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute))
        for (const auto& [id, outside] : (*body)->captures)
          if (auto found = by_name.find(outside); found != by_name.end()) needed[found->second] = true;
  }
  std::vector<Node> kept;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n)
    if (alive[n]) kept.push_back(std::move(graph.nodes[n]));
  changed = changed || kept.size() != graph.nodes.size();
  graph.nodes = std::move(kept);
  const std::size_t values = graph.values.size();
  graph.compact();
  return changed || graph.values.size() != values;
}

}  // namespace xinfer::passes
