// Old operator versions to the newest: one adapter per change of an operator's meaning or form. Internal to src/onnx.
#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "ir/operator.h"

namespace xinfer::onnx {

/// Newest opset of the default domain whose operators the importer knows.
inline constexpr int kNewestOpset = 27;

/// Names in use, each with the number to try next when it is wanted again.
using Names = std::unordered_map<std::string, std::size_t>;
/// `stem`, or `stem` with a number, whichever is not in use; it is in use from then on.
std::string make_unique(Names& names, const std::string& stem);

/// Where adapters put the nodes that an old operator turns into.
class Emitter {
 public:
  /// `names`: the names in use in `graph`. `typed`: whether types of the values so far are known to be inferred.
  Emitter(ir::Graph& graph, Names& names, std::string stem, bool typed)
      : graph(graph), names_(names), stem_(std::move(stem)), typed_(typed) {}

  /// A new value without type, named after the node and `what`.
  ir::ValueId temporary(std::string_view what);
  ir::ValueId constant(tensor::Tensor tensor);
  /// Adds a node with one output before the node being upgraded.
  [[nodiscard]] base::Result<ir::ValueId> emit(std::string op, std::vector<ir::ValueId> inputs, ir::Attributes attributes = {});
  /// Makes the node's output `index` a new value and adds a node that computes the old one from it: (new, more…) -> old.
  void append(ir::Node& node, std::size_t index, std::string op, std::vector<ir::ValueId> more, ir::Attributes attributes = {});
  [[nodiscard]] base::Result<void> add(ir::Node node);

  const ir::ValueType& type(ir::ValueId id) const { return graph.value(id).type; }
  /// -1 while unknown.
  std::int64_t rank(ir::ValueId id) const;

  ir::Graph& graph;
  std::vector<ir::Node> after;  // nodes to add after the one being upgraded

 private:
  Names& names_;
  std::string stem_;
  bool typed_;
};

/// Rewrites `node` to the standard operator that says the same, where there is one under another name.
[[nodiscard]] base::Result<void> replace(Emitter& emitter, ir::Node& node);

/// Rewrites `node`, an operator of the default domain in `opset`, to the newest form. kUnsupported where an old form has no
/// equivalent.
[[nodiscard]] base::Result<void> upgrade(Emitter& emitter, ir::Node& node, int opset);

}  // namespace xinfer::onnx
