// Whose job is next: fair shares between organisations. Pure, so that the hub and bench/farm make the very same decision.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

namespace xinfer::server::farm {

/// Build time that an organisation has used. What was used long ago counts less: it halves with every half-life.
struct Usage {
  double used_ms = 0;      // as of at_ms
  std::int64_t at_ms = 0;  // since 1970

  double at(std::int64_t now_ms, std::int64_t half_life_ms) const;
  void add(double build_ms, std::int64_t now_ms, std::int64_t half_life_ms);
};

/// An organisation that has a job which may start now.
struct Claim {
  std::int64_t weight = 1;    // at least 1
  std::int64_t quota = 0;     // builds that may run at once; 0: any number
  std::int64_t running = 0;   // builds that run now
  Usage usage;                // of builds that have ended
  std::int64_t priority = 0;  // of its first job
  std::int64_t since_ms = 0;  // when that job was asked for
};

struct FairShare {
  std::int64_t half_life_ms = 2 * 60'000;
  double expected_ms = 10'000;  // what a running build is taken to cost until it ends

  /// What the organisation has had for its weight.
  double share(const Claim& claim, std::int64_t now_ms) const;
  /// Index of the claim to serve: least share, then highest priority, then oldest job; nothing when no quota has room.
  std::optional<std::size_t> choose(std::span<const Claim> claims, std::int64_t now_ms) const;
};

}  // namespace xinfer::server::farm
