#include "ir/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace xinfer::ir {
namespace {

// Calls f(name) for every value of the enclosing graph that a subgraph of `node` reads.
template <class F>
void for_each_capture(const Node& node, F f) {
  for (const auto& [name, attribute] : node.attributes)
    if (const auto* graph = std::get_if<std::shared_ptr<const Graph>>(&attribute))
      for (const auto& [id, outside] : (*graph)->captures) f(outside);
}

bool has_subgraph(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(), [](const auto& entry) {
    return std::holds_alternative<std::shared_ptr<const Graph>>(entry.second);
  });
}

}  // namespace

ValueType ValueType::of(DType dtype, const Shape& shape) {
  ValueType type;
  type.dtype = dtype;
  type.dims.emplace(shape.begin(), shape.end());
  return type;
}

bool ValueType::is_static() const {
  return kind == Kind::kTensor && dims && std::all_of(dims->begin(), dims->end(), [](const Dim& d) { return d.is_static(); });
}

bool ValueType::is_known() const {
  return kind == Kind::kTensor && dims && std::all_of(dims->begin(), dims->end(), [](const Dim& d) { return d.is_known(); });
}

std::vector<tensor::Size> ValueType::sizes() const {
  std::vector<tensor::Size> sizes;
  for (const Dim& dim : *dims) sizes.push_back(dim.size());
  return sizes;
}

Shape ValueType::max_shape() const {
  Shape shape;
  for (const Dim& dim : *dims) shape.push_back(dim.size().max());
  return shape;
}

Shape ValueType::shape() const {
  Shape shape;
  for (const Dim& dim : *dims) shape.push_back(dim.value);
  return shape;
}

std::string to_string(const ValueType& type) {
  std::string text(tensor::name(type.dtype));
  if (!type.dims) {
    text += type.kind == ValueType::Kind::kTensor ? "[?]" : "";
  } else {
    text += '[';
    for (std::size_t i = 0; i < type.dims->size(); ++i) {
      const Dim& dim = (*type.dims)[i];
      if (i != 0) text += ',';
      text += dim.is_known() ? dim.size().text() : "_";
    }
    text += ']';
  }
  if (type.kind == ValueType::Kind::kSequence) return "seq(" + text + ")";
  if (type.kind == ValueType::Kind::kOptional) return "optional(" + text + ")";
  return text;
}

std::int64_t Attributes::integer(std::string_view name, std::int64_t fallback) const {
  const auto* value = get<std::int64_t>(name);
  return value != nullptr ? *value : fallback;
}

float Attributes::real(std::string_view name, float fallback) const {
  const auto* value = get<float>(name);
  return value != nullptr ? *value : fallback;
}

std::string Attributes::string(std::string_view name, std::string_view fallback) const {
  const auto* value = get<std::string>(name);
  return value != nullptr ? *value : std::string(fallback);
}

std::vector<std::int64_t> Attributes::integers(std::string_view name, std::vector<std::int64_t> fallback) const {
  const auto* value = get<std::vector<std::int64_t>>(name);
  return value != nullptr ? *value : std::move(fallback);
}

void Attributes::erase(std::string_view name) {
  auto it = values_.find(name);
  if (it != values_.end()) values_.erase(it);
}

