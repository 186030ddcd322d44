// Reductions over axes, arg reductions and global pools.
#include <algorithm>

#include "schedule/expression_text.h"
#include "schedule/lowering.h"

namespace xinfer::schedule {

namespace {

using base::Code;
using base::fail;
using base::Result;
using Context = LoweringContext;

E call(Context& c, Fn f, E a) { return c.pool.call(f, a); }
E call(Context& c, Fn f, E a, E b) { return c.pool.call(f, a, b); }

// The reduced axes of input 0, ascending, and how to read an element: neighbouring reduced axes share one loop.
struct Reduction {
  std::vector<bool> reduced;  // per axis of the input
  std::vector<E> vars;
  std::vector<E> at;       // the input's index in terms of the output's index and vars
  Size count = 1;  // elements folded into one
};

Result<std::vector<bool>> reduced_axes(Context& c) {
  std::size_t rank = c.shape(0).size();
  std::vector<std::int64_t> axes = c.node.attributes.integers("axes");
  if (!c.node.attributes.has("axes") && c.has(1)) {
    const auto* known = c.constant(1);
    if (!known) return fail(Code::kUnsupported, "the axes are computed at run time; only constants are supported");
    axes = known->as_int64s();
  }
  bool all = axes.empty() && c.node.attributes.integer("noop_with_empty_axes", 0) == 0;
  std::vector<bool> reduced(rank, all);
  for (auto axis : axes) reduced[c.axis(axis, rank)] = true;
  return reduced;
}

Reduction make_reduction(Context& c, std::vector<bool> reduced, bool keepdims) {
  const auto& shape = c.shape(0);
  Reduction r{std::move(reduced), {}, std::vector<E>(shape.size()), 1};
  std::size_t next = 0;  // axis of the output
  for (std::size_t d = 0; d < shape.size();) {
    if (!r.reduced[d]) {
      r.at[d++] = c.index[next++];
      continue;
    }
    std::size_t end = d;
    while (end < shape.size() && r.reduced[end]) ++end;
    const std::vector<Size> group(shape.begin() + static_cast<std::ptrdiff_t>(d), shape.begin() + static_cast<std::ptrdiff_t>(end));
    const Size extent = tensor::num_elements(group);
    r.count *= extent;
    E var = c.pool.var(extent);
    r.vars.push_back(var);
    auto index = c.pool.unflatten(var, group);
    std::copy(index.begin(), index.end(), r.at.begin() + static_cast<std::ptrdiff_t>(d));
    if (keepdims) next += end - d;
    d = end;
  }
  return r;
}

E fold(Context& c, const Reduction& r, Fn function, E body) {
  if (r.count != Size(0)) return c.pool.reduce(function, r.vars, body);
  double neutral = function == Fn::kMul   ? 1
                   : function == Fn::kMax ? -__builtin_inf()
                   : function == Fn::kMin ? __builtin_inf()
                                          : 0;
  return c.pool.constant(neutral, body->dtype);
}

E divided(Context& c, E sum, const Size& size) {
  const bool real = is_real(sum->dtype);
  if (!size.is_number()) return call(c, Fn::kDiv, sum, c.pool.cast(c.pool.size(size), sum->dtype));
  const std::int64_t count = size.number();
  if (real) return call(c, Fn::kMul, sum, c.pool.real(1.0 / static_cast<double>(count), sum->dtype));
  return call(c, Fn::kDiv, sum, c.pool.integer(count, sum->dtype));
}

enum class Kind { kSum, kMean, kMax, kMin, kProd, kL1, kL2, kLogSum, kLogSumExp, kSumSquare };

template <Kind kind>
Result<E> reduce(Context& c) {
  XI_TRY(auto axes, reduced_axes(c));
  Reduction r = make_reduction(c, std::move(axes), c.node.attributes.integer("keepdims", 1) != 0);
  // Roots and logarithms of integers are taken in floating point.
  const DType given = c.dtype(0);
  const bool through_real = !is_real(given) && (kind == Kind::kL2 || kind == Kind::kLogSum || kind == Kind::kLogSumExp);
  const auto read = [&](std::span<const E> at) { return through_real ? c.pool.cast(c.read(0, at), DType::kFloat64) : c.read(0, at); };
  const auto back = [&](E value) { return through_real ? c.pool.cast(value, given) : value; };
  E x = read(r.at);
  switch (kind) {
    case Kind::kSum: return fold(c, r, Fn::kAdd, x);
    case Kind::kMean: return divided(c, fold(c, r, Fn::kAdd, x), r.count);
    case Kind::kMax: return fold(c, r, Fn::kMax, x);
    case Kind::kMin: return fold(c, r, Fn::kMin, x);
    case Kind::kProd: return fold(c, r, Fn::kMul, x);
    case Kind::kL1: return fold(c, r, Fn::kAdd, call(c, Fn::kAbs, x));
    case Kind::kL2: return back(call(c, Fn::kSqrt, fold(c, r, Fn::kAdd, call(c, Fn::kMul, x, x))));
    case Kind::kLogSum: return back(call(c, Fn::kLog, fold(c, r, Fn::kAdd, x)));
    case Kind::kSumSquare: return fold(c, r, Fn::kAdd, call(c, Fn::kMul, x, x));
    case Kind::kLogSumExp: {
      // Stable: the maximum is taken out; an infinite maximum must not become NaN by inf - inf.
      E top = fold(c, r, Fn::kMax, x), big = c.pool.real(3.0e38, x->dtype);
      top = call(c, Fn::kMin, call(c, Fn::kMax, top, call(c, Fn::kNeg, big)), big);
      Reduction again = make_reduction(c, r.reduced, c.node.attributes.integer("keepdims", 1) != 0);
      E sum = fold(c, again, Fn::kAdd, call(c, Fn::kExp, call(c, Fn::kSub, read(again.at), top)));
      return back(call(c, Fn::kAdd, call(c, Fn::kLog, sum), top));
    }
  }
  return fail(Code::kInternal, "unknown reduction");
}

template <Fn function>
Result<E> arg_reduce(Context& c) {
  std::size_t rank = c.shape(0).size(), axis = c.axis(c.node.attributes.integer("axis", 0), rank);
  std::vector<bool> reduced(rank);
  reduced[axis] = true;
  Reduction r = make_reduction(c, std::move(reduced), c.node.attributes.integer("keepdims", 1) != 0);
  E x = c.read(0, r.at);
  return c.pool.arg_reduce(function, r.vars[0], x, c.node.attributes.integer("select_last_index", 0) != 0);
}

Reduction global(Context& c) {
  std::vector<bool> reduced(c.shape(0).size(), true);
  reduced[0] = reduced[1] = false;
  return make_reduction(c, std::move(reduced), true);
}
Result<E> global_average_pool(Context& c) {
  Reduction r = global(c);
  return divided(c, fold(c, r, Fn::kAdd, c.read(0, r.at)), r.count);
}
Result<E> global_max_pool(Context& c) {
  Reduction r = global(c);
  return fold(c, r, Fn::kMax, c.read(0, r.at));
}
Result<E> global_lp_pool(Context& c) {
  Reduction r = global(c);
  E x = call(c, Fn::kAbs, c.read(0, r.at));
  double p = static_cast<double>(c.node.attributes.integer("p", 2));
  E sum = fold(c, r, Fn::kAdd, call(c, Fn::kPow, x, c.pool.real(p, x->dtype)));
  return call(c, Fn::kPow, sum, c.pool.real(1 / p, x->dtype));
}

constexpr LoweringRow kRows[] = {
    {"ReduceSum", reduce<Kind::kSum>, 1},
    {"ReduceMean", reduce<Kind::kMean>, 1},
    {"ReduceMax", reduce<Kind::kMax>, 1},
    {"ReduceMin", reduce<Kind::kMin>, 1},
    {"ReduceProd", reduce<Kind::kProd>, 1},
    {"ReduceL1", reduce<Kind::kL1>, 1},
    {"ReduceL2", reduce<Kind::kL2>, 1},
    {"ReduceLogSum", reduce<Kind::kLogSum>, 1},
    {"ReduceLogSumExp", reduce<Kind::kLogSumExp>, 14},
    {"ReduceSumSquare", reduce<Kind::kSumSquare>, 1},
    {"ArgMax", arg_reduce<Fn::kMax>, 2},
    {"ArgMin", arg_reduce<Fn::kMin>, 2},
    {"GlobalAveragePool", global_average_pool, 1},
    {"GlobalMaxPool", global_max_pool, 1},
    {"GlobalLpPool", global_lp_pool, 2},
};

}  // namespace

std::span<const LoweringRow> reduction_lowerings() { return kRows; }

}  // namespace xinfer::schedule
