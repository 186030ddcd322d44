// Softmax, normalisations and losses.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

// f(values) changes in place the elements along the axis, for every line.
template <class F>
std::vector<Value> map_lines(const Call& call, F f) {
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  AxisView view;
  if (out.rank() > 0) view = view_axis(out.shape(), positive_axis(call.integer("axis", -1), out.rank()));
  std::vector<double> line(index_of(view.size));
  for (std::int64_t o = 0; o < view.outer; ++o)
    for (std::int64_t i = 0; i < view.inner; ++i) {
      for (std::int64_t a = 0; a < view.size; ++a)
        line[index_of(a)] = x[index_of((o * view.size + a) * view.inner + i)];
      f(line);
      for (std::int64_t a = 0; a < view.size; ++a)
        x[index_of((o * view.size + a) * view.inner + i)] = line[index_of(a)];
    }
  store(out, x);
  return result(std::move(out));
}

double largest_of(const std::vector<double>& line) { return line.empty() ? 0 : *std::ranges::max_element(line); }

Values softmax(const Call& call) {
  return map_lines(call, [](std::vector<double>& line) {
    const double largest = largest_of(line);
    double total = 0;
    for (double& v : line) total += v = std::exp(v - largest);
    for (double& v : line) v /= total;
  });
}

void log_softmax_line(std::vector<double>& line) {
  const double largest = largest_of(line);
  double total = 0;
  for (double v : line) total += std::exp(v - largest);
  for (double& v : line) v = v - largest - std::log(total);
}
Values log_softmax(const Call& call) { return map_lines(call, log_softmax_line); }

Values hardmax(const Call& call) {
  return map_lines(call, [](std::vector<double>& line) {
    auto best = std::ranges::max_element(line) - line.begin();
    std::ranges::fill(line, 0.0);
    if (!line.empty()) line[index_of(best)] = 1;
  });
}

Values lp_normalization(const Call& call) {
  const std::int64_t p = call.integer("p", 2);
  return map_lines(call, [p](std::vector<double>& line) {
    double norm = 0;
    for (double v : line) norm += p == 1 ? std::fabs(v) : v * v;
    if (p != 1) norm = std::sqrt(norm);
    for (double& v : line) v = norm == 0 ? 0 : v / norm;
  });
}

// Mean and variance of each channel over batch and space.
void channel_statistics(const std::vector<double>& x, std::int64_t batch, std::int64_t channels, std::int64_t size,
                        std::vector<double>& mean, std::vector<double>& variance) {
  const auto count = static_cast<double>(batch * size);
  for (std::int64_t c = 0; c < channels; ++c) {
    double sum = 0, squares = 0;
    for (std::int64_t n = 0; n < batch; ++n)
      for (std::int64_t i = 0; i < size; ++i) sum += x[index_of((n * channels + c) * size + i)];
    const double average = sum / count;
    for (std::int64_t n = 0; n < batch; ++n)
      for (std::int64_t i = 0; i < size; ++i)
        squares += std::pow(x[index_of((n * channels + c) * size + i)] - average, 2);
    mean[index_of(c)] = average;
    variance[index_of(c)] = squares / count;
  }
}

Values batch_normalization(const Call& call) {
  Tensor out = call.make();
  auto x = doubles(call.in(0)), scale = doubles(call.in(1)), bias = doubles(call.in(2)), mean = doubles(call.in(3)),
       variance = doubles(call.in(4));
  const double epsilon = call.real("epsilon", 1e-5f);
  const bool training = call.integer("training_mode", 0) != 0;
  const Shape& shape = out.shape();
  const std::int64_t batch = shape[0], channels = shape.size() > 1 ? shape[1] : 1;
  const std::int64_t size = batch > 0 && channels > 0 ? out.num_elements() / (batch * channels) : 0;
  if (static_cast<std::int64_t>(scale.size()) != channels)
    return fail(Code::kInvalidArgument, "{} scales for {} channels", scale.size(), channels);
  auto running_mean = mean, running_variance = variance;
  if (training) {
    const double momentum = call.real("momentum", 0.9f);
    channel_statistics(x, batch, channels, size, mean, variance);
    for (std::size_t c = 0; c < mean.size(); ++c) {
      running_mean[c] = running_mean[c] * momentum + mean[c] * (1 - momentum);
      running_variance[c] = running_variance[c] * momentum + variance[c] * (1 - momentum);
    }
  }
  for (std::int64_t n = 0; n < batch; ++n)
    for (std::size_t c = 0; c < index_of(channels); ++c) {
      const double factor = scale[c] / std::sqrt(variance[c] + epsilon);
      double* row = x.data() + (n * channels + static_cast<std::int64_t>(c)) * size;
      for (std::int64_t i = 0; i < size; ++i) row[i] = (row[i] - mean[c]) * factor + bias[c];
    }
  store(out, x);
  std::vector<Value> values = result(std::move(out));
  if (call.num_outputs() > 1) values.emplace_back(from_doubles(call.dtype(3), call.in(3).shape(), running_mean));
  if (call.num_outputs() > 2) values.emplace_back(from_doubles(call.dtype(4), call.in(4).shape(), running_variance));
  return values;
}

