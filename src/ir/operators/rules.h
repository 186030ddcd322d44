// What the operator rows share: attribute descriptions, dimension arithmetic and the common shape rules.
#pragma once
#include <optional>
#include <utility>
#include <vector>

#include "ir/operator.h"

namespace xinfer::ir::rules {

using base::Code;
using base::fail;
using base::Result;
using Dims = std::vector<Dim>;
using Types = Result<std::vector<ValueType>>;
using Rows = std::vector<OperatorInfo>;

// Rows of each category; table.cpp assembles them.
void add_pointwise(Rows& rows);
void add_movement(Rows& rows);
void add_reduction(Rows& rows);
void add_normalization(Rows& rows);
void add_contraction(Rows& rows);
void add_attention(Rows& rows);
void add_recurrent(Rows& rows);
void add_selection(Rows& rows);
void add_sampling(Rows& rows);
void add_signal(Rows& rows);
void add_quantized(Rows& rows);
void add_generators(Rows& rows);
void add_control(Rows& rows);
void add_text(Rows& rows);
void add_classical(Rows& rows);
void add_microsoft(Rows& rows);

// Attribute descriptions.
constexpr AttributeInfo integer(std::string_view name, bool required = false) {
  return {name, AttributeKind::kInt, required};
}
constexpr AttributeInfo real(std::string_view name, bool required = false) {
  return {name, AttributeKind::kFloat, required};
}
constexpr AttributeInfo text(std::string_view name, bool required = false) {
  return {name, AttributeKind::kString, required};
}
constexpr AttributeInfo tensor_attribute(std::string_view name, bool required = false) {
  return {name, AttributeKind::kTensor, required};
}
constexpr AttributeInfo integers(std::string_view name, bool required = false) {
  return {name, AttributeKind::kInts, required};
}
constexpr AttributeInfo reals(std::string_view name, bool required = false) {
  return {name, AttributeKind::kFloats, required};
}
constexpr AttributeInfo texts(std::string_view name, bool required = false) {
  return {name, AttributeKind::kStrings, required};
}
constexpr AttributeInfo graph(std::string_view name, bool required = false) {
  return {name, AttributeKind::kGraph, required};
}

// Types.
ValueType tensor_type(DType dtype, std::optional<Dims> dims);
ValueType unknown_rank(DType dtype);
ValueType scalar(DType dtype);
/// All dims static.
ValueType static_type(DType dtype, const Shape& shape);
/// The list cut to the outputs that the node has.
Types outputs(const ShapeContext& context, std::vector<ValueType> types);
Types output(const ShapeContext& context, ValueType type);

// Inputs.
DType dtype_of(const ShapeContext& context, std::size_t input);
/// Null when the input is absent or its rank is unknown.
const Dims* dims_of(const ShapeContext& context, std::size_t input);
/// The elements of a constant integer input, or nothing when it is absent or not known yet.
std::optional<std::vector<std::int64_t>> constant_integers(const ShapeContext& context, std::size_t input);
/// The only element of a constant integer input, under the same condition. Error when it has none or several.
[[nodiscard]] Result<std::optional<std::int64_t>> constant_integer(const ShapeContext& context, std::size_t input);
/// The elements with sizes that follow from shapes, Value::elements.
std::optional<std::vector<tensor::Size>> known_sizes(const ShapeContext& context, std::size_t input);
/// Error unless the input is a tensor of that rank; unknown ranks pass.
[[nodiscard]] Result<void> require_rank(const ShapeContext& context, std::size_t input, std::size_t rank);
[[nodiscard]] Result<void> require_min_rank(const ShapeContext& context, std::size_t input, std::size_t rank);
/// Error unless all tensor inputs from `first` to `last` (inclusive) have the same element type.
[[nodiscard]] Result<void> require_same_dtype(const ShapeContext& context, std::size_t first, std::size_t last);
/// Reads an element type attribute; `fallback` when absent.
Result<DType> dtype_attribute(const ShapeContext& context, std::string_view name, DType fallback);

// Dimension arithmetic on numbers and formulas. Sizes that are not known become unknown dims.
/// -rank <= axis < rank, or an error; the result is in [0, rank).
Result<std::int64_t> normalize_axis(std::int64_t axis, std::int64_t rank);
Result<std::vector<std::int64_t>> normalize_axes(const std::vector<std::int64_t>& axes, std::int64_t rank);
Result<Dim> broadcast_dim(const Dim& a, const Dim& b);
Result<Dims> broadcast_dims(const Dims& a, const Dims& b);
/// The two must be equal where both are known; the better known one is returned.
Result<Dim> merge_dim(const Dim& a, const Dim& b, std::string_view what);
Dim product(const Dims& dims, std::size_t begin, std::size_t end);
Dim add(const Dim& a, const Dim& b);
Dim multiply(const Dim& a, std::int64_t factor);
/// Rounded down; the divisor is positive.
Dim divide(const Dim& a, std::int64_t divisor);
Dims to_dims(const std::vector<tensor::Size>& sizes);
/// A size that the node finds out while running, at most `bound`: a symbol named after the output.
Dim counted(const ShapeContext& context, const Dim& bound);

// Common rules.
Types same_as_first(const ShapeContext& context);
/// Broadcast of all inputs, element type of the first.
Types broadcast_all(const ShapeContext& context);
/// As above, to bool.
Types compare(const ShapeContext& context);

}  // namespace xinfer::ir::rules
