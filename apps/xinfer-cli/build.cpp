// xinfer-cli build: ONNX in, a verified, signed engine out.
#include "compiler/build.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "command.h"
#include "compiler/html_report.h"
#include "engine/engine.h"
#include "engine_options.h"

namespace xinfer::cli {

using base::Code;
using base::fail;

namespace {

struct Options {
  std::string onnx, output, key, cache, report;
  std::vector<std::string> targets{"host"}, shapes, profiles, values, disabled_passes;
  bool no_verify = false, is_unsigned = false, no_cache = false;
  compiler::BuildOptions build;
};

void print_report(const compiler::Report& report, const std::string& path, double seconds) {
  fmt::print(
      "{}: {} for {}, {} launches of {} kernels, {:.2f} MB of weights, arena {:.2f} MB, {:.3f} GFLOP, built in {:.2f} "
      "s\n",
      path, report.toolchain, report.target, report.launches, report.kernels,
      static_cast<double>(report.weight_bytes) / 1e6, static_cast<double>(report.arena_bytes) / 1e6, report.flops / 1e9,
      seconds);
  for (const std::string& note : report.notes) fmt::print("{}\n", note);
  const auto& verification = report.verification;
  if (!verification.ran) {
    fmt::print("{}\n", verification.reason);
    return;
  }
  if (!verification.reason.empty()) fmt::print("verified {}\n", verification.reason);
  for (const auto& output : verification.outputs)
    fmt::print("verified against the reference on {}: {}: largest error {:.3g}, cosine {:.9f}\n", verification.device,
               output.name, output.max_abs_error, output.cosine);
}

// With several targets each file has its target's name in front of the extension: "yolox.sm_89-fp16.engine".
std::string path_for(const Options& options, const std::string& given, const std::string& target) {
  if (options.targets.size() == 1) return given;
  std::string name = target;
  std::ranges::replace(name, ':', '-');
  std::filesystem::path path = given;
  return path.replace_extension(name + path.extension().string()).string();
}

// The engine is opened as any other would be: the page shows what is in the file.
base::Result<void> write_report(const std::string& path, const compiler::BuildOutput& output,
                                const std::string& secret_key) {
  engine::Trust trust{.public_keys = {}, .allow_unsigned = true};
  if (secret_key.size() == 64) trust.public_keys.push_back(secret_key.substr(32));  // its second half, RFC 8032
  XI_TRY(auto engine, engine::open_bytes(output.engine, trust));
  return base::write_file(path, compiler::html_report(*engine, nullptr, &output.report.stages));
}

// The report as JSON when it is wanted; else printed.
base::Result<nlohmann::ordered_json> build_one(Options& options, const std::string& target, bool json) {
  const std::string path = path_for(options, options.output, target);
  auto start = std::chrono::steady_clock::now();
  auto progress = std::make_unique<ProgressPrinter>();
  options.build.target = target;
  options.build.on_progress = [&](std::string_view stage, double fraction) { progress->show(stage, fraction); };
  auto output = compiler::build(options.onnx, options.build);
  progress.reset();
  if (!output) return std::unexpected(std::move(output).error());
  XI_CHECK(base::write_file(path, output->engine));
  if (!options.report.empty())
    XI_CHECK(write_report(path_for(options, options.report, target), *output, options.build.secret_key));
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!json) {
    print_report(output->report, path, seconds);
    return nlohmann::ordered_json();
  }
  auto document = nlohmann::ordered_json::parse(compiler::to_json(output->report), nullptr, false);
  document["file"] = path;
  document["seconds"] = seconds;
  return document;
}

base::Result<int> build(Options options, bool json) {
  options.build.empty_inputs = take_empty_inputs(options.shapes);
  XI_TRY(options.build.input_ranges, parse_range_options(options.shapes));
  XI_TRY(options.build.profiles, parse_profile_options(options.profiles));
  XI_TRY(options.build.input_values, read_named_tensors(options.values));
  options.build.command = fmt::format("xinfer-cli build --onnx {} -o {}", options.onnx, options.output);
  options.build.verify = !options.no_verify;
  options.build.disabled_passes.insert(options.disabled_passes.begin(), options.disabled_passes.end());
  if (!options.no_cache)
    options.build.cache_folder =
        options.cache.empty() ? base::cache_folder() / "kernels" : std::filesystem::path(options.cache);
  if (!options.key.empty()) {
    XI_TRY(options.build.secret_key, engine::read_secret_key(options.key));
  } else if (!options.is_unsigned) {
    XI_TRY(options.build.secret_key, engine::own_secret_key());
  }
  options.build.on_dump = [](std::string_view stage, std::string_view text) {
    fmt::print(stderr, "# after {}\n{}\n", stage, text);
  };
  nlohmann::ordered_json documents = nlohmann::ordered_json::array();
  for (const std::string& target : options.targets) {
    XI_TRY(auto document, build_one(options, target, json));
    documents.push_back(std::move(document));
  }
  if (json)
    fmt::print("{}\n", (documents.size() == 1 ? documents[0] : documents)
                           .dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  return 0;
}

}  // namespace

void add_build_command(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<Options>();
  auto& build_options = options->build;
  auto* command = add_command(
      app, invocation, "build", "Compiles an ONNX model into an engine",
      "xinfer-cli build --onnx yolox.onnx -o yolox.engine\n"
      "xinfer-cli build --onnx bert.onnx --target x86-64-v3 --shape ids=1x128 --shape mask=1x128 -o bert.engine\n"
      "xinfer-cli build --onnx a.onnx --target t4,a100,rtx_4090,h100 --precision fp16 -o a.engine\n"
      "xinfer-cli build --onnx a.onnx --target armv8-a --key team.key -o a.engine");
  command->add_option("--onnx", options->onnx, "ONNX file")->required();
  command->add_option("-o,--output", options->output, "Engine file to write")->required();
  command
      ->add_option("--target", options->targets,
                   "Hardware, see 'xinfer-cli targets'; may carry :PRECISION. Several, separated by commas, make an engine each, "
                   "named after its target")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str();
  command->add_option("--precision", build_options.precision, "fp32, fp16, bf16 or int8")->capture_default_str();
  command->add_option("--shape", options->shapes, "Sizes of an input, image=1x3x224x224; minimum:optimum:maximum for one engine of many sizes, "
                      "image=1:1:8x3x224x224. A sequence takes one for each element, x[0]=2x3; x=none: there is nothing in it")
      ->type_name("NAME=SIZES")
      ->allow_extra_args(false);
  add_profile_option(*command, options->profiles);
  command
      ->add_option("--fix", options->values,
                   "Value of an input that decides shapes or branches: it becomes a constant of the engine (.npy, .pb)")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  command->add_option("--name", build_options.model_name, "Name of the model in the engine (default: the file's)");
  command->add_option("--licence", build_options.license, "Licence of the model, SPDX, for the engine's manifest");
  command->add_option("--records", build_options.records,
                      "Tuning records of 'xinfer-cli tune' for the GPU; they count before the ones that come with xinfer");
  auto* key = command->add_option("--key", options->key,
                                  "Secret key to sign with (default: this user's own, made at first use)");
  command->add_flag("--unsigned", options->is_unsigned, "Do not sign: such an engine loads only with --allow-unsigned")
      ->excludes(key);
  auto* cache =
      command->add_option("--cache", options->cache, "Folder of compiled kernels (default: the user's cache)");
  command->add_flag("--no-cache", options->no_cache, "Compile every kernel anew")->excludes(cache);
  command->add_option("--jobs", build_options.jobs, "Compilers at once (default: one per core)")
      ->check(CLI::Range(1, 1024));
  command
      ->add_option("--report", options->report,
                   "Also write a page with the graph, the memory plan and the verification")
      ->type_name("FILE.html");
  command->add_flag("--no-verify", options->no_verify, "Do not compare the engine with the reference");
  command
      ->add_option("--dump-after", build_options.dump_after,
                   "Print the graph after this pass ('import', 'all') to standard error")
      ->type_name("PASS")
      ->allow_extra_args(false);
  command->add_option("--disable-pass", options->disabled_passes, "Leave a pass out")
      ->type_name("PASS")
      ->allow_extra_args(false);
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return build(*options, invocation.json); };
  });
}

}  // namespace xinfer::cli
