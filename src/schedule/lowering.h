// Lowerings: one element of an operator's output as an expression of its inputs' elements. One table for all operators.
#pragma once
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "ir/graph.h"
#include "schedule/expr.h"

namespace xinfer::schedule {

/// The type in which elements of `dtype` are computed: 16- and 8-bit floats in float32, 4-bit integers in 8 bits.
DType compute_type(DType dtype);

/// What a lowering sees. Shapes are numbers or formulas.
class LoweringContext {
 public:
  using Reader = std::function<E(ir::ValueId value, std::span<const E> index)>;
  using Table = std::function<E(std::vector<double> values, DType dtype, E index)>;

  LoweringContext(ExprPool& pool, const ir::Graph& graph, const ir::Node& node, std::size_t output,
                  std::vector<E> index, Reader reader, Table table)
      : pool(pool),
        graph(graph),
        node(node),
        output(output),
        index(std::move(index)),
        reader_(std::move(reader)),
        table_(std::move(table)) {}

  ExprPool& pool;
  const ir::Graph& graph;
  const ir::Node& node;
  std::size_t output;
  std::vector<E> index;  // of the wanted element of output `output`

  bool has(std::size_t i) const { return i < node.inputs.size() && node.inputs[i] != ir::kNoValue; }
  const std::vector<Size>& shape(std::size_t i);
  const std::vector<Size>& out_shape();
  /// The shape of input i as numbers; kUnsupported where it is not, saying what needs them.
  base::Result<std::vector<std::int64_t>> fixed_shape(std::size_t i);
  /// The elements of an integer input that is a constant or follows from shapes.
  std::optional<std::vector<Size>> known_sizes(std::size_t i) const;
  std::int64_t rank(std::size_t i) { return static_cast<std::int64_t>(shape(i).size()); }
  DType stored_dtype(std::size_t i) const { return graph.value(node.inputs[i]).type.dtype; }
  DType dtype(std::size_t i) const { return compute_type(stored_dtype(i)); }
  DType out_dtype() const { return compute_type(graph.value(node.outputs[output]).type.dtype); }
  /// A constant input's elements, or null when it is not constant.
  const tensor::Tensor* constant(std::size_t i) const { return has(i) ? graph.constant(node.inputs[i]) : nullptr; }

  /// Element `index` of input i, in its compute type.
  E read(std::size_t i, std::span<const E> index) { return reader_(node.inputs[i], index); }
  /// Element of input i at `index` of a tensor that it broadcasts to (numpy's rule).
  E broadcast(std::size_t i, std::span<const E> index);
  E broadcast(std::size_t i) { return broadcast(i, index); }
  /// values[index], known at build time.
  E table(std::vector<double> values, DType dtype, E index) { return table_(std::move(values), dtype, index); }
  /// A data-dependent index made safe: negative ones count from the end, the rest is cut to the dimension.
  E wrap_index(E raw, const Size& size);
  /// Negative axes count from the end.
  std::size_t axis(std::int64_t value, std::size_t rank) const {
    return static_cast<std::size_t>(value < 0 ? value + static_cast<std::int64_t>(rank) : value);
  }

 private:
  Reader reader_;
  Table table_;
  std::map<std::size_t, std::vector<Size>> shapes_;
};

/// Errors: kUnsupported for attribute values or dtypes without a lowering.
using Lower = base::Result<E> (*)(LoweringContext&);

struct LoweringRow {
  std::string_view op;
  Lower lower;
  int cost;  // about how many plain operations an element takes, for the choice of what to recompute
};

/// Null when the operator has none.
const LoweringRow* find_lowering(std::string_view op);

// The table's parts, one file each.
std::span<const LoweringRow> pointwise_lowerings();
std::span<const LoweringRow> movement_lowerings();
std::span<const LoweringRow> resampling_lowerings();
std::span<const LoweringRow> reduction_lowerings();
std::span<const LoweringRow> normalization_lowerings();

}  // namespace xinfer::schedule