struct Moments {
  double mean = 0, variance = 0;
};
Moments moments(std::span<const double> values) {
  Moments m;
  for (double v : values) m.mean += v;
  m.mean /= static_cast<double>(values.size());
  for (double v : values) m.variance += (v - m.mean) * (v - m.mean);
  m.variance /= static_cast<double>(values.size());
  return m;
}

// Instance normalisation is group normalisation with one channel a group.
std::vector<Value> normalize_groups(const Call& call, std::int64_t groups) {
  Tensor out = call.make();
  auto x = doubles(call.in(0)), scale = doubles(call.in(1)), bias = doubles(call.in(2));
  const double epsilon = call.real("epsilon", 1e-5f);
  const std::int64_t batch = out.shape()[0], channels = out.shape()[1], per_group = channels / groups;
  const std::int64_t size = batch > 0 && channels > 0 ? out.num_elements() / (batch * channels) : 0;
  for (std::int64_t g = 0; g < batch * groups; ++g) {
    std::span<double> part(x.data() + g * per_group * size, index_of(per_group * size));
    if (part.empty()) continue;
    const Moments m = moments(part);
    const double factor = 1 / std::sqrt(m.variance + epsilon);
    for (std::size_t i = 0; i < part.size(); ++i) {
      const std::size_t c = index_of(g % groups * per_group + static_cast<std::int64_t>(i) / size);
      part[i] = (part[i] - m.mean) * factor * scale[c] + bias[c];
    }
  }
  store(out, x);
  return result(std::move(out));
}

Values instance_normalization(const Call& call) { return normalize_groups(call, call.in(0).shape()[1]); }
Values group_normalization(const Call& call) { return normalize_groups(call, call.integer("num_groups", 1)); }

// Layer and RMS normalisation over the axes from `axis` on.
template <bool kCentred>
Values layer_normalization(const Call& call) {
  Tensor out = call.make();
  const Shape& shape = out.shape();
  auto x = doubles(call.in(0)), scale = doubles(call.in(1));
  auto bias = call.has(2) ? doubles(call.in(2)) : std::vector<double>{0.0};
  const double epsilon = call.real("epsilon", 1e-5f);
  const std::int64_t axis = positive_axis(call.integer("axis", -1), out.rank());
  AxisView view = view_axes(shape, axis, out.rank());
  std::vector<double> means, deviations;
  for (std::int64_t o = 0; o < view.outer && view.size > 0; ++o) {
    std::span<double> part(x.data() + o * view.size, index_of(view.size));
    Moments m = moments(part);
    if (!kCentred) m = {0, m.variance + m.mean * m.mean};
    const double factor = 1 / std::sqrt(m.variance + epsilon);
    for (double& v : part) v = (v - m.mean) * factor;
    means.push_back(m.mean);
    deviations.push_back(factor);
  }
  const Shape bias_shape = call.has(2) ? call.in(2).shape() : Shape{};
  std::array<Shape, 2> strides{broadcast_strides(call.in(1).shape(), shape), broadcast_strides(bias_shape, shape)};
  for_each_index(shape, strides, [&](auto i, auto s, auto b) {
    x[index_of(i)] = x[index_of(i)] * scale[index_of(s)] + bias[index_of(b)];
  });
  store(out, x);
  std::vector<Value> values = result(std::move(out));
  if (kCentred && call.num_outputs() > 1)
    values.emplace_back(from_doubles(call.types[1].dtype, call.types[1].shape(), means));
  if (call.num_outputs() > values.size())
    values.emplace_back(from_doubles(call.types.back().dtype, call.types.back().shape(), deviations));
  return values;
}

Values mean_variance_normalization(const Call& call) {
  Tensor out = call.make();
  const Shape& shape = out.shape();
  auto x = doubles(call.in(0));
  std::vector<bool> folded(shape.size(), false);
  for (auto axis : call.integers("axes", {0, 2, 3})) {
    if (axis < -out.rank() || axis >= out.rank()) return fail(Code::kInvalidArgument, "axis {} is out of range", axis);
    folded[index_of(positive_axis(axis, out.rank()))] = true;
  }
  Shape strides(shape.size(), 0);
  std::int64_t groups = 1;
  for (std::size_t d = shape.size(); d-- > 0;)
    if (!folded[d]) {
      strides[d] = groups;
      groups *= shape[d];
    }
  std::vector<double> sum(index_of(groups), 0), squares(index_of(groups), 0);
  const double count = groups ? static_cast<double>(x.size()) / static_cast<double>(groups) : 1;
  std::array all{strides};
  for_each_index(shape, all, [&](auto i, auto g) { sum[index_of(g)] += x[index_of(i)] / count; });
  for_each_index(shape, all, [&](auto i, auto g) {
    squares[index_of(g)] += std::pow(x[index_of(i)] - sum[index_of(g)], 2) / count;
  });
  for_each_index(shape, all, [&](auto i, auto g) {
    x[index_of(i)] = (x[index_of(i)] - sum[index_of(g)]) / (std::sqrt(squares[index_of(g)]) + 1e-9);
  });
  store(out, x);
  return result(std::move(out));
}

