// xinfer-cli hub build, status, logs, cancel.
#include <filesystem>

#include "api/codec.h"
#include "base/digest.h"
#include "engine_options.h"
#include "hub_command.h"
#include "target/registry.h"

namespace xinfer::cli {
namespace {

using base::Code;
using base::fail;
using base::Result;

struct BuildArguments : HubArguments {
  std::string onnx, model, target = "host", precision, metadata, name, output;
  std::vector<std::string> shapes;
  bool no_wait = false, log = false;
};

std::string engine_url(hub::Client& client, const api::Engine& engine) { return client.url() + engine.url; }

/// Progress on the terminal, and the build's log lines where they are wanted.
auto show_on(ProgressPrinter& printer, bool log) {
  return [&printer, log](const hub::Progress& progress) {
    if (!progress.log.empty()) {
      if (log) fmt::print(stderr, "{}\n", progress.log);
    } else {
      printer.show(progress.stage, progress.fraction);
    }
  };
}

Result<api::BuildRequest> make_request(const BuildArguments& arguments) {
  if (arguments.onnx.empty() == arguments.model.empty())
    return fail(Code::kInvalidArgument, "give either --onnx FILE or --model ID");
  api::BuildRequest request;
  std::string text = arguments.target;
  if (!arguments.precision.empty()) text = text.substr(0, text.find(':')) + ":" + arguments.precision;
  XI_TRY(const HardwareTarget target, target::parse(text));
  request.target = target.architecture();
  request.precision = target.precision();
  request.model = arguments.model;
  request.name = !arguments.name.empty() ? arguments.name : std::filesystem::path(arguments.onnx).filename().string();
  XI_TRY(request.shapes, parse_shape_options(arguments.shapes));
  XI_TRY(request.metadata, read_metadata(arguments.metadata));
  return request;
}

Result<void> save_engine(hub::Client& client, const api::Engine& engine, const std::string& output,
                         ProgressPrinter& printer) {
  const std::filesystem::path part = output + ".part";
  XI_CHECK(client.http().download(engine.url, part, [&](std::int64_t have, std::int64_t total) {
    printer.show("download", total > 0 ? double(have) / double(total) : -1);
  }));
  XI_TRY(const std::string digest, base::sha256_file(part));
  std::error_code failed;
  if (digest != engine.digest) {
    std::filesystem::remove(part, failed);
    return fail(Code::kCorrupt, "the engine came damaged: its digest is {}, not {}", digest, engine.digest);
  }
  std::filesystem::rename(part, output, failed);
  if (failed) return std::unexpected(base::Error{Code::kIo, failed.message(), output});
  return {};
}

Result<int> build(const BuildArguments& arguments, bool json) {
  XI_TRY(api::BuildRequest request, make_request(arguments));
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  api::Build done;
  {
    ProgressPrinter printer;
    const auto show = show_on(printer, arguments.log);
    if (!arguments.onnx.empty()) {
      XI_TRY(request.onnx, client.upload(arguments.onnx, show));
    }
    XI_TRY(done, client.submit(request));
    if (!arguments.no_wait) {
      XI_TRY(done, client.wait(done, show));
      if (!arguments.output.empty()) XI_CHECK(save_engine(client, *done.engine, arguments.output, printer));
    }
  }
  if (json) {
    print_json(api::encode(done));
  } else if (!done.engine) {
    fmt::print("build {} is {}; see `xinfer-cli hub status {}`\n", done.id, done.state, done.id);
  } else {
    fmt::print("engine {} ({}, {}){}\n", done.engine->digest, done.engine->target,
               format_bytes(done.engine->size_bytes), done.cached ? ", answered from the store" : "");
    fmt::print("{}\n", arguments.output.empty() ? engine_url(client, *done.engine) : arguments.output);
  }
  return 0;
}

struct StatusArguments : HubArguments {
  std::string id, state;
};

std::string what_of(const api::Build& build) {
  if (!build.model.empty()) return build.model;
  return build.name.empty() ? build.onnx.substr(0, 12) : build.name;
}

void print_build(const api::Build& build, const std::string& url) {
  fmt::print("build     {}\nof        {}\ntarget    {}{}\nstate     {}\n", build.id, what_of(build), build.target,
             build.precision == "fp32" ? "" : ":" + build.precision, build.state);
  if (build.state == "queued") fmt::print("before it {} in the queue\n", build.queue_position);
  if (!hub::is_final(build) && !build.progress.stage.empty()) {
    const auto& progress = build.progress;
    fmt::print("stage     {}{}\n", progress.stage,
               progress.total > 0 ? fmt::format(" {} of {}", progress.done, progress.total) : "");
  }
  fmt::print("attempts  {}\ncreated   {}\n", build.attempts, format_time(build.created_ms));
  if (build.finished_ms) fmt::print("finished  {}\n", format_time(build.finished_ms));
  if (build.error)
    fmt::print("error     {}: {}{}\n", build.error->kind, build.error->message,
               build.error->where.empty() ? "" : " (at " + build.error->where + ")");
  if (build.engine) fmt::print("engine    {}{} ({})\n", url, build.engine->url, format_bytes(build.engine->size_bytes));
}

Result<int> status(const StatusArguments& arguments, bool json) {
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  if (!arguments.id.empty()) {
    XI_TRY(const api::Build build, client.build(arguments.id));
    if (json) print_json(api::encode(build));
    else print_build(build, client.url());
    return 0;
  }
  XI_TRY(const api::BuildPage page, client.builds(arguments.state, 0, 100));
  if (json) {
    print_json(api::encode(page));
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {{"BUILD", "STATE", "TARGET", "CREATED", "OF"}};
  for (const api::Build& build : page.builds)
    rows.push_back({build.id, build.state,
                    build.precision == "fp32" ? build.target : build.target + ":" + build.precision,
                    format_time(build.created_ms), what_of(build)});
  print_table(rows);
  if (page.total > static_cast<std::int64_t>(page.builds.size()))
    fmt::print("the newest {} of {}\n", page.builds.size(), page.total);
  return 0;
}

Result<int> logs(const StatusArguments& arguments, bool json) {
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  XI_TRY(const api::Build last, client.follow(arguments.id, [&](const api::Event& event) {
    if (json) fmt::print("{}\n", api::encode(event));  // one document a line, as they come
    else if (event.kind == "log") fmt::print("{}\n", event.text);
    else if (event.kind == "state") fmt::print("-- {}\n", event.text);
    std::fflush(stdout);
  }));
  if (!json && last.error) fmt::print("-- {}: {}\n", last.error->kind, last.error->message);
  return 0;
}

Result<int> cancel(const StatusArguments& arguments, bool json) {
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  XI_TRY(const api::Build build, client.cancel(arguments.id));
  if (json) print_json(api::encode(build));
  else fmt::print("build {} is {}\n", build.id, build.state);
  return 0;
}

}  // namespace

void add_hub_build_commands(CLI::App& hub, Invocation& invocation) {
  {
    auto arguments = std::make_shared<BuildArguments>();
    auto* command = add_hub_command(
        hub, invocation, *arguments, "build", "Has the hub build an engine, and waits for it",
        "xinfer-cli hub build --model yolox-nano-coco --target host\n"
        "xinfer-cli hub build --onnx model.onnx --target x86-64-v3 --shape x=1x3x224x224 -o model.engine");
    command->add_option("--onnx", arguments->onnx, "ONNX file to upload (in parts; an interrupted upload goes on)");
    command->add_option("--model", arguments->model, "Id of a model that the hub has");
    command->add_option("--target", arguments->target, "NAME[:PRECISION]; host: this machine's CPU")
        ->capture_default_str();
    command->add_option("--precision", arguments->precision, "fp32, fp16, bf16, int8");
    command->add_option("--shape", arguments->shapes, "INPUT=SIZES, such as x=1x3x224x224; once per input");
    command->add_option("--metadata", arguments->metadata, "JSON file with pre- and post-processing, for --onnx");
    command->add_option("--name", arguments->name, "Name of the build, for people");
    command->add_option("-o,--output", arguments->output, "Download the engine to this file");
    command->add_flag("--no-wait", arguments->no_wait, "Only request the build");
    command->add_flag("--log", arguments->log, "Show the build's log");
    command->callback(
        [=, &invocation] { invocation.action = [=, &invocation] { return build(*arguments, invocation.json); }; });
  }
  const auto add = [&](const char* name, const char* description, const char* examples, auto action, bool id_required) {
    auto arguments = std::make_shared<StatusArguments>();
    auto* command = add_hub_command(hub, invocation, *arguments, name, description, examples);
    auto* id = command->add_option("build", arguments->id, "The build's id");
    if (id_required) id->required();
    else command->add_option("--state", arguments->state, "Only builds in this state");
    command->callback(
        [=, &invocation] { invocation.action = [=, &invocation] { return action(*arguments, invocation.json); }; });
  };
  add("status", "Shows a build, or all", "xinfer-cli hub status\nxinfer-cli hub status --state queued", status, false);
  add("logs", "Shows a build's log and follows it to its end", "xinfer-cli hub logs BUILD", logs, true);
  add("cancel", "Cancels a build", "xinfer-cli hub cancel BUILD", cancel, true);
}

}  // namespace xinfer::cli
