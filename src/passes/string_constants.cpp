// Before: constants of strings. After: nodes, whose kernels hold the text: an engine's weights hold no addresses.
#include <algorithm>
#include <set>

#include "passes/passes.h"

namespace xinfer::passes {

using base::Result;
using ir::Graph;
using ir::Node;
using ir::ValueId;

Result<bool> string_constants(Graph& graph) {
  std::set<ValueId> read(graph.outputs.begin(), graph.outputs.end());
  for (const Node& node : graph.nodes) read.insert(node.inputs.begin(), node.inputs.end());
  std::vector<Node> constants;
  for (ValueId id : read) {
    if (!graph.is_constant(id) || graph.value(id).type.dtype != ir::DType::kString) continue;
    ir::Value& value = graph.value(id);
    Node node{"Constant", value.name, {}, {id}, {}};
    node.attributes.set("value", std::move(value.constant));
    value.constant = nullptr;
    constants.push_back(std::move(node));
  }
  graph.nodes.insert(graph.nodes.begin(), constants.begin(), constants.end());
  return !constants.empty();
}

}  // namespace xinfer::passes