Values lrn(const Call& call) {
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  auto y = x;
  const double alpha = call.real("alpha", 0.0001f), beta = call.real("beta", 0.75f), bias = call.real("bias", 1.0f);
  const std::int64_t size = call.integer("size", 1);
  AxisView view = view_axis(out.shape(), 1);
  for (std::int64_t o = 0; o < view.outer; ++o)
    for (std::int64_t c = 0; c < view.size; ++c)
      for (std::int64_t i = 0; i < view.inner; ++i) {
        double squares = 0;
        const std::int64_t begin = std::max<std::int64_t>(0, c - (size - 1) / 2),
                           end = std::min(view.size - 1, c + size / 2);
        for (std::int64_t k = begin; k <= end; ++k)
          squares += std::pow(x[index_of((o * view.size + k) * view.inner + i)], 2);
        y[index_of((o * view.size + c) * view.inner + i)] /=
            std::pow(bias + alpha / static_cast<double>(size) * squares, beta);
      }
  store(out, y);
  return result(std::move(out));
}

// Weighted negative of log_probabilities [N, C, inner] at the labels, reduced.
Result<Tensor> likelihood_loss(const Call& call, const std::vector<double>& log_probabilities) {
  const Tensor& labels = call.in(1);
  AxisView view = view_axis(call.in(0).shape(), 1);
  auto weights = call.has(2) ? doubles(call.in(2)) : std::vector<double>(index_of(view.size), 1.0);
  const std::string reduction = call.text("reduction", "mean");
  const auto* ignored = call.node.attributes.get<std::int64_t>("ignore_index");
  std::vector<double> loss(index_of(labels.num_elements()), 0.0);
  double total = 0, weight_total = 0;
  for (std::int64_t at = 0; at < labels.num_elements(); ++at) {
    const std::int64_t label = labels.as_int64(at);
    if (ignored && label == *ignored) continue;
    if (label < 0 || label >= view.size)
      return fail(Code::kInvalidArgument, "label {} is out of range for {} classes", label, view.size);
    const std::int64_t o = at / view.inner, i = at % view.inner;
    const double weight = weights[index_of(label)];
    loss[index_of(at)] = -log_probabilities[index_of((o * view.size + label) * view.inner + i)] * weight;
    total += loss[index_of(at)];
    weight_total += weight;
  }
  if (reduction == "none") return from_doubles(call.dtype(0), labels.shape(), loss);
  return from_doubles(call.dtype(0), {}, std::vector{reduction == "sum" ? total : total / weight_total});
}

Values negative_log_likelihood(const Call& call) {
  XI_TRY(Tensor loss, likelihood_loss(call, doubles(call.in(0))));
  return result(std::move(loss));
}

Values softmax_cross_entropy(const Call& call) {
  auto x = doubles(call.in(0));
  AxisView view = view_axis(call.in(0).shape(), 1);
  std::vector<double> line(index_of(view.size));
  for (std::int64_t o = 0; o < view.outer; ++o)
    for (std::int64_t i = 0; i < view.inner; ++i) {
      for (std::int64_t a = 0; a < view.size; ++a)
        line[index_of(a)] = x[index_of((o * view.size + a) * view.inner + i)];
      log_softmax_line(line);
      for (std::int64_t a = 0; a < view.size; ++a)
        x[index_of((o * view.size + a) * view.inner + i)] = line[index_of(a)];
    }
  XI_TRY(Tensor loss, likelihood_loss(call, x));
  return results(std::move(loss), from_doubles(call.dtype(0), call.in(0).shape(), x));
}

}  // namespace

void add_normalization(Entries& e) {
  e.emplace_back("Softmax", softmax);
  e.emplace_back("LogSoftmax", log_softmax);
  e.emplace_back("Hardmax", hardmax);
  e.emplace_back("LpNormalization", lp_normalization);
  e.emplace_back("BatchNormalization", batch_normalization);
  e.emplace_back("InstanceNormalization", instance_normalization);
  e.emplace_back("GroupNormalization", group_normalization);
  e.emplace_back("LayerNormalization", layer_normalization<true>);
  e.emplace_back("RMSNormalization", layer_normalization<false>);
  e.emplace_back("SimplifiedLayerNormalization", layer_normalization<false>);
  e.emplace_back("MeanVarianceNormalization", mean_variance_normalization);
  e.emplace_back("LRN", lrn);
  e.emplace_back("NegativeLogLikelihoodLoss", negative_log_likelihood);
  e.emplace_back("SoftmaxCrossEntropyLoss", softmax_cross_entropy);
}

}  // namespace xinfer::forge::reference
