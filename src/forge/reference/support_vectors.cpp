// Support vector machines of ai.onnx.ml.
#include <algorithm>
#include <cmath>

#include "forge/reference/classical.h"

namespace xinfer::forge::reference {

std::vector<double> couple_pairs(const std::vector<double>& pairs, std::size_t classes) {
  std::vector<double> matrix(classes * classes), p(classes, 1.0 / static_cast<double>(classes)), product(classes);
  for (std::size_t i = 0; i < classes; ++i)
    for (std::size_t j = 0; j < classes; ++j) {
      if (i == j) continue;
      matrix[i * classes + i] += pairs[j * classes + i] * pairs[j * classes + i];
      matrix[i * classes + j] = -pairs[j * classes + i] * pairs[i * classes + j];
    }
  const double tolerance = 0.005 / static_cast<double>(classes);
  for (std::size_t round = 0; round < std::max<std::size_t>(100, classes); ++round) {
    double total = 0, worst = 0;
    for (std::size_t i = 0; i < classes; ++i) {
      product[i] = 0;
      for (std::size_t j = 0; j < classes; ++j) product[i] += matrix[i * classes + j] * p[j];
      total += p[i] * product[i];
    }
    for (double value : product) worst = std::max(worst, std::abs(value - total));
    if (worst < tolerance) break;
    for (std::size_t i = 0; i < classes; ++i) {
      const double own = matrix[i * classes + i], step = (total - product[i]) / own, scale = 1 + step;
      p[i] += step;
      total = (total + step * (step * own + 2 * product[i])) / scale / scale;
      for (std::size_t j = 0; j < classes; ++j) {
        product[j] = (product[j] + step * matrix[i * classes + j]) / scale;
        p[j] /= scale;
      }
    }
  }
  return p;
}

namespace {

// What a row of features has in common with a vector.
class Similarity {
 public:
  Similarity(const Call& call, std::int64_t features) : kind_(call.text("kernel_type", "LINEAR")), parameters_(attribute_numbers(call.node, "kernel_params")), features_(features) {
    parameters_.resize(3, 0.0);
  }
  double operator()(const double* a, const double* b) const {
    double dot = 0, distance = 0;
    for (std::int64_t f = 0; f < features_; ++f) {
      dot += a[f] * b[f];
      distance += (a[f] - b[f]) * (a[f] - b[f]);
    }
    if (kind_ == "POLY") return std::pow(parameters_[0] * dot + parameters_[1], parameters_[2]);
    if (kind_ == "RBF") return std::exp(-parameters_[0] * distance);
    if (kind_ == "SIGMOID") return std::tanh(parameters_[0] * dot + parameters_[1]);
    return dot;
  }

