// ai.onnx.ml without the trees.
#include "forge/reference/classical.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

std::vector<double> attribute_numbers(const ir::Node& node, std::string_view name) {
  const ir::Attributes& a = node.attributes;
  if (const auto* tensor = a.get<std::shared_ptr<const Tensor>>(std::string(name) + "_as_tensor")) return doubles(**tensor);
  if (const auto* tensor = a.get<std::shared_ptr<const Tensor>>(name)) return doubles(**tensor);
  if (const auto* list = a.get<std::vector<float>>(name)) return {list->begin(), list->end()};
  auto whole = a.integers(name);
  return {whole.begin(), whole.end()};
}

void post_transform(std::string_view mode, std::span<double> scores) {
  if (mode == "LOGISTIC") {
    for (double& v : scores) v = 1 / (1 + std::exp(-v));
  } else if (mode == "SOFTMAX" || mode == "SOFTMAX_ZERO") {
    double largest = -INFINITY, total = 0;
    for (double v : scores) largest = std::max(largest, v);
    for (double& v : scores) {
      if (mode == "SOFTMAX_ZERO" && v == 0) continue;
      total += v = std::exp(v - largest);
    }
    for (double& v : scores) v = total > 0 ? v / total : v;
  } else if (mode == "PROBIT") {
    for (
        double& v :
        scores) {  // inverse of the normal distribution (Winitzki's approximation), as the specification's users have it
      const double x = 2 * v - 1, l = std::log((1 - x) * (1 + x)), a = 2 / (M_PI * 0.147) + 0.5 * l;
      v = M_SQRT2 * (x < 0 ? -1 : 1) * std::sqrt(std::sqrt(a * a - l / 0.147) - a);
    }
  }
}

Tensor class_labels(const Call& call, const std::vector<std::size_t>& best) {
  const auto* words = call.node.attributes.get<std::vector<std::string>>("classlabels_strings");
  auto numbers = call.integers("classlabels_int64s");
  if (numbers.empty()) numbers = call.integers("classlabels_ints");
  Tensor out(call.types[0].dtype, {static_cast<std::int64_t>(best.size())});
  for (std::size_t i = 0; i < best.size(); ++i) {
    if (out.dtype() == DType::kString) out.strings()[i] = (*words)[best[i]];
    else out.data<std::int64_t>()[i] = numbers[best[i]];
  }
  return out;
}

namespace {

Values array_feature_extractor(const Call& call) {
  Tensor out = call.make();
  const std::int64_t width = call.in(0).shape().back();
  auto columns = call.in(1).as_int64s();
  std::int64_t to = 0;
  for (std::int64_t row = 0; row < call.in(0).num_elements() / std::max<std::int64_t>(1, width); ++row)
    for (auto column : columns) {
      if (column < 0 || column >= width) return fail(Code::kInvalidArgument, "column {} of {}", column, width);
      copy_run(out, to++, call.in(0), row * width + column, 1);
    }
  return result(std::move(out));
}

Values binarizer(const Call& call) {
  Tensor out = call.make();
  const double threshold = call.real("threshold", 0.0f);
  auto x = doubles(call.in(0));
  for (double& v : x) v = v > threshold;
  store(out, x);
  return result(std::move(out));
}

Values scaler(const Call& call) {
  Tensor out = call.make();
  auto x = doubles(call.in(0)), offset = attribute_numbers(call.node, "offset"), scale = attribute_numbers(call.node, "scale");
  const std::size_t width = out.rank() ? index_of(out.shape().back()) : 1;
  for (const auto* list : {&offset, &scale})
    if (list->size() > 1 && list->size() != width)
      return fail(Code::kInvalidArgument, "{} offsets or scales for {} features", list->size(), width);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double o = offset.empty() ? 0 : offset[offset.size() == 1 ? 0 : i % width],
                 s = scale.empty() ? 1 : scale[scale.size() == 1 ? 0 : i % width];
    x[i] = (x[i] - o) * s;
  }
  store(out, x);
  return result(std::move(out));
}

Values normalizer(const Call& call) {
  Tensor out = call.make();
  const std::string norm = call.text("norm", "MAX");
  auto x = doubles(call.in(0));
  const std::size_t width = out.rank() ? index_of(out.shape().back()) : 1;
  for (std::size_t row = 0; width && row < x.size() / width; ++row) {
    std::span<double> line(x.data() + row * width, width);
    double total = norm == "MAX" ? -INFINITY : 0;
    for (double v : line) total = norm == "MAX" ? std::max(total, v) : total + (norm == "L1" ? std::fabs(v) : v * v);
    if (norm == "L2") total = std::sqrt(total);
    if (total != 0)
      for (double& v : line) v /= total;
  }
  store(out, x);
  return result(std::move(out));
}

