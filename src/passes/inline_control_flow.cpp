// Before: If, Loop, Scan, sequences and optionals. After: If over a constant is its branch, If over data is both branches and
// a Where (by which the scheduler finds what to leave out), loops of known length are unrolled, a loop that data may end earlier keeps its values from there on by Wheres; for back ends that
// have loops, those that are long or that data ends are LoopBegin, the body and LoopEnd;
// sequences of known length are the values in them, also as graph outputs. What stays is left to be refused by the back end.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <span>

#include "passes/fold_constants.h"
#include "passes/formula.h"
#include "passes/passes.h"
#include "passes/sequence_values.h"

namespace xinfer::passes {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

constexpr std::int64_t kMaxIterations = 4096;
constexpr std::size_t kMaxUnrolledNodes = 50'000;
constexpr std::size_t kMaxSelectedNodes = 5'000;  // of loops that data may end: what comes after their end is computed too
constexpr std::int64_t kMaxUnrolled = 512;  // nodes of a loop that is unrolled although the back end has loops
constexpr std::int64_t kInnerLoop = 64;     // what a loop in the body counts for there
constexpr int kMaxDepth = 16;

class ControlFlow {
 public:
  ControlFlow(const Graph& graph, bool has_loops) : has_loops_(has_loops), outer_(graph) {}

  Result<bool> visit(Rewriter& rewriter, Node& node) {
    XI_CHECK(ir::infer_node_types(rewriter.graph(), node));
    XI_TRY(const bool folded, fold_node(rewriter.graph(), node));
    if (folded) return true;
    const Visit again = [this](Rewriter& r, Node& n) { return visit(r, n); };
    XI_TRY(const bool resolved, sequences_.visit(rewriter, outer_, node, again));
    if (resolved) return true;
    if (depth_ > kMaxDepth) return false;
    ++depth_;
    auto tried = expand(rewriter, node, again);
    --depth_;
    XI_TRY(const bool expanded, std::move(tried));
    if (!expanded) XI_CHECK(put_together_inputs(rewriter, node));
    return expanded;
  }

  Result<void> take_outputs_apart(Rewriter& rewriter) {
    std::vector<ValueId> outputs;
    for (ValueId id : rewriter.graph().outputs) XI_CHECK(sequences_.take_apart(rewriter, id, outputs));
    rewriter.graph().outputs = std::move(outputs);
    for (ValueId id : rewriter.graph().outputs) XI_CHECK(sequences_.put_together(rewriter, rewriter.current(id)));
    return {};
  }

 private:
  // A node that stays reads whole sequences, captured ones too.
  Result<void> put_together_inputs(Rewriter& rewriter, const Node& node) {
    for (ValueId id : node.inputs)
      if (id != kNoValue) XI_CHECK(sequences_.put_together(rewriter, rewriter.current(id)));
    for (const auto& [name, attribute] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute))
        for (const auto& [inner, outside] : (*body)->captures)
          if (const ValueId id = outer_.find(outside); id != kNoValue) XI_CHECK(sequences_.put_together(rewriter, rewriter.current(id)));
    return {};
  }

  Result<bool> expand(Rewriter& rewriter, Node& node, const Visit& again) {
    if (node.op == "Identity" && rewriter.type(node.inputs[0]).kind != ir::ValueType::Kind::kTensor) {
      rewriter.replace(node.outputs[0], node.inputs[0]);
      return true;
    }
    if (node.op == "If") return expand_if(rewriter, node, again);
    if (node.op != "Loop" && node.op != "Scan") return false;
    const std::size_t mark = rewriter.mark();
    const bool loop = node.op == "Loop";
    if (has_loops_) {
      if (is_short(rewriter, node)) {
        XI_TRY(const bool unrolled, loop ? unroll_loop(rewriter, node, false, again) : unroll_scan(rewriter, node, again));
        if (unrolled) return true;
        rewriter.rewind(mark);
      }
      XI_TRY(const bool kept, loop ? repeat_loop(rewriter, node, again) : repeat_scan(rewriter, node, again));
      if (kept) return true;
      rewriter.rewind(mark);
    }
    XI_TRY(const bool unrolled, loop ? unroll_loop(rewriter, node, true, again) : unroll_scan(rewriter, node, again));
    if (!unrolled) rewriter.rewind(mark);
    return unrolled;
  }

