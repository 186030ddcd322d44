// The reference functions: plain C++ with double accumulation. They define what every other kernel must compute.
//
// Errors are values; all functions are pure and may be called from several threads at once.
#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace xinfer::forge::reference {

using ir::Tensor;

/// A runtime value. Copies share the elements.
struct Value {
  enum class Kind : std::uint8_t { kTensor, kSequence, kOptional };
  Kind kind = Kind::kTensor;
  std::shared_ptr<const Tensor> tensor;             // kTensor
  std::vector<Value> elements;                      // of a kSequence; none or one of a kOptional
  tensor::DType dtype = tensor::DType::kUndefined;  // of a sequence's or optional's tensors, where known

  Value() = default;
  Value(Tensor value) : tensor(std::make_shared<const Tensor>(std::move(value))) {}
  Value(std::shared_ptr<const Tensor> value) : tensor(std::move(value)) {}
  static Value sequence(std::vector<Value> elements, tensor::DType dtype);
  static Value optional(std::vector<Value> none_or_one, tensor::DType dtype);
  /// The static type of this value, as the shape rules want it.
  ir::ValueType type() const;
};

struct Call;  // call.h: one evaluation of one node
using Body = base::Result<std::vector<Value>> (*)(const Call&);

/// The reference of one operator. Calling it runs the operator's shape rule on the inputs' actual types first, which checks
/// them. `inputs` are in the node's order; null stands for an omitted one. The result has one value per output.
class Function {
 public:
  Function() = default;
  explicit Function(Body body) : body_(body) {}
  explicit operator bool() const { return body_ != nullptr; }
  [[nodiscard]] base::Result<std::vector<Value>> operator()(const ir::Node& node, const ir::Graph& graph,
                                                            std::span<const Value* const> inputs) const;

 private:
  Body body_ = nullptr;
};

/// The function of operator `op`, or an empty one. Operators with subgraphs (If, Loop, Scan, SequenceMap) are only
/// known to evaluate(), since they read values around the node.
Function find(std::string_view op);

/// Evaluates the whole graph, control flow included; values are freed after their last use. `inputs` in the order of
/// graph.inputs; the result in the order of graph.outputs.
[[nodiscard]] base::Result<std::vector<Value>> evaluate(const ir::Graph& graph, std::span<const Value> inputs);

}  // namespace xinfer::forge::reference
