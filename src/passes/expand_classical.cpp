// ai.onnx.ml in standard operators. Of tree ensembles only the sums are left, as a TreeEnsembleRegressor or TreeEnsemble that
// transforms nothing.
#include <algorithm>
#include <cmath>

#include "forge/reference/trees.h"
#include "passes/expansions.h"

namespace xinfer::passes {
namespace {

using base::Code;
using base::fail;
using base::Result;
using forge::reference::attribute_numbers;
using ir::DType;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Shape;
using tensor::Tensor;

ValueId reals(Formula& f, Shape shape, const std::vector<double>& values, DType dtype = DType::kFloat32) {
  Tensor tensor(dtype, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) tensor.set(static_cast<std::int64_t>(i), values[i]);
  return f.constant(std::move(tensor));
}
ValueId row(Formula& f, const std::vector<double>& values, DType dtype = DType::kFloat32) {
  return reals(f, {static_cast<std::int64_t>(values.size())}, values, dtype);
}

// Input 0 as a float32 matrix with as many columns as it has features; kNoValue where their number is not known.
struct Matrix {
  ValueId value = kNoValue;
  std::int64_t features = 0;
};
Matrix matrix(Formula& f, const Rewriter& rewriter, ValueId x) {
  const auto dims = rewriter.type(x).dims;
  if (!dims || dims->empty()) return {};
  std::int64_t features = 1;
  for (std::size_t i = dims->size() > 1 ? 1 : 0; i < dims->size(); ++i) {
    if (!(*dims)[i].is_static()) return {};
    features *= (*dims)[i].value;
  }
  const ValueId real = f.cast(x, DType::kFloat32);
  return {dims->size() == 2 ? real : f.reshape(real, {-1, features}), features};
}

ValueId logit_of_probability(Formula& f, ValueId x, DType dtype) {  // PROBIT, as reference::post_transform
  const auto number = [&](double value) { return f.scalar(dtype, value); };
  const ValueId centred = f.call("Sub", {f.call("Mul", {x, number(2)}), number(1)});
  const ValueId log = f.call("Log", {f.call("Sub", {number(1), f.call("Mul", {centred, centred})})});
  const ValueId a = f.call("Add", {f.call("Mul", {log, number(0.5)}), number(2 / (M_PI * 0.147))});
  const ValueId root = f.call("Sqrt", {f.call("Sub", {f.call("Mul", {a, a}), f.call("Div", {log, number(0.147)})})});
  const ValueId size = f.call("Mul", {f.call("Sqrt", {f.call("Sub", {root, a})}), number(M_SQRT2)});
  return f.call("Where", {f.call("Less", {centred, number(0)}), f.call("Neg", {size}), size});
}

// The scores of each row [rows, scores] through a transform into `output`.
void transform(Formula& f, const Rewriter& rewriter, ValueId output, ValueId scores, std::string_view mode) {
  if (f.failed()) return;
  const DType dtype = rewriter.type(output).dtype, own = rewriter.type(scores).dtype;
  if (mode == "LOGISTIC") scores = f.call("Sigmoid", {scores});
  else if (mode == "SOFTMAX") scores = f.call("Softmax", {scores}, with("axis", 1));
  else if (mode == "PROBIT") scores = logit_of_probability(f, scores, own);
  else if (mode == "SOFTMAX_ZERO") {  // zeros stay such and have no share
    const ValueId zero = f.scalar(own, 0), one = f.scalar(own, 1), axes = f.integers({1});
    const ValueId raised = f.call("Exp", {f.call("Sub", {scores, f.call("ReduceMax", {scores, axes})})});
    const ValueId shares = f.call("Where", {f.call("Equal", {scores, zero}), zero, raised}), sum = f.call("ReduceSum", {shares, axes});
    scores = f.call("Div", {shares, f.call("Where", {f.call("Equal", {sum, zero}), one, sum})});
  }
  f.call_into(output, "Identity", {f.cast(scores, dtype)});
}

// The label of the class that each row's `index` [rows] names.
void label(Formula& f, const Node& node, ValueId index) {
  const auto* words = node.attributes.get<std::vector<std::string>>("classlabels_strings");
  if (words != nullptr && !words->empty()) {
    Tensor labels(DType::kString, {static_cast<std::int64_t>(words->size())});
    labels.strings() = *words;
    return f.call_into(node.outputs[0], "Gather", {f.constant(std::move(labels)), index});
  }
  auto numbers = node.attributes.integers("classlabels_int64s");
  if (numbers.empty()) numbers = node.attributes.integers("classlabels_ints");
  f.call_into(node.outputs[0], "Gather", {f.integers(std::move(numbers)), index});
}

ValueId best_of(Formula& f, ValueId scores) {
  ir::Attributes attributes = with("axis", 1);
  attributes.set("keepdims", std::int64_t{0});
  return f.call("ArgMax", {scores}, std::move(attributes));
}

// Of one score a row [rows, 1] for the second of two classes: the index of the label, where the score lies above `limit`.
ValueId above(Formula& f, ValueId score, double limit) {
  return f.reshape(f.cast(f.call("Greater", {score, f.scalar(DType::kFloat32, limit)}), DType::kInt64), {-1});
}

Result<bool> expand_array_feature_extractor(Rewriter& rewriter, Node& node) {
  const auto dims = rewriter.type(node.inputs[0]).dims;
  if (!dims || dims->empty()) return false;
  Formula f(rewriter);
  const ValueId columns = f.reshape(f.cast(node.inputs[1], DType::kInt64), {-1});
  const ValueId x = dims->size() > 1 ? node.inputs[0] : f.unsqueeze(node.inputs[0], {0});
  f.call_into(node.outputs[0], "Gather", {x, columns}, with("axis", -1));
  return f.finish();
}

Result<bool> expand_binarizer(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const DType dtype = rewriter.type(node.inputs[0]).dtype;
  const ValueId x = tensor::is_float(dtype) ? node.inputs[0] : f.cast(node.inputs[0], DType::kFloat64);
  const ValueId limit = f.scalar(tensor::is_float(dtype) ? dtype : DType::kFloat64, node.attributes.real("threshold", 0));
  f.call_into(node.outputs[0], "Cast", {f.call("Greater", {x, limit})}, with("to", static_cast<std::int64_t>(dtype)));
  return f.finish();
}

Result<bool> expand_scaler(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  ValueId x = f.cast(node.inputs[0], DType::kFloat32);
  const auto offset = attribute_numbers(node, "offset"), scale = attribute_numbers(node, "scale");
  if (!offset.empty()) x = f.call("Sub", {x, row(f, offset)});
  if (!scale.empty()) x = f.call("Mul", {x, row(f, scale)});
  f.call_into(node.outputs[0], "Identity", {x});
  return f.finish();
}

Result<bool> expand_normalizer(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const ValueId x = f.cast(node.inputs[0], DType::kFloat32), zero = f.scalar(DType::kFloat32, 0);
  const std::string norm = node.attributes.string("norm", "MAX");
  const char* op = norm == "L1" ? "ReduceL1" : norm == "L2" ? "ReduceL2" : "ReduceMax";
  const ValueId size = f.call(op, {x, f.integers({-1})});
  f.call_into(node.outputs[0], "Div", {x, f.call("Where", {f.call("Equal", {size, zero}), f.scalar(DType::kFloat32, 1), size})});
  return f.finish();
}

Result<bool> expand_imputer(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const ValueId x = node.inputs[0];
  const DType dtype = rewriter.type(x).dtype;
  const bool real = tensor::is_float(dtype);
  const auto values = attribute_numbers(node, real ? "imputed_value_floats" : "imputed_value_int64s");
  if (values.empty()) return fail(Code::kInvalidArgument, "Imputer has no values");
  const double replaced = real ? node.attributes.real("replaced_value_float", 0) : static_cast<double>(node.attributes.integer("replaced_value_int64", 0));
  const ValueId missing = std::isnan(replaced) ? f.call("IsNaN", {x}) : f.call("Equal", {x, f.scalar(dtype, replaced)});
  f.call_into(node.outputs[0], "Where", {missing, row(f, values, dtype), x});
  return f.finish();
}

Result<bool> expand_one_hot_encoder(Rewriter& rewriter, Node& node) {
  const auto dims = rewriter.type(node.inputs[0]).dims;
  const bool text = rewriter.type(node.inputs[0]).dtype == DType::kString;
  const auto* words = node.attributes.get<std::vector<std::string>>("cats_strings");
  if (!dims || (text && words == nullptr)) return false;
  if (node.attributes.integer("zeros", 1) == 0) return fail(Code::kUnsupported, "OneHotEncoder with zeros = 0: an engine cannot fail because of a value");
  Formula f(rewriter);
  ValueId categories;
  if (text) {
    Tensor table(DType::kString, {static_cast<std::int64_t>(words->size())});
    table.strings() = *words;
    categories = f.constant(std::move(table));
  } else {
    categories = f.integers(node.attributes.integers("cats_int64s"));
  }
  const ValueId x = f.unsqueeze(text ? node.inputs[0] : f.cast(node.inputs[0], DType::kInt64), {static_cast<std::int64_t>(dims->size())});
  f.call_into(node.outputs[0], "Cast", {f.call("Equal", {x, categories})}, with("to", static_cast<std::int64_t>(DType::kFloat32)));
  return f.finish();
}

Result<bool> expand_feature_vectorizer(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  std::vector<ValueId> parts;
  for (ValueId id : node.inputs) {
    const Matrix part = matrix(f, rewriter, id);
    if (part.value == kNoValue) return f.failed() ? f.finish() : Result<bool>(false);
    parts.push_back(part.value);
  }
  f.call_into(node.outputs[0], "Identity", {f.concat(std::move(parts), 1)});
  return f.finish();
}

// features times coefficients [outputs, features], plus intercepts.
Result<ValueId> linear(Formula& f, const Matrix& x, const Node& node, std::int64_t outputs) {
  const auto w = attribute_numbers(node, "coefficients");
  auto b = attribute_numbers(node, "intercepts");
  if (static_cast<std::int64_t>(w.size()) != outputs * x.features)
    return fail(Code::kInvalidArgument, "{} coefficients for {} outputs of {} features", w.size(), outputs, x.features);
  b.resize(static_cast<std::size_t>(outputs), 0.0);
  return f.call("Gemm", {x.value, reals(f, {outputs, x.features}, w), row(f, b)}, with("transB", 1));
}

Result<bool> expand_linear_regressor(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const Matrix x = matrix(f, rewriter, node.inputs[0]);
  if (x.value == kNoValue) return false;
  XI_TRY(const ValueId y, linear(f, x, node, node.attributes.integer("targets", 1)));
  transform(f, rewriter, node.outputs[0], y, node.attributes.string("post_transform", "NONE"));
  return f.finish();
}

std::int64_t class_count(const Rewriter& rewriter, const Node& node) { return (*rewriter.type(node.outputs[1]).dims)[1].value; }

Result<bool> expand_linear_classifier(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const Matrix x = matrix(f, rewriter, node.inputs[0]);
  if (x.value == kNoValue) return false;
  const std::int64_t classes = class_count(rewriter, node);
  const bool binary = classes == 2 && attribute_numbers(node, "intercepts").size() == 1;  // one line separates two classes
  XI_TRY(ValueId y, linear(f, x, node, binary ? 1 : classes));
  label(f, node, binary ? above(f, y, 0) : best_of(f, y));
  if (binary) y = f.concat({f.call("Neg", {y}), y}, 1);
  transform(f, rewriter, node.outputs[1], y, node.attributes.string("post_transform", "NONE"));
  return f.finish();
}

// What rows of features have in common with `terms` vectors: [rows, terms].
ValueId similarity(Formula& f, const Node& node, const Matrix& x, const std::vector<double>& vectors, std::int64_t terms) {
  auto parameters = attribute_numbers(node, "kernel_params");
  parameters.resize(3, 0.0);
  const std::string kind = node.attributes.string("kernel_type", "LINEAR");
  const auto number = [&](double value) { return f.scalar(DType::kFloat32, value); };
  if (kind == "RBF") {
    const ValueId apart = f.call("Sub", {f.unsqueeze(x.value, {1}), reals(f, {1, terms, x.features}, vectors)});
    return f.call("Exp", {f.call("Mul", {f.call("ReduceSumSquare", {apart, f.integers({2})}, with("keepdims", 0)), number(-parameters[0])})});
  }
  ValueId y = f.call("Gemm", {x.value, reals(f, {terms, x.features}, vectors)}, with("transB", 1));
  if (kind == "POLY" || kind == "SIGMOID") y = f.call("Add", {f.call("Mul", {y, number(parameters[0])}), number(parameters[1])});
  if (kind == "POLY") y = f.call("Pow", {y, number(parameters[2])});
  if (kind == "SIGMOID") y = f.call("Tanh", {y});
  return y;
}

Result<bool> expand_svm_regressor(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const Matrix x = matrix(f, rewriter, node.inputs[0]);
  if (x.value == kNoValue) return false;
  const auto vectors = attribute_numbers(node, "support_vectors"), w = attribute_numbers(node, "coefficients"), rho = attribute_numbers(node, "rho");
  const std::int64_t supports = node.attributes.integer("n_supports", 0), terms = supports > 0 ? supports : 1;
  const auto& basis = supports > 0 ? vectors : w;
  if (static_cast<std::int64_t>(basis.size()) != terms * x.features || (supports > 0 && static_cast<std::int64_t>(w.size()) != supports))
    return fail(Code::kInvalidArgument, "the support vectors do not fit {} features", x.features);
  const auto number = [&](double value) { return f.scalar(DType::kFloat32, value); };
  ValueId y = similarity(f, node, x, basis, terms);
  if (supports > 0) y = f.call("Gemm", {y, reals(f, {terms, 1}, w)});
  y = f.call("Add", {y, number(rho.empty() ? 0 : rho[0])});
  if (node.attributes.integer("one_class", 0) != 0) y = f.call("Where", {f.call("Greater", {y, number(0)}), number(1), number(-1)});
  transform(f, rewriter, node.outputs[0], y, node.attributes.string("post_transform", "NONE"));
  return f.finish();
}

// One machine for each pair of classes, as one product; `votes` counts for which of the two each has decided.
struct Pairs {
  ValueId scores = kNoValue, votes = kNoValue;  // [rows, pairs], [rows, classes]
};
Result<Pairs> pair_scores(Formula& f, const Node& node, const Matrix& x, const std::vector<std::int64_t>& per_class) {
  const auto classes = static_cast<std::int64_t>(per_class.size()), pairs = classes * (classes - 1) / 2;
  const auto vectors = attribute_numbers(node, "support_vectors"), w = attribute_numbers(node, "coefficients"), rho = attribute_numbers(node, "rho");
  std::vector<std::int64_t> begins{0};
  for (std::int64_t count : per_class) {
    if (count < 0 || count > (1 << 24)) return fail(Code::kInvalidArgument, "a class of {} vectors", count);
    begins.push_back(begins.back() + count);
  }
  const std::int64_t count = begins.back();
  if (static_cast<std::int64_t>(vectors.size()) != count * x.features || static_cast<std::int64_t>(w.size()) != (classes - 1) * count || static_cast<std::int64_t>(rho.size()) != pairs)
    return fail(Code::kInvalidArgument, "{} numbers of support vectors, {} coefficients and {} offsets for {} features and {} classes", vectors.size(), w.size(), rho.size(), x.features, classes);
  std::vector<double> weights(static_cast<std::size_t>(pairs * count)), first(static_cast<std::size_t>(pairs * classes)), second(static_cast<std::size_t>(classes));
  for (std::int64_t i = 0, pair = 0; i < classes; ++i)
    for (std::int64_t j = i + 1; j < classes; ++j, ++pair) {
      for (std::int64_t v = begins[i]; v < begins[i + 1]; ++v) weights[pair * count + v] = w[(j - 1) * count + v];
      for (std::int64_t v = begins[j]; v < begins[j + 1]; ++v) weights[pair * count + v] = w[i * count + v];
      first[pair * classes + i] = 1, first[pair * classes + j] = -1;
      ++second[j];
    }
  Pairs result;
  result.scores = f.call("Gemm", {similarity(f, node, x, vectors, count), reals(f, {pairs, count}, weights), row(f, rho)}, with("transB", 1));
  const ValueId won = f.cast(f.call("Greater", {result.scores, f.scalar(DType::kFloat32, 0)}), DType::kFloat32);
  result.votes = f.call("Gemm", {won, reals(f, {pairs, classes}, first), row(f, second)});
  return result;
}

// Platt's: how likely the first class of each pair is, from its score; then of all classes.
ValueId probabilities(Formula& f, const Node& node, ValueId scores, std::int64_t classes) {
  const auto number = [&](double value) { return f.scalar(DType::kFloat32, value); };
  const ValueId line = f.call("Add", {f.call("Mul", {scores, row(f, attribute_numbers(node, "prob_a"))}), row(f, attribute_numbers(node, "prob_b"))});
  const ValueId shares = f.call("Clip", {f.call("Sigmoid", {f.call("Neg", {line})}), number(1e-7), number(1 - 1e-7)});
  return f.call("xinfer.CouplePairs", {shares}, with("classes", classes));
}

Result<bool> expand_svm_classifier(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  const Matrix x = matrix(f, rewriter, node.inputs[0]);
  if (x.value == kNoValue) return false;
  const auto per_class = node.attributes.integers("vectors_per_class");
  const std::string mode = node.attributes.string("post_transform", "NONE");
  if (per_class.empty()) {  // a line for each class
    const std::int64_t classes = class_count(rewriter, node);
    const auto w = attribute_numbers(node, "coefficients"), rho = attribute_numbers(node, "rho");
    if (static_cast<std::int64_t>(w.size()) != classes * x.features || rho.empty())
      return fail(Code::kInvalidArgument, "{} coefficients for {} classes of {} features", w.size(), classes, x.features);
    const ValueId scores = f.call("Add", {similarity(f, node, x, w, classes), f.scalar(DType::kFloat32, rho[0])});
    label(f, node, best_of(f, scores));
    transform(f, rewriter, node.outputs[1], scores, mode);
    return f.finish();
  }
  const auto classes = static_cast<std::int64_t>(per_class.size());
  const bool probable = !attribute_numbers(node, "prob_a").empty();
  if (classes < 2) return fail(Code::kInvalidArgument, "{} classes", classes);
  if (classes == 2 && !probable && mode != "NONE" && mode != "LOGISTIC") return fail(Code::kUnsupported, "SVMClassifier of two classes without probabilities and with post_transform {}", mode);
  XI_TRY(const Pairs pairs, pair_scores(f, node, x, per_class));
  label(f, node, best_of(f, pairs.votes));
  ValueId scores = pairs.scores;
  if (probable) scores = probabilities(f, node, scores, classes);
  else if (classes == 2) scores = f.concat({f.call("Neg", {scores}), scores}, 1);
  transform(f, rewriter, node.outputs[1], scores, mode);
  return f.finish();
}

Result<bool> expand_zip_map(Rewriter& rewriter, Node& node) {
  Formula f(rewriter);
  f.call_into(node.outputs[0], "Identity", {node.inputs[0]});
  return f.finish();
}

// The same trees without the transform.
Result<bool> expand_trees(Rewriter& rewriter, Node& node) {
  const bool listed = node.op == "ai.onnx.ml.TreeEnsembleRegressor";
  const std::string_view mode = listed ? "" : forge::reference::transform_name(node.attributes.integer("post_transform", 0));
  const std::string name = listed ? node.attributes.string("post_transform", "NONE") : std::string(mode);
  if (name == "NONE" || name.empty()) return false;
  Formula f(rewriter);
  ir::Attributes attributes = node.attributes;
  attributes.erase("post_transform");
  transform(f, rewriter, node.outputs[0], f.call(node.op, node.inputs, std::move(attributes)), name);
  return f.finish();
}

Result<bool> expand_tree_classifier(Rewriter& rewriter, Node& node) {
  const std::int64_t classes = class_count(rewriter, node);
  const auto ids = node.attributes.integers("class_ids");
  const auto base = attribute_numbers(node, "base_values"), weights = attribute_numbers(node, "class_weights");
  const std::string mode = node.attributes.string("post_transform", "NONE");
  // Two classes with weights for one only: the score of the other is its complement.
  const bool one_sided = classes == 2 && !ids.empty() && std::ranges::all_of(ids, [&](auto id) { return id == ids[0]; });
  ir::Attributes sums;
  for (const auto& [name, value] : node.attributes) {
    if (name.starts_with("nodes_") || (name.starts_with("base_values") && !one_sided)) sums.set(name, value);
    if (name.starts_with("class_")) sums.set("target_" + name.substr(6), value);
  }
  sums.set("n_targets", one_sided ? 1 : classes);
  if (one_sided) {
    sums.set("target_ids", std::vector<std::int64_t>(ids.size(), 0));
    if (!base.empty()) sums.set("base_values", std::vector<float>{static_cast<float>(base.back())});
  }
  Formula f(rewriter);
  ValueId scores = f.call("ai.onnx.ml.TreeEnsembleRegressor", {node.inputs[0]}, std::move(sums));
  if (one_sided) {
    const bool positive = std::ranges::all_of(weights, [](double w) { return w >= 0; });
    label(f, node, above(f, scores, positive ? 0.5 : 0));
    const ValueId other = positive && mode == "NONE" ? f.call("Sub", {f.scalar(DType::kFloat32, 1), scores}) : f.call("Neg", {scores});
    scores = f.concat({other, scores}, 1);
  } else {
    label(f, node, best_of(f, scores));
  }
  transform(f, rewriter, node.outputs[1], scores, mode);
  return f.finish();
}

constexpr Expansion kClassical[] = {{"ai.onnx.ml.ArrayFeatureExtractor", expand_array_feature_extractor},
                                    {"ai.onnx.ml.Binarizer", expand_binarizer},
                                    {"ai.onnx.ml.FeatureVectorizer", expand_feature_vectorizer},
                                    {"ai.onnx.ml.Imputer", expand_imputer},
                                    {"ai.onnx.ml.LinearClassifier", expand_linear_classifier},
                                    {"ai.onnx.ml.LinearRegressor", expand_linear_regressor},
                                    {"ai.onnx.ml.Normalizer", expand_normalizer},
                                    {"ai.onnx.ml.OneHotEncoder", expand_one_hot_encoder},
                                    {"ai.onnx.ml.SVMClassifier", expand_svm_classifier},
                                    {"ai.onnx.ml.SVMRegressor", expand_svm_regressor},
                                    {"ai.onnx.ml.Scaler", expand_scaler},
                                    {"ai.onnx.ml.TreeEnsemble", expand_trees},
                                    {"ai.onnx.ml.TreeEnsembleClassifier", expand_tree_classifier},
                                    {"ai.onnx.ml.TreeEnsembleRegressor", expand_trees},
                                    {"ai.onnx.ml.ZipMap", expand_zip_map}};

}  // namespace

std::span<const Expansion> classical_expansions() { return kClassical; }

}  // namespace xinfer::passes
