// Before: If, Loop, Scan, sequences and optionals. After: If over a constant is its branch, If over data is both branches and
// a Where, loops of known length are unrolled, a loop that data may end earlier keeps its values from there on by Wheres,
// sequences of known length are the values in them, also as graph outputs. What stays is left to be refused by the back end.
#include <algorithm>

#include "passes/fold_constants.h"
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
constexpr int kMaxDepth = 16;

class ControlFlow {
 public:
  explicit ControlFlow(const Graph& graph) : outer_(graph) {}

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
    XI_TRY(const bool unrolled, node.op == "Loop" ? unroll_loop(rewriter, node, again) : unroll_scan(rewriter, node, again));
    if (!unrolled) rewriter.rewind(mark);
    return unrolled;
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
    XI_TRY(const ValueId condition, as_scalar(rewriter, node.inputs[0]));
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

  Result<bool> unroll_loop(Rewriter& rewriter, Node& node, const Visit& again) {
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
        if (!scans.empty() || node.inputs[0] == kNoValue) return false;
        XI_TRY(condition, as_scalar(rewriter, condition));
        if (running != kNoValue) {
          XI_TRY(condition, rewriter.add("And", {running, condition}));
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

  Result<bool> unroll_scan(Rewriter& rewriter, Node& node, const Visit& again) {
    const auto graph = body(node, "body");
    const auto scans = static_cast<std::size_t>(node.attributes.integer("num_scan_inputs", 0));
    if (graph == nullptr || scans == 0 || node.inputs.size() < scans || graph->inputs.size() != node.inputs.size()) return false;
    const std::size_t states = node.inputs.size() - scans;
    if (graph->outputs.size() < states) return fail(Code::kInvalidArgument, "the body has fewer outputs than the scan has states");
    const auto in_axes = node.attributes.integers("scan_input_axes"), in_directions = node.attributes.integers("scan_input_directions");
    const auto out_axes = node.attributes.integers("scan_output_axes"), out_directions = node.attributes.integers("scan_output_directions");
    auto at = [](const std::vector<std::int64_t>& list, std::size_t i) { return i < list.size() ? list[i] : 0; };
    std::int64_t length = -1;
    std::vector<std::int64_t> axes(scans);
    for (std::size_t s = 0; s < scans; ++s) {
      const auto& dims = rewriter.type(node.inputs[states + s]).dims;
      if (!dims) return false;
      axes[s] = at(in_axes, s) < 0 ? at(in_axes, s) + static_cast<std::int64_t>(dims->size()) : at(in_axes, s);
      if (axes[s] < 0 || axes[s] >= static_cast<std::int64_t>(dims->size())) return fail(Code::kInvalidArgument, "scan axis {}", at(in_axes, s));
      length = (*dims)[axes[s]].value;
    }
    if (length < 0 || length > kMaxIterations) return false;
    std::vector<ValueId> state(node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(states));
    std::vector<std::vector<ValueId>> results(graph->outputs.size() - states);
    const std::size_t before = rewriter.mark();
    for (std::int64_t i = 0; i < length; ++i) {
      if (rewriter.mark() - before > kMaxUnrolledNodes) return false;
      std::vector<ValueId> arguments = state;
      for (std::size_t s = 0; s < scans; ++s) {
        ir::Attributes attributes;
        attributes.set("axis", axes[s]);
        const ValueId slice = rewriter.add_value("scan");
        const ValueId index = rewriter.add_constant(Tensor::scalar(at(in_directions, s) != 0 ? length - 1 - i : i));
        XI_CHECK(rewriter.keep_or_fold({"Gather", node.name, {node.inputs[states + s], index}, {slice}, std::move(attributes)}));
        arguments.push_back(slice);
      }
      XI_TRY(const auto outputs, inline_graph(rewriter, outer_, *graph, arguments, again));
      std::copy_n(outputs.begin(), states, state.begin());
      for (std::size_t o = 0; o < results.size(); ++o) results[o].push_back(outputs[states + o]);
    }
    for (std::size_t o = 0; o < results.size(); ++o) {
      if (at(out_directions, o) != 0) std::reverse(results[o].begin(), results[o].end());
      XI_TRY(const ValueId stacked, stack(rewriter, std::move(results[o]), at(out_axes, o), graph->value(graph->outputs[states + o]).type));
      state.push_back(stacked);
    }
    replace_all(rewriter, node, state);
    return true;
  }

  OuterValues outer_;
  SequenceValues sequences_;
  int depth_ = 0;
};

bool is_control(const Node& node) {
  const ir::OperatorInfo* info = ir::find_operator(node.op);
  return info != nullptr && info->lowering == ir::Lowering::kControl;
}

}  // namespace

Result<bool> inline_control_flow(Graph& graph) {
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), is_control)) return false;
  ControlFlow control(graph);
  Rewriter rewriter(graph);
  return rewriter.run([&](Rewriter& r, Node& node) { return control.visit(r, node); },
                      [&](Rewriter& r) { return control.take_outputs_apart(r); });
}

}  // namespace xinfer::passes
