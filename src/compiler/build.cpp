#include "compiler/build.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "base/digest.h"
#include "base/files.h"
#include "codegen/cpu/compile.h"
#include "codegen/cuda/compile.h"
#include "compiler/open_sizes.h"
#include "compiler/profile.h"
#include "compiler/report.h"
#include "compiler/tune.h"
#include "compiler/verify_engine.h"
#include "engine/engine.h"
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
using base::fail;
using base::Result;

constexpr std::string_view kVersion = "xinfer 0.1.0";

Result<void> refuse_strings(const ir::Graph& graph) {
  for (const auto* list : {&graph.inputs, &graph.outputs})
    for (ir::ValueId id : *list)
      if (graph.value(id).type.dtype == ir::DType::kString)
        return fail(Code::kUnsupported, "{} '{}' is {}: engines for GPUs take and give numbers only, those for CPUs strings too", list == &graph.inputs ? "input" : "output",
                    graph.value(id).name, ir::to_string(graph.value(id).type));
  return {};
}

// Sums of products of integers are computed exactly as floats, which 16-bit floats cannot hold.
Result<void> refuse_integer_products(const ir::Graph& graph) {
  for (const ir::Node& node : graph.nodes)
    if (node.op.find("QLinear") != std::string::npos || node.op.ends_with("Integer"))
      return fail(Code::kUnsupported, "{} sums integers, which 16-bit floats cannot hold: build this quantised model in fp32", node.op);
  return {};
}

std::string text_of(const std::vector<tensor::Symbol>& sizes) {
  std::vector<std::string> texts;
  for (const tensor::Symbol& size : sizes) texts.push_back(tensor::format_range(size));
  return fmt::format("{}", fmt::join(texts, "x"));
}

// As a word of a command line.
std::string quoted(const std::string& word) {
  const bool plain = std::ranges::all_of(word, [](unsigned char c) { return std::isalnum(c) || std::string_view("_-./:,").contains(static_cast<char>(c)); });
  return plain ? word : "'" + word + "'";
}

Result<void> require_bounded_inputs(const ir::Graph& graph, const std::string& command) {
  std::string problems, options;
  std::string_view lists;
  UsualSizes usual;
  for (ir::ValueId id : graph.inputs) {
    const ir::Value& value = graph.value(id);
    const bool tensor = value.type.kind == ir::ValueType::Kind::kTensor;
    if (tensor && is_bounded(value.type)) continue;
    problems += fmt::format("{}'{}' is {}", problems.empty() ? "" : ", ", value.name, ir::to_string(value.type));
    const bool sequence = value.type.kind == ir::ValueType::Kind::kSequence;
    options += fmt::format(" --shape {}={}", quoted(sequence ? ir::element_name(value.name, 0) : value.name), usual.ranges(value.type));
    if (!tensor)
      lists = " (a sequence takes one for each of its elements, x[0], x[1], …; an optional one for the tensor that it holds, or as a sequence; "
              "either x=none where there is nothing in it)";
  }
  if (problems.empty()) return {};
  return fail(Code::kInvalidArgument, "sizes of inputs are not fixed: input {}. Give each a size or a range minimum:optimum:maximum, for example:{}{}{}", problems,
              command.empty() ? "" : "\n  " + command, options, lists);
}

Result<void> require_known_shapes(const ir::Graph& graph) {
  const std::vector<std::string> deciding = passes::shape_inputs(graph);
  if (deciding.empty()) return {};
  std::string options;
  for (const std::string& name : deciding) options += fmt::format(" --fix {}=FILE", name);
  return fail(Code::kUnsupported, "{} '{}' must be known at build time, because {} shapes: give{} (its value becomes part of the engine)",
              deciding.size() == 1 ? "input" : "inputs", fmt::join(deciding, "', '"), deciding.size() == 1 ? "it decides" : "they decide", options);
}

