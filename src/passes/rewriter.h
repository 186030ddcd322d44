// Walks a graph's nodes in order and lets a pass replace them, keeping names, types and graph outputs in order.
#pragma once
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "ir/operator.h"

namespace xinfer::passes {

/// Passes look back at nodes already written and decide about the node at hand; readers further on see replacements.
class Rewriter {
 public:
  explicit Rewriter(ir::Graph& graph);

  /// Returns true when it has dealt with the node (by add, add_as, keep or replace), false to keep it as it is. The node's
  /// inputs are current.
  using Visit = std::function<base::Result<bool>(Rewriter&, ir::Node&)>;
  /// True if any visit was. `finish` may append nodes behind the last one.
  [[nodiscard]] base::Result<bool> run(const Visit& visit, const std::function<base::Result<void>(Rewriter&)>& finish = {});

  ir::Graph& graph() { return graph_; }
  const ir::Value& value(ir::ValueId id) const { return graph_.value(id); }
  const ir::ValueType& type(ir::ValueId id) const { return graph_.value(id).type; }
  const ir::Tensor* constant(ir::ValueId id) const { return graph_.constant(id); }

  ir::ValueId add_constant(tensor::Tensor tensor);
  ir::ValueId add_int64s(std::vector<std::int64_t> values) { return add_constant(tensor::Tensor::from_int64s(values)); }
  /// A scalar of the given type.
  ir::ValueId add_scalar(tensor::DType dtype, double value);
  /// A new node with one output; it carries the name of the node at hand.
  [[nodiscard]] base::Result<ir::ValueId> add(std::string op, std::vector<ir::ValueId> inputs, ir::Attributes attributes = {});
  /// A new node that produces an existing value.
  [[nodiscard]] base::Result<void> add_as(ir::ValueId output, std::string op, std::vector<ir::ValueId> inputs,
                                          ir::Attributes attributes = {});
  /// Infers the node's types and appends it.
  [[nodiscard]] base::Result<void> keep(ir::Node node);
  /// A value of its own for a node with several outputs.
  ir::ValueId add_value(std::string_view stem);
  /// Later nodes and the graph's outputs read `to` instead of `from`.
  void replace(ir::ValueId from, ir::ValueId to);
  /// Infers the node's types; appends it unless its outputs became constants.
  [[nodiscard]] base::Result<void> keep_or_fold(ir::Node node);
  /// Where the node list ends now, and back to there: gives up what was appended since.
  std::size_t mark() const { return nodes_.size(); }
  void rewind(std::size_t mark) { nodes_.resize(mark); }
  ir::ValueId current(ir::ValueId id) const;

  /// The node written so far that produces the value, or null (input, constant, not yet). Invalid after the next add.
  const ir::Node* producer(ir::ValueId id) const;
  /// How many nodes and graph outputs read the value.
  std::size_t uses(ir::ValueId id) const { return id < uses_.size() ? uses_[id] : 1; }
  /// The producer if it is `op` and nothing else reads its result, so that it may be merged into the node at hand.
  const ir::Node* only_producer(ir::ValueId id, std::string_view op) const;

 private:
  void count_uses();
  void follow_captures(ir::Node& node);
  [[nodiscard]] base::Result<void> settle_outputs();

  ir::Graph& graph_;
  std::vector<ir::Node> nodes_;
  std::string name_;  // of the node at hand
  std::unordered_map<ir::ValueId, ir::ValueId> replaced_;
  std::unordered_map<std::string, ir::ValueId> replaced_names_;
  std::unordered_map<ir::ValueId, std::size_t> producer_;
  std::unordered_map<std::string, std::size_t> names_;
  std::unordered_set<std::string> captured_;
  std::vector<std::size_t> uses_;
};

/// One float constant, scalar or of one element, as number.
bool scalar_value(const ir::Graph& graph, ir::ValueId id, double& value);

inline bool has_input(const ir::Node& node, std::size_t i) { return i < node.inputs.size() && node.inputs[i] != ir::kNoValue; }
inline bool has_output(const ir::Node& node, std::size_t i) { return i < node.outputs.size() && node.outputs[i] != ir::kNoValue; }
/// Whether the value has exactly one element.
inline bool is_single(const Rewriter& rewriter, ir::ValueId id) {
  return rewriter.type(id).is_static() && tensor::num_elements(rewriter.type(id).shape()) == 1;
}
inline bool has_static_inputs(const Rewriter& rewriter, const ir::Node& node) {
  for (ir::ValueId id : node.inputs)
    if (id != ir::kNoValue && !rewriter.type(id).is_static()) return false;
  return true;
}

}  // namespace xinfer::passes