  // Few nodes once it is unrolled, whose number does not depend on data.
  static bool is_short(const Rewriter& rewriter, const Node& node) {
    const auto graph = body(node, "body");
    if (graph == nullptr) return false;
    std::int64_t trips = -1;
    if (node.op == "Loop" && has_input(node, 0)) {
      if (const Tensor* count = rewriter.constant(node.inputs[0])) trips = std::max<std::int64_t>(0, count->as_int64(0));
    } else if (node.op == "Scan" && !node.inputs.empty()) {
      const auto& dims = rewriter.type(node.inputs.back()).dims;
      if (dims)
        for (const ir::Dim& dim : *dims) trips = std::max(trips, dim.value);  // whichever axis it is
    }
    std::int64_t nodes = 0;
    for (const Node& inner : graph->nodes) nodes += inner.op == "Loop" || inner.op == "Scan" ? kInnerLoop : 1;
    return trips >= 0 && trips <= kMaxUnrolled && trips * nodes <= kMaxUnrolled;
  }

  static std::shared_ptr<const Graph> body(const Node& node, std::string_view name) {
    const auto* graph = node.attributes.get<std::shared_ptr<const Graph>>(name);
    return graph == nullptr ? nullptr : *graph;
  }

  static void replace_all(Rewriter& rewriter, const Node& node, const std::vector<ValueId>& results) {
    for (std::size_t i = 0; i < node.outputs.size() && i < results.size(); ++i)
      if (node.outputs[i] != kNoValue) rewriter.replace(node.outputs[i], results[i]);
  }

  Result<bool> expand_if(Rewriter& rewriter, Node& node, const Visit& again) {
    const auto yes = body(node, "then_branch"), no = body(node, "else_branch");
    if (yes == nullptr || no == nullptr) return false;
    if (const Tensor* condition = rewriter.constant(node.inputs[0])) {
      XI_TRY(const auto results, inline_graph(rewriter, outer_, condition->as_int64(0) != 0 ? *yes : *no, {}, again));
      replace_all(rewriter, node, results);
      return true;
    }
    const std::size_t mark = rewriter.mark();
    XI_TRY(const ValueId condition, as_scalar(rewriter, node.inputs[0]));  // in front of what it decides about
    const auto a = inline_graph(rewriter, outer_, *yes, {}, again), b = inline_graph(rewriter, outer_, *no, {}, again);
    // Both are computed and one is chosen, which needs equal types. A branch that these sizes do not fit is never taken: then
    // the condition has to be known.
    for (const auto* branch : {&a, &b})
      if (!*branch && branch->error().code != Code::kInvalidArgument) return std::unexpected(branch->error());
    bool selectable = a && b && a->size() == b->size();
    for (std::size_t i = 0; selectable && i < a->size(); ++i) selectable = sequences_.is_selectable(rewriter, (*a)[i], (*b)[i]);
    if (!selectable) {
      rewriter.rewind(mark);
      return false;
    }
    for (std::size_t i = 0; i < node.outputs.size() && i < a->size(); ++i)
      if (node.outputs[i] != kNoValue) XI_CHECK(sequences_.select(rewriter, node.outputs[i], condition, (*a)[i], (*b)[i]));
    return true;
  }

  // A condition may come as a tensor of one element, which would give its rank to what it chooses.
  static Result<ValueId> as_scalar(Rewriter& rewriter, ValueId condition) {
    const auto& dims = rewriter.type(condition).dims;
    if (dims && dims->empty()) return condition;
    return rewriter.add("Reshape", {condition, rewriter.add_int64s({})});
  }

