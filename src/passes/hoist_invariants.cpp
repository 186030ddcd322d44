// Before: anything between a LoopBegin and its LoopEnd. After: only what depends on the loop; the rest stands in front of it, in
// order, so that it is there once and also where the loop never runs.
#include <algorithm>

#include "ir/operator.h"
#include "passes/passes.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

struct Loop {
  std::size_t begin, end;  // nodes
};

// Outer ones first.
std::vector<Loop> find_loops(const Graph& graph) {
  std::vector<Loop> loops;
  const std::vector<std::int64_t> producers = graph.producers();
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    if (graph.nodes[i].op == ir::kLoopEnd) loops.push_back({static_cast<std::size_t>(producers[graph.nodes[i].inputs[0]]), i});
  std::ranges::sort(loops, {}, &Loop::begin);
  return loops;
}

// Which of the loop's nodes change with it. An inner loop's beginning does if its end does.
std::vector<bool> find_dependent(const Graph& graph, const Loop& loop, const std::vector<Loop>& loops) {
  std::vector<bool> nodes(graph.nodes.size()), values(graph.values.size());
  nodes[loop.begin] = true;
  for (bool again = true; again;) {
    again = false;
    for (std::size_t i = loop.begin; i <= loop.end; ++i) {
      const Node& node = graph.nodes[i];
      nodes[i] = nodes[i] || std::ranges::any_of(node.inputs, [&](ValueId id) { return id != kNoValue && values[id]; });
      if (nodes[i])
        for (ValueId id : node.outputs)
          if (id != kNoValue) values[id] = true;
    }
    for (const Loop& inner : loops)
      if (inner.begin > loop.begin && inner.end < loop.end && nodes[inner.end] && !nodes[inner.begin]) nodes[inner.begin] = again = true;
  }
  return nodes;
}

}  // namespace

Result<bool> hoist_invariants(Graph& graph) {
  bool changed = false;
  for (std::size_t n = 0; n < find_loops(graph).size(); ++n) {
    const std::vector<Loop> loops = find_loops(graph);
    const std::vector<bool> dependent = find_dependent(graph, loops[n], loops);
    std::vector<Node> in_front, inside;
    for (std::size_t i = loops[n].begin; i <= loops[n].end; ++i) (dependent[i] ? inside : in_front).push_back(std::move(graph.nodes[i]));
    changed = changed || !in_front.empty();
    const auto to = graph.nodes.begin() + static_cast<std::ptrdiff_t>(loops[n].begin);
    std::ranges::move(inside, std::ranges::move(in_front, to).out);
  }
  return changed;
}

}  // namespace xinfer::passes
