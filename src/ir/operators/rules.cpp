#include "ir/operators/rules.h"

#include <algorithm>

#include "ir/bounds.h"

namespace xinfer::ir::rules {

ValueType tensor_type(DType dtype, std::optional<Dims> dims) {
  return {ValueType::Kind::kTensor, dtype, std::move(dims)};
}
ValueType unknown_rank(DType dtype) { return tensor_type(dtype, std::nullopt); }
ValueType scalar(DType dtype) { return tensor_type(dtype, Dims{}); }
ValueType static_type(DType dtype, const Shape& shape) { return tensor_type(dtype, Dims(shape.begin(), shape.end())); }

Types outputs(const ShapeContext& context, std::vector<ValueType> types) {
  types.resize(context.node.outputs.size());
  return types;
}
Types output(const ShapeContext& context, ValueType type) { return outputs(context, {std::move(type)}); }

DType dtype_of(const ShapeContext& context, std::size_t input) {
  return context.has_input(input) ? context.input(input).dtype : DType::kUndefined;
}

const Dims* dims_of(const ShapeContext& context, std::size_t input) {
  if (!context.has_input(input)) return nullptr;
  const ValueType& type = context.input(input);
  return type.kind == ValueType::Kind::kTensor && type.dims ? &*type.dims : nullptr;
}

std::optional<std::vector<std::int64_t>> constant_integers(const ShapeContext& context, std::size_t input) {
  const Tensor* tensor = context.constant(input);
  if (!tensor || tensor->dtype() == DType::kString) return std::nullopt;
  return tensor->as_int64s();
}

Result<std::optional<std::int64_t>> constant_integer(const ShapeContext& context, std::size_t input) {
  const auto numbers = constant_integers(context, input);
  if (!numbers) return std::nullopt;
  if (numbers->size() != 1) return fail(Code::kInvalidArgument, "input {} must be one number, not {}", input, numbers->size());
  return numbers->front();
}

std::optional<std::vector<tensor::Size>> known_sizes(const ShapeContext& context, std::size_t input) {
  if (!context.has_input(input)) return std::nullopt;
  if (const auto& elements = context.graph.value(context.node.inputs[input]).elements) return *elements;
  auto numbers = constant_integers(context, input);
  if (!numbers) return std::nullopt;
  return std::vector<tensor::Size>(numbers->begin(), numbers->end());
}

Result<void> require_rank(const ShapeContext& context, std::size_t input, std::size_t rank) {
  const Dims* dims = dims_of(context, input);
  if (dims && dims->size() != rank)
    return fail(Code::kInvalidArgument, "input {} must have rank {}, not {}", input, rank, dims->size());
  return {};
}

Result<void> require_min_rank(const ShapeContext& context, std::size_t input, std::size_t rank) {
  const Dims* dims = dims_of(context, input);
  if (dims && dims->size() < rank)
    return fail(Code::kInvalidArgument, "input {} must have at least rank {}, not {}", input, rank, dims->size());
  return {};
}

Result<void> require_same_dtype(const ShapeContext& context, std::size_t first, std::size_t last) {
  DType expected = DType::kUndefined;
  std::size_t from = first;
  for (std::size_t i = first; i <= last && i < context.num_inputs(); ++i) {
    DType dtype = dtype_of(context, i);
    if (dtype == DType::kUndefined) continue;
    if (expected == DType::kUndefined) {
      expected = dtype;
      from = i;
    } else if (dtype != expected) {
      return fail(Code::kInvalidArgument, "inputs {} ({}) and {} ({}) must have the same element type", from,
                  tensor::name(expected), i, tensor::name(dtype));
    }
  }
  return {};
}

Result<DType> dtype_attribute(const ShapeContext& context, std::string_view name, DType fallback) {
  const auto* value = context.node.attributes.get<std::int64_t>(name);
  if (!value || (*value == 0 && fallback != DType::kUndefined)) return fallback;  // 0 stands for "not given"
  if (*value <= 0 || *value > 255 || tensor::name(static_cast<DType>(*value)) == "undefined")
    return fail(Code::kInvalidArgument, "attribute '{}': {} is no element type", name, *value);
  return static_cast<DType>(*value);
}

Result<std::int64_t> normalize_axis(std::int64_t axis, std::int64_t rank) {
  if (axis < -rank || axis >= rank)
    return fail(Code::kInvalidArgument, "axis {} is out of range for rank {}", axis, rank);
  return axis < 0 ? axis + rank : axis;
}

Result<std::vector<std::int64_t>> normalize_axes(const std::vector<std::int64_t>& axes, std::int64_t rank) {
  std::vector<std::int64_t> out;
  for (auto axis : axes) {
    XI_TRY(auto normal, normalize_axis(axis, rank));
    if (std::ranges::find(out, normal) != out.end())
      return fail(Code::kInvalidArgument, "axis {} is given twice", axis);
    out.push_back(normal);
  }
  return out;
}

Result<Dim> broadcast_dim(const Dim& a, const Dim& b) {
  if (a.is_static() && b.is_static()) {
    if (a.value != b.value && a.value != 1 && b.value != 1)
      return fail(Code::kInvalidArgument, "sizes {} and {} do not broadcast", a.value, b.value);
    return a.value == 1 ? b : a;
  }
  if (a.is_static()) return a.value == 1 ? b : a;
  if (b.is_static()) return b.value == 1 ? a : b;
  if (a.is_known() && a == b) return a;
  return Dim{};
}

Result<Dims> broadcast_dims(const Dims& a, const Dims& b) {
  Dims out(std::max(a.size(), b.size()), Dim(1));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Dim& x = i < a.size() ? a[a.size() - 1 - i] : Dim(1);
    const Dim& y = i < b.size() ? b[b.size() - 1 - i] : Dim(1);
    XI_TRY(out[out.size() - 1 - i], broadcast_dim(x, y));
  }
  return out;
}