  // `masked`: also where data may end the loop, by computing all of it.
  Result<bool> unroll_loop(Rewriter& rewriter, Node& node, bool masked, const Visit& again) {
    const auto graph = body(node, "body");
    if (graph == nullptr || node.inputs.size() < 2) return false;
    const std::size_t carried = node.inputs.size() - 2;
    if (graph->inputs.size() != carried + 2 || graph->outputs.size() < carried + 1)
      return fail(Code::kInvalidArgument, "the body's inputs and outputs do not fit the loop's");
    std::int64_t trips = kMaxIterations + 1;
    if (node.inputs[0] != kNoValue) {
      const Tensor* count = rewriter.constant(node.inputs[0]);
      if (count != nullptr) trips = count->as_int64(0);
      else if (node.inputs[1] == kNoValue) return false;
    }
    const bool bounded = node.inputs[0] == kNoValue || rewriter.constant(node.inputs[0]) != nullptr;
    if (!bounded) return false;
    Tensor yes(ir::DType::kBool, {});
    yes.set(0, 1);
    ValueId condition = node.inputs[1] == kNoValue ? rewriter.add_constant(std::move(yes)) : node.inputs[1];
    std::vector<ValueId> state(node.inputs.begin() + 2, node.inputs.end());
    std::vector<std::vector<ValueId>> scans(graph->outputs.size() - carried - 1);
    ValueId running = kNoValue;  // whether the loop goes on, once data decides
    const std::size_t before = rewriter.mark();
    for (std::int64_t i = 0; i < trips; ++i) {
      if (i >= kMaxIterations || rewriter.mark() - before > (running == kNoValue ? kMaxUnrolledNodes : kMaxSelectedNodes)) return false;
      if (const Tensor* goes_on = rewriter.constant(condition)) {
        if (goes_on->as_int64(0) == 0) break;
      } else {
        // How many results a loop has collected would be a size that nothing counts.
        if (!masked || !scans.empty() || node.inputs[0] == kNoValue) return false;
        XI_TRY(condition, as_scalar(rewriter, condition));
        if (running != kNoValue) {
          XI_TRY(condition, rewriter.add("Where", {running, condition, running}));  // a condition that nobody computed is none
        }
        running = condition;
      }
      std::vector<ValueId> arguments{rewriter.add_constant(Tensor::scalar(i)), condition};
      arguments.insert(arguments.end(), state.begin(), state.end());
      XI_TRY(const auto results, inline_graph(rewriter, outer_, *graph, arguments, again));
      condition = results[0];
      for (std::size_t k = 0; k < carried; ++k) {
        if (running != kNoValue) {
          if (!sequences_.is_selectable(rewriter, results[1 + k], state[k])) return false;
          const ValueId kept = rewriter.add_value("loop");
          XI_CHECK(sequences_.select(rewriter, kept, running, results[1 + k], state[k]));
          state[k] = kept;
        } else {
          state[k] = results[1 + k];
        }
      }
      for (std::size_t s = 0; s < scans.size(); ++s) scans[s].push_back(results[1 + carried + s]);
    }
    for (std::size_t s = 0; s < scans.size(); ++s) {
      XI_TRY(const ValueId stacked, stack(rewriter, std::move(scans[s]), 0, graph->value(graph->outputs[1 + carried + s]).type));
      state.push_back(stacked);
    }
    replace_all(rewriter, node, state);
    return true;
  }

  // What makes the body's arguments of the iteration's number and its states, and what the body gives besides.
  struct Loop {
    std::shared_ptr<const Graph> body;
    ValueId trips = kNoValue, condition = kNoValue;  // condition: in front of the first iteration
    bool conditional = false;                        // the body gives a condition first
    std::vector<ValueId> states;
    std::function<Result<std::vector<ValueId>>(ValueId iteration, std::span<const ValueId> states)> arguments;
    std::function<Result<ValueId>(ValueId iteration, std::size_t result)> position;  // where a result is put among the others
  };

  bool is_true(const Rewriter& rewriter, ValueId condition) const {
    if (condition == kNoValue) return true;
    const Tensor* constant = rewriter.constant(condition);
    return constant != nullptr && constant->as_int64(0) != 0;
  }
  static ValueId yes(Rewriter& rewriter) { return rewriter.add_scalar(ir::DType::kBool, 1); }

