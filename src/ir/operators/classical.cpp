// ai.onnx.ml: trees, linear models, scalers, encoders.
#include <algorithm>

#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

Types to_float(const ShapeContext& context) {
  return output(context, tensor_type(DType::kFloat32, context.input(0).dims));
}

Types array_feature_extractor(const ShapeContext& context) {
  const Dims *x = dims_of(context, 0), *y = dims_of(context, 1);
  const DType dtype = dtype_of(context, 0);
  if (!x || !y) return output(context, unknown_rank(dtype));
  XI_CHECK(require_min_rank(context, 0, 1));
  Dims out(x->begin(), x->end() - 1);
  if (out.empty()) out.emplace_back(1);
  out.push_back(product(*y, 0, y->size()));
  return output(context, tensor_type(dtype, std::move(out)));
}

Types label_encoder(const ShapeContext& context) {
  const Attributes& a = context.node.attributes;
  DType dtype = DType::kUndefined;
  if (const auto* tensor = a.get<std::shared_ptr<const Tensor>>("values_tensor")) dtype = (*tensor)->dtype();
  else if (a.has("values_strings")) dtype = DType::kString;
  else if (a.has("values_int64s")) dtype = DType::kInt64;
  else if (a.has("values_floats")) dtype = DType::kFloat32;
  else return fail(Code::kInvalidArgument, "LabelEncoder has no values");
  return output(context, tensor_type(dtype, context.input(0).dims));
}

Types category_mapper(const ShapeContext& context) {
  return output(context, tensor_type(dtype_of(context, 0) == DType::kString ? DType::kInt64 : DType::kString,
                                     context.input(0).dims));
}

Types one_hot_encoder(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(DType::kFloat32));
  const auto* words = context.node.attributes.get<std::vector<std::string>>("cats_strings");
  const auto count = words && !words->empty() ? words->size() : context.node.attributes.integers("cats_int64s").size();
  Dims out = *in;
  out.emplace_back(static_cast<std::int64_t>(count));
  return output(context, tensor_type(DType::kFloat32, std::move(out)));
}

Types feature_vectorizer(const ShapeContext& context) {
  Dim rows, columns(0);
  for (std::size_t i = 0; i < context.num_inputs(); ++i) {
    const Dims* dims = dims_of(context, i);
    if (!dims || dims->empty()) return output(context, tensor_type(DType::kFloat32, Dims(2)));
    rows = dims->size() > 1 ? (*dims)[0] : Dim(1);
    columns = add(columns, product(*dims, dims->size() > 1 ? 1 : 0, dims->size()));
  }
  return output(context, tensor_type(DType::kFloat32, Dims{rows, columns}));
}

Dim rows_of(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  return in ? (in->size() > 1 ? (*in)[0] : Dim(1)) : Dim{};
}

Types regressor(const ShapeContext& context) {
  std::int64_t targets =
      context.node.attributes.integer(context.node.op.ends_with("LinearRegressor") ? "targets" : "n_targets", 1);
  return output(context, tensor_type(DType::kFloat32, Dims{rows_of(context), Dim(targets)}));
}

Types classifier(const ShapeContext& context) {
  const auto* words = context.node.attributes.get<std::vector<std::string>>("classlabels_strings");
  if (!words) words = context.node.attributes.get<std::vector<std::string>>("classlabels_ints_as_strings");
  auto numbers = context.node.attributes.integers("classlabels_int64s");
  if (numbers.empty()) numbers = context.node.attributes.integers("classlabels_ints");
  const bool text = words && !words->empty();
  const auto count = static_cast<std::int64_t>(text ? words->size() : numbers.size());
  return outputs(context, {tensor_type(text ? DType::kString : DType::kInt64, Dims{rows_of(context)}),
                           tensor_type(DType::kFloat32, Dims{rows_of(context), Dim(count)})});
}

// Scores of each class, or, without probabilities and with more than two classes, of each pair of them.
Types svm_classifier(const ShapeContext& context) {
  XI_TRY(auto types, classifier(context));
  const Attributes& a = context.node.attributes;
  const std::int64_t classes = (*types[1].dims)[1].value;
  const bool pairs = classes > 2 && !a.integers("vectors_per_class").empty() && !a.has("prob_a");
  if (pairs) (*types[1].dims)[1] = Dim(classes * (classes - 1) / 2);
  return types;
}

// Probabilities of classes from those of pairs.
Types couple_pairs(const ShapeContext& context) {
  return output(context, tensor_type(dtype_of(context, 0), Dims{rows_of(context), Dim(context.node.attributes.integer("classes", 0))}));
}

// A map per row has the same keys in every row: what is left is a tensor of the values, as they come (docs/operators.md).
Types zip_map(const ShapeContext& context) { return output(context, tensor_type(DType::kFloat32, context.input(0).dims)); }

Types tree_ensemble(const ShapeContext& context) {
  return output(context, tensor_type(dtype_of(context, 0),
                                     Dims{rows_of(context), Dim(context.node.attributes.integer("n_targets", 1))}));
}

std::vector<AttributeInfo> tree_attributes(std::vector<AttributeInfo> more) {
  for (auto info : {reals("base_values"), tensor_attribute("base_values_as_tensor"), integers("nodes_falsenodeids"),
                    integers("nodes_featureids"), reals("nodes_hitrates"), tensor_attribute("nodes_hitrates_as_tensor"),
                    integers("nodes_missing_value_tracks_true"), texts("nodes_modes"), integers("nodes_nodeids"),
                    integers("nodes_treeids"), integers("nodes_truenodeids"), reals("nodes_values"),
                    tensor_attribute("nodes_values_as_tensor"), text("post_transform")})
    more.push_back(info);
  return more;
}

}  // namespace

