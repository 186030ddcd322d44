#include "schedule/expr.h"

#include <gtest/gtest.h>

#include <functional>

namespace xinfer::schedule {
namespace {

TEST(Expr, EqualExpressionsAreOne) {
  ExprPool pool;
  E i = pool.var(10);
  EXPECT_EQ(pool.add(i, 3), pool.add(pool.integer(3), i));
  EXPECT_EQ(pool.sub(pool.add(i, 3), i), pool.integer(3));
  EXPECT_NE(pool.var(10), i);
}

TEST(Expr, DivisionsFoldByRange) {
  ExprPool pool;
  E i = pool.var(4), j = pool.var(8);
  E flat = pool.add(pool.scale(i, 8), j);
  EXPECT_EQ(pool.div(flat, 8), i);
  EXPECT_EQ(pool.mod(flat, 8), j);
  EXPECT_EQ(pool.div(pool.add(flat, 16), 8), pool.add(i, 2));
  EXPECT_EQ(pool.mod(pool.add(flat, -24), 8), j);
  EXPECT_EQ(pool.div(pool.scale(i, 6), 4), pool.div(pool.scale(i, 3), 2));
  EXPECT_EQ(pool.div(pool.div(flat, 3), 5), pool.div(flat, 15));
  EXPECT_EQ(pool.div(pool.add(j, -8), 8), pool.integer(-1));
}

TEST(Expr, UnflattenThenFlattenIsTheIdentity) {
  ExprPool pool;
  std::vector<Size> shape = {3, 5, 7, 16};
  E p = pool.var(3 * 5 * 7 * 16);
  EXPECT_EQ(pool.flatten(pool.unflatten(p, shape), shape), p);
  // Through another shape of as many elements.
  std::vector<Size> other = {15, 112};
  E q = pool.flatten(pool.unflatten(p, other), other);
  EXPECT_EQ(pool.flatten(pool.unflatten(q, shape), shape), p);
}

// Every simplification must keep the value: random index arithmetic against plain integers.
TEST(Expr, SimplificationKeepsValues) {
  std::uint32_t state = 12345;
  auto random = [&](int n) { return state = state * 1664525 + 1013904223, static_cast<int>((state >> 8) % static_cast<unsigned>(n)); };
  for (int round = 0; round < 300; ++round) {
    ExprPool pool;
    std::vector<E> vars = {pool.var(0, 5), pool.var(-3, 6), pool.var(2, 17)};
    std::vector<std::pair<E, std::function<std::int64_t(const std::vector<std::int64_t>&)>>> terms;
    for (std::size_t k = 0; k < vars.size(); ++k) terms.emplace_back(vars[k], [k](auto& x) { return x[k]; });
    auto floor_div = [](std::int64_t a, std::int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); };
    for (int step = 0; step < 8; ++step) {
      auto [a, fa] = terms[static_cast<std::size_t>(random(static_cast<int>(terms.size())))];
      auto [b, fb] = terms[static_cast<std::size_t>(random(static_cast<int>(terms.size())))];
      std::int64_t n = 1 + random(12), s = random(9) - 4;
      switch (random(4)) {
        case 0: terms.emplace_back(pool.add(a, pool.scale(b, s)), [=](auto& x) { return fa(x) + s * fb(x); }); break;
        case 1: terms.emplace_back(pool.div(a, n), [=](auto& x) { return floor_div(fa(x), n); }); break;
        case 2: terms.emplace_back(pool.mod(a, n), [=](auto& x) { return fa(x) - n * floor_div(fa(x), n); }); break;
        default: terms.emplace_back(pool.add(a, s), [=](auto& x) { return fa(x) + s; });
      }
    }
    for (int sample = 0; sample < 20; ++sample) {
      std::vector<std::int64_t> x;
      std::map<E, E> values;
      for (E var : vars) {
        x.push_back(var->min + random(static_cast<int>(var->max - var->min + 1)));
        values[var] = pool.integer(x.back());
      }
      for (auto& [e, f] : terms) {
        E folded = pool.substitute(e, values);
        ASSERT_TRUE(folded->op == Op::kInt) << to_string(e);
        ASSERT_EQ(folded->integer, f(x)) << to_string(e);
        ASSERT_LE(e->min, f(x)) << to_string(e);
        ASSERT_GE(e->max, f(x)) << to_string(e);
      }
    }
  }
}

TEST(Expr, SelectsOnDecidedConditionsVanish) {
  ExprPool pool;
  E i = pool.var(3, 9), x = pool.load(0, i, DType::kFloat32), zero = pool.real(0);
  EXPECT_EQ(pool.select(pool.in_range(i, 0, 9), x, zero), x);
  EXPECT_EQ(pool.select(pool.in_range(i, 10, 20), x, zero), zero);
  EXPECT_EQ(pool.select(pool.in_range(i, 4, 20), x, zero)->op, Op::kSelect);
}

TEST(Expr, StridesOfVariables) {
  ExprPool pool;
  E i = pool.var(10), j = pool.var(10);
  E e = pool.add(pool.scale(i, 12), pool.mod(j, 3));
  EXPECT_EQ(stride_of(e, i), 12);
  EXPECT_EQ(stride_of(e, j), std::nullopt);
}

Size symbol(const char* name) { return Size(tensor::Symbol{.name = name, .min = 1, .opt = 4, .max = 64}); }

TEST(Expr, IndicesOfSymbolicShapesFold) {
  ExprPool pool;
  const Size n = symbol("N"), s = symbol("S");
  const std::vector<Size> hidden = {n, s, 768}, heads = {n, s, 12, 64}, rows = {n * s, 768};
  E p = pool.var(n * s * 768);
  EXPECT_EQ(pool.flatten(pool.unflatten(p, hidden), hidden), p);
  // A reshape is the same offset, whatever the sizes are.
  E q = pool.flatten(pool.unflatten(p, hidden), hidden);
  EXPECT_EQ(pool.flatten(pool.unflatten(q, heads), heads), p);
  std::vector<E> at = {pool.var(n), pool.var(s), pool.var(12), pool.var(64)};
  EXPECT_EQ(pool.unflatten(pool.flatten(at, heads), heads), at);
  EXPECT_EQ(pool.unflatten(pool.flatten(at, heads), rows)[0], pool.add(pool.scale(at[0], s), at[1]));
}

TEST(Expr, ConditionsOnSymbolicSizesFoldWhereTheyAreSure) {
  ExprPool pool;
  const Size n = symbol("N"), s = symbol("S");
  E i = pool.var(n);
  EXPECT_TRUE(pool.in_range(i, 0, n - 1)->is_int(1));
  EXPECT_TRUE(pool.in_range(i, n, INT64_MAX)->is_int(0));
  EXPECT_TRUE(pool.in_range(pool.add(i, s), s, n + s)->is_int(1));
  EXPECT_FALSE(pool.in_range(i, 0, s - 1)->is_constant());
  EXPECT_EQ(pool.clamp(i, 0, n - 1), i);
}

}  // namespace
}  // namespace xinfer::schedule
