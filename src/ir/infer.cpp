// Drives the shape rules of the operator table over a graph, subgraphs included.
#include <algorithm>
#include <unordered_map>

#include "ir/bounds.h"
#include "ir/operator.h"

namespace xinfer::ir {
namespace {

using base::Code;
using base::Error;
using base::fail;
using base::Result;

constexpr int kMaxDepth = 32;

std::string describe(const Node& node) {
  return node.name.empty() ? node.op : node.op + " '" + node.name + "'";
}

// What two types of one loop-carried value have in common over all iterations.
ValueType common_type(const ValueType& a, const ValueType& b) {
  ValueType common = a;
  if (common.dtype == DType::kUndefined) common.dtype = b.dtype;
  if (!a.dims || !b.dims || a.dims->size() != b.dims->size()) {
    common.dims.reset();
  } else {
    for (std::size_t i = 0; i < common.dims->size(); ++i)
      if ((*a.dims)[i] != (*b.dims)[i]) (*common.dims)[i] = Dim();
  }
  return common;
}

class Inference {
 public:
  Result<void> graph(Graph& graph, int depth) {
    if (depth > kMaxDepth) return fail(Code::kLimit, "subgraphs nest deeper than {}", kMaxDepth);
    std::unordered_map<std::string, ValueId> by_name;  // filled when the first subgraph asks
    for (Node& node : graph.nodes) {
      auto done = this->node(graph, node, depth, &by_name);
      if (!done) return std::unexpected(std::move(done).error().in(describe(node)));
    }
    return {};
  }

  Result<void> node(Graph& graph, Node& node, int depth, std::unordered_map<std::string, ValueId>* by_name) {
    const OperatorInfo* info = find_operator(node.op);
    if (info == nullptr) return fail(Code::kUnsupported, "unknown operator {}", node.op);
    XI_CHECK(subgraphs(graph, node, depth, by_name));
    if (info->shape_rule == nullptr) return {};
    XI_CHECK(require_inputs(node, *info));
    XI_TRY(std::vector<ValueType> types, info->shape_rule({graph, node}));
    for (std::size_t i = 0; i < node.outputs.size() && i < types.size(); ++i) {
      if (node.outputs[i] == kNoValue) continue;
      XI_CHECK(check_size(types[i]));
      drop_long_formulas(types[i]);
      Value& value = graph.value(node.outputs[i]);
      if (value.constant == nullptr) value.type = std::move(types[i]);
    }
    infer_elements(graph, node);
    return {};
  }

 private:
  // Optional inputs come last in standard operators; only Loop has two in front. Others may have some in between.
  static Result<void> require_inputs(const Node& node, const OperatorInfo& info) {
    if (node.op == "Loop") return {};
    const bool standard = node.op.find('.') == std::string::npos;
    const int needed = !standard                      ? std::min(info.min_inputs, 1)
                       : info.max_inputs >= kVariadic ? static_cast<int>(node.inputs.size())
                                                      : info.min_inputs;
    for (int i = 0; i < needed; ++i)
      if (i >= static_cast<int>(node.inputs.size()) || node.inputs[static_cast<std::size_t>(i)] == kNoValue)
        return fail(Code::kInvalidArgument, "input {} is missing", i);
    return {};
  }

  static void drop_long_formulas(ValueType& type) {
    if (!type.dims) return;
    for (Dim& dim : *type.dims)
      if (!is_short(dim.formula)) dim = Dim();
  }

  Result<void> subgraphs(const Graph& graph, Node& node, int depth, std::unordered_map<std::string, ValueId>* by_name) {
    std::vector<std::pair<std::string, std::shared_ptr<const Graph>>> bodies;
    for (const auto& [name, attribute] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute)) bodies.emplace_back(name, *body);
    for (auto& [name, body] : bodies) {
      Graph changed = *body;
      if (by_name != nullptr) bind_captures(graph, changed, *by_name);
      XI_CHECK(infer_body(graph, node, changed, depth));
      node.attributes.set(name, std::make_shared<const Graph>(std::move(changed)));
    }
    return {};
  }