// The scheduler knows tensors only.
Result<void> require_tensor_outputs(const ir::Graph& graph) {
  for (ir::ValueId id : graph.outputs) {
    const ir::Value& value = graph.value(id);
    if (value.type.kind != ir::ValueType::Kind::kTensor)
      return fail(Code::kUnsupported, "output '{}' is {}, and what it holds is known only while running: engines give lists of a fixed length", value.name,
                  ir::to_string(value.type));
  }
  return {};
}

std::map<std::string, std::vector<std::string>> column_labels(const ir::Graph& graph) {
  std::map<std::string, std::vector<std::string>> labels;
  for (const ir::Node& node : graph.nodes) {
    if (node.op != "ai.onnx.ml.ZipMap" || !graph.is_output(node.outputs[0])) continue;
    std::vector<std::string>& list = labels[graph.value(node.outputs[0]).name];
    if (const auto* words = node.attributes.get<std::vector<std::string>>("classlabels_strings")) list = *words;
    for (std::int64_t number : node.attributes.integers("classlabels_int64s")) list.push_back(std::to_string(number));
  }
  return labels;
}

class Build {
 public:
  Build(const std::filesystem::path& path, const BuildOptions& options) : path_(path), options_(options), ranges_(options.input_ranges) {}

  Result<BuildOutput> run() {
    auto output = build();
    if (output || !batch_assumed_ || output.error().code != Code::kUnsupported) return output;
    // Some models are written for one batch although they declare it open.
    max_batch_ = 1, multiple_ = 1;
    ranges_ = options_.input_ranges;
    report_ = {};
    report_.notes.push_back("not built for other batches than 1: " + output.error().text());
    return build();
  }

  // Every contraction of the model's schedule, measured.
  Result<std::string> tune(std::size_t max_candidates) {
    XI_CHECK(choose_target());
    if (!row_->gpu) return fail(Code::kUnsupported, "{}: only GPU targets are tuned by measurement", row_->name);
    XI_TRY(ir::Graph graph, import());
    XI_CHECK(run_passes(graph));
    schedule::GpuOptions gpu = gpu_options();
    std::map<std::string, TunedContraction> by_symbol;
    gpu.on_contraction = [&](const forge::cuda::Problem& problem, const forge::cuda::Epilogue& epilogue,
                             const forge::cuda::Solution& solution) {
      by_symbol[solution.kernel.symbol] = {problem, epilogue, {}, solution.finish.has_value()};
    };
    XI_CHECK(begin("schedule"));
    XI_TRY(const schedule::Schedule schedule, schedule::make_schedule(graph, *row_->gpu, gpu));
    end(fmt::format("{} launches", schedule.plan.launches.size()));
    std::vector<TunedContraction> contractions;
    for (std::size_t i = 0; i < schedule.plan.launches.size(); ++i) {
      const engine::Launch& launch = schedule.plan.launches[i];
      auto found = by_symbol.find(schedule.plan.kernels[launch.kernel].symbol);
      if (found == by_symbol.end()) continue;
      std::vector<std::uint64_t>& bytes = found->second.argument_bytes;
      for (const engine::BufferRef& ref : launch.arguments) bytes.push_back(ref.bytes);
      if (schedule.kernels[launch.kernel].scratch_bytes > 0) bytes.pop_back();
      if (found->second.finished) {  // the sums are its own, the rest follows with the second kernel
        const engine::Launch& finish = schedule.plan.launches[i + 1];
        const std::size_t shared = bytes.size() - 2;  // behind the input, before the sums: what both kernels read
        bytes.pop_back();
        for (std::size_t k = shared == 1 ? 1 : 1 + shared; k < finish.arguments.size(); ++k) bytes.push_back(finish.arguments[k].bytes);
      }
      contractions.push_back(std::move(found->second));
      by_symbol.erase(found);
    }
    XI_CHECK(begin("measure"));
    TuneMeasurement options{max_candidates, compile_options<codegen::cuda::CompileOptions>()};
    XI_TRY(auto records, measure_candidates(contractions, *row_->gpu, options));
    records.models = {report_.model_digest};
    records.toolchain = fmt::format("{}, {}", kVersion, records.toolchain);
    end(fmt::format("{} contractions", contractions.size()));
    return records.to_json();
  }

