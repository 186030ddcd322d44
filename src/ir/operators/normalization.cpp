// Softmax, normalisations and the losses built on them.
#include <algorithm>

#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

template <int kDefaultAxis>
Types along_axis(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (in)
    XI_CHECK(
        normalize_axis(context.node.attributes.integer("axis", kDefaultAxis), static_cast<std::int64_t>(in->size())));
  return same_as_first(context);
}

Types batch_normalization(const ShapeContext& context) {
  XI_CHECK(require_min_rank(context, 0, 1));
  for (std::size_t i = 1; i < 5; ++i) {
    XI_CHECK(require_rank(context, i, 1));
    const Dims *x = dims_of(context, 0), *parameter = dims_of(context, i);
    if (x && x->size() > 1 && parameter)
      XI_CHECK(merge_dim((*x)[1], (*parameter)[0], fmt::format("channels of inputs 0 and {}", i)));
  }
  return outputs(context, {context.input(0), context.input(3), context.input(4)});
}

// Checks that parameter `input` holds one number per channel.
Result<void> require_channels(const ShapeContext& context, std::size_t input) {
  XI_CHECK(require_rank(context, input, 1));
  const Dims *x = dims_of(context, 0), *parameter = dims_of(context, input);
  if (x && x->size() > 1 && parameter)
    XI_CHECK(merge_dim((*x)[1], (*parameter)[0], fmt::format("channels of inputs 0 and {}", input)));
  return {};
}

Types instance_normalization(const ShapeContext& context) {
  XI_CHECK(require_min_rank(context, 0, 2));
  XI_CHECK(require_channels(context, 1));
  XI_CHECK(require_channels(context, 2));
  return same_as_first(context);
}

Types group_normalization(const ShapeContext& context) {
  XI_CHECK(instance_normalization(context));
  const std::int64_t groups = context.node.attributes.integer("num_groups", 1);
  const Dims* x = dims_of(context, 0);
  if (groups <= 0 || (x && (*x)[1].is_static() && (*x)[1].value % groups != 0))
    return fail(Code::kInvalidArgument, "the channels are not divisible into {} groups", groups);
  return same_as_first(context);
}

// Type of the statistics: the input with the axes from `axis` on reduced to 1.
Result<ValueType> statistics(const ShapeContext& context, std::int64_t axis) {
  DType dtype = static_cast<DType>(context.node.attributes.integer("stash_type", 1));
  const Dims* in = dims_of(context, 0);
  if (!in) return unknown_rank(dtype);
  XI_TRY(auto first, normalize_axis(axis, static_cast<std::int64_t>(in->size())));
  Dims out = *in;
  std::fill(out.begin() + first, out.end(), Dim(1));
  return tensor_type(dtype, std::move(out));
}

Types layer_normalization(const ShapeContext& context) {
  XI_TRY(auto stats, statistics(context, context.node.attributes.integer("axis", -1)));
  const Dims *x = dims_of(context, 0), *scale = dims_of(context, 1);
  if (x && scale) XI_CHECK(broadcast_dims(*x, *scale));
  ValueType type = context.input(0);
  return outputs(context, {type, stats, stats});
}

Types simplified_layer_normalization(const ShapeContext& context) {
  XI_TRY(auto stats, statistics(context, context.node.attributes.integer("axis", -1)));
  return outputs(context, {context.input(0), stats});
}

Types negative_log_likelihood(const ShapeContext& context) {
  XI_CHECK(require_min_rank(context, 0, 2));
  const DType dtype = dtype_of(context, 0);
  const bool none = context.node.attributes.string("reduction", "mean") == "none";
  std::optional<Dims> dims = none ? context.input(1).dims : Dims{};
  return outputs(context, {tensor_type(dtype, dims), context.input(0)});
}

}  // namespace

void add_normalization(Rows& rows) {
  for (std::string_view name : {"Softmax", "LogSoftmax"})
    rows.push_back({name, 1, 1, 1, 1, {integer("axis")}, along_axis<-1>, Lowering::kReduction});
  rows.push_back({"Hardmax", 1, 1, 1, 1, {integer("axis")}, along_axis<-1>, Lowering::kIrregular});
  rows.push_back(
      {"LpNormalization", 1, 1, 1, 1, {integer("axis"), integer("p")}, along_axis<-1>, Lowering::kComposite});
  rows.push_back({"BatchNormalization",
                  5,
                  5,
                  1,
                  3,
                  {real("epsilon"), real("momentum"), integer("training_mode")},
                  batch_normalization,
                  Lowering::kComposite});
  rows.push_back(
      {"InstanceNormalization", 3, 3, 1, 1, {real("epsilon")}, instance_normalization, Lowering::kComposite});
  rows.push_back({"GroupNormalization",
                  3,
                  3,
                  1,
                  1,
                  {real("epsilon"), integer("num_groups", true), integer("stash_type")},
                  group_normalization,
                  Lowering::kComposite});
  rows.push_back({"LayerNormalization",
                  2,
                  3,
                  1,
                  3,
                  {integer("axis"), real("epsilon"), integer("stash_type")},
                  layer_normalization,
                  Lowering::kComposite});
  rows.push_back({"RMSNormalization",
                  2,
                  2,
                  1,
                  1,
                  {integer("axis"), real("epsilon"), integer("stash_type")},
                  layer_normalization,
                  Lowering::kComposite});
  rows.push_back({"SimplifiedLayerNormalization",
                  2,
                  2,
                  1,
                  2,
                  {integer("axis"), real("epsilon"), integer("stash_type")},
                  simplified_layer_normalization,
                  Lowering::kComposite});
  rows.push_back({"MeanVarianceNormalization", 1, 1, 1, 1, {integers("axes")}, same_as_first, Lowering::kComposite});
  rows.push_back({"LRN",
                  1,
                  1,
                  1,
                  1,
                  {real("alpha"), real("beta"), real("bias"), integer("size", true)},
                  same_as_first,
                  Lowering::kComposite});
  rows.push_back({"NegativeLogLikelihoodLoss",
                  2,
                  3,
                  1,
                  1,
                  {integer("ignore_index"), text("reduction")},
                  negative_log_likelihood,
                  Lowering::kIrregular});
  rows.push_back({"SoftmaxCrossEntropyLoss",
                  2,
                  3,
                  1,
                  2,
                  {integer("ignore_index"), text("reduction")},
                  negative_log_likelihood,
                  Lowering::kIrregular});
}

}  // namespace xinfer::ir::rules
