// The table of operators: one row each with everything that the compiler must know about it before lowering.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace xinfer::ir {

/// What a shape rule sees of one node.
struct ShapeContext {
  const Graph& graph;
  const Node& node;

  std::size_t num_inputs() const { return node.inputs.size(); }
  bool has_input(std::size_t i) const { return i < node.inputs.size() && node.inputs[i] != kNoValue; }
  const ValueType& input(std::size_t i) const { return graph.value(node.inputs[i]).type; }
  /// The input's value where it is known at build time, else null.
  const Tensor* constant(std::size_t i) const { return has_input(i) ? graph.constant(node.inputs[i]) : nullptr; }
};

/// Types of all outputs of the node (absent optional outputs included, up to node.outputs.size()).
/// Unknown sizes are symbolic dims; errors say which input or attribute is wrong.
using ShapeRule = base::Result<std::vector<ValueType>> (*)(const ShapeContext&);

/// How the CPU and CUDA back ends produce an operator.
enum class Lowering : std::uint8_t {
  kPointwise,    // one output element from the elements at the broadcast index
  kMovement,     // output element = one input element at a computed index (or a fill value)
  kReduction,    // folds axes
  kContraction,  // template of forge: convolution, matrix product, pooling, attention, recurrent cells
  kComposite,    // replaced by other operators before scheduling (src/passes)
  kIrregular,    // template of forge with a body of its own: sort, scatter, non-maximum suppression, …
  kFoldOnly,     // must have been folded to a constant at build time (Shape, Constant, …)
  kControl,      // If, Loop, Scan, sequences
};

enum class AttributeKind : std::uint8_t { kInt, kFloat, kString, kTensor, kInts, kFloats, kStrings, kGraph };
struct AttributeInfo {
  std::string_view name;
  AttributeKind kind;
  bool required = false;
};

inline constexpr int kVariadic = 1 << 20;

struct OperatorInfo {
  std::string_view name;  // Node::op
  int min_inputs, max_inputs;
  int min_outputs, max_outputs;
  std::vector<AttributeInfo> attributes;
  ShapeRule shape_rule;
  Lowering lowering;
};

/// Around the body of a loop that repeats while running (operators/control.cpp).
inline constexpr std::string_view kLoopBegin = "xinfer.LoopBegin", kLoopEnd = "xinfer.LoopEnd";
inline constexpr std::size_t kLoopEndStates = 4;  // LoopEnd's inputs in front: iteration, trips, first and next condition

/// The row for `op`, or null when the operator is unknown.
const OperatorInfo* find_operator(std::string_view op);
/// All rows, sorted by name.
std::span<const OperatorInfo> operators();

/// Fills in types of all values in order by the shape rules. Errors name the node.
[[nodiscard]] base::Result<void> infer_types(Graph& graph);
/// The same for one node whose inputs have types; captures of its subgraphs keep theirs.
[[nodiscard]] base::Result<void> infer_node_types(Graph& graph, Node& node);

/// The symbol that the node's kernel counts while running: how many elements NonZero, Compress, … give.
std::string counted_symbol(const Graph& graph, const Node& node);
/// Fills in Value::elements of the node's outputs (or clears it): numbers that follow from shapes. Part of the above.
void infer_elements(Graph& graph, const Node& node);

/// Checks structure: unique producers, topological order, arity, attribute names and kinds, known operators.
/// All problems are reported in one error, one line each.
[[nodiscard]] base::Result<void> verify(const Graph& graph);

/// Text form: prints deterministically, constants of more than `max_literal` elements as digests. parse(print(g)) gives
/// the same graph where all constants are literals or are given in `constants` by digest (SHA-256 of dtype, shape, bytes).
std::string print(const Graph& graph, std::int64_t max_literal = 16);
[[nodiscard]] base::Result<Graph> parse(std::string_view text,
                                        const std::map<std::string, std::shared_ptr<const Tensor>>& constants = {});
std::string to_string(const Attributes& attributes);
std::string digest(const Tensor& tensor);

}  // namespace xinfer::ir
