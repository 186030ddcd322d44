// Reductions and running sums.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

// For every output element the list of its inputs is visited in row-major order: f(out_index, in_index).
template <class F>
void for_each_reduced(const Call& call, const std::vector<bool>& folded, F f) {
  const Shape& shape = call.in(0).shape();
  Shape strides(shape.size(), 0);
  std::int64_t step = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (folded[d]) continue;
    strides[d] = step;
    step *= shape[d];
  }
  for_each_index(shape, std::array{strides}, [&](auto i, auto o) { f(index_of(o), index_of(i)); });
}

// Which axes are folded; empty optional: the operator passes its input through.
std::vector<bool> folded_axes(const Call& call) {
  std::vector<bool> folded(index_of(call.in(0).rank()), false);
  if (call.has(1) && call.in(1).num_elements() > 0) {
    for (auto axis : call.in(1).as_int64s()) folded[index_of(positive_axis(axis, call.in(0).rank()))] = true;
  } else if (call.integer("noop_with_empty_axes", 0) == 0) {
    folded.assign(folded.size(), true);
  }
  return folded;
}

// step(total, x) folds, finish(total, count) ends. Integers are folded as int64 where Exact.
template <auto Init, auto Step, auto Finish>
Values reduce_real(const Call& call) {
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  std::vector<double> total(index_of(out.num_elements()), Init);
  for_each_reduced(call, folded_axes(call), [&](auto o, auto i) { total[o] = Step(total[o], x[i]); });
  const double count = out.num_elements() ? static_cast<double>(x.size()) / static_cast<double>(out.num_elements()) : 0;
  for (double& v : total) v = Finish(v, count);
  store(out, total);
  return result(std::move(out));
}

template <auto Init, auto Step>
Values reduce_integer(const Call& call) {
  Tensor out = call.make();
  auto x = ints(call.in(0));
  std::vector<std::int64_t> total(index_of(out.num_elements()), Init);
  for_each_reduced(call, folded_axes(call), [&](auto o, auto i) { total[o] = Step(total[o], x[i]); });
  store(out, total);
  return result(std::move(out));
}

double keep(double total, double) { return total; }

Values reduce_sum(const Call& call) {
  if (is_real(call.dtype(0))) return reduce_real<0.0, [](double t, double x) { return t + x; }, keep>(call);
  return reduce_integer<std::int64_t{0}, [](std::int64_t t, std::int64_t x) { return t + x; }>(call);
}
Values reduce_product(const Call& call) {
  if (is_real(call.dtype(0))) return reduce_real<1.0, [](double t, double x) { return t * x; }, keep>(call);
  return reduce_integer<std::int64_t{1}, [](std::int64_t t, std::int64_t x) { return t * x; }>(call);
}
Values reduce_sum_square(const Call& call) {
  if (is_real(call.dtype(0))) return reduce_real<0.0, [](double t, double x) { return t + x * x; }, keep>(call);
  return reduce_integer<std::int64_t{0}, [](std::int64_t t, std::int64_t x) { return t + x * x; }>(call);
}
Values reduce_mean(const Call& call) {
  return reduce_real<0.0, [](double t, double x) { return t + x; }, [](double t, double n) { return t / n; }>(call);
}
Values reduce_l1(const Call& call) {
  return reduce_real<0.0, [](double t, double x) { return t + std::fabs(x); }, keep>(call);
}
Values reduce_l2(const Call& call) {
  return reduce_real<0.0, [](double t, double x) { return t + x * x; }, [](double t, double) { return std::sqrt(t); }>(
      call);
}
Values reduce_log_sum(const Call& call) {
  return reduce_real<0.0, [](double t, double x) { return t + x; }, [](double t, double) { return std::log(t); }>(call);
}

// The largest or smallest; of nothing: the least or greatest value of the type.
template <bool kMax>
Values reduce_extreme(const Call& call) {
  Tensor out = call.make();
  auto folded = folded_axes(call);
  if (is_real(out.dtype())) {
    auto x = doubles(call.in(0));
    std::vector<double> total(index_of(out.num_elements()), kMax ? -INFINITY : INFINITY);
    for_each_reduced(call, folded, [&](auto o, auto i) {
      if (std::isnan(x[i]) || (kMax ? x[i] > total[o] : x[i] < total[o])) total[o] = x[i];
    });
    store(out, total);
    return result(std::move(out));
  }
  auto x = ints(call.in(0));
  const bool wide = out.dtype() == DType::kUint64;
  const auto bits = static_cast<unsigned>(tensor::size_of(out.dtype()) * 8);
  const bool is_signed = tensor::is_signed(out.dtype());
  const std::int64_t least = is_signed ? static_cast<std::int64_t>(~std::uint64_t{0} << (bits - 1)) : 0;
  const auto greatest = static_cast<std::int64_t>(
      out.dtype() == DType::kBool ? 1 : ~std::uint64_t{0} >> (64 - bits + (is_signed ? 1 : 0)));
  std::vector<std::int64_t> total(index_of(out.num_elements()), kMax ? least : greatest);
  auto less = [wide](std::int64_t a, std::int64_t b) {
    return wide ? static_cast<std::uint64_t>(a) < static_cast<std::uint64_t>(b) : a < b;
  };
  for_each_reduced(call, folded, [&](auto o, auto i) {
    if (kMax ? less(total[o], x[i]) : less(x[i], total[o])) total[o] = x[i];
  });
  store(out, total);
  return result(std::move(out));
}

