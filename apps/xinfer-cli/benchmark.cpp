// xinfer-cli benchmark: how long one inference takes, whole and per launch.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/files.h"
#include "command.h"
#include "compiler/html_report.h"
#include "engine_options.h"

namespace xinfer::cli {

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string file, report;
  std::vector<std::string> inputs, shapes;
  int num_threads = 0, iterations = 0, warmup = 0;
  double seconds = 2;
  bool per_layer = false;
  TrustOptions trust;
};

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// The value below which `part` of the sorted times lie.
double quantile(const std::vector<double>& sorted, double part) {
  auto index = static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[std::min(index, sorted.size() - 1)];
}

std::vector<double> measure(core::Session& session, const Options& options) {
  auto start = Clock::now();
  // At least one run that does not count: it faults pages in. Without --warmup, a tenth of the time.
  int warmups = 0;
  do {
    session.run();
    ++warmups;
  } while (options.warmup > 0 ? warmups < options.warmup : milliseconds_since(start) < options.seconds * 100);
  std::vector<double> times;
  start = Clock::now();
  while (options.iterations > 0 ? times.size() < static_cast<std::size_t>(options.iterations)
                                : times.size() < 5 || milliseconds_since(start) < options.seconds * 1000) {
    auto begin = Clock::now();
    session.run();
    times.push_back(milliseconds_since(begin));
  }
  std::ranges::sort(times);
  return times;
}

struct Layer {
  core::LaunchTime launch;  // its median
  double least = 0;
};

// Times of each launch over some runs.
std::vector<Layer> measure_launches(core::Session& session, std::size_t runs) {
  std::vector<core::LaunchTime> launches;
  std::vector<std::vector<double>> times;
  for (std::size_t i = 0; i < runs; ++i) {
    launches = session.run_timed();
    times.resize(launches.size());
    for (std::size_t k = 0; k < launches.size(); ++k) times[k].push_back(launches[k].microseconds);
  }
  std::vector<Layer> layers;
  for (std::size_t k = 0; k < launches.size(); ++k) {
    std::ranges::sort(times[k]);
    launches[k].microseconds = quantile(times[k], 0.5);
    layers.push_back({std::move(launches[k]), times[k].front()});
  }
  return layers;
}

double total_microseconds(const std::vector<Layer>& layers) {
  double total = 0;
  for (const auto& layer : layers) total += layer.launch.microseconds;
  return total;
}

void print_launches(const std::vector<Layer>& layers) {
  const double total = total_microseconds(layers);
  fmt::print("\n{:>10} {:>6} {:>9} {:>8}  launch [kernel]\n", "us", "%", "GFLOP/s", "GB/s");
  for (const auto& [launch, least] : layers)
    fmt::print("{:10.1f} {:6.1f} {:9.1f} {:8.1f}  {} [{}]\n", launch.microseconds, 100 * launch.microseconds / total,
               launch.flops / launch.microseconds / 1e3, launch.bytes / launch.microseconds / 1e3, launch.name,
               launch.choice);
}

nlohmann::ordered_json launches_json(const std::vector<Layer>& layers) {
  const double total = total_microseconds(layers);
  auto list = nlohmann::ordered_json::array();
  for (const auto& [launch, least] : layers)
    list.push_back({{"name", launch.name},
                    {"choice", launch.choice},
                    {"median_us", launch.microseconds},
                    {"min_us", least},
                    {"share", launch.microseconds / total},
                    {"flops", launch.flops},
                    {"bytes", launch.bytes},
                    {"gflops", launch.flops / launch.microseconds / 1e3},
                    {"gbytes", launch.bytes / launch.microseconds / 1e3}});
  return list;
}

base::Result<void> write_report(const Options& options, int num_threads, const std::vector<double>& times,
                                const std::vector<Layer>& layers) {
  XI_TRY(engine::Trust trust, options.trust.trust());
  XI_TRY(auto engine, engine::open(options.file, trust));
  compiler::Measurement measurement{num_threads, quantile(times, 0.5), times.front(), quantile(times, 0.9), {}};
  for (const auto& layer : layers) measurement.launch_microseconds.push_back(layer.launch.microseconds);
  return base::write_file(options.report, compiler::html_report(*engine, &measurement, nullptr));
}

