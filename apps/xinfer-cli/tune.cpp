// xinfer-cli tune: measures the candidates of a model's contractions on this machine's GPU and writes records for build.
#include <algorithm>

#include "base/files.h"
#include "command.h"
#include "compiler/build.h"
#include "engine_options.h"
#include "forge/cuda/records.h"

namespace xinfer::cli {

namespace {

struct Options {
  std::string onnx, output, cache;
  std::vector<std::string> shapes, values;
  int candidates = 32;
  compiler::BuildOptions build;
};

base::Result<int> tune(Options options, bool json) {
  XI_TRY(options.build.input_shapes, parse_shape_options(options.shapes));
  XI_TRY(options.build.input_values, read_named_tensors(options.values));
  options.build.cache_folder =
      options.cache.empty() ? base::cache_folder() / "kernels" : std::filesystem::path(options.cache);
  auto progress = std::make_unique<ProgressPrinter>();
  options.build.on_progress = [&](std::string_view stage, double fraction) { progress->show(stage, fraction); };
  auto measured = compiler::tune(options.onnx, options.build, static_cast<std::size_t>(options.candidates));
  progress.reset();
  if (!measured) return std::unexpected(std::move(measured).error());
  XI_TRY(forge::cuda::Records records, forge::cuda::Records::parse(*measured));
  const std::size_t count = records.choices.size();
  // What the file holds already stays, where it was not measured now.
  if (std::filesystem::exists(options.output)) {
    XI_TRY(const std::string text, base::read_file(options.output));
    XI_TRY(const auto before, forge::cuda::Records::parse(text));
    if (before.architecture != records.architecture)
      return base::fail(base::Code::kConflict, "{} holds records for {}, these are for {}: write them to another file", options.output,
                        before.architecture, records.architecture);
    records.add(before);
  }
  XI_CHECK(base::write_file(options.output, records.to_json()));
  if (json) fmt::print("{}", records.to_json());
  else
    fmt::print("{}: {} contractions measured on {}, {} records\n", options.output, count, records.device,
               records.choices.size());
  return 0;
}

}  // namespace

void add_tune_command(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<Options>();
  options->build.target = "h100:fp16";
  auto* command = add_command(app, invocation, "tune",
                              "Measures on this machine's GPU which kernels are the fastest for a model",
                              "xinfer-cli tune --onnx yolox.onnx --target h100:fp16 -o h100.json\n"
                              "xinfer-cli build --onnx yolox.onnx --target h100:fp16 --records h100.json -o yolox.engine");
  command->add_option("--onnx", options->onnx, "ONNX file")->required();
  command->add_option("-o,--output", options->output, "File of records to write or to add to")->required();
  command->add_option("--target", options->build.target, "GPU of this machine, with the precision")->capture_default_str();
  command->add_option("--candidates", options->candidates, "How many kernels of each contraction are measured")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--shape", options->shapes, "Sizes of an input with symbolic dimensions, image=1x3x224x224")
      ->type_name("NAME=SIZES")
      ->allow_extra_args(false);
  command->add_option("--fix", options->values, "Value of an input that decides shapes or branches (.npy, .pb)")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  command->add_option("--cache", options->cache, "Folder of compiled kernels (default: the user's cache)");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return tune(*options, invocation.json); };
  });
}

}  // namespace xinfer::cli
