#include "farm.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <queue>
#include <random>

#include "server/farm/fair_share.h"

namespace xinfer::bench_farm {
namespace {

using server::farm::Claim;
using server::farm::FairShare;

// Build times: median 8 s, some take minutes. One attempt in a thousand loses its agent, one job in ten thousand kills each.
constexpr double kMedianMs = 8'000, kSigma = 0.9, kLostAttempt = 0.001, kPoison = 0.0001;
constexpr std::size_t kSamples = 240;

struct Job {
  std::int64_t asked_ms = 0, first_leased_ms = -1;
  std::int64_t build_ms = 0;
  std::uint8_t organisation = 0, attempts = 0;
  bool poison = false;
};

enum class What : std::uint8_t { kAsked, kEnded, kLost, kAgentBack };
struct Event {
  std::int64_t at = 0;
  What what = What::kAsked;
  std::uint32_t job = 0;
  std::int64_t began = 0;
  bool operator>(const Event& other) const { return at > other.at; }
};

class Farm {
 public:
  Farm(std::string name, const Options& options, std::vector<std::int64_t> weights)
      : random_(options.seed), idle_(options.agents), queues_(weights.size()), claims_(weights.size()), busy_(weights.size()) {
    outcome_.name = std::move(name);
    outcome_.agents = options.agents;
    outcome_.jobs = options.jobs;
    for (std::size_t i = 0; i < weights.size(); ++i) claims_[i].weight = weights[i];
  }

  void add(std::int64_t asked_ms, std::size_t organisation) {
    Job job;
    job.asked_ms = asked_ms;
    job.organisation = static_cast<std::uint8_t>(organisation);
    job.build_ms = std::max<std::int64_t>(100, static_cast<std::int64_t>(kMedianMs * std::exp(kSigma * normal_(random_))));
    job.poison = uniform_(random_) < kPoison;
    events_.push({asked_ms, What::kAsked, static_cast<std::uint32_t>(jobs_.size()), 0});
    jobs_.push_back(job);
  }

  Outcome run(std::int64_t sample_ms) {
    rules_.expected_ms = kMedianMs * std::exp(kSigma * kSigma / 2);
    std::int64_t next_sample = 0;
    while (!events_.empty()) {
      const std::int64_t now = events_.top().at;
      if (now >= next_sample && outcome_.samples.size() < kSamples) sample(now), next_sample = now + sample_ms;
      for (; !events_.empty() && events_.top().at == now; events_.pop()) handle(events_.top());
      serve(now);
      outcome_.virtual_ms = static_cast<double>(now);
    }
    finish();
    return std::move(outcome_);
  }

 private:
  void handle(const Event event) {
    Job& job = jobs_[event.job];
    if (event.what == What::kAgentBack) {
      ++idle_;
      return;
    }
    if (event.what != What::kAsked) end_attempt(job, event);
    if (event.what == What::kEnded) {
      ++idle_;
      ++outcome_.succeeded;
      return;
    }
    if (event.what == What::kLost) {
      ++outcome_.lost_attempts;
      if (job.attempts >= kAttempts) {
        ++outcome_.given_up;
        return;
      }
    }
    queues_[job.organisation].push_back(event.job);
  }

  void end_attempt(const Job& job, const Event& event) {
    Claim& claim = claims_[job.organisation];
    const auto used = static_cast<double>(event.at - event.began);
    claim.usage.add(used, event.at, rules_.half_life_ms);
    --claim.running;
    busy_[job.organisation] += used;
  }

  // As the hub does for each agent that asks: one decision over the organisations that have a job.
  void serve(std::int64_t now) {
    const auto began = std::chrono::steady_clock::now();
    while (idle_ > 0) {
      waiting_.clear();
      names_.clear();
      for (std::size_t i = 0; i < queues_.size(); ++i) {
        if (queues_[i].empty()) continue;
        claims_[i].since_ms = jobs_[queues_[i].front()].asked_ms;
        waiting_.push_back(claims_[i]);
        names_.push_back(i);
      }
      const auto chosen = rules_.choose(waiting_, now);
      if (!chosen) break;
      ++decisions_;
      all_had_work_ &= names_.size() == queues_.size();
      start(names_[*chosen], now);
    }
    deciding_ += std::chrono::steady_clock::now() - began;
    // Shares are compared while all have work; what comes after says nothing of fairness.
    if (!all_had_work_ && contended_.empty()) contended_ = busy_;
  }