  // The loop as a part of the graph that runs again and again. Nothing where its states change their types, or what it collects has
  // no bound.
  Result<std::optional<std::vector<ValueId>>> repeat(Rewriter& rewriter, const Node& node, Loop loop, const Visit& again) {
    auto is_tensor = [&](ValueId id) { return sequences_.is_selectable(rewriter, id, id) && rewriter.type(id).kind == ir::ValueType::Kind::kTensor; };
    for (ValueId id : loop.states)
      if (id == kNoValue || !is_tensor(id)) return std::nullopt;
    ir::Attributes number;
    number.set("loop", ++loops_);
    std::vector<ValueId> begun{rewriter.add_value("iteration")};
    for (ValueId id : loop.states) begun.push_back(rewriter.add_value(rewriter.value(id).name));
    XI_CHECK(rewriter.keep({std::string(ir::kLoopBegin), node.name, loop.states, begun, std::move(number)}));
    const ValueId iteration = begun[0];
    const std::span states = std::span(begun).subspan(1);
    XI_TRY(const auto arguments, loop.arguments(iteration, states));
    XI_TRY(auto given, inline_graph(rewriter, outer_, *loop.body, arguments, again));
    ValueId next = kNoValue;
    if (loop.conditional) {
      next = given[0];
      given.erase(given.begin());
    }
    if (is_true(rewriter, next) && is_true(rewriter, loop.condition)) next = loop.condition = kNoValue;
    else if (loop.condition == kNoValue) loop.condition = yes(rewriter);
    if (next == kNoValue && loop.condition != kNoValue) next = yes(rewriter);
    for (std::size_t k = 0; k < states.size(); ++k)
      if (!is_tensor(given[k]) || rewriter.type(given[k]) != rewriter.type(states[k])) return std::nullopt;
    const std::string count = next == kNoValue ? "" : tensor::symbol_name(fmt::format("{}_count", rewriter.value(iteration).name));
    std::vector<ValueId> end{iteration, loop.trips, loop.condition, next};
    end.insert(end.end(), given.begin(), given.begin() + static_cast<std::ptrdiff_t>(states.size()));
    for (std::size_t k = states.size(); k < given.size(); ++k) {
      if (!is_tensor(given[k]) || !is_bounded(rewriter, loop.trips)) return std::nullopt;
      ir::Attributes named;
      if (!count.empty()) named.set("count", count);
      XI_TRY(const ValueId position, loop.position(iteration, k - states.size()));
      XI_TRY(const ValueId collected, rewriter.add("xinfer.StoreSlice", {given[k], position, loop.trips}, std::move(named)));
      end.push_back(collected);
    }
    if (given.empty()) return given;
    std::vector<ValueId> results;
    for (ValueId id : given) results.push_back(rewriter.add_value(rewriter.value(id).name));
    XI_CHECK(rewriter.keep({std::string(ir::kLoopEnd), node.name, std::move(end), results, with("states", static_cast<std::int64_t>(states.size()))}));
    return results;
  }

  static bool is_bounded(const Rewriter& rewriter, ValueId trips) {
    if (trips == kNoValue) return false;
    if (const Tensor* count = rewriter.constant(trips)) return count->as_int64(0) >= 0;
    const auto& elements = rewriter.value(trips).elements;
    return elements && elements->size() == 1 && (*elements)[0].min() >= 0 && (*elements)[0].max() < tensor::kUnbounded;
  }

  Result<bool> repeat_loop(Rewriter& rewriter, Node& node, const Visit& again) {
    const auto graph = body(node, "body");
    if (graph == nullptr || node.inputs.size() < 2) return false;
    const std::size_t carried = node.inputs.size() - 2;
    if (graph->inputs.size() != carried + 2 || graph->outputs.size() < carried + 1) return false;
    if (node.inputs[0] == kNoValue && node.inputs[1] == kNoValue && graph->outputs.empty()) return false;
    Loop loop{graph, node.inputs[0], node.inputs[1], true, {node.inputs.begin() + 2, node.inputs.end()}, {}, {}};
    if (loop.condition != kNoValue) {
      XI_TRY(loop.condition, as_scalar(rewriter, loop.condition));
    }
    loop.arguments = [&](ValueId iteration, std::span<const ValueId> states) -> Result<std::vector<ValueId>> {
      std::vector<ValueId> arguments{iteration, yes(rewriter)};
      arguments.insert(arguments.end(), states.begin(), states.end());
      return arguments;
    };
    loop.position = [](ValueId iteration, std::size_t) -> Result<ValueId> { return iteration; };
    XI_TRY(const auto results, repeat(rewriter, node, std::move(loop), again));
    if (!results) return false;
    replace_all(rewriter, node, *results);
    return true;
  }

  // The iterations' results along a new axis.
  static Result<ValueId> stack(Rewriter& rewriter, std::vector<ValueId> parts, std::int64_t axis, const ir::ValueType& type) {
    if (parts.empty()) {
      tensor::Shape shape{0};
      if (type.dims)
        for (const ir::Dim& dim : *type.dims) shape.push_back(dim.is_static() ? dim.value : 0);
      return rewriter.add_constant(Tensor(type.dtype, shape));
    }
    if (axis < 0) axis += static_cast<std::int64_t>(rewriter.type(parts[0]).dims ? rewriter.type(parts[0]).dims->size() + 1 : 1);
    const ValueId axes = rewriter.add_int64s({axis});
    for (ValueId& part : parts) {
      const ValueId wide = rewriter.add_value("stack");
      XI_CHECK(rewriter.keep_or_fold({"Unsqueeze", "", {part, axes}, {wide}, {}}));
      part = wide;
    }
    ir::Attributes attributes;
    attributes.set("axis", axis);
    const ValueId whole = rewriter.add_value("stack");
    XI_CHECK(rewriter.keep_or_fold({"Concat", "", std::move(parts), {whole}, std::move(attributes)}));
    return whole;
  }