 private:
  Result<BuildOutput> build() {
    XI_CHECK(choose_target());
    Model model;
    XI_CHECK(read(model));
    XI_TRY(schedule::Schedule schedule, make_schedule(model.graph));
    std::vector<ir::Graph> originals;
    originals.push_back(std::move(model.original));
    XI_CHECK(add_profiles(schedule, originals));
    XI_TRY(std::string code, compile(schedule));
    engine::Contents contents = assemble(std::move(schedule), std::move(code));
    XI_CHECK(verify(originals, contents));
    BuildOutput output;
    XI_CHECK(write(contents, output));
    output.report = std::move(report_);
    return output;
  }

  // As imported, and as it is to be scheduled.
  struct Model {
    ir::Graph original, graph;
  };
  Result<void> read(Model& model) {
    XI_TRY(model.original, import());
    model.graph = model.original;
    XI_CHECK(run_passes(model.graph));
    // Sizes that fit together only in certain multiples: the smallest is found by trying.
    while (has_open_size(model.graph) && multiple_ < kMaxMultiple) {
      multiple_ *= 2;
      XI_TRY(model.original, import());
      model.graph = model.original;
      XI_CHECK(run_passes(model.graph));
    }
    return {};
  }

  // `originals`: the model with the engine's ranges, behind which those of the profiles go.
  Result<void> add_profiles(schedule::Schedule& schedule, std::vector<ir::Graph>& originals) {
    if (!options_.profiles.empty() && !row_->isa) return fail(Code::kUnsupported, "{}: engines for GPUs have no profiles: build one for each size", row_->name);
    for (const Ranges& given : options_.profiles) {
      XI_TRY(ranges_, complete_profile(originals.front(), given));
      Model model;
      XI_CHECK(read(model));
      XI_TRY(schedule::Schedule profile, make_schedule(model.graph));
      schedule::add_profile(schedule, std::move(profile));
      originals.push_back(std::move(model.original));
    }
    note_schedule(schedule);
    return {};
  }

  Result<void> begin(std::string_view stage) {
    if (options_.cancelled && options_.cancelled()) return fail(Code::kCancelled, "cancelled before stage {}", stage);
    stage_ = stage;
    started_ = std::chrono::steady_clock::now();
    progress(0);
    return {};
  }
  void progress(double fraction) const {
    if (options_.on_progress) options_.on_progress(stage_, fraction);
  }
  void end(std::string detail) {
    progress(1);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - started_;
    std::erase_if(report_.stages, [&](const Report::Stage& stage) { return stage.name == stage_; });  // done again
    report_.stages.push_back({stage_, took.count(), std::move(detail)});
  }
  void dump(std::string_view stage, const ir::Graph& graph) const {
    if (options_.on_dump && (options_.dump_after == stage || options_.dump_after == "all")) options_.on_dump(stage, ir::print(graph));
  }

  Result<void> choose_target() {
    std::string text = options_.target;
    if (text.find(':') == std::string::npos) text += ":" + options_.precision;
    XI_TRY(target_, target::parse(text));
    XI_CHECK(target::check_buildable(*target_));
    row_ = target::find_canonical(target_->architecture());
    if (!options_.records.empty()) {
      XI_TRY(const std::string text, base::read_file(options_.records));
      auto records = forge::cuda::Records::parse(text);
      if (!records) return std::unexpected(std::move(records).error().in(options_.records.string()));
      records_ = *std::move(records);
    }
    report_.target = target_->to_string();
    report_.fixed = {options_.input_values, options_.empty_inputs};
    return {};
  }

