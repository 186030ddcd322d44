#include "passes/rewriter.h"

#include <fmt/format.h>

#include <algorithm>

#include "passes/fold_constants.h"

namespace xinfer::passes {

using base::Result;
using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

namespace {

template <class F>
void for_each_body(const Node& node, F f) {
  for (const auto& [name, attribute] : node.attributes)
    if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute)) f(name, **body);
}

}  // namespace

Rewriter::Rewriter(Graph& graph) : graph_(graph) {
  for (const ir::Value& value : graph.values) names_.emplace(value.name, 1);
  count_uses();
}

void Rewriter::count_uses() {
  uses_.assign(graph_.values.size(), 0);
  for (const Node& node : graph_.nodes) {
    for (ValueId id : node.inputs)
      if (id != kNoValue) ++uses_[id];
    for_each_body(node, [&](const std::string&, const Graph& body) {
      for (const auto& [id, outside] : body.captures) captured_.insert(outside);
    });
  }
  for (ValueId id : graph_.outputs) ++uses_[id];
  if (captured_.empty()) return;
  for (ValueId id = 0; id < graph_.values.size(); ++id)
    if (captured_.contains(graph_.values[id].name)) uses_[id] += 2;  // never the only one
}

Result<bool> Rewriter::run(const Visit& visit, const std::function<Result<void>(Rewriter&)>& finish) {
  std::vector<Node> before = std::move(graph_.nodes);
  graph_.nodes.clear();
  bool changed = false;
  for (Node& node : before) {
    for (ValueId& id : node.inputs) id = current(id);
    follow_captures(node);
    name_ = node.name;
    auto handled = visit(*this, node);
    if (!handled) return std::unexpected(std::move(handled).error().in(node.name.empty() ? node.op : node.op + " '" + node.name + "'"));
    changed = changed || *handled;
    if (!*handled) XI_CHECK(keep(std::move(node)));
  }
  if (finish) XI_CHECK(finish(*this));
  XI_CHECK(settle_outputs());
  graph_.nodes = std::move(nodes_);
  return changed;
}

void Rewriter::follow_captures(Node& node) {
  if (replaced_names_.empty()) return;
  std::vector<std::pair<std::string, std::shared_ptr<const Graph>>> changed;
  for_each_body(node, [&](const std::string& name, const Graph& body) {
    auto copy = std::make_shared<Graph>(body);
    bool any = false;
    for (auto& [id, outside] : copy->captures)
      if (auto found = replaced_names_.find(outside); found != replaced_names_.end()) {
        outside = graph_.value(current(found->second)).name;
        captured_.insert(outside);
        any = true;
      }
    if (any) changed.emplace_back(name, std::move(copy));
  });
  for (auto& [name, body] : changed) node.attributes.set(name, body);
}

// Graph outputs are known by their names: a replaced output's name goes to what replaces it, or a copy is made.
Result<void> Rewriter::settle_outputs() {
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const ValueId old = graph_.outputs[i], now = current(old);
    if (now == old) continue;
    const bool free = producer_.contains(now) && !captured_.contains(graph_.value(now).name) &&
                      !captured_.contains(graph_.value(old).name) && !graph_.is_output(now);
    if (free) {
      std::swap(graph_.value(now).name, graph_.value(old).name);
      graph_.outputs[i] = now;
    } else {
      name_ = graph_.value(old).name;
      XI_CHECK(add_as(old, "Identity", {now}));
    }
  }
  return {};
}

ValueId Rewriter::add_value(std::string_view stem) {
  std::size_t& number = names_.emplace(std::string(stem), 0).first->second;
  for (;;) {
    std::string name = number == 0 ? std::string(stem) : fmt::format("{}.{}", stem, number);
    ++number;
    if (name != stem && !names_.emplace(name, 1).second) continue;
    uses_.resize(graph_.values.size() + 1, 1);
    return graph_.add_value(std::move(name), {});
  }
}

ValueId Rewriter::add_constant(tensor::Tensor tensor) {
  const ValueId id = add_value(name_.empty() ? "constant" : name_ + ".constant");
  graph_.value(id).type = ir::ValueType::of(tensor.dtype(), tensor.shape());
  graph_.value(id).constant = std::make_shared<const tensor::Tensor>(std::move(tensor));
  return id;
}

ValueId Rewriter::add_scalar(tensor::DType dtype, double value) {
  tensor::Tensor tensor(dtype, {});
  tensor.set(0, value);
  return add_constant(std::move(tensor));
}

Result<ValueId> Rewriter::add(std::string op, std::vector<ValueId> inputs, ir::Attributes attributes) {
  const ValueId output = add_value(name_.empty() ? op : name_ + "." + op);
  XI_CHECK(keep({std::move(op), name_, std::move(inputs), {output}, std::move(attributes)}));
  return output;
}

Result<void> Rewriter::add_as(ValueId output, std::string op, std::vector<ValueId> inputs, ir::Attributes attributes) {
  return keep({std::move(op), name_, std::move(inputs), {output}, std::move(attributes)});
}

Result<void> Rewriter::keep(Node node) {
  XI_CHECK(ir::infer_node_types(graph_, node));
  for (ValueId id : node.outputs)
    if (id != kNoValue) producer_[id] = nodes_.size();
  nodes_.push_back(std::move(node));
  return {};
}

Result<void> Rewriter::keep_or_fold(Node node) {
  XI_CHECK(ir::infer_node_types(graph_, node));
  XI_TRY(const bool folded, fold_node(graph_, node));
  if (folded) return {};
  return keep(std::move(node));
}

void Rewriter::replace(ValueId from, ValueId to) {
  to = current(to);
  if (from == to) return;
  replaced_[from] = to;
  if (captured_.contains(graph_.value(from).name)) replaced_names_[graph_.value(from).name] = from;
  uses_.resize(graph_.values.size(), 1);
  uses_[to] += uses_[from] == 0 ? 0 : uses_[from] - 1;
}

ValueId Rewriter::current(ValueId id) const {
  for (auto found = replaced_.find(id); found != replaced_.end(); found = replaced_.find(id)) id = found->second;
  return id;
}

const Node* Rewriter::producer(ValueId id) const {
  auto found = producer_.find(id);
  return found == producer_.end() || found->second >= nodes_.size() ? nullptr : &nodes_[found->second];
}

const Node* Rewriter::only_producer(ValueId id, std::string_view op) const {
  if (id == kNoValue || uses(id) != 1) return nullptr;
  const Node* node = producer(id);
  return node != nullptr && node->op == op ? node : nullptr;
}

bool scalar_value(const Graph& graph, ValueId id, double& value) {
  const tensor::Tensor* tensor = graph.constant(id);
  if (tensor == nullptr || tensor->num_elements() != 1 || tensor->dtype() == tensor::DType::kString) return false;
  value = tensor->as_double(0);
  return true;
}

}  // namespace xinfer::passes