  void start(std::size_t organisation, std::int64_t now) {
    const std::uint32_t id = queues_[organisation].front();
    queues_[organisation].pop_front();
    Job& job = jobs_[id];
    if (job.first_leased_ms < 0) job.first_leased_ms = now;
    ++job.attempts;
    ++claims_[organisation].running;
    --idle_;
    const bool lost = job.poison || uniform_(random_) < kLostAttempt;
    if (!lost) return events_.push({now + job.build_ms, What::kEnded, id, now});
    // The agent dies on the way; its lease runs out; a new one takes its place at once.
    const auto died = now + static_cast<std::int64_t>(uniform_(random_) * static_cast<double>(job.build_ms));
    events_.push({died, What::kAgentBack, id, now});
    events_.push({died + kLeaseMs, What::kLost, id, now});
  }

  void sample(std::int64_t now) {
    Sample sample;
    sample.hours = static_cast<double>(now) / 3'600'000;
    double all = 0;
    for (double busy : busy_) all += busy;
    for (std::size_t i = 0; i < busy_.size(); ++i) {
      sample.shares.push_back(all > 0 ? busy_[i] / all : 0);
      sample.waiting.push_back(static_cast<double>(queues_[i].size()));
    }
    outcome_.samples.push_back(std::move(sample));
  }

  void finish() {
    outcome_.decisions_per_second =
        static_cast<double>(decisions_) / std::max(1e-9, std::chrono::duration<double>(deciding_).count());
    double busy = 0, weights = 0, contended = 0;
    for (double one : busy_) busy += one;
    outcome_.utilisation = busy / (outcome_.virtual_ms * static_cast<double>(outcome_.agents));
    if (std::ranges::all_of(contended_, [](double one) { return one == 0; })) contended_ = busy_;
    for (std::size_t i = 0; i < claims_.size(); ++i) weights += static_cast<double>(claims_[i].weight), contended += contended_[i];
    std::vector<std::vector<double>> waits(claims_.size());
    for (const Job& job : jobs_)
      if (job.first_leased_ms >= 0)
        waits[job.organisation].push_back(static_cast<double>(job.first_leased_ms - job.asked_ms) / 1000);
    for (const auto& queue : queues_) outcome_.left_over += queue.size();
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      Served row;
      row.name = "organisation " + std::to_string(i + 1);
      row.weight = claims_[i].weight;
      row.jobs = waits[i].size();
      row.share = contended_[i] / contended;
      row.of_fair = row.share * weights / static_cast<double>(row.weight);
      std::ranges::sort(waits[i]);
      const auto at = [&](double q) {
        return waits[i].empty() ? 0 : waits[i][static_cast<std::size_t>(q * static_cast<double>(waits[i].size() - 1))];
      };
      row.wait_p50_s = at(0.5), row.wait_p90_s = at(0.9), row.wait_p99_s = at(0.99);
      outcome_.organisations.push_back(std::move(row));
    }
  }

  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  std::uniform_real_distribution<double> uniform_;
  std::size_t idle_, decisions_ = 0;
  std::vector<Job> jobs_;
  std::vector<std::deque<std::uint32_t>> queues_;
  std::vector<Claim> claims_, waiting_;
  std::vector<std::size_t> names_;
  std::vector<double> busy_, contended_;
  bool all_had_work_ = true;
  FairShare rules_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::chrono::steady_clock::duration deciding_{};
  Outcome outcome_;
};

}  // namespace

Outcome run_backlog(const Options& options) {
  const std::vector<std::int64_t> weights = {1, 2, 3, 4, 5};
  Farm farm("backlog", options, weights);
  for (std::size_t i = 0; i < options.jobs; ++i) farm.add(0, i % weights.size());
  return farm.run(20'000);
}

Outcome run_load(const Options& options) {
  const std::vector<std::int64_t> weights = {1, 1, 1, 1, 1};
  Farm farm("load with a burst", options, weights);
  const double mean_ms = kMedianMs * std::exp(kSigma * kSigma / 2);
  const double rate = 0.9 * static_cast<double>(options.agents) / mean_ms;  // jobs a millisecond
  std::mt19937_64 random(options.seed + 1);
  std::exponential_distribution<double> gap(rate);
  const std::size_t burst = options.jobs / 5;
  double at = 0;
  for (std::size_t i = burst; i < options.jobs; ++i) {
    at += gap(random);
    farm.add(static_cast<std::int64_t>(at), i % (weights.size() - 1));
  }
  for (std::size_t i = 0; i < burst; ++i) farm.add(static_cast<std::int64_t>(at / 4), weights.size() - 1);
  return farm.run(10'000);
}

}  // namespace xinfer::bench_farm
