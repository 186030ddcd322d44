#include "passes/inline_graph.h"

namespace xinfer::passes {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

// Bodies inside a copied node read copied values from now on.
void rename_captures(Rewriter& rewriter, const std::unordered_map<std::string, ValueId>& moved, Node& node) {
  std::vector<std::pair<std::string, std::shared_ptr<const Graph>>> changed;
  for (const auto& [name, attribute] : node.attributes) {
    const auto* inner = std::get_if<std::shared_ptr<const Graph>>(&attribute);
    if (inner == nullptr || (*inner)->captures.empty()) continue;
    auto copy = std::make_shared<Graph>(**inner);
    for (auto& [id, outside] : copy->captures)
      if (auto found = moved.find(outside); found != moved.end()) {
        const ir::Value& value = rewriter.value(rewriter.current(found->second));
        outside = value.name;
        copy->value(id).type = value.type;
        copy->value(id).constant = value.constant;
      }
    changed.emplace_back(name, std::move(copy));
  }
  for (auto& [name, inner] : changed) node.attributes.set(name, inner);
}

}  // namespace

OuterValues::OuterValues(const Graph& graph) {
  for (ValueId id = 0; id < graph.values.size(); ++id) by_name_.emplace(graph.values[id].name, id);
}

ValueId OuterValues::find(const std::string& name) const {
  auto found = by_name_.find(name);
  return found == by_name_.end() ? kNoValue : found->second;
}

Result<std::vector<ValueId>> inline_graph(Rewriter& rewriter, OuterValues& outer, const Graph& body,
                                          std::span<const ValueId> arguments, const Visit& visit) {
  if (arguments.size() != body.inputs.size())
    return fail(Code::kInvalidArgument, "the subgraph '{}' takes {} inputs, {} are given", body.name, body.inputs.size(), arguments.size());
  std::vector<ValueId> copied(body.values.size(), kNoValue);
  std::unordered_map<std::string, ValueId> moved;  // names in the body -> values of the graph
  for (std::size_t i = 0; i < arguments.size(); ++i) copied[body.inputs[i]] = arguments[i];
  for (const auto& [id, outside] : body.captures) {
    copied[id] = rewriter.current(outer.find(outside));
    if (copied[id] == kNoValue) return fail(Code::kInternal, "the subgraph '{}' reads '{}', which does not exist", body.name, outside);
  }
  auto copy = [&](ValueId id) {
    if (id == kNoValue) return kNoValue;
    if (copied[id] == kNoValue) {
      copied[id] = rewriter.add_value(body.value(id).name);
      rewriter.graph().value(copied[id]).type = body.value(id).type;
      rewriter.graph().value(copied[id]).constant = body.value(id).constant;
      outer.add(rewriter.value(copied[id]).name, copied[id]);
    }
    return rewriter.current(copied[id]);
  };
  for (const Node& original : body.nodes) {
    Node node = original;
    for (ValueId& id : node.inputs) id = copy(id);
    moved.clear();
    for (const auto& [name, attribute] : node.attributes)
      if (const auto* inner = std::get_if<std::shared_ptr<const Graph>>(&attribute))
        for (const auto& [id, outside] : (*inner)->captures)
          for (ValueId v = 0; v < body.values.size(); ++v)
            if (body.values[v].name == outside) moved[outside] = copy(v);
    rename_captures(rewriter, moved, node);
    for (ValueId& id : node.outputs) id = copy(id);
    XI_CHECK(ir::infer_node_types(rewriter.graph(), node));
    XI_TRY(const bool handled, visit(rewriter, node));
    if (!handled) XI_CHECK(rewriter.keep(std::move(node)));
  }
  std::vector<ValueId> results;
  for (ValueId id : body.outputs) results.push_back(copy(id));
  return results;
}

}  // namespace xinfer::passes
