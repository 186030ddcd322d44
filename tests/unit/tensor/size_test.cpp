#include "tensor/size.h"

#include <gtest/gtest.h>

#include <map>

namespace xinfer::tensor {
namespace {

Size n() { return Size(Symbol{.name = "N", .min = 1, .opt = 4, .max = 8}); }
Size h() { return Size(Symbol{.name = "H", .min = 32, .opt = 64, .max = 640}); }

std::optional<Symbol> known(std::string_view name) {
  if (name == "N") return *n().as_symbol();
  if (name == "H") return *h().as_symbol();
  return std::nullopt;
}

TEST(Size, EqualFormulasAreEqual) {
  EXPECT_EQ(n() + h() - n(), h());
  EXPECT_EQ((n() + 1) * (h() - 1), n() * h() + h() - n() - 1);
  EXPECT_EQ(n() * 0, Size(0));
  EXPECT_NE(n(), h());
  EXPECT_NE(n(), Size(4));
  EXPECT_EQ(Size(Symbol{.name = "fixed", .min = 3, .opt = 3, .max = 3}), Size(3));
}

TEST(Size, QuotientsTakeOutWhatTheDivisorGoesInto) {
  EXPECT_EQ(floor_div(h() * 6, 3), h() * 2);
  EXPECT_EQ(floor_div(n() * h() * 12, h() * 4), n() * 3);
  EXPECT_EQ(floor_div(n() * h() - 1, h()), n() - 1);
  EXPECT_EQ(floor_div(h() * 4 + 3, 4), h());
  EXPECT_EQ(floor_div(floor_div(h() + 1, 2) + 1, 2), floor_div(h() + 3, 4));
  EXPECT_EQ(floor_div(h() * 3, 2), h() + floor_div(h(), 2));
  EXPECT_EQ(floor_div(n(), 9), Size(0));
  EXPECT_EQ(ceil_div(n() * 32, 32), n());
  EXPECT_FALSE(h().over(3));
  EXPECT_EQ((n() * n() + n() * 2 + 1).over(n() + 1), n() + 1);
}

TEST(Size, BoundsFollowFromRanges) {
  EXPECT_EQ((n() * h()).min(), 32);
  EXPECT_EQ((n() * h()).max(), 8 * 640);
  EXPECT_EQ((h() - 40).min(), -8);
  EXPECT_EQ(floor_div(h() - 1, 2).max(), 319);
  EXPECT_TRUE(surely_at_most(n(), n() * h()));
  EXPECT_TRUE(surely_below(n() * h() - 1, n() * h()));
  EXPECT_FALSE(surely_below(n() * 40, h()));
  EXPECT_TRUE(surely_at_most(smaller(n(), Size(3)), n()));
  EXPECT_TRUE(surely_at_most(n(), larger(n(), h())));
  EXPECT_TRUE(surely_at_most(floor_div(h(), Size(2)), h()));
  EXPECT_TRUE(surely_below(floor_div(h(), Size(2)) - 1, h()));
  EXPECT_TRUE(surely_at_most(h(), floor_div(h(), Size(2)) * 2 + 1));
  EXPECT_FALSE(surely_at_most(h(), floor_div(h(), Size(2)) * 2));
  EXPECT_FALSE(surely_at_most(n(), smaller(n(), Size(3))));
  EXPECT_EQ((n() * h()).opt(), 256);
  EXPECT_EQ(smaller(n(), h()), n());
  EXPECT_EQ(larger(n(), 3).min(), 3);
  EXPECT_EQ(Size(Symbol{.name = "U"}).max(), kUnbounded);
}

TEST(Size, TextReadsBack) {
  const Size half = floor_div(h() - 1, 2);
  const Size sizes[] = {half * 2, half * half * n(), floor_div(n() * h(), half + 1), floor_div(half, n()) - half, n(), n() * h() * 2 - 3, Size(0) - n(), floor_div(h() - 1, 2) + 1, floor_div(h() + n(), n() + 1),
                        smaller(n() * 40, h()) * 2, larger(n() - 2, 0), Size(-5), n() - floor_div(n() + 1, 2), Size(0) - floor_div(h() * n(), 3), floor_div(Size(0) - n(), 2)};
  for (const Size& size : sizes) {
    auto read = Size::parse(size.text(), known);
    ASSERT_TRUE(read) << size.text();
    EXPECT_EQ(*read, size) << size.text();
  }
  EXPECT_EQ((floor_div(h() - 1, 2) + 1).text(), "(H + 1)/2");
  EXPECT_EQ((n() * h() * 2 - 3).text(), "2*H*N - 3");
}

TEST(Size, NonsenseDoesNotParse) {
  for (std::string_view text : {"", "N +", "Q", "N/0", "N/(N - 1)", "(N", "N)", "min(N)", "99999999999999999999", "N N"})
    EXPECT_FALSE(Size::parse(text, known)) << text;
  EXPECT_FALSE(Size::parse(std::string(200, '('), known));
  std::string power = "(N + H + 1)";
  for (int i = 0; i < 60; ++i) power += "*(N + H + 1)";
  EXPECT_FALSE(Size::parse(power, known));  // too many terms
}

TEST(Size, NamesOfModelsBecomeNamesOfFormulas) {
  EXPECT_EQ(symbol_name("batch size"), "batch_size");
  EXPECT_EQ(symbol_name("3d"), "_3d");
  EXPECT_EQ(symbol_name("past_sequence_length + 1"), "past_sequence_length___1");
}

// Every operation and simplification must keep the value, and bounds must hold it: random formulas against plain numbers.
TEST(Size, ArithmeticKeepsValues) {
  std::uint32_t state = 4711;
  auto random = [&](int count) { return state = state * 1664525 + 1013904223, static_cast<int>((state >> 8) % static_cast<unsigned>(count)); };
  auto floor_of = [](std::int64_t a, std::int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); };
  const Size b(Symbol{.name = "B", .min = 0, .opt = 2, .max = 3});
  for (int round = 0; round < 400; ++round) {
    const std::map<std::string, std::int64_t> at = {{"N", 1 + random(8)}, {"H", 32 + random(609)}, {"B", random(4)}};
    auto value = [&](const std::string& name) { return at.at(name); };
    std::vector<std::pair<Size, std::int64_t>> made = {{n(), at.at("N")}, {h(), at.at("H")}, {b, at.at("B")}, {Size(7), 7}};
    for (int step = 0; step < 7; ++step) {
      auto [x, vx] = made[static_cast<std::size_t>(random(static_cast<int>(made.size())))];
      auto [y, vy] = made[static_cast<std::size_t>(random(static_cast<int>(made.size())))];
      const std::int64_t c = 1 + random(9);
      switch (random(6)) {
        case 0: made.emplace_back(x + y * c, vx + vy * c); break;
        case 1: made.emplace_back(x - y, vx - vy); break;
        case 2:
          if (std::abs(vx) < 10000 && std::abs(vy) < 10000) made.emplace_back(x * y, vx * vy);
          break;
        case 3: made.emplace_back(floor_div(x + c, c), floor_of(vx + c, c)); break;
        case 4: made.emplace_back(smaller(x, y), std::min(vx, vy)); break;
        default: made.emplace_back(floor_div(x, n()), floor_of(vx, at.at("N"))); break;
      }
      const auto& [size, expected] = made.back();
      ASSERT_EQ(size.evaluate(value), expected) << size.text();
      ASSERT_LE(size.min(), expected) << size.text();
      ASSERT_GE(size.max(), expected) << size.text();
    }
  }
}

}  // namespace
}  // namespace xinfer::tensor
