// Walks a graph with the reference functions. Control flow lives here, since subgraphs read values around their node.
#include <algorithm>
#include <map>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

using Environment = std::map<std::string, const Value*, std::less<>>;

class Walk {
 public:
  Walk(const ir::Graph& graph, const Environment& outer) : graph_(graph), outer_(outer), values_(graph.values.size()) {}

  Values run(std::span<const Value> inputs) {
    if (inputs.size() != graph_.inputs.size())
      return fail(Code::kInvalidArgument, "the graph has {} inputs, not {}", graph_.inputs.size(), inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) values_[graph_.inputs[i]] = inputs[i];
    XI_CHECK(bind_captures());
    find_last_uses();
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      const ir::Node& node = graph_.nodes[n];
      auto produced = call(node);
      if (!produced) return std::unexpected(std::move(produced).error().in(node.name.empty() ? node.op : node.name));
      for (std::size_t i = 0; i < node.outputs.size() && i < produced->size(); ++i)
        if (node.outputs[i] != ir::kNoValue) values_[node.outputs[i]] = std::move((*produced)[i]);
      for (ir::ValueId id : expiring_[n]) values_[id] = Value();
    }
    std::vector<Value> out;
    for (ir::ValueId id : graph_.outputs) {
      XI_TRY(const Value* value, read(id));
      out.push_back(*value);
    }
    return out;
  }

 private:
  Result<void> bind_captures() {
    for (const auto& [id, name] : graph_.captures) {
      auto it = outer_.find(name);
      if (it == outer_.end()) return fail(Code::kInvalidArgument, "the enclosing graph has no value '{}'", name);
      values_[id] = *it->second;
    }
    return {};
  }

  static bool has_subgraphs(const ir::Node& node) {
    return std::ranges::any_of(node.attributes, [](const auto& entry) {
      return std::holds_alternative<std::shared_ptr<const ir::Graph>>(entry.second);
    });
  }

  void find_last_uses() {
    expiring_.resize(graph_.nodes.size());
    auto users = graph_.users();
    auto producers = graph_.producers();
    for (ir::ValueId id = 0; id < users.size(); ++id) {
      if (graph_.is_output(id)) continue;
      if (!users[id].empty()) expiring_[users[id].back()].push_back(id);
      else if (producers[id] >= 0) expiring_[index_of(producers[id])].push_back(id);
    }
  }

  Result<const Value*> read(ir::ValueId id) {
    Value& value = values_[id];
    if (value.kind == Value::Kind::kTensor && !value.tensor) {
      if (!graph_.values[id].constant)
        return fail(Code::kInternal, "value '{}' is read before it is made", graph_.values[id].name);
      value.tensor = graph_.values[id].constant;
    }
    return &value;
  }

  Values call(const ir::Node& node) {
    std::vector<const Value*> inputs;
    for (ir::ValueId id : node.inputs) {
      const Value* value = nullptr;
      if (id != ir::kNoValue) {
        XI_TRY(value, read(id));
      }
      inputs.push_back(value);
    }
    if (has_subgraphs(node)) return control(node, inputs);
    Function function = find(node.op);
    if (!function) return fail(Code::kUnsupported, "operator {} has no reference function", node.op);
    return function(node, graph_, inputs);
  }

  // Names that the subgraphs of a node read from outside, at any depth.
  static void collect_captures(const ir::Node& node, std::vector<std::string_view>& names) {
    for (const auto& [name, attribute] : node.attributes) {
      const auto* graph = std::get_if<std::shared_ptr<const ir::Graph>>(&attribute);
      if (!graph) continue;
      for (const auto& [id, outside] : (*graph)->captures) names.push_back(outside);
      for (const ir::Node& inner : (*graph)->nodes) collect_captures(inner, names);
    }
  }

  // What the subgraphs of a node may read: our values and those around us.
  Environment environment(const ir::Node& node) {
    Environment all = outer_;
    std::vector<std::string_view> names;
    collect_captures(node, names);
    std::ranges::sort(names);
    for (ir::ValueId id = 0; id < values_.size() && !names.empty(); ++id) {
      if (!std::ranges::binary_search(names, std::string_view(graph_.values[id].name))) continue;
      if (auto value = read(id)) all[graph_.values[id].name] = *value;
    }
    return all;
  }

  Result<const ir::Graph*> subgraph(const ir::Node& node, std::string_view name) {
    const auto* graph = node.attributes.get<std::shared_ptr<const ir::Graph>>(name);
    if (!graph) return fail(Code::kInvalidArgument, "{} has no '{}'", node.op, name);
    return graph->get();
  }

  Values control(const ir::Node& node, const std::vector<const Value*>& inputs) {
    Environment around = environment(node);
    if (node.op == "If") return run_if(node, inputs, around);
    if (node.op == "Loop") return run_loop(node, inputs, around);
    if (node.op == "Scan") return run_scan(node, inputs, around);
    if (node.op == "SequenceMap") return run_sequence_map(node, inputs, around);
    return fail(Code::kUnsupported, "operator {} has no reference function", node.op);
  }

  static bool truth(const Value& value) { return value.tensor->num_elements() > 0 && value.tensor->as_int64(0) != 0; }

  Values run_if(const ir::Node& node, const std::vector<const Value*>& inputs, const Environment& around) {
    XI_TRY(const ir::Graph* branch, subgraph(node, truth(*inputs[0]) ? "then_branch" : "else_branch"));
    return Walk(*branch, around).run({});
  }

  Values run_loop(const ir::Node& node, const std::vector<const Value*>& inputs, const Environment& around) {
    XI_TRY(const ir::Graph* body, subgraph(node, "body"));
    const std::int64_t trips = inputs[0] ? inputs[0]->tensor->as_int64(0) : std::numeric_limits<std::int64_t>::max();
    bool going = inputs.size() < 2 || !inputs[1] || truth(*inputs[1]);
    std::vector<Value> state;
    for (std::size_t i = 2; i < inputs.size(); ++i) state.push_back(inputs[i] ? *inputs[i] : Value());
    if (body->outputs.size() < state.size() + 1)
      return fail(Code::kInvalidArgument, "the loop body has {} outputs for {} state variables", body->outputs.size(),
                  state.size());
    std::vector<std::vector<Value>> scanned(body->outputs.size() - 1 - state.size());
    for (std::int64_t trip = 0; trip < trips && going; ++trip) {
      std::vector<Value> arguments{Tensor::scalar(trip), condition(going)};
      arguments.insert(arguments.end(), state.begin(), state.end());
      XI_TRY(auto produced, Walk(*body, around).run(arguments));
      going = truth(produced[0]);
      for (std::size_t i = 0; i < state.size(); ++i) state[i] = std::move(produced[i + 1]);
      for (std::size_t i = 0; i < scanned.size(); ++i) scanned[i].push_back(std::move(produced[i + 1 + state.size()]));
    }
    for (std::size_t i = 0; i < scanned.size(); ++i) {
      const auto& type = body->value(body->outputs[1 + (body->outputs.size() - 1 - scanned.size()) + i]).type;
      XI_TRY(Value stacked, stack(scanned[i], type, 0, false));
      state.push_back(std::move(stacked));
    }
    return state;
  }

  static Value condition(bool value) {
    Tensor tensor(DType::kBool, {});
    tensor.data<std::uint8_t>()[0] = value;
    return tensor;
  }

  // Joins per-iteration tensors along a new axis.
  static Result<Value> stack(const std::vector<Value>& slices, const ir::ValueType& type, std::int64_t axis,
                             bool reversed) {
    if (slices.empty()) {
      Shape shape{0};
      if (type.dims)
        for (const auto& dim : *type.dims) shape.push_back(std::max<std::int64_t>(dim.value, 0));
      return Value(Tensor(type.dtype, shape));
    }
    Shape shape = slices[0].tensor->shape();
    axis = positive_axis(axis, static_cast<std::int64_t>(shape.size()) + 1);
    for (const Value& slice : slices)
      if (!slice.tensor || slice.tensor->shape() != shape)
        return fail(Code::kInvalidArgument, "iterations give different shapes");
    AxisView view = view_axes(shape, axis, axis);
    auto count = static_cast<std::int64_t>(slices.size());
    shape.insert(shape.begin() + axis, count);
    Tensor out(slices[0].tensor->dtype(), shape);
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t o = 0; o < view.outer; ++o)
        copy_run(out, (o * count + (reversed ? count - 1 - i : i)) * view.inner, *slices[index_of(i)].tensor,
                 o * view.inner, view.inner);
    return Value(std::move(out));
  }

  static Value slice(const Tensor& tensor, std::int64_t axis, std::int64_t at) {
    AxisView view = view_axis(tensor.shape(), axis);
    Shape shape = tensor.shape();
    shape.erase(shape.begin() + axis);
    Tensor out(tensor.dtype(), shape);
    for (std::int64_t o = 0; o < view.outer; ++o)
      copy_run(out, o * view.inner, tensor, (o * view.size + at) * view.inner, view.inner);
    return out;
  }

  Values run_scan(const ir::Node& node, const std::vector<const Value*>& inputs, const Environment& around) {
    XI_TRY(const ir::Graph* body, subgraph(node, "body"));
    const auto scans = index_of(node.attributes.integer("num_scan_inputs", 0));
    if (scans == 0 || scans > inputs.size()) return fail(Code::kInvalidArgument, "num_scan_inputs is {}", scans);
    const std::size_t states = inputs.size() - scans;
    auto in_axes = node.attributes.integers("scan_input_axes", std::vector<std::int64_t>(scans, 0));
    auto in_directions = node.attributes.integers("scan_input_directions", std::vector<std::int64_t>(scans, 0));
    if (body->outputs.size() < states) return fail(Code::kInvalidArgument, "the scan body has too few outputs");
    const std::size_t outs = body->outputs.size() - states;
    auto out_axes = node.attributes.integers("scan_output_axes", std::vector<std::int64_t>(outs, 0));
    auto out_directions = node.attributes.integers("scan_output_directions", std::vector<std::int64_t>(outs, 0));
    if (in_axes.size() != scans || in_directions.size() != scans || out_axes.size() != outs ||
        out_directions.size() != outs)
      return fail(Code::kInvalidArgument, "scan axes or directions do not match the number of scanned values");
    std::vector<Value> state;
    for (std::size_t i = 0; i < states; ++i) state.push_back(*inputs[i]);
    std::int64_t length = -1;
    for (std::size_t i = 0; i < scans; ++i) {
      const Tensor& tensor = *inputs[states + i]->tensor;
      in_axes[i] = positive_axis(in_axes[i], tensor.rank());
      if (in_axes[i] < 0 || in_axes[i] >= tensor.rank()) return fail(Code::kInvalidArgument, "scan axis out of range");
      std::int64_t size = tensor.shape()[index_of(in_axes[i])];
      if (length >= 0 && size != length)
        return fail(Code::kInvalidArgument, "scanned inputs have lengths {} and {}", length, size);
      length = size;
    }
    std::vector<std::vector<Value>> scanned(outs);
    for (std::int64_t t = 0; t < length; ++t) {
      std::vector<Value> arguments = state;
      for (std::size_t i = 0; i < scans; ++i)
        arguments.push_back(slice(*inputs[states + i]->tensor, in_axes[i], in_directions[i] ? length - 1 - t : t));
      XI_TRY(auto produced, Walk(*body, around).run(arguments));
      for (std::size_t i = 0; i < states; ++i) state[i] = std::move(produced[i]);
      for (std::size_t i = 0; i < outs; ++i) scanned[i].push_back(std::move(produced[states + i]));
    }
    for (std::size_t i = 0; i < outs; ++i) {
      XI_TRY(Value stacked,
             stack(scanned[i], body->value(body->outputs[states + i]).type, out_axes[i], out_directions[i] != 0));
      state.push_back(std::move(stacked));
    }
    return state;
  }

  Values run_sequence_map(const ir::Node& node, const std::vector<const Value*>& inputs, const Environment& around) {
    XI_TRY(const ir::Graph* body, subgraph(node, "body"));
    std::vector<std::vector<Value>> out(body->outputs.size());
    for (std::size_t i = 0; i < inputs[0]->elements.size(); ++i) {
      std::vector<Value> arguments;
      for (const Value* input : inputs) {
        if (input->kind == Value::Kind::kSequence && i >= input->elements.size())
          return fail(Code::kInvalidArgument, "the sequences have different lengths");
        arguments.push_back(input->kind == Value::Kind::kSequence ? input->elements[i] : *input);
      }
      XI_TRY(auto produced, Walk(*body, around).run(arguments));
      for (std::size_t k = 0; k < out.size(); ++k) out[k].push_back(std::move(produced[k]));
    }
    std::vector<Value> values;
    for (std::size_t k = 0; k < out.size(); ++k)
      values.push_back(Value::sequence(std::move(out[k]), body->value(body->outputs[k]).type.dtype));
    return values;
  }

  const ir::Graph& graph_;
  const Environment& outer_;
  std::vector<Value> values_;
  std::vector<std::vector<ir::ValueId>> expiring_;
};

}  // namespace

Result<std::vector<Value>> evaluate(const ir::Graph& graph, std::span<const Value> inputs) {
  return Walk(graph, Environment{}).run(inputs);
}

}  // namespace xinfer::forge::reference
