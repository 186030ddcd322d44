// Resize and the other operators that read between elements.
#include <algorithm>
#include <cmath>

#include "ir/operators/resampling.h"
#include "ir/operators/rules.h"

namespace xinfer::ir {

using base::Code;
using base::fail;
using base::Result;

Result<ResizePlan> plan_resize(const Attributes& attributes, const Shape& input, const Tensor* roi,
                               const Tensor* scales, const Tensor* sizes) {
  const auto rank = static_cast<std::int64_t>(input.size());
  std::vector<std::int64_t> axes = attributes.integers("axes");
  if (axes.empty())
    for (std::int64_t i = 0; i < rank; ++i) axes.push_back(i);
  XI_TRY(axes, rules::normalize_axes(axes, rank));
  ResizePlan plan{input, std::vector<double>(input.size(), 1.0), std::vector<double>(input.size(), 0.0),
                  std::vector<double>(input.size(), 1.0)};
  const bool by_scale = scales && scales->num_elements() > 0, by_size = sizes && sizes->num_elements() > 0;
  if (by_scale == by_size) return fail(Code::kInvalidArgument, "Resize needs either scales or sizes");
  const std::int64_t given = by_scale ? scales->num_elements() : sizes->num_elements();
  if (given != static_cast<std::int64_t>(axes.size()))
    return fail(Code::kInvalidArgument, "{} scales or sizes for {} axes", given, axes.size());
  for (std::int64_t i = 0; i < given; ++i) {
    const auto axis = static_cast<std::size_t>(axes[static_cast<std::size_t>(i)]);
    const double scale = by_scale ? scales->as_double(i) : 0;
    const std::int64_t size = by_size ? sizes->as_int64(i) : 0;
    if (by_scale ? !(scale > 0) || scale > 1e6 : size < 0 || size >= tensor::kUnbounded)
      return fail(Code::kInvalidArgument, "cannot resize axis {} by {} to {}", axis, scale, size);
    plan.scales[axis] =
        by_scale ? scale : static_cast<double>(size) / static_cast<double>(std::max<std::int64_t>(1, input[axis]));
    plan.output[axis] =
        by_scale ? static_cast<std::int64_t>(std::floor(static_cast<float>(input[axis]) * static_cast<float>(scale))) : size;
  }
  const std::string policy = attributes.string("keep_aspect_ratio_policy", "stretch");
  if (by_size && policy != "stretch") {
    const bool larger = policy == "not_smaller";
    double common = larger ? 0 : INFINITY;
    for (auto axis : axes) {
      const double scale = plan.scales[static_cast<std::size_t>(axis)];
      common = larger ? std::max(common, scale) : std::min(common, scale);
    }
    for (auto at : axes) {
      const auto axis = static_cast<std::size_t>(at);
      plan.scales[axis] = common;
      if (!(common * static_cast<double>(input[axis]) < static_cast<double>(tensor::kUnbounded))) return fail(Code::kLimit, "axis {} is resized by {}", axis, common);
      plan.output[axis] = static_cast<std::int64_t>(std::floor(static_cast<double>(input[axis]) * common + 0.5));
    }
  }
  const auto count = static_cast<std::int64_t>(axes.size());
  if (roi && roi->num_elements() == 2 * count)
    for (std::int64_t i = 0; i < count; ++i) {
      plan.roi_begin[static_cast<std::size_t>(axes[static_cast<std::size_t>(i)])] = roi->as_double(i);
      plan.roi_end[static_cast<std::size_t>(axes[static_cast<std::size_t>(i)])] = roi->as_double(i + count);
    }
  return plan;
}

namespace rules {

namespace {

bool is_whole(double x) { return x == std::floor(x) && x > 0; }

Types resize(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  const DType dtype = dtype_of(context, 0);
  if (!in) return output(context, unknown_rank(dtype));
  const Tensor *scales = context.constant(2), *sizes = context.constant(3);
  const bool no_scales = !context.has_input(2) || (scales && scales->num_elements() == 0);
  if (no_scales && (!context.has_input(3) || (sizes && sizes->num_elements() == 0)))
    return fail(Code::kInvalidArgument, "Resize needs either scales or sizes");
  // An empty tensor stands for an absent input, and may itself not be known yet.
  if (!scales && !sizes) {
    // Sizes that follow from shapes.
    auto wanted = known_sizes(context, 3);
    const bool plain = wanted && wanted->size() == in->size() && context.node.attributes.integers("axes").empty() &&
                       context.node.attributes.string("keep_aspect_ratio_policy", "stretch") == "stretch";
    return output(context, tensor_type(dtype, plain ? to_dims(*wanted) : Dims(in->size())));
  }
  Shape stand_in;
  for (const Dim& dim : *in) stand_in.push_back(dim.is_static() ? dim.value : 1);
  const bool empty_scales = scales && scales->num_elements() == 0;
  if (!sizes && (empty_scales || !scales)) return output(context, tensor_type(dtype, Dims(in->size())));
  XI_TRY(auto plan, plan_resize(context.node.attributes, stand_in, context.constant(1), scales, sizes));
  Dims out;
  const bool by_size = sizes && sizes->num_elements() > 0 &&
                       context.node.attributes.string("keep_aspect_ratio_policy", "stretch") == "stretch";
  for (std::size_t i = 0; i < in->size(); ++i) {
    const bool resized = plan.scales[i] != 1 || plan.output[i] != stand_in[i];
    if ((*in)[i].is_static() || (by_size && resized)) out.emplace_back(plan.output[i]);
    else if (!resized && !by_size) out.push_back((*in)[i]);
    else out.push_back(by_size || !is_whole(plan.scales[i]) ? Dim{} : multiply((*in)[i], static_cast<std::int64_t>(plan.scales[i])));
  }
  return output(context, tensor_type(dtype, std::move(out)));
}

Types grid_sample(const ShapeContext& context) {
  const Dims *x = dims_of(context, 0), *grid = dims_of(context, 1);
  const DType dtype = dtype_of(context, 0);
  if (!x || !grid) return output(context, unknown_rank(dtype));
  XI_CHECK(require_min_rank(context, 0, 3));
  XI_CHECK(require_rank(context, 1, x->size()));
  XI_CHECK(merge_dim(grid->back(), Dim(static_cast<std::int64_t>(x->size()) - 2), "coordinates of the grid"));
  XI_TRY(Dim batch, merge_dim((*x)[0], (*grid)[0], "batches of image and grid"));
  Dims out{batch, (*x)[1]};
  out.insert(out.end(), grid->begin() + 1, grid->end() - 1);
  return output(context, tensor_type(dtype, std::move(out)));
}

Types affine_grid(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 3));
  const DType dtype = dtype_of(context, 0);
  auto size = known_sizes(context, 1);
  if (!size) return output(context, unknown_rank(dtype));
  if (size->size() != 4 && size->size() != 5)
    return fail(Code::kInvalidArgument, "size has {} entries, not 4 or 5", size->size());
  Dims out{Dim((*size)[0])};
  for (std::size_t i = 2; i < size->size(); ++i) out.emplace_back((*size)[i]);
  out.emplace_back(static_cast<std::int64_t>(size->size()) - 2);
  return output(context, tensor_type(dtype, std::move(out)));
}

Types roi_align(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 4));
  XI_CHECK(require_rank(context, 1, 2));
  XI_CHECK(require_rank(context, 2, 1));
  const Dims *x = dims_of(context, 0), *rois = dims_of(context, 1);
  const auto height = context.node.attributes.integer("output_height", 1),
             width = context.node.attributes.integer("output_width", 1);
  if (height <= 0 || width <= 0) return fail(Code::kInvalidArgument, "output size {} x {}", height, width);
  return output(context, tensor_type(dtype_of(context, 0),
                                     Dims{rois ? (*rois)[0] : Dim{}, x ? (*x)[1] : Dim{}, Dim(height), Dim(width)}));
}

}  // namespace

void add_sampling(Rows& rows) {
  constexpr auto kIrregular = Lowering::kIrregular;
  rows.push_back({"Resize",
                  1,
                  4,
                  1,
                  1,
                  {integer("antialias"), integers("axes"), text("coordinate_transformation_mode"),
                   real("cubic_coeff_a"), integer("exclude_outside"), real("extrapolation_value"),
                   text("keep_aspect_ratio_policy"), text("mode"), text("nearest_mode")},
                  resize,
                  kIrregular});
  rows.push_back({"GridSample",
                  2,
                  2,
                  1,
                  1,
                  {integer("align_corners"), text("mode"), text("padding_mode")},
                  grid_sample,
                  kIrregular});
  rows.push_back({"AffineGrid", 2, 2, 1, 1, {integer("align_corners")}, affine_grid, kIrregular});
  rows.push_back({"RoiAlign",
                  3,
                  3,
                  1,
                  1,
                  {text("coordinate_transformation_mode"), text("mode"), integer("output_height"),
                   integer("output_width"), integer("sampling_ratio"), real("spatial_scale")},
                  roi_align,
                  kIrregular});
}

}  // namespace rules

}  // namespace xinfer::ir