 private:
  std::string kind_;
  std::vector<double> parameters_;
  std::int64_t features_;
};

Values svm_regressor(const Call& call) {
  Tensor out = call.make();
  auto x = doubles(call.in(0)), vectors = attribute_numbers(call.node, "support_vectors"),
       w = attribute_numbers(call.node, "coefficients"), rho = attribute_numbers(call.node, "rho");
  const std::int64_t rows = out.shape()[0], features = rows ? static_cast<std::int64_t>(x.size()) / rows : 0,
                     supports = call.integer("n_supports", 0);
  const Similarity similarity(call, features);
  const std::int64_t terms = supports > 0 ? supports : 1;
  const auto& basis = supports > 0 ? vectors : w;
  if (static_cast<std::int64_t>(basis.size()) < terms * features)
    return fail(Code::kInvalidArgument, "the support vectors do not fit {} features", features);
  std::vector<double> y;
  for (std::int64_t r = 0; r < rows; ++r) {
    double total = rho.empty() ? 0 : rho[0];
    for (std::int64_t s = 0; s < terms; ++s)
      total += (supports > 0 ? w[index_of(s)] : 1) * similarity(x.data() + r * features, basis.data() + s * features);
    y.push_back(call.integer("one_class", 0) ? (total > 0 ? 1 : -1) : total);
  }
  post_transform(call.text("post_transform", "NONE"), y);
  store(out, y);
  return result(std::move(out));
}

// The machine of classes i < j: its vectors are those of both, with a row of coefficients for each.
struct Machines {
  std::vector<double> vectors, coefficients, rho, prob_a, prob_b;
  std::vector<std::size_t> begins;  // of each class's vectors, then their number
};

Result<Machines> read_machines(const Call& call, std::size_t classes, std::size_t features) {
  auto numbers = [&](std::string_view name) { return attribute_numbers(call.node, name); };
  Machines m{numbers("support_vectors"), numbers("coefficients"), numbers("rho"), numbers("prob_a"), numbers("prob_b"), {0}};
  for (std::int64_t count : call.integers("vectors_per_class")) {
    if (count < 0) return fail(Code::kInvalidArgument, "a class of {} vectors", count);
    m.begins.push_back(m.begins.back() + index_of(count));
  }
  const std::size_t pairs = classes * (classes - 1) / 2, count = m.begins.back();
  const bool fits = m.begins.size() == classes + 1 && m.vectors.size() == count * features && m.coefficients.size() == (classes - 1) * count &&
                    m.rho.size() == pairs && (m.prob_a.empty() || m.prob_a.size() == pairs) && m.prob_b.size() == m.prob_a.size();
  if (!fits) return fail(Code::kInvalidArgument, "the numbers of support vectors, coefficients and pairs of {} classes do not fit together", classes);
  return m;
}

// A row's scores, and its votes: each machine has one.
std::vector<double> scores_of(const Machines& m, const Similarity& similarity, const double* row, std::size_t classes, std::size_t features, std::vector<double>& votes) {
  const std::size_t count = m.begins.back();
  std::vector<double> near, scores, pairs(classes * classes);
  for (std::size_t v = 0; v < count; ++v) near.push_back(similarity(row, m.vectors.data() + v * features));
  votes.assign(classes, 0);
  for (std::size_t i = 0, machine = 0; i < classes; ++i)
    for (std::size_t j = i + 1; j < classes; ++j, ++machine) {
      double score = m.rho[machine];
      for (std::size_t v = m.begins[i]; v < m.begins[i + 1]; ++v) score += m.coefficients[(j - 1) * count + v] * near[v];
      for (std::size_t v = m.begins[j]; v < m.begins[j + 1]; ++v) score += m.coefficients[i * count + v] * near[v];
      ++votes[score > 0 ? i : j];
      scores.push_back(score);
      if (m.prob_a.empty()) continue;
      const double share = std::clamp(1 / (1 + std::exp(score * m.prob_a[machine] + m.prob_b[machine])), 1e-7, 1 - 1e-7);
      pairs[i * classes + j] = share, pairs[j * classes + i] = 1 - share;
    }
  if (!m.prob_a.empty()) return couple_pairs(pairs, classes);
  if (classes == 2) scores = {-scores[0], scores[0]};
  return scores;
}

Values svm_classifier(const Call& call) {
  Tensor out = call.make(1);
  const auto x = doubles(call.in(0));
  const auto rows = index_of(out.shape()[0]), features = rows ? x.size() / rows : 0, columns = index_of(out.shape()[1]);
  const Similarity similarity(call, static_cast<std::int64_t>(features));
  const bool linear = call.integers("vectors_per_class").empty();
  const std::size_t classes = linear ? columns : call.integers("vectors_per_class").size();
  const auto coefficients = attribute_numbers(call.node, "coefficients"), rho = attribute_numbers(call.node, "rho");
  Machines machines;
  if (!linear) {
    XI_TRY(machines, read_machines(call, classes, features));
  } else if (coefficients.size() != classes * features || rho.empty()) {
    return fail(Code::kInvalidArgument, "{} coefficients for {} classes of {} features", coefficients.size(), classes, features);
  }
  std::vector<double> y;
  std::vector<std::size_t> best;
  for (std::size_t r = 0; r < rows; ++r) {
    const double* row = x.data() + r * features;
    std::vector<double> scores, votes;
    if (linear)
      for (std::size_t c = 0; c < classes; ++c) scores.push_back(similarity(row, coefficients.data() + c * features) + rho[0]);
    else scores = scores_of(machines, similarity, row, classes, features, votes);
    const auto& deciding = linear ? scores : votes;
    best.push_back(static_cast<std::size_t>(std::ranges::max_element(deciding) - deciding.begin()));
    post_transform(call.text("post_transform", "NONE"), scores);
    y.insert(y.end(), scores.begin(), scores.end());
  }
  store(out, y);
  return results(class_labels(call, best), std::move(out));
}

Values couple(const Call& call) {
  Tensor out = call.make();
  const auto x = doubles(call.in(0));
  const auto classes = index_of(out.shape()[1]), machines = classes * (classes - 1) / 2;
  std::vector<double> y;
  for (std::size_t r = 0; r < index_of(out.shape()[0]); ++r) {
    std::vector<double> pairs(classes * classes);
    for (std::size_t i = 0, at = r * machines; i < classes; ++i)
      for (std::size_t j = i + 1; j < classes; ++j, ++at) pairs[i * classes + j] = x[at], pairs[j * classes + i] = 1 - x[at];
    const auto p = couple_pairs(pairs, classes);
    y.insert(y.end(), p.begin(), p.end());
  }
  store(out, y);
  return result(std::move(out));
}

}  // namespace

void add_svm(Entries& e) {
  e.emplace_back("ai.onnx.ml.SVMRegressor", svm_regressor);
  e.emplace_back("ai.onnx.ml.SVMClassifier", svm_classifier);
  e.emplace_back("xinfer.CouplePairs", couple);
}

}  // namespace xinfer::forge::reference