Result<Dim> merge_dim(const Dim& a, const Dim& b, std::string_view what) {
  if (a.is_static() && b.is_static() && a.value != b.value)
    return fail(Code::kInvalidArgument, "{}: {} and {} differ", what, a.value, b.value);
  if (a.is_static()) return a;
  if (b.is_static()) return b;
  return a.is_known() ? a : b;
}

Dim product(const Dims& dims, std::size_t begin, std::size_t end) {
  tensor::Size size(1);
  bool known = true;
  for (std::size_t i = begin; i < end; ++i) {
    if (dims[i].is_static() && dims[i].value == 0) return Dim(0);
    if (known && dims[i].is_known()) size *= dims[i].size();
    else known = false;
    known = known && is_short(size);
  }
  return known ? Dim(size) : Dim{};
}

Dim add(const Dim& a, const Dim& b) { return a.is_known() && b.is_known() ? Dim(a.size() + b.size()) : Dim{}; }
Dim multiply(const Dim& a, std::int64_t factor) { return a.is_known() ? Dim(a.size() * factor) : Dim{}; }
Dim divide(const Dim& a, std::int64_t divisor) { return a.is_known() ? Dim(floor_div(a.size(), divisor)) : Dim{}; }
Dims to_dims(const std::vector<tensor::Size>& sizes) { return Dims(sizes.begin(), sizes.end()); }

Types same_as_first(const ShapeContext& context) { return output(context, context.input(0)); }

namespace {
Result<ValueType> broadcast_type(const ShapeContext& context, DType dtype) {
  XI_CHECK(require_same_dtype(context, 0, context.num_inputs() - 1));
  Dims dims;
  for (std::size_t i = 0; i < context.num_inputs(); ++i) {
    if (!context.has_input(i)) continue;
    const Dims* other = dims_of(context, i);
    if (!other) return unknown_rank(dtype);
    XI_TRY(dims, broadcast_dims(dims, *other));
  }
  return tensor_type(dtype, std::move(dims));
}
}  // namespace

Types broadcast_all(const ShapeContext& context) {
  XI_TRY(auto type, broadcast_type(context, dtype_of(context, 0)));
  return output(context, std::move(type));
}

Types compare(const ShapeContext& context) {
  XI_TRY(auto type, broadcast_type(context, DType::kBool));
  return output(context, std::move(type));
}

}  // namespace xinfer::ir::rules
