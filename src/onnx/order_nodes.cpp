// Topological order of a graph's nodes, stable: a graph already in order stays as it is.
#include <fmt/format.h>

#include <functional>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "onnx/graph_builder.h"

namespace xinfer::onnx {
namespace {

using base::Code;
using base::fail;
using base::Result;

// Names that a graph reads from the graphs around it.
void collect_free_names(const proto::GraphProto& graph, std::unordered_set<std::string>& free) {
  std::unordered_set<std::string> read, own;
  for (const auto& input : graph.input()) own.insert(input.name());
  for (const auto& tensor : graph.initializer()) own.insert(tensor.name());
  for (const auto& tensor : graph.sparse_initializer()) own.insert(tensor.values().name());
  for (const auto& node : graph.node()) {
    own.insert(node.output().begin(), node.output().end());
    read.insert(node.input().begin(), node.input().end());
    for (const auto& attribute : node.attribute())
      if (attribute.has_g()) collect_free_names(attribute.g(), read);
  }
  for (const auto& output : graph.output()) read.insert(output.name());
  for (const std::string& name : read)
    if (!own.contains(name)) free.insert(name);
}

std::unordered_set<std::string> names_read(const proto::NodeProto& node) {
  std::unordered_set<std::string> names(node.input().begin(), node.input().end());
  for (const auto& attribute : node.attribute())
    if (attribute.has_g()) collect_free_names(attribute.g(), names);
  return names;
}

// Follows unmet dependencies until a node repeats: that is a cycle.
std::string name_cycle(const google::protobuf::RepeatedPtrField<proto::NodeProto>& nodes, const std::vector<std::vector<int>>& needs,
                       const std::vector<int>& missing) {
  int at = 0;
  while (missing[at] == 0) ++at;
  std::vector<int> path;
  std::unordered_map<int, std::size_t> seen;
  while (seen.emplace(at, path.size()).second) {
    path.push_back(at);
    for (int before : needs[at])
      if (missing[before] != 0) {
        at = before;
        break;
      }
  }
  std::string text;
  constexpr std::size_t kMaxNamed = 8;
  for (std::size_t i = seen[at]; i < path.size(); ++i) {
    if (i - seen[at] == kMaxNamed) return text + ", …";
    text += (text.empty() ? "" : ", ") + describe(nodes.Get(path[i]));
  }
  return text;
}

}  // namespace

std::string describe(const proto::NodeProto& node) {
  if (!node.name().empty()) return fmt::format("{} '{}'", node.op_type(), node.name());
  return fmt::format("{} ('{}')", node.op_type(), node.output_size() != 0 ? node.output(0) : "");
}

Result<std::vector<int>> order_nodes(const google::protobuf::RepeatedPtrField<proto::NodeProto>& nodes) {
  std::unordered_map<std::string, int> producer;
  for (int n = 0; n < nodes.size(); ++n)
    for (const std::string& output : nodes.Get(n).output())
      if (!output.empty()) producer.emplace(output, n);
  std::vector<std::vector<int>> needs(nodes.size()), readers(nodes.size());
  std::vector<int> missing(nodes.size(), 0);
  for (int n = 0; n < nodes.size(); ++n)
    for (const std::string& name : names_read(nodes.Get(n)))
      if (auto found = producer.find(name); found != producer.end()) {
        needs[n].push_back(found->second);
        readers[found->second].push_back(n);
        ++missing[n];
      }
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (int n = 0; n < nodes.size(); ++n)
    if (missing[n] == 0) ready.push(n);
  std::vector<int> order;
  while (!ready.empty()) {
    const int n = ready.top();
    ready.pop();
    order.push_back(n);
    for (int reader : readers[n])
      if (--missing[reader] == 0) ready.push(reader);
  }
  if (static_cast<int>(order.size()) != nodes.size())
    return fail(Code::kCorrupt, "the graph has a cycle through {}", name_cycle(nodes, needs, missing));
  return order;
}

}  // namespace xinfer::onnx
