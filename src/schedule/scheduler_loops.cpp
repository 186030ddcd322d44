// Loops that repeat while running: their states lie in buffers of their own, which the body reads and what follows it writes.
#include <algorithm>

#include "ir/operator.h"
#include "schedule/scheduler.h"

namespace xinfer::schedule {

using base::Result;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

void Scheduler::find_depths() {
  depth_.assign(graph_.values.size(), 0);
  std::size_t depth = 0;
  for (const Node& node : graph_.nodes) {
    if (node.op == ir::kLoopBegin) ++depth;
    if (node.op == ir::kLoopEnd) --depth;
    for (ValueId id : node.outputs)
      if (id != kNoValue) depth_[id] = depth;
  }
}

// What belongs in front of loops that are open goes there; all that lies behind moves.
void Scheduler::insert_launch(engine::Launch launch, std::vector<Argument> arguments, LaunchNote note, const When& when) {
  const bool in_front = when.depth < open_.size();
  const std::size_t at = in_front ? open_[when.depth].range.begin : uses_.size();
  const auto offset = static_cast<std::ptrdiff_t>(at);
  schedule_.plan.launches.insert(schedule_.plan.launches.begin() + offset, std::move(launch));
  schedule_.notes.insert(schedule_.notes.begin() + offset, std::move(note));
  uses_.insert(uses_.begin() + offset, std::move(arguments));
  guards_.insert(guards_.begin() + offset, when.guard);
  if (!in_front) return;
  for (std::size_t i = when.depth; i < open_.size(); ++i) ++open_[i].range.begin;
  for (LoopRange& loop : loops_)
    if (loop.begin >= at) ++loop.begin, ++loop.end;
}

// Puts the first states into their buffers, and what decides whether there is an iteration.
Result<void> Scheduler::begin_loop(std::size_t i) {
  const Node& node = graph_.nodes[i];
  OpenLoop loop;
  for (std::size_t user : users_[node.outputs[0]])
    if (graph_.nodes[user].op == ir::kLoopEnd) loop.end = user;
  const Node& end = graph_.nodes[loop.end];
  for (std::size_t k = 0; k < node.inputs.size(); ++k) {
    const ValueId state = node.outputs[k + 1];
    XI_CHECK(main_place(node.inputs[k]));
    loop.states.push_back(allocate(state, Layout::kPlain, backend_.stored_dtype(graph_, state)));
    XI_CHECK(store_by_loops(node.inputs[k], loop.states.back(), true, true));
    places_[state] = loop.states.back();
  }
  const Place iteration = allocate(node.outputs[0], Layout::kPlain, DType::kInt64);
  places_[node.outputs[0]] = iteration;
  loop.range.iteration = {iteration.buffer, 0, sizeof(std::int64_t), node.outputs[0]};
  if (end.inputs[1] != kNoValue) {
    XI_TRY(const Place trips, materialize(end.inputs[1], Layout::kPlain, DType::kInt64));
    loop.range.limit = {trips.buffer, trips.offset, sizeof(std::int64_t), end.inputs[1]};
  }
  if (end.inputs[2] != kNoValue) {
    XI_CHECK(main_place(end.inputs[2]));
    const Place condition = allocate(end.inputs[2], Layout::kPlain, DType::kBool);
    XI_CHECK(store_by_loops(end.inputs[2], condition, true, true));
    loop.range.condition = {condition.buffer, 0, 1, end.inputs[2]};
  }
  loop.range.depth = open_.size();
  loop.range.begin = uses_.size();
  open_.push_back(std::move(loop));
  return {};
}

// A state that becomes another one, or a part of one, is put aside before any is written.
Result<void> Scheduler::store_states(const Node& node) {
  const std::vector<Place>& states = open_.back().states;
  auto next = [&](std::size_t k) { return node.inputs[ir::kLoopEndStates + k]; };
  auto is_same = [](const Place& a, const Place& b) { return a.buffer == b.buffer && a.offset == b.offset; };
  for (std::size_t k = 0; k < states.size(); ++k) {
    XI_TRY(const Place place, main_place(next(k)));
    const bool is_state = std::ranges::any_of(states, [&](const Place& state) { return state.buffer == place.buffer; });
    if (!is_state || is_same(place, states[k])) continue;
    const Place aside = allocate(next(k), Layout::kPlain, place.storage.dtype);
    XI_CHECK(store_by_loops(next(k), aside, true, true));
    places_[next(k)] = aside;
  }
  for (std::size_t k = 0; k < states.size(); ++k)
    if (!is_same(places_.at(next(k)), states[k])) XI_CHECK(store_by_loops(next(k), states[k], true, true));
  return {};
}

Result<void> Scheduler::end_loop(const Node& node) {
  if (node.inputs[3] != kNoValue) {  // reads states, so it is kept first
    XI_CHECK(main_place(node.inputs[3]));
    Place condition;
    condition.buffer = open_.back().range.condition.buffer;
    condition.storage = {Layout::kPlain, DType::kBool, static_cast<std::int64_t>(buffers_[static_cast<std::size_t>(condition.buffer)].bytes)};
    XI_CHECK(store_by_loops(node.inputs[3], condition, true, true));
  }
  XI_CHECK(store_states(node));
  const std::size_t states = open_.back().states.size();
  for (std::size_t k = 0; k < node.outputs.size(); ++k) {
    if (node.outputs[k] == kNoValue) continue;
    if (k < states) {
      places_[node.outputs[k]] = open_.back().states[k];
      continue;
    }
    XI_TRY(places_[node.outputs[k]], main_place(node.inputs[ir::kLoopEndStates + k]));
    const Node& collects = graph_.nodes[static_cast<std::size_t>(producers_[node.inputs[ir::kLoopEndStates + k]])];
    if (const std::string count = collects.attributes.string("count", ""); !count.empty())
      open_.back().range.symbol = static_cast<std::int64_t>(symbol_place(count));
  }
  LoopRange range = open_.back().range;
  open_.pop_back();
  range.end = uses_.size();
  if (range.begin < range.end) loops_.push_back(range);
  return {};
}

}  // namespace xinfer::schedule
