// xinfer-cli hub list, search, download, push, targets.
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "engine_options.h"
#include "hub_command.h"
#include "target/registry.h"

namespace xinfer::cli {
namespace {

using base::Code;
using base::fail;
using base::Result;

struct ListArguments : HubArguments {
  std::vector<std::string> words;
};

std::vector<std::string> targets_of(const api::Model& model) {
  std::vector<std::string> names;
  for (const api::Engine& engine : model.engines)
    names.push_back(engine.precision == "fp32" ? engine.target : engine.target + ":" + engine.precision);
  return names;
}

Result<int> list(const ListArguments& arguments, bool json) {
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  api::ModelPage all;
  do {
    XI_TRY(api::ModelPage page, client.models(fmt::format("{}", fmt::join(arguments.words, " ")),
                                              static_cast<std::int64_t>(all.models.size()), 100));
    all.total = page.total;
    if (page.models.empty()) break;
    std::move(page.models.begin(), page.models.end(), std::back_inserter(all.models));
  } while (static_cast<std::int64_t>(all.models.size()) < all.total);
  if (json) {
    print_json(api::encode(all));
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {{"MODEL", "TASK", "LICENCE", "SIZE", "ENGINES"}};
  for (const api::Model& model : all.models)
    rows.push_back({model.id, model.task, model.licence, model.size_bytes ? format_bytes(model.size_bytes) : "?",
                    model.engines.empty() ? "-" : fmt::format("{}", fmt::join(targets_of(model), " "))});
  print_table(rows);
  return 0;
}

struct DownloadArguments : HubArguments {
  std::string model, target = "host", output;
  std::vector<std::string> shapes, profiles;
  bool no_build = false, offline = false, refresh = false;
};

std::map<std::string, std::vector<hub::Dimension>> to_dimensions(const api::Shapes& ranges) {
  std::map<std::string, std::vector<hub::Dimension>> all;
  for (const auto& [name, dimensions] : ranges)
    for (const tensor::Symbol& range : dimensions) all[name].emplace_back(range.min, range.opt, range.max);
  return all;
}

Result<int> download(const DownloadArguments& arguments, bool json) {
  XI_TRY(const HardwareTarget target, target::parse(arguments.target));
  hub::DownloadOptions options;
  static_cast<hub::HubOptions&>(options) = arguments.options();
  XI_TRY(const auto ranges, parse_range_options(arguments.shapes));
  options.input_shapes = to_dimensions(ranges);
  XI_TRY(const auto profiles, parse_profile_options(arguments.profiles));
  for (const auto& profile : profiles) options.profiles.push_back(to_dimensions(profile));
  options.build = !arguments.no_build;
  options.offline = arguments.offline;
  options.refresh = arguments.refresh;
  std::string path;
  {
    ProgressPrinter printer;
    options.on_progress = [&](const hub::Progress& progress) {
      if (progress.log.empty()) printer.show(progress.stage, progress.fraction);
    };
    path = hub::download_engine(arguments.model, target, options);  // its xinfer::Error is reported by main()
  }
  if (!arguments.output.empty()) {
    const std::string part = arguments.output + ".part";
    std::error_code failed;
    std::filesystem::copy_file(path, part, std::filesystem::copy_options::overwrite_existing, failed);
    if (!failed) std::filesystem::rename(part, arguments.output, failed);
    if (failed) return std::unexpected(base::Error{Code::kIo, failed.message(), arguments.output});
    path = arguments.output;
  }
  if (json)
    fmt::print(
        "{}\n",
        nlohmann::ordered_json{{"model", arguments.model}, {"target", target.to_string()}, {"path", path}}.dump(2));
  else fmt::print("{}\n", path);
  return 0;
}

struct PushArguments : HubArguments {
  std::string onnx, metadata;
  std::vector<std::string> shapes, profiles;
  api::PushRequest request;
};

Result<int> push(PushArguments& arguments, bool json) {
  XI_TRY(arguments.request.input_shapes, parse_range_options(arguments.shapes));
  XI_TRY(arguments.request.profiles, parse_profile_options(arguments.profiles));
  XI_TRY(arguments.request.metadata, read_metadata(arguments.metadata));
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  {
    ProgressPrinter printer;
    XI_TRY(arguments.request.onnx, client.upload(arguments.onnx, [&](const hub::Progress& progress) {
      printer.show(progress.stage, progress.fraction);
    }));
  }
  XI_TRY(const api::Model model, client.push(arguments.request));
  if (json) print_json(api::encode(model));
  else fmt::print("pushed {} ({}, SHA-256 {})\n", model.id, format_bytes(model.size_bytes), model.sha256);
  return 0;
}

Result<int> targets(const HubArguments& arguments, bool json) {
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  XI_TRY(const api::TargetList list, client.targets());
  if (json) {
    print_json(api::encode(list));
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {{"TARGET", "KIND", "AGENT", "PRECISIONS", "ALIASES"}};
  for (const api::Target& target : list.targets)
    rows.push_back({target.name, target.kind, target.available ? "yes" : "-",
                    fmt::format("{}", fmt::join(target.precisions, " ")),
                    fmt::format("{}", fmt::join(target.aliases, " "))});
  print_table(rows);
  return 0;
}

}  // namespace

void add_hub_model_commands(CLI::App& hub, Invocation& invocation) {
  const auto add_list = [&](const char* name, const char* description, const char* examples, bool words) {
    auto arguments = std::make_shared<ListArguments>();
    auto* command = add_hub_command(hub, invocation, *arguments, name, description, examples);
    if (words) command->add_option("words", arguments->words, "Words that must all occur")->required();
    command->callback(
        [=, &invocation] { invocation.action = [=, &invocation] { return list(*arguments, invocation.json); }; });
  };
  add_list("list", "Lists the hub's models", "xinfer-cli hub list", false);
  add_list("search", "Searches the hub's models", "xinfer-cli hub search face detection", true);
  {
    auto arguments = std::make_shared<DownloadArguments>();
    auto* command = add_hub_command(hub, invocation, *arguments, "download",
                                    "Brings an engine into the cache, built first where need be",
                                    "xinfer-cli hub download yolox-nano-coco\nxinfer-cli hub download "
                                    "ultraface-rfb-320 --target x86-64-v3 -o faces.engine");
    command->add_option("model", arguments->model, "Id of the model")->required();
    command->add_option("--target", arguments->target, "NAME[:PRECISION]; host: this machine's CPU")
        ->capture_default_str();
    command->add_option("--shape", arguments->shapes, "INPUT=SIZES; once per input");
    add_profile_option(*command, arguments->profiles);
    command->add_option("-o,--output", arguments->output, "Also copy it to this file");
    command->add_flag("--no-build", arguments->no_build, "Fail where the hub does not have the engine yet");
    command->add_flag("--offline", arguments->offline, "Use the cache alone");
    command->add_flag("--refresh", arguments->refresh, "Ask the hub though the cache has an engine");
    command->callback(
        [=, &invocation] { invocation.action = [=, &invocation] { return download(*arguments, invocation.json); }; });
  }
  {
    auto arguments = std::make_shared<PushArguments>();
    auto* command = add_hub_command(
        hub, invocation, *arguments, "push", "Puts a model of your own onto the hub",
        "xinfer-cli hub push --onnx model.onnx --id my-model --shape x=1x3x224x224 --metadata model.json");
    command->add_option("--onnx", arguments->onnx, "ONNX file")->required();
    command
        ->add_option("--id", arguments->request.id, "Name in URLs and commands: lower-case letters, digits, '-', '.'")
        ->required();
    command->add_option("--name", arguments->request.name, "Name for people");
    command->add_option("--task", arguments->request.task, "Such as object-detection");
    command->add_option("--licence", arguments->request.licence, "SPDX name");
    command->add_option("--description", arguments->request.description, "One line");
    command->add_option("--shape", arguments->shapes, "INPUT=SIZES; once per input");
    add_profile_option(*command, arguments->profiles);
    command->add_option("--metadata", arguments->metadata,
                        "JSON file with pre- and post-processing (catalog/README.md)");
    command->callback(
        [=, &invocation] { invocation.action = [=, &invocation] { return push(*arguments, invocation.json); }; });
  }
  auto arguments = std::make_shared<HubArguments>();
  auto* command = add_hub_command(hub, invocation, *arguments, "targets", "Lists the hardware that the hub builds for",
                                  "xinfer-cli hub targets");
  command->callback(
      [=, &invocation] { invocation.action = [=, &invocation] { return targets(*arguments, invocation.json); }; });
}

}  // namespace xinfer::cli