  // A Scan's axes, from the front, and which of its results and inputs run backwards.
  struct ScanForm {
    std::size_t states = 0, inputs = 0;
    std::vector<std::int64_t> axes, out_axes;
    std::vector<bool> backwards, out_backwards;
    ir::Dim length;
  };
  static Result<std::optional<ScanForm>> read_scan(const Rewriter& rewriter, const Node& node, const Graph* body) {
    ScanForm form;
    form.inputs = static_cast<std::size_t>(node.attributes.integer("num_scan_inputs", 0));
    if (body == nullptr || form.inputs == 0 || node.inputs.size() < form.inputs || body->inputs.size() != node.inputs.size()) return std::nullopt;
    form.states = node.inputs.size() - form.inputs;
    if (body->outputs.size() < form.states) return fail(Code::kInvalidArgument, "the body has fewer outputs than the scan has states");
    auto list = [&](std::string_view name, std::size_t size) {
      auto numbers = node.attributes.integers(name);
      numbers.resize(size, 0);
      return numbers;
    };
    for (std::int64_t direction : list("scan_input_directions", form.inputs)) form.backwards.push_back(direction != 0);
    for (std::int64_t direction : list("scan_output_directions", body->outputs.size() - form.states)) form.out_backwards.push_back(direction != 0);
    form.axes = list("scan_input_axes", form.inputs);
    form.out_axes = list("scan_output_axes", body->outputs.size() - form.states);
    for (std::size_t s = 0; s < form.inputs; ++s) {
      const auto& dims = rewriter.type(node.inputs[form.states + s]).dims;
      if (!dims) return std::nullopt;
      const auto rank = static_cast<std::int64_t>(dims->size()), given = form.axes[s];
      if (given < -rank || given >= rank) return fail(Code::kInvalidArgument, "scan axis {}", given);
      form.axes[s] = given < 0 ? given + rank : given;
      form.length = (*dims)[static_cast<std::size_t>(form.axes[s])];
    }
    return form;
  }

  // The part of a scanned input that an iteration sees.
  static Result<ValueId> slice(Rewriter& rewriter, const Node& node, ValueId input, std::int64_t axis, ValueId index) {
    const ValueId part = rewriter.add_value("scan");
    XI_CHECK(rewriter.keep_or_fold({"Gather", node.name, {input, index}, {part}, with("axis", axis)}));
    return part;
  }

  Result<bool> unroll_scan(Rewriter& rewriter, Node& node, const Visit& again) {
    const auto graph = body(node, "body");
    XI_TRY(const auto form, read_scan(rewriter, node, graph.get()));
    if (!form || !form->length.is_static() || form->length.value > kMaxIterations) return false;
    const std::int64_t length = form->length.value;
    const std::size_t states = form->states;
    std::vector<ValueId> state(node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(states));
    std::vector<std::vector<ValueId>> results(graph->outputs.size() - states);
    const std::size_t before = rewriter.mark();
    for (std::int64_t i = 0; i < length; ++i) {
      if (rewriter.mark() - before > kMaxUnrolledNodes) return false;
      std::vector<ValueId> arguments = state;
      for (std::size_t s = 0; s < form->inputs; ++s) {
        const ValueId index = rewriter.add_constant(Tensor::scalar(form->backwards[s] ? length - 1 - i : i));
        XI_TRY(const ValueId part, slice(rewriter, node, node.inputs[states + s], form->axes[s], index));
        arguments.push_back(part);
      }
      XI_TRY(const auto outputs, inline_graph(rewriter, outer_, *graph, arguments, again));
      std::copy_n(outputs.begin(), states, state.begin());
      for (std::size_t o = 0; o < results.size(); ++o) results[o].push_back(outputs[states + o]);
    }
    for (std::size_t o = 0; o < results.size(); ++o) {
      if (form->out_backwards[o]) std::reverse(results[o].begin(), results[o].end());
      XI_TRY(const ValueId stacked, stack(rewriter, std::move(results[o]), form->out_axes[o], graph->value(graph->outputs[states + o]).type));
      state.push_back(stacked);
    }
    replace_all(rewriter, node, state);
    return true;
  }

