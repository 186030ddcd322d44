// Reductions, and the running sums.
#include <algorithm>

#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

ValueType reduced(DType dtype, const Dims& in, const std::vector<std::int64_t>& axes, bool keep) {
  Dims out;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (std::ranges::find(axes, static_cast<std::int64_t>(i)) == axes.end()) out.push_back(in[i]);
    else if (keep) out.emplace_back(1);
  }
  return tensor_type(dtype, std::move(out));
}

Types reduce(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  const DType dtype = dtype_of(context, 0);
  if (!in) return output(context, unknown_rank(dtype));
  const bool keep = context.node.attributes.integer("keepdims", 1) != 0;
  auto axes = constant_integers(context, 1);
  if (context.has_input(1) && !axes)
    return output(context, keep ? tensor_type(dtype, Dims(in->size())) : unknown_rank(dtype));
  if (!axes || axes->empty()) {
    if (context.node.attributes.integer("noop_with_empty_axes", 0) != 0) return same_as_first(context);
    axes.emplace();
    for (std::size_t i = 0; i < in->size(); ++i) axes->push_back(static_cast<std::int64_t>(i));
  }
  XI_TRY(auto normal, normalize_axes(*axes, static_cast<std::int64_t>(in->size())));
  return output(context, reduced(dtype, *in, normal, keep));
}

Types arg_reduce(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(DType::kInt64));
  XI_TRY(auto axis, normalize_axis(context.node.attributes.integer("axis", 0), static_cast<std::int64_t>(in->size())));
  const Dim& size = (*in)[static_cast<std::size_t>(axis)];
  if (size.is_static() && size.value == 0) return fail(Code::kInvalidArgument, "axis {} is empty", axis);
  return output(context, reduced(DType::kInt64, *in, {axis}, context.node.attributes.integer("keepdims", 1) != 0));
}

Types global_pool(const ShapeContext& context) {
  XI_CHECK(require_min_rank(context, 0, 2));
  const Dims* in = dims_of(context, 0);
  if (!in) return same_as_first(context);
  Dims out = *in;
  std::fill(out.begin() + 2, out.end(), Dim(1));
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types cumulative(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  auto axis = constant_integers(context, 1);
  if (in && axis && axis->size() == 1) XI_CHECK(normalize_axis((*axis)[0], static_cast<std::int64_t>(in->size())));
  return same_as_first(context);
}

}  // namespace

void add_reduction(Rows& rows) {
  for (std::string_view name : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
                                "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"})
    rows.push_back(
        {name, 1, 2, 1, 1, {integer("keepdims"), integer("noop_with_empty_axes")}, reduce, Lowering::kReduction});
  for (std::string_view name : {"ArgMax", "ArgMin"})
    rows.push_back({name,
                    1,
                    1,
                    1,
                    1,
                    {integer("axis"), integer("keepdims"), integer("select_last_index")},
                    arg_reduce,
                    Lowering::kIrregular});
  rows.push_back({"GlobalAveragePool", 1, 1, 1, 1, {}, global_pool, Lowering::kReduction});
  rows.push_back({"GlobalMaxPool", 1, 1, 1, 1, {}, global_pool, Lowering::kReduction});
  rows.push_back({"GlobalLpPool", 1, 1, 1, 1, {integer("p")}, global_pool, Lowering::kReduction});
  for (std::string_view name : {"CumSum", "CumProd"})
    rows.push_back({name, 2, 2, 1, 1, {integer("exclusive"), integer("reverse")}, cumulative, Lowering::kIrregular});
}

}  // namespace xinfer::ir::rules
