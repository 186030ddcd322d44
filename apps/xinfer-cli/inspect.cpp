// xinfer-cli inspect and verify: what an engine file holds, and whether it is whole and whose it is.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/files.h"
#include "command.h"
#include "compiler/build.h"
#include "compiler/cost_model.h"
#include "compiler/html_report.h"
#include "compiler/launch_graph.h"
#include "engine/engine.h"
#include "engine_options.h"
#include "runtime/program.h"
#include "target/registry.h"

namespace xinfer::cli {

namespace {

struct Options {
  std::string file, report;
  TrustOptions trust;
  bool launches = false;
  std::string onnx;                 // of verify
  std::vector<std::string> values;
};

using Json = nlohmann::ordered_json;

// Sizes that are known only while running, with their range.
std::string ranged_shape(const engine::Plan& plan, const engine::TensorInfo& info) {
  std::vector<std::string> sizes;
  for (std::size_t i = 0; i < info.shape.size(); ++i) {
    const auto size = info.shape[i] < 0 ? engine::find_size(plan, info.symbols[i]) : std::nullopt;
    sizes.push_back(!size             ? std::to_string(info.shape[i])
                    : size->as_symbol() ? fmt::format("{}={}:{}:{}", size->text(), size->min(), size->opt(), size->max())
                                        : fmt::format("({})", size->text()));
  }
  return sizes.empty() ? "scalar" : fmt::format("{}", fmt::join(sizes, "x"));
}

Json to_json(const engine::Plan& plan, const std::vector<engine::TensorInfo>& infos) {
  Json list = Json::array();
  for (const auto& info : infos) {
    Json item = {{"name", info.name}, {"dtype", tensor::name(info.dtype)}, {"shape", info.shape}};
    for (std::size_t i = 0; i < info.shape.size(); ++i) {
      const auto size = info.shape[i] < 0 ? engine::find_size(plan, info.symbols[i]) : std::nullopt;
      if (size) item["ranges"].push_back({{"dimension", i}, {"size", size->text()}, {"min", size->min()}, {"opt", size->opt()}, {"max", size->max()}});
    }
    list.push_back(std::move(item));
  }
  return list;
}

// A JSON text that the engine carries, as JSON.
Json embedded(const std::string& text) {
  auto json = Json::parse(text, nullptr, false);
  return json.is_discarded() ? Json::object() : json;
}

std::string signer_of(const engine::Engine& engine) {
  return engine.signer().empty() ? "" : engine::key_id(engine.signer());
}

bool runs_here(const engine::Engine& engine) {
  return runtime::check_machine(engine.manifest().architecture).has_value();
}

// "   64 tasks", or "132 x 256 threads" on a GPU.
std::string size_of(const engine::Launch& launch) {
  const engine::Grid& grid = launch.grid;
  if (grid.blocks == 0) return fmt::format("{:>5} tasks", launch.num_tasks);
  return fmt::format("{:>5} x {:>4} threads{}", grid.blocks, grid.threads,
                     grid.cluster > 1 ? fmt::format(", clusters of {}", grid.cluster) : "");
}

// What the report says of the engine's verification: on which device, or why not.
std::string verification_of(const engine::Engine& engine) {
  const Json report = embedded(engine.manifest().report);
  if (!report.contains("verification")) return "";
  const Json& verification = report["verification"];
  if (!verification.value("ran", false)) return verification.value("reason", "no");
  double largest = 0;
  for (const auto& output : verification.value("outputs", Json::array()))
    largest = std::max(largest, output.value("max_abs_error", 0.0));
  return fmt::format("on {}: largest error {:.3g}", verification.value("device", "the build's machine"), largest);
}

double flops_of(const engine::Plan& plan) {
  double flops = 0;
  for (const auto& launch : plan.launches) flops += launch.flops;
  return flops;
}

// "12 of the launches run only under conditions, 5 again and again"; nothing where all run once.
std::string regions_of(const engine::Plan& plan) {
  std::vector<int> kinds(plan.launches.size());  // 1: under a condition, 2: again and again
  for (const auto& region : plan.regions)
    for (std::size_t i = region.begin; i < region.end; ++i) kinds[i] |= region.repeats ? 2 : 1;
  const auto conditional = std::ranges::count_if(kinds, [](int kind) { return (kind & 1) != 0; });
  const auto repeated = std::ranges::count_if(kinds, [](int kind) { return (kind & 2) != 0; });
  return plan.regions.empty() ? "" : fmt::format("{} of the launches run only under conditions, {} again and again", conditional, repeated);
}

// What the columns of an output stand for, where the model makes maps of its rows.
std::string labels_of(const engine::Engine& engine, const std::string& output) {
  const Json report = embedded(engine.manifest().report);
  if (!report.contains("column_labels") || !report["column_labels"].contains(output)) return "";
  return fmt::format("{}: {}", output, fmt::join(report["column_labels"][output].get<std::vector<std::string>>(), ", "));
}

Json profiles_of(const engine::Plan& plan) {
  Json list = Json::array();
  for (const auto& profile : plan.profiles)
    list.push_back({{"inputs", to_json(profile, profile.inputs)},
                    {"outputs", to_json(profile, profile.outputs)},
                    {"launches", profile.launches.size()},
                    {"flops", flops_of(profile)},
                    {"arena_bytes", profile.arena_bytes}});
  return list;
}

Json describe(const engine::Engine& engine) {
  const auto& manifest = engine.manifest();
  const auto& plan = engine.plan();
  return {{"model", manifest.model_name},
          {"model_digest", manifest.model_digest},
          {"licence", manifest.licence},
          {"architecture", manifest.architecture},
          {"precision", manifest.precision},
          {"runs_here", runs_here(engine)},
          {"toolchain", manifest.toolchain},
          {"format", engine.format_version()},
          {"digest", engine.digest()},
          {"signed_by", signer_of(engine)},
          {"file_bytes", engine.file_bytes()},
          {"code_bytes", engine.code().size()},
          {"weights_bytes", engine.weights().size()},
          {"arena_bytes", plan.arena_bytes},
          {"kernels", plan.kernels.size()},
          {"launches", plan.launches.size()},
          {"flops", flops_of(plan)},
          {"inputs", to_json(plan, plan.inputs)},
          {"outputs", to_json(plan, plan.outputs)},
          {"profiles", profiles_of(plan)},
          {"metadata", embedded(manifest.metadata)},
          {"report", embedded(manifest.report)}};
}

Json launches_json(const engine::Engine& engine) {
  Json list = Json::array();
  for (const auto& node : compiler::make_launch_graph(engine.plan(), engine.manifest().report).nodes) {
    if (node.kind != compiler::LaunchGraph::Node::Kind::kLaunch) continue;
    const auto& launch = engine.plan().launches[node.index];
    list.push_back({{"name", launch.name},
                    {"choice", launch.choice},
                    {"kind", compiler::kernel_kind(launch.choice)},
                    {"reason", node.reason},
                    {"output", node.output},
                    {"tasks", launch.num_tasks},
                    {"blocks", launch.grid.blocks},
                    {"threads", launch.grid.threads},
                    {"flops", launch.flops},
                    {"bytes", launch.bytes},
                    {"weight_bytes", node.weight_bytes}});
  }
  return list;
}

// "20 loop nest, 14 conv direct": which kernels there are, the most frequent first.
std::string kinds_of(const engine::Plan& plan) {
  std::map<std::string_view, int> counts;
  for (const auto& launch : plan.launches) ++counts[compiler::kernel_kind(launch.choice)];
  std::vector<std::pair<std::string_view, int>> sorted(counts.begin(), counts.end());
  std::ranges::stable_sort(sorted, std::greater{}, &std::pair<std::string_view, int>::second);
  std::vector<std::string> texts;
  for (const auto& [kind, count] : sorted) texts.push_back(fmt::format("{} {}", count, kind));
  return fmt::format("{}", fmt::join(texts, ", "));
}

// What all values of the arena would take if each had memory of its own.
std::uint64_t unshared_bytes(const compiler::LaunchGraph& graph) {
  std::uint64_t bytes = 0;
  for (const auto& block : graph.blocks) bytes += block.end - block.begin;
  return bytes;
}

void print_launches(const compiler::LaunchGraph& graph, const engine::Plan& plan) {
  for (const auto& node : graph.nodes) {
    if (node.kind != compiler::LaunchGraph::Node::Kind::kLaunch) continue;
    const auto& launch = plan.launches[node.index];
    fmt::print("\n{:4}  {}\n      kernel   {}\n", node.index, launch.name, launch.choice);
    if (!node.reason.empty()) fmt::print("      because  {}\n", node.reason);
    if (!node.output.empty()) fmt::print("      makes    {}\n", node.output);
    fmt::print("      work     {:.3f} MFLOP, {:.1f} KB moved, {:.1f} KB of weights,{}\n", launch.flops / 1e6,
               launch.bytes / 1e3, node.weight_bytes / 1e3, size_of(launch));
    for (const auto& argument : launch.arguments) {
      constexpr std::string_view kSpaces[] = {"arena", "weights", "input", "output", "text"};
      const auto space = static_cast<std::size_t>(argument.space);
      fmt::print("      {:<8} {}{} + {}, {} bytes\n", &argument == &launch.arguments.front() ? "memory" : "",
                 kSpaces[space], space >= 2 ? fmt::format(" {}", argument.index) : "", argument.offset, argument.bytes);
    }
  }
}

// Of a profile: what the report says is of the engine's own plan.
void print_profile_launches(const engine::Plan& profile) {
  for (std::size_t i = 0; i < profile.launches.size(); ++i)
    fmt::print("\n{:4}  {}\n      kernel   {}\n", i, profile.launches[i].name, profile.launches[i].choice);
}

void print(const engine::Engine& engine, bool launches) {
  const auto& manifest = engine.manifest();
  const auto& plan = engine.plan();
  auto line = [](std::string_view label, const std::string& value) {
    if (!value.empty()) fmt::print("{:<14}{}\n", label, value);
  };
  const auto* row = target::find_canonical(manifest.architecture);
  line("model", manifest.model_name);
  line("model digest", manifest.model_digest);
  line("licence", manifest.licence);
  line("target",
       fmt::format("{}:{} ({}){}", manifest.architecture, manifest.precision, row ? row->display_name : "unknown",
                   runs_here(engine) ? "" : ", does not run on this machine"));
  line("toolchain", manifest.toolchain);
  line("verified", verification_of(engine));
  line("signed by", engine.signer().empty() ? "nobody" : signer_of(engine));
  line("digest", engine.digest());
  line("file", fmt::format("format {}, {} bytes: code {}, weights {}", engine.format_version(), engine.file_bytes(),
                           engine.code().size(), engine.weights().size()));
  line("plan", fmt::format("{} launches of {} kernels, {:.3f} GFLOP, arena {} bytes", plan.launches.size(),
                           plan.kernels.size(), flops_of(plan) / 1e9, plan.arena_bytes));
  line("regions", regions_of(plan));
  line("kernels", kinds_of(plan));
  const auto graph = compiler::make_launch_graph(plan, manifest.report);
  line("memory plan", fmt::format("values of {} bytes share an arena of {}", unshared_bytes(graph), plan.arena_bytes));
  for (const auto& input : plan.inputs)
    line("input", fmt::format("{} {} {}", input.name, tensor::name(input.dtype), ranged_shape(plan, input)));
  for (const auto& output : plan.outputs)
    line("output", fmt::format("{} {} {}", output.name, tensor::name(output.dtype), ranged_shape(plan, output)));
  for (const std::string& fixed : compiler::describe_fixed_inputs(manifest.report)) line("fixed", fixed);
  for (const auto& output : plan.outputs) line("columns", labels_of(engine, output.name));
  if (launches) print_launches(graph, plan);
  for (const auto& profile : plan.profiles) {
    std::string sizes;
    for (const auto& input : profile.inputs) sizes += fmt::format("{}{} {}", sizes.empty() ? "" : ", ", input.name, ranged_shape(profile, input));
    line("profile", fmt::format("{}: {} launches, {:.3f} GFLOP, arena {} bytes", sizes, profile.launches.size(), flops_of(profile) / 1e9, profile.arena_bytes));
    if (launches) print_profile_launches(profile);
  }
}

base::Result<int> inspect(const Options& options, bool json) {
  XI_TRY(engine::Trust trust, options.trust.trust());
  XI_TRY(auto engine, engine::open(options.file, trust));
  if (!options.report.empty())
    XI_CHECK(base::write_file(options.report, compiler::html_report(*engine, nullptr, nullptr)));
  if (!json) {
    print(*engine, options.launches);
    return 0;
  }
  Json document = describe(*engine);
  if (options.launches) document["launch_list"] = launches_json(*engine);
  fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
  return 0;
}

// The engine's outputs on this machine's device against the reference functions.
base::Result<int> verify_outputs(const Options& options, std::shared_ptr<const engine::Engine> engine, bool json) {
  XI_TRY(const auto values, read_named_tensors(options.values));
  XI_TRY(const auto verification, compiler::verify(options.onnx, engine, values));
  Json outputs = Json::array();
  for (const auto& output : verification.outputs) {
    if (json)
      outputs.push_back({{"name", output.name},
                         {"max_abs_error", output.max_abs_error},
                         {"max_rel_error", output.max_rel_error},
                         {"cosine", output.cosine},
                         {"matches", output.matches}});
    else
      fmt::print("{}: largest error {:.3g}, relative {:.3g}, cosine {:.9f}: {}\n", output.name, output.max_abs_error,
                 output.max_rel_error, output.cosine, output.matches ? "matches" : "DIFFERS");
  }
  if (json)
    fmt::print("{}\n", Json{{"ran", verification.ran},
                            {"reason", verification.reason},
                            {"device", verification.device},
                            {"passed", verification.passed()},
                            {"outputs", outputs}}
                           .dump(2, ' ', false, Json::error_handler_t::replace));
  else
    fmt::print("{}\n", verification.ran ? fmt::format("{} on {}", verification.passed() ? "verified" : "not verified",
                                                      verification.device)
                                        : verification.reason);
  return verification.passed() ? 0 : 1;
}

base::Result<int> verify(const Options& options, bool json) {
  XI_TRY(engine::Trust trust, options.trust.trust());
  XI_TRY(auto engine, engine::open(options.file, trust));
  if (!options.onnx.empty()) return verify_outputs(options, std::move(engine), json);
  if (json) {
    Json document = {{"verified", true},
                     {"signed_by", signer_of(*engine)},
                     {"architecture", engine->manifest().architecture},
                     {"runs_here", runs_here(*engine)},
                     {"digest", engine->digest()},
                     {"file_bytes", engine->file_bytes()}};
    fmt::print("{}\n", document.dump(2));
  } else {
    fmt::print("{}: whole, {}, for {}{}\n", options.file,
               engine->signer().empty() ? "not signed" : "signed by trusted key " + signer_of(*engine),
               engine->manifest().architecture, runs_here(*engine) ? "" : " (does not run on this machine)");
  }
  return 0;
}

}  // namespace

void add_inspect_command(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<Options>();
  auto* command = add_command(app, invocation, "inspect", "Shows what an engine holds",
                              "xinfer-cli inspect yolox.engine\nxinfer-cli inspect --launches yolox.engine\n"
                              "xinfer-cli inspect yolox.engine --report yolox.html");
  command->add_option("file", options->file, "Engine file")->required();
  command->add_flag("--launches", options->launches,
                    "List every kernel launch: what it fuses, its kernel and why, its memory");
  command->add_option("--report", options->report, "Also write a page with the graph and the memory plan")
      ->type_name("FILE.html");
  options->trust.add_to(*command);
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return inspect(*options, invocation.json); };
  });
}

void add_verify_command(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<Options>();
  auto* command = add_command(app, invocation, "verify",
                              "Checks that an engine is whole and signed by a trusted key, and what it computes",
                              "xinfer-cli verify yolox.engine\nxinfer-cli verify --trust-key hub.pub yolox.engine\n"
                              "xinfer-cli verify yolox.engine --onnx yolox.onnx");
  command->add_option("file", options->file, "Engine file")->required();
  auto* onnx = command->add_option("--onnx", options->onnx,
                                   "The model it was built from: runs the engine on this machine's device and compares its "
                                   "outputs with the reference functions");
  command->add_option("--fix", options->values, "With --onnx: value of an input that was fixed at the build and is too large to be in the engine (.npy, .pb)")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false)
      ->needs(onnx);
  options->trust.add_to(*command);
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return verify(*options, invocation.json); };
  });
}

}  // namespace xinfer::cli