void add_classical(Rows& rows) {
  constexpr auto kIrregular = Lowering::kIrregular;
  rows.push_back({"ai.onnx.ml.ArrayFeatureExtractor", 2, 2, 1, 1, {}, array_feature_extractor, Lowering::kComposite});
  rows.push_back({"ai.onnx.ml.Binarizer", 1, 1, 1, 1, {real("threshold")}, same_as_first, Lowering::kComposite});
  rows.push_back({"ai.onnx.ml.Scaler", 1, 1, 1, 1, {reals("offset"), reals("scale")}, to_float, Lowering::kComposite});
  rows.push_back({"ai.onnx.ml.Normalizer", 1, 1, 1, 1, {text("norm")}, to_float, Lowering::kComposite});
  rows.push_back({"ai.onnx.ml.Imputer",
                  1,
                  1,
                  1,
                  1,
                  {reals("imputed_value_floats"), integers("imputed_value_int64s"), real("replaced_value_float"),
                   integer("replaced_value_int64")},
                  same_as_first,
                  Lowering::kComposite});
  rows.push_back(
      {"ai.onnx.ml.LabelEncoder",
       1,
       1,
       1,
       1,
       {real("default_float"), integer("default_int64"), text("default_string"), tensor_attribute("default_tensor"),
        reals("keys_floats"), integers("keys_int64s"), texts("keys_strings"), tensor_attribute("keys_tensor"),
        reals("values_floats"), integers("values_int64s"), texts("values_strings"), tensor_attribute("values_tensor")},
       label_encoder,
       kIrregular});
  rows.push_back({"ai.onnx.ml.CategoryMapper",
                  1,
                  1,
                  1,
                  1,
                  {integers("cats_int64s"), texts("cats_strings"), integer("default_int64"), text("default_string")},
                  category_mapper,
                  kIrregular});
  rows.push_back({"ai.onnx.ml.OneHotEncoder",
                  1,
                  1,
                  1,
                  1,
                  {integers("cats_int64s"), texts("cats_strings"), integer("zeros")},
                  one_hot_encoder,
                  Lowering::kComposite});
  rows.push_back({"ai.onnx.ml.FeatureVectorizer",
                  1,
                  kVariadic,
                  1,
                  1,
                  {integers("inputdimensions")},
                  feature_vectorizer,
                  Lowering::kComposite});
  rows.push_back({"ai.onnx.ml.LinearRegressor",
                  1,
                  1,
                  1,
                  1,
                  {reals("coefficients"), reals("intercepts"), text("post_transform"), integer("targets")},
                  regressor,
                  Lowering::kComposite});
  rows.push_back({"ai.onnx.ml.LinearClassifier",
                  1,
                  1,
                  2,
                  2,
                  {integers("classlabels_ints"), texts("classlabels_strings"), reals("coefficients", true),
                   reals("intercepts"), integer("multi_class"), text("post_transform")},
                  classifier,
                  Lowering::kComposite});
  rows.push_back({"ai.onnx.ml.SVMRegressor",
                  1,
                  1,
                  1,
                  1,
                  {reals("coefficients"), reals("kernel_params"), text("kernel_type"), integer("n_supports"),
                   integer("one_class"), text("post_transform"), reals("rho"), reals("support_vectors")},
                  regressor,
                  Lowering::kComposite});
  rows.push_back({"ai.onnx.ml.SVMClassifier",
                  1,
                  1,
                  2,
                  2,
                  {integers("classlabels_ints"), texts("classlabels_strings"), reals("coefficients", true), reals("kernel_params"),
                   text("kernel_type"), text("post_transform"), reals("prob_a"), reals("prob_b"), reals("rho"), reals("support_vectors"),
                   integers("vectors_per_class")},
                  svm_classifier,
                  Lowering::kComposite});
  rows.push_back({"xinfer.CouplePairs", 1, 1, 1, 1, {integer("classes", true)}, couple_pairs, kIrregular});
  rows.push_back({"ai.onnx.ml.ZipMap", 1, 1, 1, 1, {integers("classlabels_int64s"), texts("classlabels_strings")}, zip_map, Lowering::kComposite});
  rows.push_back({"ai.onnx.ml.TreeEnsembleRegressor", 1, 1, 1, 1,
                  tree_attributes({text("aggregate_function"), integer("n_targets"), integers("target_ids"),
                                   integers("target_nodeids"), integers("target_treeids"), reals("target_weights"),
                                   tensor_attribute("target_weights_as_tensor")}),
                  regressor, kIrregular});
  rows.push_back({"ai.onnx.ml.TreeEnsembleClassifier", 1, 1, 2, 2,
                  tree_attributes({integers("class_ids"), integers("class_nodeids"), integers("class_treeids"),
                                   reals("class_weights"), tensor_attribute("class_weights_as_tensor"),
                                   integers("classlabels_int64s"), texts("classlabels_strings")}),
                  classifier, Lowering::kComposite});
  rows.push_back(
      {"ai.onnx.ml.TreeEnsemble",
       1,
       1,
       1,
       1,
       {integer("aggregate_function"), integers("leaf_targetids", true), tensor_attribute("leaf_weights", true),
        tensor_attribute("membership_values"), integer("n_targets"), integers("nodes_falseleafs", true),
        integers("nodes_falsenodeids", true), integers("nodes_featureids", true), tensor_attribute("nodes_hitrates"),
        integers("nodes_missing_value_tracks_true"), tensor_attribute("nodes_modes", true),
        tensor_attribute("nodes_splits", true), integers("nodes_trueleafs", true), integers("nodes_truenodeids", true),
        integer("post_transform"), integers("tree_roots", true)},
       tree_ensemble,
       kIrregular});
}

}  // namespace xinfer::ir::rules
