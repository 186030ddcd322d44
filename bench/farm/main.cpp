// Simulates a build farm on the hub's own scheduling rules: agents, jobs, organisations, agents that die, jobs that kill
// agents. The clock is virtual. Prints tables, and writes a JSON document and a plot.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "farm.h"

namespace {

using namespace xinfer::bench_farm;

void print(const Outcome& outcome) {
  std::printf("\n%s: %zu agents, %zu jobs\n", outcome.name.c_str(), outcome.agents, outcome.jobs);
  std::printf("  %.0f decisions a second; %.2f virtual hours; agents busy %.1f %% of the time\n", outcome.decisions_per_second,
              outcome.virtual_ms / 3'600'000, 100 * outcome.utilisation);
  std::printf("  %zu succeeded, %zu given up after %d attempts, %zu attempts lost with their agent, %zu left over\n",
              outcome.succeeded, outcome.given_up, kAttempts, outcome.lost_attempts, outcome.left_over);
  std::printf("  %-14s %7s %9s %9s %9s %10s %10s %10s\n", "organisation", "weight", "jobs", "share", "of fair", "p50 wait s",
              "p90 wait s", "p99 wait s");
  for (const Served& row : outcome.organisations)
    std::printf("  %-14s %7lld %9zu %8.2f%% %9.3f %10.1f %10.1f %10.1f\n", row.name.c_str(),
                static_cast<long long>(row.weight), row.jobs, 100 * row.share, row.of_fair, row.wait_p50_s, row.wait_p90_s,
                row.wait_p99_s);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Simulates a build farm on the hub's own scheduling rules"};
  Options options;
  std::string folder = "build/bench";
  app.add_option("--agents", options.agents, "Agents")->capture_default_str()->check(CLI::Range(1, 1'000'000));
  app.add_option("--jobs", options.jobs, "Jobs")->capture_default_str()->check(CLI::Range(1, 100'000'000));
  app.add_option("--seed", options.seed, "Of the random numbers")->capture_default_str();
  app.add_option("--out", folder, "Folder for farm.json and farm.svg")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const std::vector<Outcome> outcomes = {run_backlog(options), run_load(options)};
  for (const Outcome& outcome : outcomes) print(outcome);
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/farm.json") << to_json(outcomes);
  std::ofstream(folder + "/farm.svg") << to_svg(outcomes);
  std::printf("\nwritten: %s/farm.json, %s/farm.svg\n", folder.c_str(), folder.c_str());
}
