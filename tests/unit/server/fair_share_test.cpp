#include "server/farm/fair_share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace xinfer::server::farm {
namespace {

constexpr std::int64_t kStart = 1'000'000;

TEST(FairShare, LeastUsedByWeightIsNext) {
  const FairShare rules;
  const std::vector<Claim> claims = {{.weight = 1, .usage = {30'000, kStart}}, {.weight = 4, .usage = {100'000, kStart}}};
  EXPECT_EQ(rules.choose(claims, kStart), 1U) << "25 s for each unit of weight against 30 s";
}

TEST(FairShare, WhatRunsCountsBeforeItHasEnded) {
  const FairShare rules;
  const std::vector<Claim> claims = {{.running = 3}, {.running = 2}};
  EXPECT_EQ(rules.choose(claims, kStart), 1U);
}

TEST(FairShare, PriorityThenAgeDecideBetweenEquals) {
  const FairShare rules;
  const std::vector<Claim> urgent = {{.priority = 0, .since_ms = 1}, {.priority = 7, .since_ms = 9}};
  EXPECT_EQ(rules.choose(urgent, kStart), 1U);
  const std::vector<Claim> older = {{.since_ms = 9}, {.since_ms = 1}};
  EXPECT_EQ(rules.choose(older, kStart), 1U);
}

TEST(FairShare, PriorityBuysNobodyMoreThanItsShare) {
  const FairShare rules;
  const std::vector<Claim> claims = {{.usage = {1'000, kStart}, .priority = 100}, {.priority = -100}};
  EXPECT_EQ(rules.choose(claims, kStart), 1U);
}

TEST(FairShare, QuotaHoldsBackAndNothingIsLeftToChoose) {
  const FairShare rules;
  std::vector<Claim> claims = {{.quota = 2, .running = 2}, {.running = 50}};
  EXPECT_EQ(rules.choose(claims, kStart), 1U);
  claims.pop_back();
  EXPECT_EQ(rules.choose(claims, kStart), std::nullopt);
  EXPECT_EQ(rules.choose({}, kStart), std::nullopt);
}

TEST(FairShare, UsageHalvesWithEveryHalfLife) {
  Usage usage;
  usage.add(8'000, kStart, 60'000);
  EXPECT_DOUBLE_EQ(usage.at(kStart, 60'000), 8'000);
  EXPECT_DOUBLE_EQ(usage.at(kStart + 120'000, 60'000), 2'000);
  usage.add(1'000, kStart + 120'000, 60'000);
  EXPECT_DOUBLE_EQ(usage.at(kStart + 120'000, 60'000), 3'000);
  usage.add(-5, kStart, 60'000);  // a clock that went back
  EXPECT_EQ(usage.at_ms, kStart + 120'000);
}

// Five organisations that always have work, builds of random length, agents that come free one by one.
TEST(FairShare, LongRunFollowsTheWeightsAndNobodyStarves) {
  const FairShare rules;
  const std::vector<std::int64_t> weights = {1, 2, 3, 4, 10};
  std::vector<Claim> claims;
  for (std::int64_t weight : weights) claims.push_back({.weight = weight});
  struct Running {
    std::int64_t ends = 0, began = 0;
    std::size_t of = 0;
  };
  std::vector<Running> agents(20);
  for (Running& agent : agents) agent.of = claims.size();
  std::mt19937_64 random(7);
  std::exponential_distribution<double> length(1.0 / 8'000);
  std::vector<double> served(claims.size()), last(claims.size());
  double longest_gap = 0;
  for (int build = 0; build < 40'000; ++build) {
    Running& agent = *std::min_element(agents.begin(), agents.end(), [](const auto& a, const auto& b) { return a.ends < b.ends; });
    const std::int64_t now = agent.ends;
    if (agent.of < claims.size()) {
      claims[agent.of].usage.add(static_cast<double>(now - agent.began), now, rules.half_life_ms);
      --claims[agent.of].running;
      served[agent.of] += static_cast<double>(now - agent.began);
    }
    const std::size_t next = rules.choose(claims, now).value();
    ++claims[next].running;
    longest_gap = std::max(longest_gap, static_cast<double>(now) - last[next]);
    last[next] = static_cast<double>(now);
    agent = {now + 1 + static_cast<std::int64_t>(length(random)), now, next};
  }
  const double all = served[0] + served[1] + served[2] + served[3] + served[4];
  for (std::size_t i = 0; i < weights.size(); ++i)
    EXPECT_NEAR(served[i] / all, static_cast<double>(weights[i]) / 20, static_cast<double>(weights[i]) / 200) << i;
  EXPECT_LT(longest_gap, 120'000) << "an organisation waited too long for its turn";
}

}  // namespace
}  // namespace xinfer::server::farm