ValueId Graph::add_value(std::string name, ValueType type) {
  values.push_back({std::move(name), std::move(type), nullptr});
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::add_constant(std::string name, Tensor tensor) {
  const ValueType type = ValueType::of(tensor.dtype(), tensor.shape());
  values.push_back({std::move(name), type, std::make_shared<const Tensor>(std::move(tensor))});
  return static_cast<ValueId>(values.size() - 1);
}

bool Graph::is_output(ValueId id) const { return std::find(outputs.begin(), outputs.end(), id) != outputs.end(); }

std::vector<std::int64_t> Graph::producers() const {
  std::vector<std::int64_t> producer(values.size(), -1);
  for (std::size_t n = 0; n < nodes.size(); ++n)
    for (ValueId id : nodes[n].outputs)
      if (id != kNoValue) producer[id] = static_cast<std::int64_t>(n);
  return producer;
}

std::vector<std::vector<std::size_t>> Graph::users() const {
  std::vector<std::vector<std::size_t>> users(values.size());
  auto add = [&](ValueId id, std::size_t n) {
    if (id != kNoValue && (users[id].empty() || users[id].back() != n)) users[id].push_back(n);
  };
  std::unordered_map<std::string_view, ValueId> by_name;
  if (std::any_of(nodes.begin(), nodes.end(), has_subgraph))
    for (ValueId id = 0; id < values.size(); ++id) by_name.emplace(values[id].name, id);
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    for (ValueId id : nodes[n].inputs) add(id, n);
    for_each_capture(nodes[n], [&](const std::string& name) {
      if (auto it = by_name.find(name); it != by_name.end()) add(it->second, n);
    });
  }
  return users;
}

void Graph::replace_uses(ValueId from, ValueId to) {
  for (Node& node : nodes) {
    std::replace(node.inputs.begin(), node.inputs.end(), from, to);
    if (!has_subgraph(node)) continue;
    // Captures are by name: a subgraph that reads `from` gets a copy that reads `to`.
    for (const auto& [name, attribute] : Attributes(node.attributes)) {
      const auto* graph = std::get_if<std::shared_ptr<const Graph>>(&attribute);
      if (graph == nullptr) continue;
      auto reads = [&](const auto& capture) { return capture.second == values[from].name; };
      if (std::none_of((*graph)->captures.begin(), (*graph)->captures.end(), reads)) continue;
      auto changed = std::make_shared<Graph>(**graph);
      for (auto& capture : changed->captures)
        if (reads(capture)) capture.second = values[to].name;
      node.attributes.set(name, std::shared_ptr<const Graph>(std::move(changed)));
    }
  }
  std::replace(outputs.begin(), outputs.end(), from, to);
}

void Graph::compact() {
  std::vector<bool> used(values.size(), false);
  auto use = [&](ValueId id) {
    if (id != kNoValue) used[id] = true;
  };
  for (ValueId id : inputs) use(id);
  for (ValueId id : outputs) use(id);
  for (const auto& [id, name] : captures) use(id);
  for (const Node& node : nodes) {
    for (ValueId id : node.inputs) use(id);
    for (ValueId id : node.outputs) use(id);
  }
  if (std::any_of(nodes.begin(), nodes.end(), has_subgraph)) {
    std::unordered_set<std::string_view> captured;
    for (const Node& node : nodes) for_each_capture(node, [&](const std::string& name) { captured.insert(name); });
    for (ValueId id = 0; id < values.size(); ++id)
      if (captured.contains(values[id].name)) used[id] = true;
  }
  std::vector<ValueId> renumbered(values.size(), kNoValue);
  std::vector<Value> kept;
  for (ValueId id = 0; id < values.size(); ++id) {
    if (!used[id]) continue;
    renumbered[id] = static_cast<ValueId>(kept.size());
    kept.push_back(std::move(values[id]));
  }
  values = std::move(kept);
  auto renumber = [&](ValueId& id) {
    if (id != kNoValue) id = renumbered[id];
  };
  std::for_each(inputs.begin(), inputs.end(), renumber);
  std::for_each(outputs.begin(), outputs.end(), renumber);
  for (Node& node : nodes) {
    std::for_each(node.inputs.begin(), node.inputs.end(), renumber);
    std::for_each(node.outputs.begin(), node.outputs.end(), renumber);
  }
  std::map<ValueId, std::string> moved;
  for (auto& [id, name] : captures) moved.emplace(renumbered[id], std::move(name));
  captures = std::move(moved);
}

std::string Graph::unique_name(std::string_view stem) const {
  auto taken = [&](std::string_view name) {
    return std::any_of(values.begin(), values.end(), [&](const Value& value) { return value.name == name; });
  };
  std::string name(stem);
  for (int i = 1; taken(name); ++i) name = fmt::format("{}.{}", stem, i);
  return name;
}

}  // namespace xinfer::ir
