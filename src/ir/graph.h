// The intermediate representation: a graph of operators over SSA values.
//
// A Graph is a plain value: nodes in topological order, values addressed by id. Passes read it, build the changed
// node list and assign it back. Operators carry ONNX's names with the semantics of the newest supported opset
// (the importer upgrades older ones); other domains are prefixed ("com.microsoft.FusedConv"); ours is "xinfer.".
#pragma once
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "tensor/size.h"
#include "tensor/tensor.h"

namespace xinfer::ir {

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

/// A dimension: a number, a formula over symbols with ranges, or unknown.
struct Dim {
  std::int64_t value = -1;  // >= 0 when static
  tensor::Size formula;     // of a dimension that is known only while running; a number in all others

  Dim() = default;
  Dim(std::int64_t size) : value(size) {}
  /// A formula that is a number makes a static dimension.
  Dim(const tensor::Size& size) {
    if (size.is_number()) value = size.number();
    else formula = size;
  }
  explicit Dim(const std::string& symbol) : Dim(tensor::Size(tensor::Symbol{.name = tensor::symbol_name(symbol)})) {}
  bool is_static() const { return value >= 0; }
  bool is_known() const { return is_static() || !formula.is_number(); }
  tensor::Size size() const { return is_static() ? tensor::Size(value) : formula; }  // of a known one
  bool operator==(const Dim&) const = default;
};

/// The type of a value. `dims` is absent while the rank is unknown.
struct ValueType {
  enum class Kind : std::uint8_t { kTensor, kSequence, kOptional };
  Kind kind = Kind::kTensor;
  DType dtype = DType::kUndefined;
  std::optional<std::vector<Dim>> dims;

  static ValueType of(DType dtype, const Shape& shape);
  bool is_static() const;  // tensor whose dimensions are all numbers
  bool is_known() const;   // tensor whose dimensions are all numbers or formulas
  Shape shape() const;     // of a static type
  std::vector<tensor::Size> sizes() const;  // of a known type
  Shape max_shape() const;                  // of a known type, all symbols at their maximum
  bool operator==(const ValueType&) const = default;
};
/// "float32[1,3,N,224]", "float32[?]" for unknown rank, "seq(float32)".
std::string to_string(const ValueType& type);

using ValueId = std::uint32_t;
inline constexpr ValueId kNoValue = std::numeric_limits<ValueId>::max();  // an omitted optional input or output

struct Value {
  std::string name;  // as in the model; unique within the graph
  ValueType type;
  std::shared_ptr<const Tensor> constant;  // initialisers and folded values; shared, never modified
  /// The elements of a small tensor of whole numbers that follow from shapes alone, row-major. Set by inference.
  std::shared_ptr<const std::vector<tensor::Size>> elements;
};

class Graph;
using Attribute = std::variant<std::int64_t, float, std::string, std::shared_ptr<const Tensor>, std::vector<std::int64_t>,
                               std::vector<float>, std::vector<std::string>, std::shared_ptr<const Graph>>;

/// Attributes by name, with typed access. A wrong type reads as absent: the verifier has refused it before.
class Attributes {
 public:
  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  template <class T>
  const T* get(std::string_view name) const {
    auto it = values_.find(name);
    return it == values_.end() ? nullptr : std::get_if<T>(&it->second);
  }
  std::int64_t integer(std::string_view name, std::int64_t fallback) const;
  float real(std::string_view name, float fallback) const;
  std::string string(std::string_view name, std::string_view fallback) const;
  std::vector<std::int64_t> integers(std::string_view name, std::vector<std::int64_t> fallback = {}) const;
  void set(std::string name, Attribute value) { values_[std::move(name)] = std::move(value); }
  void erase(std::string_view name);
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::map<std::string, Attribute, std::less<>> values_;  // ordered, so that printing is deterministic
};

struct Node {
  std::string op;
  std::string name;  // as in the model, for messages and reports
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  Attributes attributes;
};

class Graph {
 public:
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;  // topological order
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  /// Values of enclosing graphs that a subgraph (If, Loop, Scan) reads: own value id -> name outside.
  std::map<ValueId, std::string> captures;
  std::map<std::string, std::string> metadata;  // ONNX metadata_props

  ValueId add_value(std::string name, ValueType type);
  ValueId add_constant(std::string name, Tensor tensor);
  const Value& value(ValueId id) const { return values[id]; }
  Value& value(ValueId id) { return values[id]; }
  bool is_constant(ValueId id) const { return id != kNoValue && values[id].constant != nullptr; }
  const Tensor* constant(ValueId id) const { return id == kNoValue ? nullptr : values[id].constant.get(); }
  bool is_output(ValueId id) const;

  /// Index of the node that produces each value, or -1. Index = ValueId. Invalid after nodes change.
  std::vector<std::int64_t> producers() const;
  /// Indices of the nodes that read each value, once per node. Index = ValueId. Captures of subgraphs count.
  std::vector<std::vector<std::size_t>> users() const;
  /// Makes every reader of `from` (nodes and graph outputs) read `to`.
  void replace_uses(ValueId from, ValueId to);
  /// Drops values that nothing refers to and renumbers the rest; nodes keep their order.
  void compact();
  /// A value name not in use yet, starting with `stem`.
  std::string unique_name(std::string_view stem) const;
};

}  // namespace xinfer::ir