  Result<ir::Graph> import() {
    XI_CHECK(begin("import"));
    XI_TRY(report_.model_digest, base::sha256_file(path_));
    onnx::ImportOptions import_options;
    import_options.input_shapes = options_.input_shapes;
    import_options.input_ranges = ranges_;
    import_options.empty_inputs = options_.empty_inputs;
    import_options.multiple = multiple_;
    import_options.input_values = options_.input_values;
    XI_TRY(ir::Graph graph, onnx::import_model(path_, import_options));
    if (auto batches = row_->isa ? default_batches(graph, max_batch_) : Ranges(); !batches.empty()) {
      for (auto& [name, sizes] : batches) {
        batch_assumed_ = true;
        report_.notes.push_back(fmt::format("'{}' takes what it would with --shape {}={}", name, quoted(name), text_of(sizes)));
        ranges_[name] = std::move(sizes);
      }
      import_options.input_ranges = ranges_;
      XI_TRY(graph, onnx::import_model(path_, import_options));
    }
    XI_CHECK(require_bounded_inputs(graph, options_.command));
    if (row_->gpu) XI_CHECK(refuse_strings(graph));
    if (precision() != tensor::DType::kFloat32) XI_CHECK(refuse_integer_products(graph));
    report_.nodes_imported = graph.nodes.size();
    report_.column_labels = column_labels(graph);
    dump("import", graph);
    end(fmt::format("{} nodes", graph.nodes.size()));
    return graph;
  }

  Result<void> run_passes(ir::Graph& graph) {
    XI_CHECK(begin("passes"));
    passes::PipelineOptions pipeline;
    pipeline.disabled = options_.disabled_passes;
    pipeline.cancelled = options_.cancelled;
    pipeline.fused_attention = row_->gpu && precision() != tensor::DType::kFloat32;
    pipeline.integer_products = row_->gpu != nullptr;
    pipeline.loops = row_->isa != nullptr;
    std::size_t done = 0;
    pipeline.after = [&](std::string_view pass, const ir::Graph& after) {
      progress(static_cast<double>(++done) / static_cast<double>(passes::pipeline().size()));
      dump(pass, after);
    };
    XI_CHECK(check_dump_name());
    XI_TRY(const auto runs, passes::run_pipeline(graph, pipeline));
    std::vector<std::string> slow;
    for (const passes::PassRun& run : runs)
      if (run.changed) slow.push_back(fmt::format("{} {:.0f} ms", run.name, run.milliseconds));
    XI_CHECK(require_known_shapes(graph));
    XI_CHECK(check_ranges(graph));
    XI_CHECK(require_tensor_outputs(graph));
    report_.nodes_scheduled = graph.nodes.size();
    end(fmt::format("{} nodes; {}", graph.nodes.size(), fmt::join(slow, ", ")));
    return {};
  }

  Result<void> check_dump_name() const {
    const std::string& name = options_.dump_after;
    if (name.empty() || name == "all" || name == "import") return {};
    const auto list = passes::pipeline();
    if (std::any_of(list.begin(), list.end(), [&](const passes::Pass& pass) { return pass.name == name; })) return {};
    std::vector<std::string_view> names{"all", "import"};
    for (const passes::Pass& pass : list)
      if (std::find(names.begin(), names.end(), pass.name) == names.end()) names.push_back(pass.name);
    return fail(Code::kInvalidArgument, "there is no pass '{}' to dump after; known are {}", name, fmt::join(names, ", "));
  }

  Result<schedule::Schedule> make_schedule(const ir::Graph& graph) {
    XI_CHECK(begin("schedule"));
    XI_TRY(schedule::Schedule schedule, row_->isa ? schedule::make_schedule(graph, *row_->isa, {options_.max_threads})
                                                  : schedule::make_schedule(graph, *row_->gpu, gpu_options()));
    end(fmt::format("{} kernels, {} launches", schedule.kernels.size(), schedule.plan.launches.size()));
    return schedule;
  }

  void note_schedule(const schedule::Schedule& schedule) {
    report_.kernels = schedule.kernels.size();
    report_.launches = schedule.plan.launches.size();
    report_.weight_bytes = schedule.weights.size();
    report_.arena_bytes = schedule.plan.arena_bytes;
    for (const engine::Plan& profile : schedule.plan.profiles) report_.arena_bytes = std::max(report_.arena_bytes, profile.arena_bytes);
    for (const engine::Launch& launch : schedule.plan.launches) report_.flops += launch.flops;
    for (const schedule::LaunchNote& note : schedule.notes) report_.launch_list.push_back({note.outputs, note.values});
    for (const auto& kernel : schedule.kernels) report_.kernel_reasons.push_back(kernel.why);
  }

