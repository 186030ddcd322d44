#include "compiler/preflight.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/digest.h"
#include "codegen/cpu/compile.h"
#include "compiler/open_sizes.h"
#include "compiler/profile.h"
#include "compiler/support_check.h"
#include "compiler/verify_engine.h"
#include "ir/elements.h"
#include "ir/operator.h"
#include "onnx/import.h"
#include "passes/pass.h"
#include "passes/shape_inputs.h"
#include "schedule/schedule.h"
#include "target/registry.h"
#include "tensor/range.h"

namespace xinfer::compiler {
namespace {

using base::Code;
using base::Result;
using ir::DType;

std::string describe(const ir::Value& value) { return fmt::format("{}: {}", value.name, ir::to_string(value.type)); }

bool is_parameter(const tensor::Tensor& tensor) {
  const DType dtype = tensor.dtype();
  return dtype != DType::kString && dtype != DType::kBool && dtype != DType::kInt64 && dtype != DType::kInt32;
}

// For sequences whose length the model leaves open; the next is tried where one is too short for the model's windows.
constexpr std::int64_t kUsualLengths[] = {128, 512, 2048, 8192};

DType dtype_of(std::string_view precision) {
  return precision == "fp16" ? DType::kFloat16 : precision == "bf16" ? DType::kBfloat16 : DType::kFloat32;
}

std::string join_sizes(const tensor::Shape& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

class Flight {
 public:
  Flight(const std::filesystem::path& path, const PreflightOptions& options, std::int64_t max_batch = kDefaultBatch)
      : path_(path), options_(options), max_batch_(max_batch) {}

  Result<Preflight> run() {
    const auto start = std::chrono::steady_clock::now();
    XI_CHECK(choose_targets());
    XI_TRY(result_.model_digest, base::sha256_file(path_));
    begun_ = std::chrono::steady_clock::now();
    XI_CHECK(look_at(options_.input_ranges));
    // Some models are written for one batch although they declare it open: a build finds that out in the same way.
    if (batch_assumed_ && max_batch_ > 1 && !result_.supported()) return Flight(path_, options_, 1).run();
    const Ranges whole = ranges_;
    XI_CHECK(look_at_profiles());
    forecast_ends(whole);
    result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(result_);
  }

 private:
  Result<void> choose_targets() {
    for (const std::string& name : options_.targets) {
      XI_TRY(HardwareTarget target, target::parse(name));
      Forecast forecast;
      forecast.target = target.to_string();
      const auto buildable = target::check_buildable(target);
      if (!buildable && buildable.error().code != Code::kUnsupported) return std::unexpected(buildable.error());
      if (!buildable)
        forecast.problems.push_back(
            {"", {}, buildable.error().message, "choose another target or precision: xinfer-cli targets lists them"});
      schedules_.emplace_back();
      targets_.push_back({target::find_canonical(target.architecture()), dtype_of(target.precision()), buildable.has_value()});
      result_.forecasts.push_back(std::move(forecast));
    }
    return {};
  }

  Result<ir::Graph> import() {
    survey_ = {};
    onnx::ImportOptions import_options;
    import_options.input_ranges = ranges_;
    import_options.empty_inputs = options_.empty_inputs;
    import_options.multiple = multiple_;
    import_options.input_values = options_.input_values;
    import_options.survey = &survey_;
    return onnx::import_model(path_, import_options);
  }

  Result<void> look_at(const Ranges& given) {
    ranges_ = given;
    auto graph = import();
    result_.problems = unsupported_operators(survey_);
    if (!graph) return refused(graph.error());
    describe_model(*graph);
    const std::vector<Problem> problems = result_.problems;
    Result<void> tried;
    for (const std::int64_t length : kUsualLengths) {
      result_.problems = problems;
      result_.dynamic_inputs.clear();
      ranges_ = given;
      const Ranges assumed = assume_shapes(*graph, length);
      ranges_.insert(assumed.begin(), assumed.end());
      tried = attempt();
      if (tried || assumed.empty()) return tried;
      if (tried.error().code != Code::kInvalidArgument) break;
    }
    add_problem(result_.problems, "", "",
                fmt::format("with the assumed sizes of its inputs it makes no sense: {}", tried.error().text()));
    result_.problems.back().advice = fmt::format("give sizes that the model was made for: {}",
                                                 fmt::join(options_of(result_.dynamic_inputs), " "));
    return {};
  }

  Result<void> attempt() {
    XI_TRY(ir::Graph graph, import());
    check_ends(graph, graph.inputs, "input");
    return schedule_all(std::move(graph));
  }

  static std::vector<std::string> options_of(const std::vector<DynamicInput>& inputs) {
    std::vector<std::string> options;
    for (const DynamicInput& input : inputs) options.push_back(input.option);
    return options;
  }

  // The importer gave up. Behind an operator that it does not know that only limits what can be said; else it is the answer.
  Result<void> refused(const base::Error& error) {
    if (!survey_.unsupported.empty()) {
      if (!error.message.contains("not supported:")) result_.unseen = error.text();
      return {};
    }
    if (error.code != Code::kUnsupported) return std::unexpected(error);
    add_problem(result_.problems, "", "", error.text());
    return {};
  }

  void describe_model(const ir::Graph& graph) {
    result_.nodes = graph.nodes.size();
    for (const ir::Value& value : graph.values) {
      if (value.constant == nullptr) continue;
      result_.constant_bytes += value.constant->size_bytes();
      if (is_parameter(*value.constant)) result_.parameters += value.constant->num_elements();
    }
    for (ir::ValueId id : graph.inputs)
      if (!survey_.cut_inputs.contains(graph.value(id).name)) result_.inputs.push_back(describe(graph.value(id)));
    for (ir::ValueId id : graph.outputs)
      if (!survey_.cut_outputs.contains(graph.value(id).name)) result_.outputs.push_back(describe(graph.value(id)));
  }

  // Sizes for inputs without; equal symbols get equal sizes.
  Ranges assume_shapes(const ir::Graph& graph, std::int64_t length) {
    const bool cpu = for_cpus();
    Ranges shapes = cpu ? default_batches(graph, max_batch_) : Ranges();
    batch_assumed_ = !shapes.empty();
    UsualSizes usual(length);
    for (ir::ValueId id : graph.inputs) {
      const ir::Value& value = graph.value(id);
      const bool tensor = value.type.kind == ir::ValueType::Kind::kTensor;
      if ((tensor && is_bounded(value.type)) || survey_.cut_inputs.contains(value.name))
        continue;
      DynamicInput input{.name = value.name, .type = ir::to_string(value.type)};
      if (value.type.kind == ir::ValueType::Kind::kSequence) input.name = ir::element_name(value.name, 0);
      if (!value.type.dims) input.assumed = {1, 3, 224, 224};
      else
        for (std::size_t i = 0; i < value.type.dims->size(); ++i) input.assumed.push_back(usual.size(*value.type.dims, i));
      input.option = fmt::format("--shape {}={}", input.name, join_sizes(input.assumed));
      input.range_option = fmt::format("--shape {}={}", input.name, usual.ranges(value.type));
      input.by_default = batch_assumed_ && max_batch_ > 1;
      if (!batch_assumed_) shapes[input.name] = tensor::fixed_ranges(input.assumed);
      result_.dynamic_inputs.push_back(std::move(input));
    }
    return shapes;
  }

  void check_ends(const ir::Graph& graph, const std::vector<ir::ValueId>& ends, std::string_view what) {
    for (ir::ValueId id : ends) {
      const ir::Value& value = graph.value(id);
      if (survey_.cut_inputs.contains(value.name) || survey_.cut_outputs.contains(value.name)) continue;
      if (value.type.kind == ir::ValueType::Kind::kTensor) continue;
      add_problem(result_.problems, "", value.name,
                  fmt::format("{} '{}' is {}: engines take and give tensors, and lists of them whose length is known at the build", what, value.name,
                              ir::to_string(value.type)));
    }
  }

  Result<void> schedule_all(ir::Graph graph) {
    passes::PipelineOptions pipeline;
    pipeline.loops = for_cpus();
    ir::Graph imported = graph;
    ir::Graph reached = graph;  // what the last pass that succeeded left
    pipeline.after = [&](std::string_view, const ir::Graph& after) { reached = after; };
    if (auto runs = passes::run_pipeline(graph, pipeline); !runs) {
      if (!survey_.unsupported.empty()) {
        result_.unseen = runs.error().text();
        return {};
      }
      if (runs.error().code != Code::kUnsupported) return std::unexpected(runs.error());
      add_problem(result_.problems, "", runs.error().where, runs.error().text());
      graph = std::move(reached);
    } else if (has_open_size(graph) && multiple_ < kMaxMultiple) {  // sizes that fit together only in certain multiples
      multiple_ *= 2;
      XI_TRY(graph, import());
      return schedule_all(std::move(graph));
    }
    imported_ = std::move(imported);
    if (auto fits = check_ranges(graph); !fits) add_problem(result_.problems, "", "", fits.error().text());
    check_ends(graph, graph.outputs, "output");
    for (const std::string& name : passes::shape_inputs(graph)) {
      if (survey_.cut_inputs.contains(name)) continue;
      add_problem(result_.problems, "", "",
                  fmt::format("input '{}' decides shapes, so a build must know its value", name));
      result_.problems.back().advice =
          fmt::format("give --fix {}=FILE (.npy or .pb): its value becomes part of the engine", name);
    }
    prepare_seconds_ = lap();
    for (std::size_t i = 0; i < targets_.size(); ++i)
      if (targets_[i].buildable) forecast(graph, i);
    keep_common_problems();
    return {};
  }

  struct Chosen {
    const target::TargetInfo* info;
    DType precision;
    bool buildable;
  };

  bool for_cpus() const {
    return std::ranges::all_of(targets_, [](const Chosen& chosen) { return chosen.info != nullptr && chosen.info->isa != nullptr; });
  }

  static Result<schedule::Schedule> make_schedule(const ir::Graph& graph, const Chosen& chosen) {
    return chosen.info->isa != nullptr ? schedule::make_schedule(graph, *chosen.info->isa)
                                       : schedule::make_schedule(graph, *chosen.info->gpu, {chosen.precision});
  }

  static void refuse_strings(const ir::Graph& graph, Forecast& made) {
    for (const auto* ends : {&graph.inputs, &graph.outputs})
      for (ir::ValueId id : *ends)
        if (const ir::Value& value = graph.value(id); value.type.dtype == DType::kString)
          add_problem(made.problems, "", value.name,
                      fmt::format("{} '{}' is {}: engines for GPUs take and give numbers only, those for CPUs strings too",
                                  ends == &graph.inputs ? "input" : "output", value.name, ir::to_string(value.type)));
  }

  void forecast(const ir::Graph& graph, std::size_t target) {
    const Chosen& chosen = targets_[target];
    Forecast& made = result_.forecasts[target];
    if (chosen.info->gpu != nullptr) refuse_strings(graph, made);
    const auto attempt = [&](const ir::Graph& part) { return make_schedule(part, chosen); };
    if (!result_.problems.empty() || !made.problems.empty()) {
      for (Problem& problem : unsupported_nodes(graph, attempt)) made.problems.push_back(std::move(problem));
      return;
    }
    lap();
    auto schedule = make_schedule(graph, chosen);
    made.prepare_seconds = prepare_seconds_ + lap();
    if (!schedule) {
      made.problems = unsupported_nodes(graph, attempt);
      if (made.problems.empty()) add_problem(made.problems, "", "", schedule.error().text());
      return;
    }
    const auto host = target::measure_host(*chosen.info);
    const target::Machine machine = host ? *host : target::typical_machine(*chosen.info);
    const engine::Plan& plan = schedule->plan;
    made.machine = machine;
    const bool half = chosen.precision != DType::kFloat32;
    made.threads = machine.is_gpu ? 1 : options_.threads > 0 ? options_.threads : machine.cores;
    made.kernels = schedule->kernels.size();
    made.launches = plan.launches.size();
    made.weight_bytes = schedule->weights.size();
    made.arena_bytes = plan.arena_bytes;
    for (std::size_t i = 0; i < plan.launches.size(); ++i) {
      const engine::Launch& launch = plan.launches[i];
      const LaunchCost cost = predict_launch(*schedule, i, machine, half);
      made.flops += launch.flops;
      made.bytes_moved += launch.bytes;
      if (is_contraction_kind(cost.kind)) made.multiply_adds += launch.flops / 2;
      made.launch_list.push_back({launch.name, launch.choice, cost, launch.flops, launch.bytes});
    }
    made.latency = predict_latency(*schedule, machine, 1, half);
    made.latency_threads = predict_latency(*schedule, machine, made.threads, half);
    count_verification(imported_, *schedule, made);
    made.build = build_time(*schedule, chosen, made);
    if (!options_.profiles.empty()) schedules_[target] = *std::move(schedule);
  }

  // As a build does: profiles are looked at one after the other, and their plans go behind the whole range's.
  Result<void> look_at_profiles() {
    for (std::size_t i = 0; i < targets_.size() && !options_.profiles.empty(); ++i)
      if (targets_[i].info != nullptr && targets_[i].info->gpu != nullptr)
        add_problem(result_.forecasts[i].problems, "", "", "engines for GPUs have no profiles: build one for each size");
    for (const Ranges& given : options_.profiles) {
      if (!result_.supported()) return {};
      XI_TRY(ranges_, complete_profile(imported_, given));
      const std::string sizes = text_of(imported_, ranges_);
      lap();
      ir::Graph original;
      auto graph = prepare_profile(original);
      prepare_seconds_ = lap();
      if (!graph && graph.error().code != Code::kUnsupported) return std::unexpected(std::move(graph.error()).in("--profile " + sizes));
      for (std::size_t i = 0; graph && i < targets_.size(); ++i) forecast_profile(original, *graph, i, sizes);
      if (!graph) add_problem(result_.problems, "", "", fmt::format("with the profile {}: {}", sizes, graph.error().text()));
    }
    return {};
  }

  // What the reference has to do for a plan.
  void count_verification(const ir::Graph& original, const schedule::Schedule& schedule, Forecast& made) const {
    if (!options_.verify || made.machine.is_gpu) return;  // where there is no device, it is not
    double flops = 0, products = 0;
    for (const engine::Launch& launch : schedule.plan.launches) {
      flops += launch.flops;
      if (is_contraction_kind(kernel_kind(launch.choice))) products += launch.flops / 2;
    }
    const double share = verification_share(original, flops);
    made.verified_flops += share * flops;
    made.verified_multiply_adds += share * products;
  }

  // Seconds since the last call.
  double lap() {
    const auto before = std::exchange(begun_, std::chrono::steady_clock::now());
    return std::chrono::duration<double>(begun_ - before).count();
  }

  static std::string text_of(const ir::Graph& graph, const Ranges& ranges) {
    std::vector<std::string> inputs;
    for (ir::ValueId id : graph.inputs) {
      const std::string& name = graph.value(id).name;
      std::vector<std::string> sizes;
      for (const tensor::Symbol& size : ranges.at(name)) sizes.push_back(tensor::format_range({{}, size.min, size.opt, size.max}));
      inputs.push_back(fmt::format("{}={}", name, fmt::join(sizes, "x")));
    }
    return fmt::format("{}", fmt::join(inputs, ";"));
  }

  Result<ir::Graph> prepare_profile(ir::Graph& original) {
    for (;; multiple_ *= 2) {
      XI_TRY(original, import());
      ir::Graph graph = original;
      XI_TRY(const auto runs, passes::run_pipeline(graph, {.loops = for_cpus()}));
      if (has_open_size(graph) && multiple_ < kMaxMultiple) continue;
      XI_CHECK(check_ranges(graph));
      return graph;
    }
  }

  void forecast_profile(const ir::Graph& original, const ir::Graph& graph, std::size_t target, const std::string& sizes) {
    const Chosen& chosen = targets_[target];
    Forecast& made = result_.forecasts[target];
    lap();
    auto profile = make_schedule(graph, chosen);
    made.prepare_seconds += prepare_seconds_ + lap();
    if (!profile) return add_problem(made.problems, "", "", fmt::format("with the profile {}: {}", sizes, profile.error().text()));
    schedule::Schedule& whole = schedules_[target];
    ProfileForecast& of_profile = made.profiles.emplace_back();
    of_profile.sizes = sizes;
    of_profile.launches = profile->plan.launches.size();
    of_profile.arena_bytes = profile->plan.arena_bytes;
    of_profile.latency = predict_latency(*profile, made.machine, 1);
    of_profile.latency_threads = predict_latency(*profile, made.machine, made.threads);
    count_verification(original, *profile, made);
    schedule::add_profile(whole, *std::move(profile));
    of_profile.kernels = whole.kernels.size() - made.kernels;
    made.kernels = whole.kernels.size();
    made.weight_bytes = whole.weights.size();
    made.arena_bytes = std::max(made.arena_bytes, of_profile.arena_bytes);
    made.build = build_time(whole, chosen, made);
  }

  // An engine of ranges at both ends of them, as engines of those sizes alone would be.
  void forecast_ends(const Ranges& ranges) {
    const auto has_range = [](const auto& input) {
      return std::ranges::any_of(input.second, [](const tensor::Symbol& size) { return size.min < size.max; });
    };
    if (!result_.supported() || std::ranges::none_of(ranges, has_range)) return;
    for (const bool largest : {false, true}) {
      PreflightOptions at_end = options_;
      at_end.profiles.clear();
      at_end.input_ranges = ranges;
      for (auto& [name, sizes] : at_end.input_ranges)
        for (tensor::Symbol& size : sizes) size.min = size.opt = size.max = largest ? size.max : size.min;
      const auto found = Flight(path_, at_end).run();
      if (!found || !found->supported()) continue;  // sizes that do not fit together there
      for (std::size_t i = 0; i < result_.forecasts.size(); ++i)
        (largest ? result_.forecasts[i].latency_most : result_.forecasts[i].latency_least) = found->forecasts[i].latency;
    }
  }

  Interval build_time(const schedule::Schedule& schedule, const Chosen& chosen, Forecast& made) const {
    BuildWork work;
    Result<std::vector<bool>> cached = std::vector<bool>(schedule.kernels.size(), false);
    if (chosen.info->isa != nullptr) cached = codegen::cpu::find_cached(schedule.kernels, *chosen.info->isa, options_.cache_folder);
    work.for_gpu = chosen.info->isa == nullptr;
    made.kernel_list.clear();
    for (std::size_t i = 0; i < schedule.kernels.size(); ++i) {
      if (cached && (*cached)[i]) continue;
      const forge::KernelSource& kernel = schedule.kernels[i];
      work.kernels.push_back(&kernel);
      made.kernel_list.push_back({kernel.symbol, kernel_kind(kernel.choice), static_cast<double>(kernel.source.size()), table_bytes(kernel.source)});
    }
    made.kernels_cached = schedule.kernels.size() - work.kernels.size();
    work.prepare_seconds = made.prepare_seconds;
    work.contraction_flops = 2 * made.verified_multiply_adds;
    work.other_flops = made.verified_flops - work.contraction_flops;
    work.engine_bytes = static_cast<double>(made.weight_bytes);
    work.verify = made.verified_flops > 0;
    work.jobs = options_.jobs > 0 ? options_.jobs : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    return predict_build(work);
  }

  // What every target refuses is the model's problem and said once.
  void keep_common_problems() {
    std::vector<Problem>* first = nullptr;
    for (std::size_t i = 0; i < targets_.size() && first == nullptr; ++i)
      if (targets_[i].buildable) first = &result_.forecasts[i].problems;
    if (first == nullptr) return;
    const auto same = [](const Problem& a, const Problem& b) { return a.op == b.op && a.reason == b.reason; };
    for (const Problem& problem : std::vector<Problem>(*first)) {
      bool everywhere = true;
      for (std::size_t i = 0; i < targets_.size(); ++i)
        everywhere = everywhere && (!targets_[i].buildable ||
                                    std::ranges::any_of(result_.forecasts[i].problems,
                                                        [&](const Problem& p) { return same(p, problem); }));
      if (!everywhere) continue;
      for (Forecast& forecast : result_.forecasts)
        std::erase_if(forecast.problems, [&](const Problem& p) { return same(p, problem); });
      if (std::ranges::none_of(result_.problems, [&](const Problem& p) { return same(p, problem); }))
        result_.problems.push_back(problem);
    }
  }

  const std::filesystem::path& path_;
  const PreflightOptions& options_;
  std::vector<Chosen> targets_;
  Ranges ranges_;  // of the inputs, given or assumed; then those of a profile
  ir::Graph imported_;  // with the whole ranges
  std::chrono::steady_clock::time_point begun_;
  double prepare_seconds_ = 0;  // of the importer and the passes
  std::vector<schedule::Schedule> schedules_;  // with profiles: of each target
  bool batch_assumed_ = false;
  std::int64_t max_batch_;
  std::int64_t multiple_ = 1;
  onnx::Survey survey_;
  Preflight result_;
};

}  // namespace

bool Preflight::supported() const {
  return problems.empty() && std::ranges::all_of(forecasts, [](const Forecast& f) { return f.problems.empty(); });
}

bool Preflight::needs_sizes() const {
  return std::ranges::any_of(dynamic_inputs, [](const DynamicInput& input) { return !input.by_default; });
}

base::Error Preflight::error() const {
  std::string text;
  const auto add = [&](const Problem& problem, std::string_view target) {
    text +=
        fmt::format("{}{}{}{}{}: {}", text.empty() ? "" : "\n", target, target.empty() ? "" : ": ",
                    problem.op.empty() ? "the model" : problem.op,
                    problem.nodes.empty() ? "" : fmt::format(" ({})", fmt::join(problem.nodes, ", ")), problem.reason);
    if (!problem.advice.empty()) text += "; " + problem.advice;
  };
  for (const Problem& problem : problems) add(problem, "");
  for (const Forecast& forecast : forecasts)
    for (const Problem& problem : forecast.problems) add(problem, forecast.target);
  return {Code::kUnsupported, std::move(text), {}};
}

std::string to_text(const Forecast& forecast) {
  const auto milliseconds = [](const Interval& interval) {
    return fmt::format("{:.3g} ms ({:.3g} to {:.3g})", interval.likely * 1e3, interval.low * 1e3, interval.high * 1e3);
  };
  return fmt::format("build {:.2g} s ({:.2g} to {:.2g}), latency {}{} on {}; weights {:.1f} MB, arena {:.1f} MB", forecast.build.likely,
                     forecast.build.low, forecast.build.high, milliseconds(forecast.latency), forecast.machine.is_gpu ? "" : " with 1 thread",
                     forecast.machine.measured ? "this machine" : forecast.machine.name, static_cast<double>(forecast.weight_bytes) / 1e6,
                     static_cast<double>(forecast.arena_bytes) / 1e6);
}

Result<Preflight> preflight(const std::filesystem::path& onnx, const PreflightOptions& options) {
  return Flight(onnx, options).run();
}

}  // namespace xinfer::compiler
