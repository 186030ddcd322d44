// A simulated farm: events on a virtual clock, decisions by server/farm/fair_share.h.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace xinfer::bench_farm {

inline constexpr int kAttempts = 3;            // farm.attempts
inline constexpr std::int64_t kLeaseMs = 20'000;  // farm.lease_ms

struct Options {
  std::size_t agents = 10'000, jobs = 1'000'000;
  std::uint64_t seed = 1;
};

struct Served {
  std::string name;
  std::int64_t weight = 1;
  std::size_t jobs = 0;                                // ended
  double share = 0;                                    // of the build time while all had work; of all of it where they never had
  double of_fair = 0;                                  // share over what its weight says; 1 is exact
  double wait_p50_s = 0, wait_p90_s = 0, wait_p99_s = 0;  // from request to first lease
};

struct Sample {
  double hours = 0;
  std::vector<double> shares;  // of the build time so far, per organisation
  std::vector<double> waiting; // jobs in the queue, per organisation
};

struct Outcome {
  std::string name;
  std::size_t agents = 0, jobs = 0, succeeded = 0, given_up = 0, lost_attempts = 0, left_over = 0;
  double decisions_per_second = 0, virtual_ms = 0, utilisation = 0;
  std::vector<Served> organisations;
  std::vector<Sample> samples;
};

/// All jobs asked for at once, five organisations of weights 1 to 5: who gets what while all have work?
Outcome run_backlog(const Options& options);
/// Jobs that come over time at 90 % of what the agents can do, one organisation all its jobs at once: who waits how long?
Outcome run_load(const Options& options);

std::string to_json(const std::vector<Outcome>& outcomes);
std::string to_svg(const std::vector<Outcome>& outcomes);

}  // namespace xinfer::bench_farm
