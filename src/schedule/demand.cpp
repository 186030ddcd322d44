#include "schedule/demand.h"

#include <algorithm>
#include <iterator>

namespace xinfer::schedule {

using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

namespace {

// More conditions than that would only cost: each is a jump in the plan.
constexpr std::size_t kMaxLiterals = 16;

bool is_choice(const Graph& graph, const Node& node) {
  if (node.op != "Where" || graph.is_constant(node.inputs[0])) return false;
  const ir::ValueType& type = graph.value(node.inputs[0]).type;
  return type.is_static() && tensor::num_elements(type.shape()) == 1 && node.inputs[1] != node.inputs[2];
}

// Needed by one reader under `a` and by another under `b`.
Guard either(const Guard& a, const Guard& b) {
  Guard both;
  std::ranges::set_intersection(a, b, std::back_inserter(both));
  return both;
}

Guard with(Guard guard, Literal literal) {
  const auto at = std::ranges::lower_bound(guard, literal);
  if (guard.size() < kMaxLiterals && (at == guard.end() || *at != literal)) guard.insert(at, literal);
  return guard;
}

}  // namespace

bool implies(const Guard& stronger, const Guard& weaker) { return std::ranges::includes(stronger, weaker); }

Demand find_demand(const Graph& graph) {
  const std::vector<std::int64_t> producers = graph.producers();
  std::vector<std::optional<Guard>> values(graph.values.size());  // nothing: no reader so far
  Demand demand = no_demand(graph);
  auto need = [&](ValueId value, const Guard& guard) { values[value] = values[value] ? either(*values[value], guard) : guard; };
  for (ValueId output : graph.outputs) need(output, {});
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    std::optional<Guard> needed;
    for (ValueId id : node.outputs)
      if (id != kNoValue && values[id]) needed = needed ? either(*needed, *values[id]) : *values[id];
    if (!needed) continue;
    std::erase_if(*needed, [&](const Literal& literal) { return producers[literal.condition] >= static_cast<std::int64_t>(i); });
    demand.nodes[i] = *needed;
    for (ValueId id : node.outputs)
      if (id != kNoValue) values[id] = *needed;
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      if (node.inputs[k] == kNoValue) continue;
      const bool chosen = k > 0 && is_choice(graph, node);
      need(node.inputs[k], chosen ? with(*needed, {node.inputs[0], k == 1}) : *needed);
    }
  }
  for (ValueId id = 0; id < values.size(); ++id)
    if (values[id]) demand.values[id] = *std::move(values[id]);
  demand.conditions.resize(graph.values.size());
  for (const Guard& guard : demand.values)
    for (const Literal& literal : guard) demand.conditions[literal.condition] = true;
  return demand;
}

Demand no_demand(const Graph& graph) { return {std::vector<Guard>(graph.values.size()), std::vector<Guard>(graph.nodes.size()), {}}; }

}  // namespace xinfer::schedule
