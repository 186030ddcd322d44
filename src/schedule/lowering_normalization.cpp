// Softmax and the normalisations: reductions over a row, then a pass over it. Rows (ExprPool::row) keep what several
// passes share.
#include "schedule/lowering.h"

namespace xinfer::schedule {

namespace {

using base::Code;
using base::fail;
using base::Result;
using Context = LoweringContext;

// Rows beyond this many elements are computed again instead of kept.
constexpr std::int64_t kRowLimit = 1 << 15;

E call(Context& c, Fn f, E a) { return c.pool.call(f, a); }
E call(Context& c, Fn f, E a, E b) { return c.pool.call(f, a, b); }

// The elements that are normalised together, addressed by one index k in [0, count).
struct Group {
  Size count;
  std::function<E(E k)> element;
  E own;  // k of the wanted element
};

// A group over the axes [first, last) of input `i`, at the output's index.
Group group_over(Context& c, std::size_t i, std::size_t first, std::size_t last) {
  std::vector<Size> dims(c.shape(i).begin() + static_cast<std::ptrdiff_t>(first),
                                 c.shape(i).begin() + static_cast<std::ptrdiff_t>(last));
  std::vector<E> mine(c.index.begin() + static_cast<std::ptrdiff_t>(first),
                      c.index.begin() + static_cast<std::ptrdiff_t>(last));
  auto element = [&c, i, first, dims](E k) {
    std::vector<E> at = c.index;
    auto inner = c.pool.unflatten(k, dims);
    std::copy(inner.begin(), inner.end(), at.begin() + static_cast<std::ptrdiff_t>(first));
    return c.read(i, at);
  };
  return {tensor::num_elements(dims), element, c.pool.flatten(mine, dims)};
}

E reduce(Context& c, const Size& count, Fn function, const std::function<E(E)>& element) {
  E k = c.pool.var(count);
  return c.pool.reduce(function, {k}, element(k));
}

// The same function of k, computed once for the whole group and kept, unless the group is too large for that.
std::function<E(E)> kept(Context& c, const Size& count, const std::function<E(E)>& element) {
  if (count.max() > kRowLimit || count == Size(1)) return element;
  E k = c.pool.var(count), row = c.pool.row(k, element(k));
  return [&c, row](E at) { return c.pool.row_load(row, at); };
}

// Elements that are more than a load are kept, since every pass reads them.
Group shared(Context& c, Group group) {
  E k = c.pool.var(group.count), x = group.element(k);
  if (x->op == Op::kLoad || x->is_constant()) return group;
  if (group.count.max() <= kRowLimit && group.count != Size(1) && group.count != Size(0)) {
    E row = c.pool.row(k, x);
    group.element = [&c, row](E at) { return c.pool.row_load(row, at); };
  }
  return group;
}

Group along_axis(Context& c) {
  std::size_t axis = c.axis(c.node.attributes.integer("axis", -1), c.index.size());
  return shared(c, group_over(c, 0, axis, axis + 1));
}

Result<E> softmax(Context& c) {
  Group g = along_axis(c);
  E top = reduce(c, g.count, Fn::kMax, g.element);
  auto exponential = kept(c, g.count, [&](E k) { return call(c, Fn::kExp, call(c, Fn::kSub, g.element(k), top)); });
  E sum = reduce(c, g.count, Fn::kAdd, exponential);
  return call(c, Fn::kMul, exponential(g.own), call(c, Fn::kDiv, c.pool.real(1, sum->dtype), sum));
}

Result<E> log_softmax(Context& c) {
  Group g = along_axis(c);
  E top = reduce(c, g.count, Fn::kMax, g.element);
  E sum = reduce(c, g.count, Fn::kAdd, [&](E k) { return call(c, Fn::kExp, call(c, Fn::kSub, g.element(k), top)); });
  return call(c, Fn::kSub, call(c, Fn::kSub, g.element(g.own), top), call(c, Fn::kLog, sum));
}

Result<E> hardmax(Context& c) {
  Group g = along_axis(c);
  E k = c.pool.var(g.count);
  E best = c.pool.arg_reduce(Fn::kMax, k, g.element(k), false);
  return c.pool.cast(call(c, Fn::kEq, best, g.own), c.out_dtype());
}

Result<E> lp_normalization(Context& c) {
  Group g = along_axis(c);
  bool first = c.node.attributes.integer("p", 2) == 1;
  E norm = reduce(c, g.count, Fn::kAdd, [&](E k) {
    E x = g.element(k);
    return first ? call(c, Fn::kAbs, x) : call(c, Fn::kMul, x, x);
  });
  if (!first) norm = call(c, Fn::kSqrt, norm);
  // A line of zeros stays one.
  E zero = c.pool.real(0, norm->dtype);
  return c.pool.select(call(c, Fn::kEq, norm, zero), zero, call(c, Fn::kDiv, g.element(g.own), norm));
}

E average(Context& c, const Size& count, const std::function<E(E)>& element) {
  E sum = reduce(c, count, Fn::kAdd, element);
  if (!count.is_number()) return call(c, Fn::kDiv, sum, c.pool.cast(c.pool.size(count), sum->dtype));
  return call(c, Fn::kMul, sum, c.pool.real(1.0 / static_cast<double>(count.number()), sum->dtype));
}

struct Moments {
  E mean, inverse_deviation;
};
// Two passes: the variance around the known mean does not cancel.
Moments moments(Context& c, const Group& g, double epsilon, bool centered = true) {
  Moments m{};
  DType dtype = c.dtype(0);
  m.mean = centered ? average(c, g.count, g.element) : c.pool.real(0, dtype);
  E variance = average(c, g.count, [&](E k) {
    E d = call(c, Fn::kSub, g.element(k), m.mean);
    return call(c, Fn::kMul, d, d);
  });
  E deviation = call(c, Fn::kSqrt, call(c, Fn::kAdd, variance, c.pool.real(epsilon, dtype)));
  m.inverse_deviation = call(c, Fn::kDiv, c.pool.real(1, dtype), deviation);
  return m;
}
E normalized(Context& c, const Group& g, const Moments& m) {
  return call(c, Fn::kMul, call(c, Fn::kSub, g.element(g.own), m.mean), m.inverse_deviation);
}

// Statistics outputs have size 1 along the normalised axes: their index is good for the rest.
template <bool centered>
Result<E> layer_normalization(Context& c) {
  std::size_t rank = c.shape(0).size(), axis = c.axis(c.node.attributes.integer("axis", -1), rank);
  Group g = shared(c, group_over(c, 0, axis, rank));
  Moments m = moments(c, g, c.node.attributes.real("epsilon", 1e-5f), centered);
  if (c.output == 1) return centered ? m.mean : m.inverse_deviation;
  if (c.output == 2) return m.inverse_deviation;
  E y = normalized(c, g, m);
  if (c.has(1)) y = call(c, Fn::kMul, y, c.broadcast(1));
  return c.has(2) ? call(c, Fn::kAdd, y, c.broadcast(2)) : y;
}

// com.microsoft.SkipLayerNormalization: input + skip (+ bias), normalised; output 3 is the sum.
template <bool centered>
Result<E> skip_layer_normalization(Context& c) {
  std::size_t last = c.index.size() - 1;
  std::size_t bias = centered ? 4 : 3;
  Group g;
  g.count = c.shape(0)[last], g.own = c.index[last];
  auto sum = [&c, last, bias](E k) {
    std::vector<E> at = c.index;
    at[last] = k;
    E x = call(c, Fn::kAdd, c.broadcast(0, at), c.broadcast(1, at));
    return c.has(bias) ? call(c, Fn::kAdd, x, c.broadcast(bias, at)) : x;
  };
  g.element = sum;
  if (c.output == 3) return sum(g.own);
  g = shared(c, std::move(g));
  Moments m = moments(c, g, c.node.attributes.real("epsilon", 1e-12f), centered);
  if (c.output == 1) return m.mean;
  if (c.output == 2) return m.inverse_deviation;
  E y = call(c, Fn::kMul, normalized(c, g, m), c.broadcast(2));
  return centered && c.has(3) ? call(c, Fn::kAdd, y, c.broadcast(3)) : y;
}

Result<E> instance_normalization(Context& c) {
  Group g = shared(c, group_over(c, 0, 2, c.index.size()));
  E y = normalized(c, g, moments(c, g, c.node.attributes.real("epsilon", 1e-5f)));
  std::vector<E> channel = {c.index[1]};
  return call(c, Fn::kAdd, call(c, Fn::kMul, y, c.read(1, channel)), c.read(2, channel));
}

Result<E> group_normalization(Context& c) {
  const auto& shape = c.shape(0);
  std::int64_t groups = c.node.attributes.integer("num_groups", 1);
  const Size size = floor_div(shape[1], groups);
  std::vector<Size> inner(shape.begin() + 1, shape.end());
  inner[0] = size;
  E first = c.pool.scale(c.pool.div(c.index[1], size), size);
  Group g;
  g.count = tensor::num_elements(inner);
  g.element = [&c, inner, first](E k) {
    std::vector<E> at = c.pool.unflatten(k, inner);
    at[0] = c.pool.add(at[0], first);
    at.insert(at.begin(), c.index[0]);
    return c.read(0, at);
  };
  std::vector<E> mine(c.index.begin() + 1, c.index.end());
  mine[0] = c.pool.mod(mine[0], size);
  g.own = c.pool.flatten(mine, inner);
  E y = normalized(c, g, moments(c, g, c.node.attributes.real("epsilon", 1e-5f)));
  // Scale and bias are per channel, or per group in the first version of the operator.
  E which = c.shape(1)[0] == Size(groups) && Size(groups) != shape[1] ? c.pool.div(c.index[1], size) : c.index[1];
  std::vector<E> at = {which};
  return call(c, Fn::kAdd, call(c, Fn::kMul, y, c.read(1, at)), c.read(2, at));
}

Result<E> batch_normalization(Context& c) {
  if (c.node.attributes.integer("training_mode", 0) != 0)
    return fail(Code::kUnsupported, "training mode is not supported: export the model for inference");
  E x = c.broadcast(0);
  std::vector<E> channel = {c.index.size() > 1 ? c.index[1] : c.pool.integer(0)};
  auto statistic = [&](std::size_t i) { return c.pool.cast(c.read(i, channel), x->dtype); };
  E variance = call(c, Fn::kAdd, statistic(4), c.pool.real(c.node.attributes.real("epsilon", 1e-5f), x->dtype));
  E factor = call(c, Fn::kDiv, statistic(1), call(c, Fn::kSqrt, variance));
  return call(c, Fn::kAdd, call(c, Fn::kMul, call(c, Fn::kSub, x, statistic(3)), factor), statistic(2));
}

Result<E> mean_variance_normalization(Context& c) {
  auto axes = c.node.attributes.integers("axes", {0, 2, 3});
  std::vector<E> at = c.index, vars;
  Size count = 1;
  for (auto a : axes) {
    std::size_t axis = c.axis(a, at.size());
    at[axis] = c.pool.var(c.shape(0)[axis]);
    vars.push_back(at[axis]);
    count *= c.shape(0)[axis];
  }
  E inverse = count.is_number() ? c.pool.real(1 / static_cast<double>(count.number()), c.dtype(0))
                                : call(c, Fn::kDiv, c.pool.real(1, c.dtype(0)), c.pool.cast(c.pool.size(count), c.dtype(0)));
  E x = c.read(0, at);
  E mean = call(c, Fn::kMul, c.pool.reduce(Fn::kAdd, vars, x), inverse), d = call(c, Fn::kSub, x, mean);
  E variance = call(c, Fn::kMul, c.pool.reduce(Fn::kAdd, vars, call(c, Fn::kMul, d, d)), inverse);
  E deviation = call(c, Fn::kAdd, call(c, Fn::kSqrt, variance), c.pool.real(1e-9, c.dtype(0)));
  return call(c, Fn::kDiv, call(c, Fn::kSub, c.broadcast(0), mean), deviation);
}

// y = x / (bias + alpha / size * sum of the squares of the neighbouring channels) ^ beta
Result<E> lrn(Context& c) {
  std::int64_t size = c.node.attributes.integer("size", 1);
  const Size channels = c.shape(0)[1];
  double alpha = c.node.attributes.real("alpha", 1e-4f), beta = c.node.attributes.real("beta", 0.75f);
  E k = c.pool.var(size), channel = c.pool.add(c.pool.add(c.index[1], k), -((size - 1) / 2));
  std::vector<E> at = c.index;
  at[1] = channel;
  E x = c.broadcast(0), zero = c.pool.real(0, x->dtype), neighbour = c.read(0, at);
  E square = c.pool.select(c.pool.in_range(channel, 0, channels - 1), call(c, Fn::kMul, neighbour, neighbour), zero);
  E sum = c.pool.reduce(Fn::kAdd, {k}, square);
  E base = call(c, Fn::kAdd, call(c, Fn::kMul, sum, c.pool.real(alpha / static_cast<double>(size), x->dtype)),
                c.pool.real(c.node.attributes.real("bias", 1), x->dtype));
  return call(c, Fn::kMul, x, call(c, Fn::kPow, base, c.pool.real(-beta, x->dtype)));
}

constexpr LoweringRow kRows[] = {
    {"Softmax", softmax, 20},
    {"LogSoftmax", log_softmax, 20},
    {"Hardmax", hardmax, 3},
    {"LpNormalization", lp_normalization, 5},
    {"LayerNormalization", layer_normalization<true>, 5},
    {"RMSNormalization", layer_normalization<false>, 4},
    {"SimplifiedLayerNormalization", layer_normalization<false>, 4},
    {"com.microsoft.SkipLayerNormalization", skip_layer_normalization<true>, 6},
    {"com.microsoft.SkipSimplifiedLayerNormalization", skip_layer_normalization<false>, 5},
    {"InstanceNormalization", instance_normalization, 5},
    {"GroupNormalization", group_normalization, 5},
    {"BatchNormalization", batch_normalization, 6},
    {"MeanVarianceNormalization", mean_variance_normalization, 5},
    {"LRN", lrn, 30},
};

}  // namespace

std::span<const LoweringRow> normalization_lowerings() { return kRows; }

}  // namespace xinfer::schedule
