// random_graphs: random models, compiled for this machine and compared with the reference functions. A seed gives the same
// model everywhere; what fails is made smaller and printed as text.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "base/files.h"
#include "check.h"
#include "generator.h"
#include "ir/operator.h"

namespace {

using namespace xinfer;
using namespace xinfer::fuzz;

struct Options {
  std::uint64_t seed = 1, count = 20;
  int nodes = 30;
  double seconds = 0;
  std::string out;
  bool verbose = false;
};

void print_failure(std::uint64_t seed, const Model& model, const std::string& message, const std::string& out) {
  const auto graph = import(model);
  fmt::print("FAILED seed {}: {}\n{}\n", seed, message, graph ? ir::print(*graph, 64) : "");
  std::fflush(stdout);
  if (out.empty()) return;
  const std::filesystem::path path = std::filesystem::path(out) / fmt::format("seed_{}.onnx", seed);
  if (auto written = base::write_file(path, model.proto.SerializeAsString()); !written) fmt::print("{}\n", written.error().text());
}

void print_statistics(const Statistics& statistics) {
  std::set<std::string> known;
  for (const Entry& entry : recipes()) known.insert(entry.op);
  for (const auto& op : known) {
    auto count = [&](const std::map<std::string, int>& of) { return of.contains(op) ? of.at(op) : 0; };
    fmt::print("{:24} kept {:5}  refused {:5}  unsupported {:5}\n", op, count(statistics.kept), count(statistics.refused), count(statistics.unsupported));
  }
  for (const auto& [reason, count] : statistics.reasons) fmt::print("{:5} {}\n", count, reason);
}

int run(const Options& options) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  Statistics statistics;
  std::uint64_t models = 0, nodes = 0, outputs = 0, refused = 0, failed = 0;
  for (std::uint64_t seed = options.seed; options.seconds > 0 ? elapsed() < options.seconds : models < options.count; ++seed, ++models) {
    if (options.verbose) fmt::print(stderr, "seed {}\n", seed);
    const Model model = Generator(seed, statistics).run(options.nodes);
    nodes += static_cast<std::uint64_t>(model.proto.graph().node_size());
    outputs += static_cast<std::uint64_t>(model.proto.graph().output_size());
    for (const std::string& broken : statistics.broken) fmt::print("FAILED seed {}: {}\n", seed, broken), ++failed;
    statistics.broken.clear();
    const Outcome outcome = check(model);
    if (outcome.kind == Outcome::kRefused) ++refused, fmt::print("refused seed {}: {}\n", seed, outcome.message);
    if (outcome.kind == Outcome::kFailed) {
      ++failed;
      const Model small = reduce(model);
      print_failure(seed, small, check(small).message, options.out);
    }
  }
  if (options.verbose) print_statistics(statistics);
  fmt::print("{} models from seed {}: {} nodes of {} operators, {} outputs compared; {} refused, {} failed, {:.0f} s\n", models, options.seed, nodes,
             statistics.kept.size(), outputs, refused, failed, elapsed());
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Random models compared with the reference functions"};
  app.add_option("--seed", options.seed, "of the first model; the next ones count up");
  app.add_option("--count", options.count, "models");
  app.add_option("--nodes", options.nodes, "of each model");
  app.add_option("--seconds", options.seconds, "go on for this long instead of --count models");
  app.add_option("--out", options.out, "folder for failing models");
  app.add_flag("--verbose", options.verbose, "say which seed is tried, and what became of each operator");
  CLI11_PARSE(app, argc, argv);
  return run(options);
}
