// xinfer-cli preflight: what a build would say and give, without building.
#include "compiler/preflight.h"

#include "base/files.h"
#include "command.h"
#include "engine_options.h"

namespace xinfer::cli {

namespace {

struct Options {
  std::string onnx, cache;
  std::vector<std::string> targets, shapes, profiles, values;
  bool no_verify = false, no_cache = false, launches = false;
  compiler::PreflightOptions preflight;
};

void print_problem(const compiler::Problem& problem, std::string_view target) {
  fmt::print("  {}{}{}\n", problem.op.empty() ? "" : problem.op + ": ", problem.reason,
             target.empty() ? "" : fmt::format(" (for {})", target));
  if (!problem.nodes.empty())
    fmt::print("      {}: {}\n", problem.nodes.size() == 1 ? "node" : fmt::format("{} nodes", problem.nodes.size()),
               fmt::join(problem.nodes, ", "));
  if (!problem.advice.empty()) fmt::print("      way out: {}\n", problem.advice);
}

std::string format_milliseconds(const compiler::Interval& interval) {
  return fmt::format("{:.3g} ms ({:.3g} to {:.3g})", interval.likely * 1e3, interval.low * 1e3, interval.high * 1e3);
}

void print_forecast(const compiler::Forecast& forecast) {
  const auto line = [](std::string_view label, const std::string& value) { fmt::print("  {:<15}{}\n", label, value); };
  fmt::print("\n{}\n", forecast.target);
  if (forecast.machine.name.empty()) {
    line("build", "refused, see above");
    return;
  }
  line("work", fmt::format("{:.4g} GFLOP, of it {:.4g} G multiply-adds; {:.1f} MB moved", forecast.flops / 1e9,
                           forecast.multiply_adds / 1e9, forecast.bytes_moved / 1e6));
  line("memory", fmt::format("weights {:.2f} MB, arena {:.2f} MB", static_cast<double>(forecast.weight_bytes) / 1e6,
                             static_cast<double>(forecast.arena_bytes) / 1e6));
  line("kernels", fmt::format("{} for {} launches, {} of them compiled before", forecast.kernels, forecast.launches,
                              forecast.kernels_cached));
  line("build", fmt::format("{:.2g} s ({:.2g} to {:.2g}), on this machine", forecast.build.likely, forecast.build.low,
                            forecast.build.high));
  line("latency", format_milliseconds(forecast.latency) + (forecast.machine.is_gpu ? "" : " with 1 thread"));
  if (forecast.threads > 1)
    line("", fmt::format("{} with {} threads", format_milliseconds(forecast.latency_threads), forecast.threads));
  if (forecast.latency_most.likely > 0)
    line("", fmt::format("at the optimum of the ranges; {} at the smallest sizes, {} at the largest",
                         format_milliseconds(forecast.latency_least), format_milliseconds(forecast.latency_most)));
  for (const compiler::ProfileForecast& profile : forecast.profiles) {
    line("profile", profile.sizes);
    line("", fmt::format("{} with 1 thread{}; {} launches, {} kernels more, arena {:.2f} MB", format_milliseconds(profile.latency),
                         forecast.threads > 1 ? fmt::format(", {} with {}", format_milliseconds(profile.latency_threads), forecast.threads) : "",
                         profile.launches, profile.kernels, static_cast<double>(profile.arena_bytes) / 1e6));
  }
  line("", (forecast.machine.measured ? "on " : "on a usual machine of the kind: ") + forecast.machine.name);
}

void print(const compiler::Preflight& result, const std::string& file) {
  const auto line = [](std::string_view label, const std::string& value) { fmt::print("{:<17}{}\n", label, value); };
  line("model", fmt::format("{}: {} nodes, {} parameters, {:.2f} MB of constants", file, result.nodes,
                            result.parameters, static_cast<double>(result.constant_bytes) / 1e6));
  for (const std::string& input : result.inputs) line("input", input);
  for (const std::string& output : result.outputs) line("output", output);
  for (const auto& input : result.dynamic_inputs)
    line("dynamic", input.by_default ? fmt::format("{} is {}: a build takes {}", input.name, input.type, input.range_option)
                                     : fmt::format("{} is {}: give its sizes, {}, or ranges, {}", input.name, input.type, input.option,
                                                   input.range_option));
  if (result.needs_sizes()) line("", "the figures below are for those sizes");
  if (result.supported()) {
    line("verdict", "can be built");
  } else {
    line("verdict", "cannot be built:");
    for (const auto& problem : result.problems) print_problem(problem, "");
    for (const auto& forecast : result.forecasts)
      for (const auto& problem : forecast.problems) print_problem(problem, forecast.target);
    if (!result.unseen.empty()) fmt::print("  what depends on these could not all be looked at: {}\n", result.unseen);
  }
  for (const auto& forecast : result.forecasts) print_forecast(forecast);
  fmt::print("\nfound out in {:.2f} s; docs/preflight.md says how far the figures are to be trusted\n", result.seconds);
}

base::Result<int> preflight(Options options, bool json) {
  options.preflight.empty_inputs = take_empty_inputs(options.shapes);
  XI_TRY(options.preflight.input_ranges, parse_range_options(options.shapes));
  XI_TRY(options.preflight.profiles, parse_profile_options(options.profiles));
  XI_TRY(options.preflight.input_values, read_named_tensors(options.values));
  if (!options.targets.empty()) options.preflight.targets = options.targets;
  options.preflight.verify = !options.no_verify;
  if (!options.no_cache)
    options.preflight.cache_folder =
        options.cache.empty() ? base::cache_folder() / "kernels" : std::filesystem::path(options.cache);
  XI_TRY(const compiler::Preflight result, compiler::preflight(options.onnx, options.preflight));
  if (json) fmt::print("{}\n", compiler::to_json(result, options.launches));
  else print(result, options.onnx);
  return result.supported() ? 0 : base::facts(base::Code::kUnsupported).exit_code;
}

}  // namespace

void add_preflight_command(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<Options>();
  auto* command =
      add_command(app, invocation, "preflight", "Says what a build would refuse and give, without building",
                  "xinfer-cli preflight yolox.onnx\n"
                  "xinfer-cli preflight bert.onnx --target host --target armv8-a --shape ids=1x128 --shape mask=1x128\n"
                  "xinfer-cli preflight a.onnx --json");
  command->add_option("onnx", options->onnx, "ONNX file")->required();
  command
      ->add_option("--target", options->targets,
                   "Hardware, see 'xinfer-cli targets'; may be given several times (default: host)")
      ->allow_extra_args(false);
  command
      ->add_option("--shape", options->shapes,
                   "Sizes of an input, image=1x3x224x224, or ranges of them, image=1:1:8x3x224x224; as in build")
      ->type_name("NAME=SIZES")
      ->allow_extra_args(false);
  add_profile_option(*command, options->profiles);
  command->add_option("--fix", options->values, "Value of an input that decides shapes or branches (.npy, .pb)")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  command->add_option("--threads", options->preflight.threads, "Threads of the second latency (default: one per core)")
      ->check(CLI::Range(1, 1024));
  auto* cache =
      command->add_option("--cache", options->cache,
                          "Folder of compiled kernels, which need not be compiled again (default: the user's cache)");
  command->add_flag("--no-cache", options->no_cache, "As for a build with --no-cache")->excludes(cache);
  command->add_option("--jobs", options->preflight.jobs, "Compilers at once in the build (default: one per core)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--no-verify", options->no_verify, "As for a build with --no-verify");
  command->add_flag("--launches", options->launches, "With --json: also every launch with its predicted time");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return preflight(*options, invocation.json); };
  });
}

}  // namespace xinfer::cli