base::Result<int> benchmark(const Options& options, bool json) {
  XI_TRY(core::EngineOptions engine_options, options.trust.engine_options(options.num_threads));
  auto start = Clock::now();
  core::InferenceEngine engine(options.file, engine_options);
  double load_ms = milliseconds_since(start);
  XI_TRY(auto inputs, read_inputs(engine, options.inputs));
  XI_TRY(const auto shapes, parse_shape_options(options.shapes));
  auto session = engine.create_session();
  unsigned seed = 1;
  for (const auto& input : engine.inputs()) {
    auto given = inputs.find(input.name);
    auto shape = shapes.find(input.name);
    session.set_input(input.name, given != inputs.end() ? given->second
                                                        : random_input(input, seed++, shape == shapes.end() ? nullptr : &shape->second));
  }
  auto times = measure(session, options);
  double mean = std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
  std::vector<double> device;  // milliseconds, on a GPU
  if (!engine.device_name().empty()) {
    device = session.measure_device(std::clamp(static_cast<int>(times.size()), 20, 1000));
    for (double& time : device) time /= 1e3;
    std::ranges::sort(device);
  }
  std::vector<Layer> launches;
  if (options.per_layer || !options.report.empty())
    launches = measure_launches(session, std::clamp<std::size_t>(times.size(), 3, 51));
  if (!options.report.empty()) XI_CHECK(write_report(options, engine.num_threads(), times, launches));

  if (json) {
    nlohmann::ordered_json document = {{"engine", options.file},
                                       {"architecture", engine.architecture()},
                                       {"threads", engine.num_threads()},
                                       {"iterations", times.size()},
                                       {"median_ms", quantile(times, 0.5)},
                                       {"min_ms", times.front()},
                                       {"mean_ms", mean},
                                       {"p90_ms", quantile(times, 0.9)},
                                       {"p99_ms", quantile(times, 0.99)},
                                       {"max_ms", times.back()},
                                       {"load_ms", load_ms}};
    if (!device.empty()) {
      document["device"] = engine.device_name();
      document["device_median_ms"] = quantile(device, 0.5);
      document["device_min_ms"] = device.front();
    }
    if (!launches.empty()) document["launches"] = launches_json(launches);
    fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return 0;
  }
  fmt::print(
      "{} threads, {} iterations: median {:.4f} ms, min {:.4f}, mean {:.4f}, p90 {:.4f}, p99 {:.4f}; {:.1f} "
      "inferences/s; loaded in {:.1f} ms\n",
      engine.num_threads(), times.size(), quantile(times, 0.5), times.front(), mean, quantile(times, 0.9),
      quantile(times, 0.99), 1000 / mean, load_ms);
  if (!device.empty())
    fmt::print("{}: median {:.4f} ms, min {:.4f} on the device, without copies from and to the host\n",
               engine.device_name(), quantile(device, 0.5), device.front());
  if (options.per_layer) print_launches(launches);
  return 0;
}

}  // namespace

void add_benchmark_command(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<Options>();
  auto* command = add_command(app, invocation, "benchmark", "Measures how long an inference takes",
                              "xinfer-cli benchmark yolox.engine --threads 1\n"
                              "xinfer-cli benchmark yolox.engine --per-layer\n"
                              "xinfer-cli benchmark yolox.engine --report yolox.html\n"
                              "xinfer-cli benchmark yolox.engine --iterations 100 --json");
  command->add_option("file", options->file, "Engine file")->required();
  command->add_option("--threads", options->num_threads, "Threads (default: one per core)")->check(CLI::Range(1, 1024));
  auto* iterations =
      command->add_option("--iterations", options->iterations, "Measured runs")->check(CLI::Range(1, 100'000'000));
  command->add_option("--seconds", options->seconds, "Without --iterations: how long to measure")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 3600.0))
      ->excludes(iterations);
  command->add_option("--warmup", options->warmup, "Runs before measuring (default: a tenth of --seconds)")
      ->check(CLI::Range(1, 1'000'000));
  command->add_flag("--per-layer", options->per_layer, "Also the median time of every kernel launch");
  command->add_option("--input", options->inputs, "NAME=FILE as in run; other inputs are seeded random numbers")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  command->add_option("--shape", options->shapes, "Sizes of an input of an engine for many sizes, image=4x3x224x224 (default: its optimum)")
      ->type_name("NAME=SIZES")
      ->allow_extra_args(false);
  command->add_option("--report", options->report, "Also write a page with the graph and the time of every launch")
      ->type_name("FILE.html");
  options->trust.add_to(*command);
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return benchmark(*options, invocation.json); };
  });
}

}  // namespace xinfer::cli