  schedule::GpuOptions gpu_options() const {
    schedule::GpuOptions options;
    options.precision = precision();
    if (records_) options.records = &*records_;
    return options;
  }

  tensor::DType precision() const {
    return target_->precision() == "fp16"   ? tensor::DType::kFloat16
           : target_->precision() == "bf16" ? tensor::DType::kBfloat16
                                            : tensor::DType::kFloat32;
  }

  Result<std::string> compile(schedule::Schedule& schedule) {
    XI_CHECK(begin("compile"));
    XI_TRY(std::string code, row_->isa ? compile_for_cpu(schedule) : compile_for_gpu(schedule));
    report_.code_bytes = code.size();
    end(fmt::format("{} bytes of code, {} kernels compiled now", code.size(), report_.kernels_compiled));
    return code;
  }

  template <class Options>
  Options compile_options() const {
    Options options;
    options.cache_folder = options_.cache_folder;
    options.jobs = options_.jobs;
    options.cancelled = options_.cancelled;
    options.on_missing = options_.on_missing_kernels;
    options.on_progress = [this](std::size_t ready, std::size_t all) {
      if (options_.on_kernel) options_.on_kernel(ready, all);
      progress(all == 0 ? 1 : static_cast<double>(ready) / static_cast<double>(all));
    };
    return options;
  }

  Result<std::string> compile_for_cpu(schedule::Schedule& schedule) {
    XI_TRY(report_.toolchain, codegen::cpu::compiler_version());
    XI_TRY(codegen::cpu::CodeImage image, codegen::cpu::compile_kernels(schedule.kernels, *row_->isa,
                                                                        compile_options<codegen::cpu::CompileOptions>()));
    report_.kernels_compiled = image.compiled;
    for (std::size_t k = 0; k < schedule.plan.kernels.size(); ++k) schedule.plan.kernels[k].code_offset = image.entry_offsets[k];
    return std::move(image.code);
  }

  Result<std::string> compile_for_gpu(schedule::Schedule& schedule) {
    XI_TRY(const auto nvrtc, codegen::cuda::Nvrtc::load());
    if (!nvrtc.supports(row_->name))
      return fail(Code::kUnavailable, "{} makes no code for {}: CUDA 13 does", nvrtc.version(), row_->name);
    report_.toolchain = nvrtc.version();
    XI_TRY(codegen::cuda::Cubins cubins, codegen::cuda::compile_kernels(nvrtc, schedule.kernels, row_->name,
                                                                        compile_options<codegen::cuda::CompileOptions>()));
    report_.kernels_compiled = cubins.compiled;
    for (std::size_t k = 0; k < schedule.plan.kernels.size(); ++k) {
      schedule.plan.kernels[k].code_offset = cubins.places[k].offset;
      schedule.plan.kernels[k].code_bytes = cubins.places[k].bytes;
    }
    return std::move(cubins.code);
  }

  engine::Contents assemble(schedule::Schedule schedule, std::string code) const {
    engine::Contents contents;
    contents.manifest.architecture = target_->architecture();
    contents.manifest.precision = target_->precision();
    contents.manifest.model_name = options_.model_name.empty() ? path_.stem().string() : options_.model_name;
    contents.manifest.model_digest = report_.model_digest;
    contents.manifest.toolchain = fmt::format("{}, {}", kVersion, report_.toolchain);
    contents.manifest.licence = options_.license;
    contents.manifest.metadata = options_.metadata;
    contents.plan = std::move(schedule.plan);
    contents.code = std::move(code);
    contents.weights = std::move(schedule.weights);
    return contents;
  }

