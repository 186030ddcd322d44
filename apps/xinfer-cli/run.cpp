// xinfer-cli run: one inference with inputs from files, outputs to files.
#include <cstring>
#include <nlohmann/json.hpp>

#include "command.h"
#include "engine_options.h"
#include "onnx/tensor_file.h"
#include "tensor/npy.h"

namespace xinfer::cli {

namespace {

struct Options {
  std::string file, output_folder, format = "npy";
  std::vector<std::string> inputs;
  int num_threads = 0;
  TrustOptions trust;
};

// Output names may hold characters that file names cannot.
std::string file_name(const std::string& name) {
  std::string text;
  for (char c : name) text += std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' ? c : '_';
  return text.empty() || text[0] == '.' ? "output" + text : text;
}

struct Summary {
  double min = 0, max = 0, mean = 0;
};
Summary summarise(const tensor::Tensor& tensor) {
  Summary summary;
  std::int64_t count = tensor.num_elements();
  for (std::int64_t i = 0; i < count; ++i) {
    double value = tensor.as_double(i);
    summary.min = i == 0 ? value : std::min(summary.min, value);
    summary.max = i == 0 ? value : std::max(summary.max, value);
    summary.mean += value / static_cast<double>(count);
  }
  return summary;
}

// The first few, in quotes.
std::string first_strings(const tensor::Tensor& tensor) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, tensor.strings().size()); ++i) text += fmt::format("{}'{}'", i == 0 ? "" : ", ", tensor.strings()[i]);
  return tensor.strings().size() > kShown ? text + ", …" : text;
}

base::Result<int> run(const Options& options, bool json) {
  XI_TRY(core::EngineOptions engine_options, options.trust.engine_options(options.num_threads));
  core::InferenceEngine engine(options.file, engine_options);
  XI_TRY(auto inputs, read_inputs(engine, options.inputs));
  auto outputs = engine.infer(inputs);

  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& name : engine.output_names()) {
    const core::Tensor& output = outputs.at(name);
    const bool strings = output.dtype() == core::DataType::kString;
    tensor::Tensor values(static_cast<tensor::DType>(output.dtype()), output.shape());
    if (strings) values.strings() = output.to_strings();
    else if (output.size_bytes()) output.copy_to_host(values.bytes().data(), output.size_bytes());
    std::string path;
    if (!options.output_folder.empty()) {
      path = (std::filesystem::path(options.output_folder) / (file_name(name) + "." + options.format)).string();
      if (options.format == "npy") {
        XI_CHECK(tensor::write_npy(path, values));
      } else {
        XI_CHECK(onnx::write_tensor_file(path, values, name));
      }
    }
    if (strings) {
      if (json) list.push_back({{"name", name}, {"dtype", "string"}, {"shape", output.shape()}, {"strings", values.strings()}, {"file", path}});
      else fmt::print("{} string {}: {}{}{}\n", name, format_shape(output.shape()), first_strings(values), path.empty() ? "" : " -> ", path);
      continue;
    }
    Summary summary = summarise(values);
    if (json)
      list.push_back({{"name", name},
                      {"dtype", core::name(output.dtype())},
                      {"shape", output.shape()},
                      {"min", summary.min},
                      {"max", summary.max},
                      {"mean", summary.mean},
                      {"file", path}});
    else
      fmt::print("{} {} {}: min {:.6g}, max {:.6g}, mean {:.6g}{}{}\n", name, core::name(output.dtype()),
                 format_shape(output.shape()), summary.min, summary.max, summary.mean, path.empty() ? "" : " -> ",
                 path);
  }
  if (json)
    fmt::print("{}\n",
               nlohmann::ordered_json{{"outputs", list}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  return 0;
}

}  // namespace

void add_run_command(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<Options>();
  auto* command =
      add_command(app, invocation, "run", "Runs an engine once on inputs from files",
                  "xinfer-cli run mnist.engine --input Input3=digit.npy -o out\n"
                  "xinfer-cli run classifier.engine --input photo.jpg\n"
                  "xinfer-cli run bert.engine --input ids=ids.npy --input mask=mask.npy --format pb -o out");
  command->add_option("file", options->file, "Engine file")->required();
  command
      ->add_option(
          "--input", options->inputs,
          "NAME=FILE: .npy, .pb (ONNX TensorProto), .txt (strings, one a line), or a picture, which is resized and, for floating inputs, scaled "
          "to 0…1. NAME= may be left out for the only input")
      ->required()
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  command->add_option("-o,--output", options->output_folder,
                      "Folder for the outputs, one file each; without it they are summarised");
  command->add_option("--format", options->format, "Format of output files")
      ->capture_default_str()
      ->check(CLI::IsMember({"npy", "pb"}));
  command->add_option("--threads", options->num_threads, "Threads (default: one per core)")->check(CLI::Range(1, 1024));
  options->trust.add_to(*command);
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation] { return run(*options, invocation.json); };
  });
}

}  // namespace xinfer::cli