  static void bind_captures(const Graph& graph, Graph& body, std::unordered_map<std::string, ValueId>& by_name) {
    if (body.captures.empty()) return;
    if (by_name.empty())
      for (ValueId id = 0; id < graph.values.size(); ++id) by_name.emplace(graph.values[id].name, id);
    for (const auto& [inner, outside] : body.captures) {
      auto found = by_name.find(outside);
      if (found == by_name.end()) continue;
      body.value(inner).type = graph.value(found->second).type;
      if (graph.value(found->second).constant) body.value(inner).constant = graph.value(found->second).constant;
    }
  }

  Result<void> infer_body(const Graph& graph, const Node& node, Graph& body, int depth) {
    // First and last carried value among the body's inputs, and how far the same value's output is from its input.
    std::size_t first = 0, end = 0;
    std::ptrdiff_t output_shift = 0;
    if (node.op == "Loop") {
      bind_loop_inputs(graph, node, body);
      first = 2, end = body.inputs.size(), output_shift = -1;
    } else if (node.op == "Scan") {
      bind_scan_inputs(graph, node, body);
      end = body.inputs.size() - std::min<std::size_t>(body.inputs.size(), node.attributes.integer("num_scan_inputs", 0));
    }
    for (int round = 0;; ++round) {
      XI_CHECK(this->graph(body, depth + 1));
      bool stable = true;
      for (std::size_t i = first; i < end; ++i) {
        const std::size_t output = i + output_shift;
        if (output >= body.outputs.size()) break;
        ValueType& in = body.value(body.inputs[i]).type;
        const ValueType& out = body.value(body.outputs[output]).type;
        ValueType common = round < 4 ? common_type(in, out) : in;
        if (round == 4 && in != out) common.dims.reset();
        if (common != in) stable = false, in = common;
      }
      if (stable || round > 4) return {};
    }
  }

  static void bind_loop_inputs(const Graph& graph, const Node& node, Graph& body) {
    for (std::size_t i = 0; i < body.inputs.size(); ++i) {
      ValueType& type = body.value(body.inputs[i]).type;
      if (i == 0) type = ValueType::of(DType::kInt64, {});
      else if (i == 1) type = ValueType::of(DType::kBool, {});
      else if (i < node.inputs.size() && node.inputs[i] != kNoValue) type = graph.value(node.inputs[i]).type;
    }
  }

  static void bind_scan_inputs(const Graph& graph, const Node& node, Graph& body) {
    const auto scans = static_cast<std::size_t>(std::max<std::int64_t>(0, node.attributes.integer("num_scan_inputs", 0)));
    const auto axes = node.attributes.integers("scan_input_axes");
    const std::size_t states = body.inputs.size() - std::min(body.inputs.size(), scans);
    for (std::size_t i = 0; i < body.inputs.size() && i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      ValueType type = graph.value(node.inputs[i]).type;
      if (i >= states && type.dims && !type.dims->empty()) {
        const auto rank = static_cast<std::int64_t>(type.dims->size());
        std::int64_t axis = i - states < axes.size() ? axes[i - states] : 0;
        if (axis < 0) axis += rank;
        if (axis >= 0 && axis < rank) type.dims->erase(type.dims->begin() + axis);
      }
      body.value(body.inputs[i]).type = std::move(type);
    }
  }
};

}  // namespace

constexpr std::size_t kMaxFormula = 512;  // characters

bool is_short(const tensor::Size& size) { return size.is_number() || size.text().size() <= kMaxFormula; }

Result<void> check_size(const ValueType& type) {
  std::int64_t count = 1;
  for (const Dim& dim : type.dims.value_or(std::vector<Dim>())) {
    const std::int64_t least = dim.is_known() ? dim.size().min() : 0;
    if (least <= 0) continue;  // a 0 does not excuse the others: parts of the shape are multiplied too
    if (least >= tensor::kUnbounded / count) return fail(Code::kLimit, "{} has more than {} elements", to_string(type), tensor::kUnbounded);
    count *= least;
  }
  return {};
}

Result<void> infer_types(Graph& graph) { return Inference().graph(graph, 0); }

Result<void> infer_node_types(Graph& graph, Node& node) { return Inference().node(graph, node, 0, nullptr); }

}  // namespace xinfer::ir
