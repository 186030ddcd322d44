// Before: equal nodes over equal inputs, equal constants. After: one of each.
#include <unordered_map>

#include "passes/passes.h"
#include "passes/rewriter.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

bool is_pure(const Node& node) {
  for (const auto& [name, attribute] : node.attributes)
    if (std::holds_alternative<std::shared_ptr<const Graph>>(attribute)) return false;
  return !node.op.starts_with("Random") && node.op != "Bernoulli" && node.op != "Multinomial";
}

// The first value with the same content, for every constant.
std::vector<ValueId> unify_constants(const Graph& graph) {
  std::unordered_map<std::string, ValueId> first;
  std::vector<ValueId> same(graph.values.size());
  for (ValueId id = 0; id < graph.values.size(); ++id) {
    same[id] = id;
    if (graph.is_constant(id) && !graph.captures.contains(id)) same[id] = first.emplace(ir::digest(*graph.constant(id)), id).first->second;
  }
  return same;
}

}  // namespace

Result<bool> eliminate_common_subexpressions(Graph& graph) {
  const std::vector<ValueId> same = unify_constants(graph);
  std::unordered_map<std::string, std::vector<ValueId>> seen;
  bool merged = false;
  XI_TRY(const bool removed, Rewriter(graph).run([&](Rewriter& rewriter, Node& node) -> Result<bool> {
    for (ValueId& id : node.inputs)
      if (id < same.size() && same[id] != id) id = same[id], merged = true;
    if (!is_pure(node)) return false;
    std::string key = node.op + "(";
    for (ValueId id : node.inputs) key += std::to_string(id) + ",";
    key += ")" + ir::to_string(node.attributes);
    for (ValueId id : node.outputs) key += id == kNoValue ? "_" : "o";
    auto [entry, fresh] = seen.emplace(std::move(key), node.outputs);
    if (fresh) return false;
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNoValue) rewriter.replace(node.outputs[i], entry->second[i]);
    return true;
  }));
  return removed || merged;
}

}  // namespace xinfer::passes