  Result<void> verify(const std::vector<ir::Graph>& originals, const engine::Contents& contents) {
    if (!options_.verify) {
      report_.verification.reason = "not verified: not asked for";
      return {};
    }
    XI_CHECK(begin("verify"));
    engine::Trust own;
    own.allow_unsigned = true;
    XI_TRY(auto engine, engine::open_bytes(engine::write(contents, {}), own));
    XI_TRY(report_.verification, compare_with_reference(originals, engine, ReferenceCache(options_.references, report_.model_digest, report_.fixed)));
    // No build fails for what somebody else computed.
    if (!report_.verification.passed() && report_.verification.references_known > 0) {
      XI_TRY(report_.verification, compare_with_reference(originals, engine, {}));
    }
    const Verification& verification = report_.verification;
    for (const Verification::Output& output : verification.outputs)
      if (!output.matches)
        return fail(Code::kInternal, "verification failed: output '{}' differs from the reference by up to {:.3g} (relative {:.3g}, cosine {:.6f})",
                    output.name, output.max_abs_error, output.max_rel_error, output.cosine);
    double worst = 0;
    for (const Verification::Output& output : verification.outputs) worst = std::max(worst, output.max_abs_error);
    end(verification.ran ? fmt::format("largest error {:.3g}; {}", worst, of_references(verification)) : verification.reason);
    return {};
  }

  static Result<Verification> compare_with_reference(const std::vector<ir::Graph>& originals, const std::shared_ptr<const engine::Engine>& engine,
                                                     const ReferenceCache& references) {
    XI_TRY(Verification verification, verify_engine(originals.front(), engine, references));
    for (std::size_t i = 1; i < originals.size() && verification.ran; ++i) {
      XI_TRY(const Verification of_profile, verify_engine(originals[i], engine, references));
      add_verification(verification, of_profile);
    }
    return verification;
  }

  static std::string of_references(const Verification& verification) {
    if (verification.references_known == verification.references) return "the reference's outputs were known";
    const std::string computed = fmt::format("the reference took {:.0f} ms", verification.reference_ms);
    return verification.references_known == 0
               ? computed
               : fmt::format("{}; {} of {} of its outputs were known", computed, verification.references_known, verification.references);
  }

  Result<void> write(engine::Contents& contents, BuildOutput& output) {
    XI_CHECK(begin("write"));
    contents.manifest.report = engine_report(report_);
    output.engine = engine::write(contents, options_.secret_key);
    report_.engine_bytes = output.engine.size();
    end(fmt::format("{} bytes", output.engine.size()));
    return {};
  }

  const std::filesystem::path& path_;
  const BuildOptions& options_;
  Ranges ranges_;  // given, or of batches by default; then those of a profile
  bool batch_assumed_ = false;
  std::int64_t max_batch_ = kDefaultBatch;  // of those
  Report report_;
  std::optional<HardwareTarget> target_;
  const target::TargetInfo* row_ = nullptr;
  std::optional<forge::cuda::Records> records_;
  std::int64_t multiple_ = 1;  // of all sizes that are known only while running
  std::string stage_;
  std::chrono::steady_clock::time_point started_;
};

}  // namespace

Result<std::vector<std::string>> find_shape_inputs(const std::filesystem::path& onnx, const BuildOptions& options) {
  onnx::ImportOptions import_options;
  import_options.input_shapes = options.input_shapes;
  import_options.input_ranges = options.input_ranges;
  import_options.empty_inputs = options.empty_inputs;
  import_options.input_values = options.input_values;
  XI_TRY(ir::Graph graph, onnx::import_model(onnx, import_options));
  XI_TRY(const HardwareTarget target, target::parse(options.target));
  const target::TargetInfo* row = target::find_canonical(target.architecture());
  passes::PipelineOptions pipeline;
  pipeline.disabled = options.disabled_passes;
  pipeline.loops = row != nullptr && row->isa != nullptr;
  XI_TRY(const auto runs, passes::run_pipeline(graph, pipeline));
  static_cast<void>(runs);
  return passes::shape_inputs(graph);
}

Result<std::string> tune(const std::filesystem::path& onnx, const BuildOptions& options, std::size_t max_candidates) {
  return Build(onnx, options).tune(max_candidates);
}

Result<BuildOutput> build(const std::filesystem::path& onnx, const BuildOptions& options) { return Build(onnx, options).run(); }

}  // namespace xinfer::compiler
