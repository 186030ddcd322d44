// xinfer-cli hub preflight, tune.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/states.h"
#include "engine_options.h"
#include "hub_command.h"
#include "target/registry.h"

namespace xinfer::cli {
namespace {

using base::Code;
using base::fail;
using base::Result;

struct JobArguments : HubArguments {
  std::string onnx, model, target, precision, name;
  std::vector<std::string> shapes, profiles;
  std::optional<std::int64_t> candidates;
  bool no_wait = false, launches = false;
};

// Asks for a job, waits for its end where somebody is to wait, and prints it.
template <class Request>
Result<api::Job> run(const JobArguments& arguments, bool json, Request request,
                     Result<api::Job> (hub::Client::*submit)(const Request&)) {
  if (arguments.onnx.empty() == arguments.model.empty())
    return fail(Code::kInvalidArgument, "give either --onnx FILE or --model ID");
  request.model = arguments.model;
  request.name = !arguments.name.empty() ? arguments.name : std::filesystem::path(arguments.onnx).filename().string();
  XI_TRY(request.shapes, parse_range_options(arguments.shapes));
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  api::Job job;
  {
    ProgressPrinter printer;
    const auto show = [&](const hub::Progress& progress) { show_progress(printer, progress, false); };
    if (!arguments.onnx.empty()) {
      XI_TRY(request.onnx, client.upload(arguments.onnx, show));
    }
    XI_TRY(job, (client.*submit)(request));
    if (!arguments.no_wait) {
      // Somebody who waits for what nobody can do is told, and may wait on.
      if (!job.waiting_for.empty()) fmt::print(stderr, "{} waits: {}\n", job.id, job.waiting_for);
      XI_TRY(job, client.wait(job, show));
    }
  }
  if (json) print_json(api::encode(job));
  else print_job(job);
  return job;
}

void print_preflight(const nlohmann::json& report) {
  fmt::print("{}\n", report.value("supported", false) ? "can be built" : "cannot be built:");
  const auto problems = [](const nlohmann::json& list, const std::string& target) {
    for (const auto& problem : list)
      fmt::print("  {}{}{}: {}\n", target, target.empty() ? "" : ": ", problem.value("op", "the model"), problem.value("reason", ""));
  };
  problems(report.value("problems", nlohmann::json::array()), "");
  for (const auto& forecast : report.value("targets", nlohmann::json::array())) {
    const std::string target = forecast.value("target", "");
    problems(forecast.value("problems", nlohmann::json::array()), target);
    if (!forecast.value("supported", false)) continue;
    const auto likely = [](const nlohmann::json& interval) { return interval.is_object() ? interval.value("likely", 0.0) : 0.0; };
    fmt::print("{:<16} build about {:.1f} s, latency about {:.3g} ms, {} of weights\n", target, likely(forecast["build_seconds"]),
               likely(forecast["latency_ms"][0]), format_bytes(forecast.value("weight_bytes", std::int64_t{0})));
  }
}

Result<int> preflight(const JobArguments& arguments, bool json) {
  api::PreflightRequest request;
  XI_TRY(request.profiles, parse_profile_options(arguments.profiles));
  XI_TRY(const auto targets, parse_targets(arguments.target, arguments.precision));
  for (const HardwareTarget& target : targets) request.targets.push_back(target.architecture() + ":" + target.precision());
  if (arguments.launches) request.launches = true;
  XI_TRY(const api::Job job, run(arguments, json, std::move(request), &hub::Client::submit_preflight));
  if (!job.result) return 0;
  const auto report = nlohmann::json::parse(job.result->text, nullptr, false);
  return report.is_object() && report.value("supported", false) ? 0 : base::facts(Code::kUnsupported).exit_code;
}

Result<int> tune(const JobArguments& arguments, bool json) {
  XI_TRY(const auto targets, parse_targets(arguments.target, arguments.precision));
  if (targets.size() != 1) return fail(Code::kInvalidArgument, "one GPU is tuned for at a time");
  api::TuneRequest request;
  request.target = targets.front().architecture();
  request.precision = targets.front().precision();
  request.candidates = arguments.candidates;
  XI_CHECK(run(arguments, json, std::move(request), &hub::Client::submit_tune));
  return 0;
}

}  // namespace

void print_job(const api::Job& job) {
  fmt::print("{:<9} {}\nof        {}\ntarget    {}:{}\nstate     {}\n", job.kind, job.id, job.name.empty() ? job.onnx.substr(0, 12) : job.name,
             job.target, job.precision, job.state);
  if (job.state == "queued") fmt::print("before it {} in the queue\n", job.queue_position);
  if (!job.waiting_for.empty()) fmt::print("waits     {}\n", job.waiting_for);
  if (!api::is_final(job.state) && !job.progress.stage.empty()) fmt::print("stage     {}\n", job.progress.stage);
  if (job.error) fmt::print("error     {}: {}\n", job.error->kind, job.error->message);
  if (!job.result) return;
  if (job.kind == "tune") {
    if (const auto records = api::decode<api::TuningRecords>(job.result->text, api::Unknown::kIgnore))
      fmt::print("records   {}, measured on {}; the organisation's builds for {} use them\n", records->records.size(), records->device, job.target);
  } else {
    print_preflight(nlohmann::json::parse(job.result->text, nullptr, false));
  }
}

void add_hub_job_commands(CLI::App& hub, Invocation& invocation) {
  const auto add = [&](const char* name, const char* description, const char* examples, auto action) {
    auto arguments = std::make_shared<JobArguments>();
    auto* command = add_hub_command(hub, invocation, *arguments, name, description, examples);
    command->add_option("--onnx", arguments->onnx, "ONNX file to upload");
    command->add_option("--model", arguments->model, "Id of a model that the hub has");
    command->add_option("--precision", arguments->precision, "For targets that name none");
    command->add_option("--shape", arguments->shapes, "INPUT=SIZES, such as x=1x3x224x224; once per input");
    command->add_option("--name", arguments->name, "Name of the job, for people");
    command->add_flag("--no-wait", arguments->no_wait, "Only request it");
    command->callback(
        [=, &invocation] { invocation.action = [=, &invocation] { return action(*arguments, invocation.json); }; });
    return std::pair(command, arguments);
  };
  {
    const auto [command, arguments] =
        add("preflight", "Has an agent say what builds would refuse and give, without building",
            "xinfer-cli hub preflight --model yolox-nano-coco --target x86-64-v3,t4:fp16", preflight);
    command->add_option("--target", arguments->target, "NAME[:PRECISION], or several with commas")->required();
    add_profile_option(*command, arguments->profiles);
    command->add_flag("--launches", arguments->launches, "With --json: also every launch with its predicted time");
  }
  const auto [command, arguments] =
      add("tune", "Has an agent measure on its GPU which kernels are the fastest for a model; later builds use them",
          "xinfer-cli hub tune --onnx model.onnx --target h100:fp16", tune);
  command->add_option("--target", arguments->target, "A GPU, with the precision")->required();
  command->add_option("--candidates", arguments->candidates, "How many kernels of each contraction are measured (default: 32)")->check(CLI::Range(1, 1000));
}

}  // namespace xinfer::cli
