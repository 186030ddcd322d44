// xinfer-cli hub build, status, logs, cancel.
#include <filesystem>

#include "api/codec.h"
#include "api/states.h"
#include "base/digest.h"
#include "compiler/preflight.h"
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
  std::vector<std::string> shapes, profiles;
  std::optional<std::int64_t> priority;
  bool no_wait = false, log = false, no_preflight = false;
};

std::string engine_url(hub::Client& client, const api::Engine& engine) { return client.url() + engine.url; }

auto show_on(ProgressPrinter& printer, bool log) {
  return [&printer, log](const hub::Progress& progress) { show_progress(printer, progress, log); };
}

std::string name_of(const BuildArguments& arguments) {
  return !arguments.name.empty() ? arguments.name : std::filesystem::path(arguments.onnx).filename().string();
}

/// What one target and several have in common.
template <class Request>
Result<void> fill_request(const BuildArguments& arguments, Request& request) {
  request.model = arguments.model;
  request.name = name_of(arguments);
  request.priority = arguments.priority;
  XI_TRY(request.shapes, parse_range_options(arguments.shapes));
  XI_TRY(request.profiles, parse_profile_options(arguments.profiles));
  XI_TRY(request.metadata, read_metadata(arguments.metadata));
  return {};
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

// A model that cannot be built is not worth its upload: all that stands in the way is said at once.
Result<void> check_model(const BuildArguments& arguments, const api::BuildRequest& request, bool json) {
  compiler::PreflightOptions options;
  options.targets = {request.target + ":" + request.precision};
  options.input_ranges = request.shapes;
  options.profiles = request.profiles;
  XI_TRY(const compiler::Preflight found, compiler::preflight(arguments.onnx, options));
  if (!found.supported()) return std::unexpected(found.error());
  if (!json && !found.needs_sizes()) fmt::print(stderr, "forecast   {}\n", compiler::to_text(found.forecasts.front()));
  return {};
}

Result<int> build_one(const BuildArguments& arguments, const HardwareTarget& target, bool json) {
  api::BuildRequest request;
  request.target = target.architecture();
  request.precision = target.precision();
  XI_CHECK(fill_request(arguments, request));
  if (!arguments.onnx.empty() && !arguments.no_preflight) XI_CHECK(check_model(arguments, request, json));
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

std::string target_of(const api::Build& build) {
  return build.precision == "fp32" ? build.target : build.target + ":" + build.precision;
}

void print_matrix(const api::Matrix& matrix) {
  std::vector<std::vector<std::string>> rows = {{"TARGET", "STATE", "SIZE", "ENGINE OR BUILD"}};
  for (const api::Build& build : matrix.builds)
    rows.push_back({target_of(build), build.state, build.engine ? format_bytes(build.engine->size_bytes) : "",
                    build.engine ? build.engine->digest : build.id});
  print_table(rows);
  for (const api::Build& build : matrix.builds)
    if (build.error) fmt::print("{}: {}: {}\n", target_of(build), build.error->kind, build.error->message);
  fmt::print("matrix {} is {}\n", matrix.id, matrix.state);
}

/// Waits for every build, whatever becomes of the others.
Result<void> wait_for_all(hub::Client& client, const api::Matrix& matrix, ProgressPrinter& printer, bool log) {
  for (const api::Build& build : matrix.builds) {
    auto ended = client.wait(build, [&](const hub::Progress& progress) { show_progress(printer, progress, log, target_of(build)); });
    // A build that failed is for the table; a hub that does not answer is not.
    if (!ended)
      if (auto known = client.build(build.id); !known) return std::unexpected(std::move(known).error());
  }
  return {};
}

Result<int> build_matrix(const BuildArguments& arguments, const std::vector<HardwareTarget>& targets, bool json) {
  if (!arguments.output.empty())
    return fail(Code::kInvalidArgument,
                "-o takes the engine of one target; those of several are fetched with `xinfer-cli hub download`");
  api::MatrixRequest request;
  for (const HardwareTarget& target : targets) request.targets.push_back(target.architecture() + ":" + target.precision());
  XI_CHECK(fill_request(arguments, request));
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  api::Matrix matrix;
  {
    ProgressPrinter printer;
    if (!arguments.onnx.empty()) {
      XI_TRY(request.onnx, client.upload(arguments.onnx, show_on(printer, arguments.log)));
    }
    XI_TRY(matrix, client.submit_matrix(request));
    if (!arguments.no_wait) {
      XI_CHECK(wait_for_all(client, matrix, printer, arguments.log));
      XI_TRY(matrix, client.matrix(matrix.id));
    }
  }
  if (json) print_json(api::encode(matrix));
  else print_matrix(matrix);
  if (matrix.state == "failed") return base::facts(Code::kUnavailable).exit_code;
  return matrix.state == "cancelled" ? base::facts(Code::kCancelled).exit_code : 0;
}

Result<int> build(const BuildArguments& arguments, bool json) {
  if (arguments.onnx.empty() == arguments.model.empty())
    return fail(Code::kInvalidArgument, "give either --onnx FILE or --model ID");
  XI_TRY(const auto targets, parse_targets(arguments.target, arguments.precision));
  return targets.size() == 1 ? build_one(arguments, targets.front(), json) : build_matrix(arguments, targets, json);
}

struct StatusArguments : HubArguments {
  std::string id, state;
};

bool is_matrix(const std::string& id) { return id.starts_with("matrix_"); }

std::string what_of(const api::Build& build) {
  if (!build.model.empty()) return build.model;
  return build.name.empty() ? build.onnx.substr(0, 12) : build.name;
}

void print_build(const api::Build& build, const std::string& url) {
  fmt::print("build     {}\nof        {}\ntarget    {}\nstate     {}\n", build.id, what_of(build), target_of(build),
             build.state);
  if (build.state == "queued") fmt::print("before it {} in the queue\n", build.queue_position);
  if (!build.waiting_for.empty()) fmt::print("waits     {}\n", build.waiting_for);
  if (!api::is_final(build.state) && !build.progress.stage.empty()) {
    const auto& progress = build.progress;
    fmt::print("stage     {}{}\n", progress.stage,
               progress.total > 0 ? fmt::format(" {} of {}", progress.done, progress.total) : "");
    if (progress.remaining_ms)
      fmt::print("left      about {:.0f} s, from {} builds for {}\n", static_cast<double>(*progress.remaining_ms) / 1000,
                 progress.builds.value_or(0), build.target);
  }
  fmt::print("attempts  {}\ncreated   {}\n", build.attempts, format_time(build.created_ms));
  if (build.finished_ms) fmt::print("finished  {}\n", format_time(build.finished_ms));
  if (build.error)
    fmt::print("error     {}: {}{}\n", build.error->kind, build.error->message,
               build.error->where.empty() ? "" : " (at " + build.error->where + ")");
  if (build.report)
    if (const auto report = api::decode<api::BuildReport>(build.report->text, api::Unknown::kIgnore); report && report->verification) {
      const api::DeviceVerification& verification = *report->verification;
      if (verification.ran) fmt::print("{}  on {}\n", verification.passed.value_or(false) ? "verified" : "DIFFERS ", verification.device);
      else fmt::print("verified  no: {}\n", verification.reason);
    }
  if (build.engine) fmt::print("engine    {}{} ({})\n", url, build.engine->url, format_bytes(build.engine->size_bytes));
}

Result<int> status(const StatusArguments& arguments, bool json) {
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  if (is_matrix(arguments.id)) {
    XI_TRY(const api::Matrix matrix, client.matrix(arguments.id));
    if (json) print_json(api::encode(matrix));
    else print_matrix(matrix);
    return 0;
  }
  if (hub::is_job(arguments.id)) {
    XI_TRY(const api::Job job, client.job(arguments.id));
    if (json) print_json(api::encode(job));
    else print_job(job);
    return 0;
  }
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
    rows.push_back({build.id, build.state, target_of(build), format_time(build.created_ms), what_of(build)});
  print_table(rows);
  if (page.total > static_cast<std::int64_t>(page.builds.size()))
    fmt::print("the newest {} of {}\n", page.builds.size(), page.total);
  return 0;
}

Result<int> logs(const StatusArguments& arguments, bool json) {
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  const auto show = [&](const api::Event& event) {
    if (json) fmt::print("{}\n", api::encode(event));  // one document a line, as they come
    else if (event.kind == "log") fmt::print("{}\n", event.text);
    else if (event.kind == "state") fmt::print("-- {}\n", event.text);
    std::fflush(stdout);
  };
  std::optional<api::BuildError> error;
  if (hub::is_job(arguments.id)) {
    XI_TRY(api::Job last, client.follow_job(arguments.id, show));
    error = std::move(last.error);
  } else {
    XI_TRY(api::Build last, client.follow(arguments.id, show));
    error = std::move(last.error);
  }
  if (!json && error) fmt::print("-- {}: {}\n", error->kind, error->message);
  return 0;
}

Result<int> cancel(const StatusArguments& arguments, bool json) {
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  if (is_matrix(arguments.id)) {
    XI_TRY(const api::Matrix matrix, client.cancel_matrix(arguments.id));
    if (json) print_json(api::encode(matrix));
    else print_matrix(matrix);
    return 0;
  }
  if (hub::is_job(arguments.id)) {
    XI_TRY(const api::Job job, client.cancel_job(arguments.id));
    if (json) print_json(api::encode(job));
    else fmt::print("{} {} is {}\n", job.kind, job.id, job.state);
    return 0;
  }
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
        "xinfer-cli hub build --onnx model.onnx --target x86-64-v3 --shape x=1x3x224x224 -o model.engine\n"
        "xinfer-cli hub build --onnx model.onnx --target t4:fp16,rtx_4090:fp16,jetson_orin:fp16,x86-64-v4");
    command->add_option("--onnx", arguments->onnx, "ONNX file to upload (in parts; an interrupted upload goes on)");
    command->add_option("--model", arguments->model, "Id of a model that the hub has");
    command->add_option("--target", arguments->target, "NAME[:PRECISION], or several with commas; host: this machine's CPU")
        ->capture_default_str();
    command->add_option("--precision", arguments->precision, "fp32, fp16, bf16: for targets that name none");
    command->add_option("--shape", arguments->shapes, "INPUT=SIZES, such as x=1x3x224x224 or x=1:1:8x3x224x224; once per input");
    add_profile_option(*command, arguments->profiles);
    command->add_option("--metadata", arguments->metadata, "JSON file with pre- and post-processing, for --onnx");
    command->add_option("--name", arguments->name, "Name of the build, for people");
    command->add_option("--priority", arguments->priority, "-100 to 100 among your own builds: higher is sooner")
        ->check(CLI::Range(-100, 100));
    command->add_option("-o,--output", arguments->output, "Download the engine to this file");
    command->add_flag("--no-wait", arguments->no_wait, "Only request the build");
    command->add_flag("--no-preflight", arguments->no_preflight, "Do not look at the model before uploading it");
    command->add_flag("--log", arguments->log, "Show the build's log");
    command->callback(
        [=, &invocation] { invocation.action = [=, &invocation] { return build(*arguments, invocation.json); }; });
  }
  const auto add = [&](const char* name, const char* description, const char* examples, auto action, bool id_required) {
    auto arguments = std::make_shared<StatusArguments>();
    auto* command = add_hub_command(hub, invocation, *arguments, name, description, examples);
    auto* id = command->add_option("build", arguments->id, "Id of a build, a matrix, a preflight or a tuning");
    if (id_required) id->required();
    else command->add_option("--state", arguments->state, "Only builds in this state");
    command->callback(
        [=, &invocation] { invocation.action = [=, &invocation] { return action(*arguments, invocation.json); }; });
  };
  add("status", "Shows a build, another job, a matrix, or all builds", "xinfer-cli hub status\nxinfer-cli hub status --state queued", status, false);
  add("logs", "Shows a build's log and follows it to its end", "xinfer-cli hub logs BUILD", logs, true);
  add("cancel", "Cancels a build or a matrix", "xinfer-cli hub cancel BUILD", cancel, true);
}

}  // namespace xinfer::cli
