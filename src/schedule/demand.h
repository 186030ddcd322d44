// Which values are needed when: what only one side of a choice reads is needed only where the choice falls on it.
#pragma once
#include <compare>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace xinfer::schedule {

/// A bool of one element and what it has to be.
struct Literal {
  ir::ValueId condition = ir::kNoValue;
  bool wanted = true;
  auto operator<=>(const Literal&) const = default;
};
/// All of them must hold; none: always. Sorted.
using Guard = std::vector<Literal>;

bool implies(const Guard& stronger, const Guard& weaker);

/// Nothing that is computed under its guard reads a value whose guard does not hold then, but for a Where, which does not choose
/// that value. A guard's conditions are computed in front of what it guards.
struct Demand {
  std::vector<Guard> values, nodes;
  bool is_condition(ir::ValueId value) const { return value < conditions.size() && conditions[value]; }
  std::vector<bool> conditions;  // the values that guards name; empty: none
};

/// By the Where nodes over a single condition that is not known at build time: an If leaves these (passes/inline_control_flow).
Demand find_demand(const ir::Graph& graph);
/// The same where everything is computed always.
Demand no_demand(const ir::Graph& graph);

}  // namespace xinfer::schedule