  Result<bool> repeat_scan(Rewriter& rewriter, Node& node, const Visit& again) {
    const auto graph = body(node, "body");
    XI_TRY(const auto form, read_scan(rewriter, node, graph.get()));
    if (!form || !form->length.is_known()) return false;
    Loop loop{graph, kNoValue, kNoValue, false, {node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(form->states)}, {}, {}};
    ir::Attributes one_axis = with("start", form->axes.back());
    one_axis.set("end", form->axes.back() + 1);
    XI_TRY(loop.trips, folded(rewriter, "Shape", {node.inputs.back()}, std::move(one_axis)));
    XI_TRY(loop.trips, folded(rewriter, "Reshape", {loop.trips, rewriter.add_int64s({})}));
    XI_TRY(const ValueId last, folded(rewriter, "Sub", {loop.trips, rewriter.add_constant(Tensor::scalar(std::int64_t{1}))}));
    auto index = [&rewriter, last](ValueId iteration, bool backwards) -> Result<ValueId> {
      if (!backwards) return iteration;
      return rewriter.add("Sub", {last, iteration});
    };
    loop.arguments = [&](ValueId iteration, std::span<const ValueId> states) -> Result<std::vector<ValueId>> {
      std::vector<ValueId> arguments(states.begin(), states.end());
      for (std::size_t s = 0; s < form->inputs; ++s) {
        XI_TRY(const ValueId at, index(iteration, form->backwards[s]));
        XI_TRY(const ValueId part, slice(rewriter, node, node.inputs[form->states + s], form->axes[s], at));
        arguments.push_back(part);
      }
      return arguments;
    };
    loop.position = [&](ValueId iteration, std::size_t result) { return index(iteration, form->out_backwards[result]); };
    XI_TRY(auto results, repeat(rewriter, node, std::move(loop), again));
    if (!results) return false;
    for (std::size_t o = 0; o < form->out_axes.size(); ++o) {
      XI_TRY((*results)[form->states + o], move_first_axis(rewriter, (*results)[form->states + o], form->out_axes[o]));
    }
    replace_all(rewriter, node, *results);
    return true;
  }

  static Result<ValueId> folded(Rewriter& rewriter, std::string op, std::vector<ValueId> inputs, ir::Attributes attributes = {}) {
    const ValueId result = rewriter.add_value("scan");
    XI_CHECK(rewriter.keep_or_fold({std::move(op), "", std::move(inputs), {result}, std::move(attributes)}));
    return result;
  }

  static Result<ValueId> move_first_axis(Rewriter& rewriter, ValueId value, std::int64_t to) {
    const auto rank = static_cast<std::int64_t>(rewriter.type(value).dims->size());
    if (to < 0) to += rank;
    if (to < 0 || to >= rank) return fail(Code::kInvalidArgument, "scan axis {} of results of rank {}", to, rank);
    if (to == 0) return value;
    std::vector<std::int64_t> order;
    for (std::int64_t i = 1; i < rank; ++i) order.push_back(i);
    order.insert(order.begin() + to, 0);
    ir::Attributes attributes;
    attributes.set("perm", std::move(order));
    return rewriter.add("Transpose", {value}, std::move(attributes));
  }

  bool has_loops_;
  std::int64_t loops_ = 0;
  OuterValues outer_;
  SequenceValues sequences_;
  int depth_ = 0;
};

bool is_control(const Node& node) {
  const ir::OperatorInfo* info = ir::find_operator(node.op);
  return info != nullptr && info->lowering == ir::Lowering::kControl;
}

}  // namespace

namespace {
Result<bool> run(Graph& graph, bool has_loops) {
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), is_control)) return false;
  ControlFlow control(graph, has_loops);
  Rewriter rewriter(graph);
  return rewriter.run([&](Rewriter& r, Node& node) { return control.visit(r, node); },
                      [&](Rewriter& r) { return control.take_outputs_apart(r); });
}
}  // namespace

Result<bool> inline_control_flow(Graph& graph) { return run(graph, false); }
Result<bool> inline_short_control_flow(Graph& graph) { return run(graph, true); }

}  // namespace xinfer::passes