Values reduce_log_sum_exp(const Call& call) {
  Tensor out = call.make();
  auto folded = folded_axes(call);
  auto x = doubles(call.in(0));
  std::vector<double> largest(index_of(out.num_elements()), -INFINITY), total(largest.size(), 0);
  for_each_reduced(call, folded, [&](auto o, auto i) { largest[o] = std::max(largest[o], x[i]); });
  for_each_reduced(call, folded,
                   [&](auto o, auto i) { total[o] += std::isinf(largest[o]) ? 0 : std::exp(x[i] - largest[o]); });
  for (std::size_t i = 0; i < total.size(); ++i)
    total[i] = std::isinf(largest[i]) ? largest[i] : std::log(total[i]) + largest[i];
  store(out, total);
  return result(std::move(out));
}

// Index of the best element along the axis, the first or last of equals. NaN counts as best, as numpy has it.
template <bool kMax>
Values arg_extreme(const Call& call) {
  Tensor out = call.make();
  const bool last = call.integer("select_last_index", 0) != 0;
  AxisView view = view_axis(call.in(0).shape(), positive_axis(call.integer("axis", 0), call.in(0).rank()));
  auto search = [&](const auto& x) {
    for (std::int64_t o = 0; o < view.outer; ++o)
      for (std::int64_t i = 0; i < view.inner; ++i) {
        std::int64_t best = 0;
        for (std::int64_t a = 1; a < view.size; ++a) {
          const auto candidate = x[index_of((o * view.size + a) * view.inner + i)],
                     current = x[index_of((o * view.size + best) * view.inner + i)];
          if ((kMax ? candidate > current : candidate < current) || (last && candidate == current)) best = a;
        }
        out.data<std::int64_t>()[index_of(o * view.inner + i)] = best;
      }
  };
  if (is_real(call.dtype(0))) search(doubles(call.in(0)));
  else search(ints(call.in(0)));
  return result(std::move(out));
}

// Running sum or product along an axis.
template <bool kProduct>
Values cumulative(const Call& call) {
  Tensor out = call.make();
  AxisView view = view_axis(out.shape(), positive_axis(call.in(1).as_int64(0), out.rank()));
  const bool exclusive = call.integer("exclusive", 0) != 0, reverse = call.integer("reverse", 0) != 0;
  auto run = [&](auto x) {
    using T = typename decltype(x)::value_type;
    for (std::int64_t o = 0; o < view.outer; ++o)
      for (std::int64_t i = 0; i < view.inner; ++i) {
        T total = kProduct ? 1 : 0;
        for (std::int64_t a = 0; a < view.size; ++a) {
          T& at = x[index_of((o * view.size + (reverse ? view.size - 1 - a : a)) * view.inner + i)];
          const T next = kProduct ? total * at : total + at;
          at = exclusive ? total : next;
          total = next;
        }
      }
    store(out, x);
  };
  if (is_real(out.dtype())) run(doubles(call.in(0)));
  else run(ints(call.in(0)));
  return result(std::move(out));
}

// f(total, x) and finish(total, count) over all spatial positions of each channel.
template <class Step, class Finish>
std::vector<Value> global_pool(const Call& call, double init, Step step, Finish finish) {
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  const std::int64_t planes = out.num_elements(), size = planes ? call.in(0).num_elements() / planes : 0;
  std::vector<double> total(index_of(planes), init);
  for (std::int64_t p = 0; p < planes; ++p) {
    for (std::int64_t i = 0; i < size; ++i) total[index_of(p)] = step(total[index_of(p)], x[index_of(p * size + i)]);
    total[index_of(p)] = finish(total[index_of(p)], static_cast<double>(size));
  }
  store(out, total);
  return result(std::move(out));
}

}  // namespace

void add_reduction(Entries& e) {
  e.emplace_back("ReduceSum", reduce_sum);
  e.emplace_back("ReduceMean", reduce_mean);
  e.emplace_back("ReduceMax", reduce_extreme<true>);
  e.emplace_back("ReduceMin", reduce_extreme<false>);
  e.emplace_back("ReduceProd", reduce_product);
  e.emplace_back("ReduceL1", reduce_l1);
  e.emplace_back("ReduceL2", reduce_l2);
  e.emplace_back("ReduceLogSum", reduce_log_sum);
  e.emplace_back("ReduceLogSumExp", reduce_log_sum_exp);
  e.emplace_back("ReduceSumSquare", reduce_sum_square);
  e.emplace_back("ArgMax", arg_extreme<true>);
  e.emplace_back("ArgMin", arg_extreme<false>);
  e.emplace_back("CumSum", cumulative<false>);
  e.emplace_back("CumProd", cumulative<true>);
  e.emplace_back("GlobalAveragePool", [](const Call& c) -> Values {
    return global_pool(c, 0, [](double t, double x) { return t + x; }, [](double t, double n) { return t / n; });
  });
  e.emplace_back("GlobalMaxPool", [](const Call& c) -> Values {
    return global_pool(
        c, -INFINITY, [](double t, double x) { return std::isnan(x) || x > t ? x : t; },
        [](double t, double) { return t; });
  });
  e.emplace_back("GlobalLpPool", [](const Call& c) -> Values {
    const auto p = static_cast<double>(c.integer("p", 2));
    return global_pool(
        c, 0, [p](double t, double x) { return t + std::pow(std::fabs(x), p); },
        [p](double t, double) { return std::pow(t, 1 / p); });
  });
}

}  // namespace xinfer::forge::reference
