#include "server/farm/fair_share.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace xinfer::server::farm {

double Usage::at(std::int64_t now_ms, std::int64_t half_life_ms) const {
  const double age = static_cast<double>(std::max<std::int64_t>(0, now_ms - at_ms));
  return used_ms * std::exp2(-age / static_cast<double>(half_life_ms));
}

void Usage::add(double build_ms, std::int64_t now_ms, std::int64_t half_life_ms) {
  used_ms = at(now_ms, half_life_ms) + std::max(0.0, build_ms);
  at_ms = std::max(at_ms, now_ms);
}

double FairShare::share(const Claim& claim, std::int64_t now_ms) const {
  const double running = static_cast<double>(claim.running) * expected_ms;
  return (claim.usage.at(now_ms, half_life_ms) + running) / static_cast<double>(std::max<std::int64_t>(1, claim.weight));
}

std::optional<std::size_t> FairShare::choose(std::span<const Claim> claims, std::int64_t now_ms) const {
  std::optional<std::size_t> best;
  std::tuple<double, std::int64_t, std::int64_t> least;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const Claim& claim = claims[i];
    if (claim.quota > 0 && claim.running >= claim.quota) continue;
    const std::tuple rank(share(claim, now_ms), -claim.priority, claim.since_ms);
    if (!best || rank < least) best = i, least = rank;
  }
  return best;
}

}  // namespace xinfer::server::farm