Values imputer(const Call& call) {
  Tensor out = call.make();
  const bool real = is_real(out.dtype());
  auto values = attribute_numbers(call.node, real ? "imputed_value_floats" : "imputed_value_int64s");
  const double replaced =
      real ? call.real("replaced_value_float", 0.0f) : static_cast<double>(call.integer("replaced_value_int64", 0));
  auto x = doubles(call.in(0));
  const std::size_t width = index_of(out.shape().back());
  if (values.empty() || (values.size() > 1 && values.size() != width))
    return fail(Code::kInvalidArgument, "{} imputed values for {} features", values.size(), width);
  for (std::size_t i = 0; i < x.size(); ++i)
    if (std::isnan(replaced) ? std::isnan(x[i]) : x[i] == replaced) x[i] = values[values.size() == 1 ? 0 : i % width];
  store(out, x);
  return result(std::move(out));
}

// Keys or values of LabelEncoder as one tensor, from whichever attribute holds them.
Tensor labels(const Call& call, const std::string& stem) {
  const auto& a = call.node.attributes;
  if (const auto* tensor = a.get<std::shared_ptr<const Tensor>>(stem + "_tensor")) return **tensor;
  if (const auto* words = a.get<std::vector<std::string>>(stem + "_strings")) {
    Tensor out(DType::kString, {static_cast<std::int64_t>(words->size())});
    out.strings() = *words;
    return out;
  }
  if (const auto* numbers = a.get<std::vector<float>>(stem + "_floats"))
    return Tensor::from<float>(DType::kFloat32, {static_cast<std::int64_t>(numbers->size())}, *numbers);
  auto whole = call.integers(stem + "_int64s");
  return Tensor::from_int64s(whole);
}

Tensor default_label(const Call& call, DType dtype) {
  if (const auto* tensor = call.node.attributes.get<std::shared_ptr<const Tensor>>("default_tensor")) return **tensor;
  Tensor out(dtype, {});
  if (dtype == DType::kString) out.strings()[0] = call.text("default_string", "_Unused");
  else if (is_real(dtype)) out.set(0, call.real("default_float", -0.0f));
  else out.set(0, static_cast<double>(call.integer("default_int64", -1)));
  return out;
}

Values label_encoder(const Call& call) {
  Tensor out = call.make(), keys = labels(call, "keys"), values = labels(call, "values"),
         fallback = default_label(call, out.dtype());
  if (keys.num_elements() != values.num_elements())
    return fail(Code::kInvalidArgument, "{} keys for {} values", keys.num_elements(), values.num_elements());
  const Tensor& in = call.in(0);
  std::map<std::string, std::int64_t> by_text;
  std::map<double, std::int64_t> by_number;
  std::int64_t nan_key = -1;
  for (std::int64_t i = 0; i < keys.num_elements(); ++i) {
    if (keys.dtype() == DType::kString) by_text.try_emplace(keys.strings()[index_of(i)], i);
    else if (std::isnan(keys.as_double(i))) nan_key = i;
    else by_number.try_emplace(keys.as_double(i), i);
  }
  for (std::int64_t i = 0; i < in.num_elements(); ++i) {
    std::int64_t at = -1;
    if (in.dtype() == DType::kString) {
      if (auto it = by_text.find(in.strings()[index_of(i)]); it != by_text.end()) at = it->second;
    } else if (std::isnan(in.as_double(i))) {
      at = nan_key;
    } else if (auto it = by_number.find(in.as_double(i)); it != by_number.end()) {
      at = it->second;
    }
    copy_run(out, i, at < 0 ? fallback : values, std::max<std::int64_t>(at, 0), 1);
  }
  return result(std::move(out));
}

Values category_mapper(const Call& call) {
  Tensor out = call.make();
  const auto* words = call.node.attributes.get<std::vector<std::string>>("cats_strings");
  auto numbers = call.integers("cats_int64s");
  if (!words || words->size() != numbers.size()) return fail(Code::kInvalidArgument, "the categories do not pair up");
  for (std::int64_t i = 0; i < out.num_elements(); ++i) {
    if (out.dtype() == DType::kString) {
      auto it = std::ranges::find(numbers, call.in(0).as_int64(i));
      out.strings()[index_of(i)] = it == numbers.end() ? call.text("default_string", "_Unused")
                                                       : (*words)[static_cast<std::size_t>(it - numbers.begin())];
    } else {
      auto it = std::ranges::find(*words, call.in(0).strings()[index_of(i)]);
      out.data<std::int64_t>()[index_of(i)] = it == words->end()
                                                  ? call.integer("default_int64", -1)
                                                  : numbers[static_cast<std::size_t>(it - words->begin())];
    }
  }
  return result(std::move(out));
}

Values one_hot_encoder(const Call& call) {
  Tensor out = call.make();
  const Tensor& in = call.in(0);
  const std::int64_t width = out.shape().back();
  const auto* words = call.node.attributes.get<std::vector<std::string>>("cats_strings");
  auto numbers = call.integers("cats_int64s");
  for (std::int64_t i = 0; i < in.num_elements(); ++i) {
    bool found = false;
    for (std::int64_t c = 0; c < width; ++c) {
      const bool equal = in.dtype() == DType::kString ? words && (*words)[index_of(c)] == in.strings()[index_of(i)]
                                                      : !numbers.empty() && numbers[index_of(c)] == in.as_int64(i);
      found = found || equal;
      out.data<float>()[index_of(i * width + c)] = equal;
    }
    if (!found && call.integer("zeros", 1) == 0) return fail(Code::kInvalidArgument, "element {} is in no category", i);
  }
  return result(std::move(out));
}

