// Sorting, searching and scattering: outputs whose places or sizes depend on values.
#include <algorithm>

#include "ir/operators/rules.h"

namespace xinfer::ir {

std::string counted_symbol(const Graph& graph, const Node& node) {
  const auto named = std::ranges::find_if(node.outputs, [](ValueId id) { return id != kNoValue; });
  // The reference functions apply shape rules to graphs that hold a node's inputs only.
  return named == node.outputs.end() || *named >= graph.values.size() ? "n" : "n." + tensor::symbol_name(graph.value(*named).name);
}

namespace rules {

Dim counted(const ShapeContext& context, const Dim& bound) {
  if (!bound.is_known()) return Dim{};
  const std::int64_t most = bound.size().max();
  if (most == 0) return Dim(0);
  return tensor::Size(tensor::Symbol{.name = counted_symbol(context.graph, context.node), .min = 0, .opt = most, .max = most});
}

namespace {

Types top_k(const ShapeContext& context) {
  const DType dtype = dtype_of(context, 0);
  const Dims* in = dims_of(context, 0);
  if (!in) return outputs(context, {unknown_rank(dtype), unknown_rank(DType::kInt64)});
  XI_TRY(auto axis, normalize_axis(context.node.attributes.integer("axis", -1), static_cast<std::int64_t>(in->size())));
  Dims out = *in;
  Dim& size = out[static_cast<std::size_t>(axis)];
  auto k = known_sizes(context, 1);
  if (k && (k->size() != 1 || (*k)[0].max() < 0)) return fail(Code::kInvalidArgument, "k must be one number, not negative");
  if (k && size.is_static() && (*k)[0].min() > size.value)
    return fail(Code::kInvalidArgument, "k is {}, the axis has {} elements", (*k)[0].text(), size.value);
  size = k ? Dim((*k)[0]) : Dim{};
  return outputs(context, {tensor_type(dtype, out), tensor_type(DType::kInt64, out)});
}

Types non_zero(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, tensor_type(DType::kInt64, Dims{Dim{}, Dim{}}));
  return output(context, tensor_type(DType::kInt64, Dims{Dim(static_cast<std::int64_t>(in->size())),
                                                         counted(context, product(*in, 0, in->size()))}));
}

Types non_max_suppression(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 3));
  XI_CHECK(require_rank(context, 1, 3));
  if (const Dims* boxes = dims_of(context, 0)) XI_CHECK(merge_dim((*boxes)[2], Dim(4), "numbers of a box"));
  const Dims* scores = dims_of(context, 1);
  Dim most = scores ? product(*scores, 0, scores->size()) : Dim{};
  const auto limit = constant_integers(context, 2);
  if (scores && limit && limit->size() == 1 && most.is_known()) {
    const Dim each = (*scores)[2].size().max() < (*limit)[0] ? (*scores)[2] : Dim(std::max<std::int64_t>((*limit)[0], 0));
    most = product({(*scores)[0], (*scores)[1], each}, 0, 3);
  }
  return output(context, tensor_type(DType::kInt64, Dims{counted(context, most), Dim(3)}));
}

Types unique(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  const Dim all = in ? product(*in, 0, in->size()) : Dim{};
  Dim found = counted(context, all), slices = all;
  ValueType values = tensor_type(dtype_of(context, 0), Dims{found});
  if (context.node.attributes.has("axis")) {
    values.dims.reset();
    if (in) {
      XI_TRY(auto axis,
             normalize_axis(context.node.attributes.integer("axis", 0), static_cast<std::int64_t>(in->size())));
      values.dims = *in;
      slices = (*in)[static_cast<std::size_t>(axis)];
      found = counted(context, slices);
      (*values.dims)[static_cast<std::size_t>(axis)] = found;
    }
  }
  const ValueType per_group = tensor_type(DType::kInt64, Dims{found}), per_slice = tensor_type(DType::kInt64, Dims{slices});
  return outputs(context, {values, per_group, per_slice, per_group});
}

Types compress(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  XI_CHECK(require_rank(context, 1, 1));
  const DType dtype = dtype_of(context, 0);
  if (!context.node.attributes.has("axis"))
    return output(context, tensor_type(dtype, Dims{in ? counted(context, product(*in, 0, in->size())) : Dim{}}));
  if (!in) return output(context, unknown_rank(dtype));
  XI_TRY(auto axis, normalize_axis(context.node.attributes.integer("axis", 0), static_cast<std::int64_t>(in->size())));
  Dims out = *in;
  Dim& size = out[static_cast<std::size_t>(axis)];
  size = counted(context, size);
  return output(context, tensor_type(dtype, std::move(out)));
}

Types scatter_elements(const ShapeContext& context) {
  const Dims *in = dims_of(context, 0), *indices = dims_of(context, 1), *updates = dims_of(context, 2);
  if (in) XI_CHECK(normalize_axis(context.node.attributes.integer("axis", 0), static_cast<std::int64_t>(in->size())));
  if (in) XI_CHECK(require_rank(context, 1, in->size()));
  if (indices && updates) {
    XI_CHECK(require_rank(context, 2, indices->size()));
    for (std::size_t i = 0; i < indices->size(); ++i)
      XI_CHECK(merge_dim((*indices)[i], (*updates)[i], "indices and updates"));
  }
  return same_as_first(context);
}

Types scatter_nd(const ShapeContext& context) {
  XI_CHECK(require_min_rank(context, 1, 1));
  const Dims *in = dims_of(context, 0), *indices = dims_of(context, 1), *updates = dims_of(context, 2);
  if (in && indices && updates && indices->back().is_static()) {
    const auto depth = static_cast<std::size_t>(indices->back().value);
    if (depth > in->size()) return fail(Code::kInvalidArgument, "indices of length {} for rank {}", depth, in->size());
    XI_CHECK(require_rank(context, 2, indices->size() - 1 + in->size() - depth));
  }
  return same_as_first(context);
}

Types tensor_scatter(const ShapeContext& context) {
  const Dims *in = dims_of(context, 0), *update = dims_of(context, 1);
  if (in && update) XI_CHECK(require_rank(context, 1, in->size()));
  return same_as_first(context);
}

}  // namespace

void add_selection(Rows& rows) {
  constexpr auto kIrregular = Lowering::kIrregular;
  rows.push_back({"TopK", 2, 2, 2, 2, {integer("axis"), integer("largest"), integer("sorted")}, top_k, kIrregular});
  rows.push_back({"NonZero", 1, 1, 1, 1, {}, non_zero, kIrregular});
  rows.push_back({"NonMaxSuppression", 2, 5, 1, 1, {integer("center_point_box")}, non_max_suppression, kIrregular});
  rows.push_back({"Unique", 1, 1, 1, 4, {integer("axis"), integer("sorted")}, unique, kIrregular});
  rows.push_back({"Compress", 2, 2, 1, 1, {integer("axis")}, compress, kIrregular});
  rows.push_back({"ScatterElements", 3, 3, 1, 1, {integer("axis"), text("reduction")}, scatter_elements, kIrregular});
  rows.push_back({"ScatterND", 3, 3, 1, 1, {text("reduction")}, scatter_nd, kIrregular});
  rows.push_back({"TensorScatter", 2, 3, 1, 1, {integer("axis"), text("mode")}, tensor_scatter, kIrregular});
}

}  // namespace rules

}  // namespace xinfer::ir