Values feature_vectorizer(const Call& call) {
  Tensor out = call.make();
  const std::int64_t rows = out.shape()[0], width = out.shape()[1];
  std::int64_t start = 0;
  for (std::size_t n = 0; n < call.inputs.size(); ++n) {
    auto x = doubles(call.in(n));
    const std::int64_t columns = rows ? static_cast<std::int64_t>(x.size()) / rows : 0;
    for (std::int64_t i = 0; i < rows * columns; ++i)
      out.data<float>()[index_of(i / columns * width + start + i % columns)] = static_cast<float>(x[index_of(i)]);
    start += columns;
  }
  return result(std::move(out));
}

// rows x features times coefficients [outputs, features] plus intercepts.
Result<std::vector<double>> linear(const Call& call, std::int64_t outputs) {
  auto x = doubles(call.in(0)), w = attribute_numbers(call.node, "coefficients"), b = attribute_numbers(call.node, "intercepts");
  const std::int64_t rows = call.in(0).rank() > 1 ? call.in(0).shape()[0] : 1,
                     features = rows ? static_cast<std::int64_t>(x.size()) / rows : 0;
  if (static_cast<std::int64_t>(w.size()) != outputs * features)
    return fail(Code::kInvalidArgument, "{} coefficients for {} outputs of {} features", w.size(), outputs, features);
  std::vector<double> y;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t o = 0; o < outputs; ++o) {
      double total = index_of(o) < b.size() ? b[index_of(o)] : 0;
      for (std::int64_t f = 0; f < features; ++f)
        total += x[index_of(r * features + f)] * w[index_of(o * features + f)];
      y.push_back(total);
    }
  return y;
}

Values linear_regressor(const Call& call) {
  Tensor out = call.make();
  const std::int64_t targets = out.shape()[1];
  XI_TRY(auto y, linear(call, targets));
  for (std::int64_t r = 0; r < out.shape()[0]; ++r)
    post_transform(call.text("post_transform", "NONE"), std::span(y).subspan(index_of(r * targets), index_of(targets)));
  store(out, y);
  return result(std::move(out));
}

Values linear_classifier(const Call& call) {
  Tensor scores = call.make(1);
  const std::int64_t rows = scores.shape()[0], classes = scores.shape()[1];
  const auto intercepts = attribute_numbers(call.node, "intercepts");
  const bool binary = classes == 2 && intercepts.size() == 1;  // one line separates two classes
  XI_TRY(auto raw, linear(call, binary ? 1 : classes));
  std::vector<double> y;
  std::vector<std::size_t> best;
  const std::string mode = call.text("post_transform", "NONE");
  for (std::int64_t r = 0; r < rows; ++r) {
    std::vector<double> line;
    if (binary) {
      const double score = raw[index_of(r)];
      line = {-score, score};
      best.push_back(score > 0);
    } else {
      line.assign(raw.begin() + r * classes, raw.begin() + (r + 1) * classes);
      best.push_back(static_cast<std::size_t>(std::ranges::max_element(line) - line.begin()));
    }
    post_transform(mode, line);
    y.insert(y.end(), line.begin(), line.end());
  }
  store(scores, y);
  return results(class_labels(call, best), std::move(scores));
}

Values zip_map(const Call& call) {
  Tensor out = call.make();
  store(out, doubles(call.in(0)));
  return result(std::move(out));
}

}  // namespace

void add_classical(Entries& e) {
  e.emplace_back("ai.onnx.ml.ArrayFeatureExtractor", array_feature_extractor);
  e.emplace_back("ai.onnx.ml.Binarizer", binarizer);
  e.emplace_back("ai.onnx.ml.Scaler", scaler);
  e.emplace_back("ai.onnx.ml.Normalizer", normalizer);
  e.emplace_back("ai.onnx.ml.Imputer", imputer);
  e.emplace_back("ai.onnx.ml.LabelEncoder", label_encoder);
  e.emplace_back("ai.onnx.ml.CategoryMapper", category_mapper);
  e.emplace_back("ai.onnx.ml.OneHotEncoder", one_hot_encoder);
  e.emplace_back("ai.onnx.ml.FeatureVectorizer", feature_vectorizer);
  e.emplace_back("ai.onnx.ml.LinearRegressor", linear_regressor);
  e.emplace_back("ai.onnx.ml.LinearClassifier", linear_classifier);
  e.emplace_back("ai.onnx.ml.ZipMap", zip_map);
  add_svm(e);
  add_trees(e);
}

}  // namespace xinfer::forge::reference
