// A build.
#include <fmt/format.h>

#include <cmath>

#include "agent/job.h"
#include "agent/kernel_exchange.h"
#include "api/codec.h"
#include "base/files.h"
#include "compiler/build.h"
#include "compiler/preflight.h"

namespace xinfer::agent {
namespace {

using base::Code;

// Before time is spent: what is to be expected goes to the job's log.
base::Result<compiler::Preflight> look_ahead(const std::filesystem::path& model, const compiler::BuildOptions& options) {
  compiler::PreflightOptions look;
  look.targets = {options.target};
  look.input_ranges = options.input_ranges;
  look.profiles = options.profiles;
  look.cache_folder = options.cache_folder;
  look.jobs = options.jobs;
  auto found = compiler::preflight(model, look);
  if (found && found->supported() && !found->needs_sizes())
    for (const compiler::Forecast& forecast : found->forecasts) print(LineKind::kLog, "forecast   " + compiler::to_text(forecast));
  return found;
}

}  // namespace

base::Result<void> run_build(const api::Lease& lease, const JobFiles& files) {
  const auto& [job, out, cache, jobs] = files;
  compiler::BuildOptions options;
  options.target = lease.target + ":" + lease.precision;
  options.precision = lease.precision;
  options.input_ranges = lease.shapes;
  options.profiles = lease.profiles;
  options.model_name = lease.model.empty() ? lease.onnx.substr(0, 16) : lease.model;
  options.license = lease.licence;
  if (lease.metadata) options.metadata = api::encode(*lease.metadata);
  options.cache_folder = cache;
  KernelRequest kernels(job, out, cache, print);
  options.on_missing_kernels = [&](const std::vector<std::string>& missing) { kernels.ask(missing); };
  options.references = {cache, options.on_missing_kernels};
  const base::TemporaryFolder scratch("xinfer-job");
  if (lease.tuning) {
    options.records = scratch.path() / "records.json";
    XI_CHECK(base::write_file(options.records, api::encode(*lease.tuning)));
  }
  options.jobs = jobs;
  std::string last_stage;
  int last_percent = -1;
  options.on_progress = [&](std::string_view stage, double fraction) {
    if (stage == "compile") return;  // counted in kernels
    const int percent = static_cast<int>(std::lround(fraction * 100));
    if (stage == last_stage && percent == last_percent) return;
    last_stage = stage, last_percent = percent;
    print(LineKind::kProgress, api::encode(api::Progress{std::string(stage), percent, 100, {}}));
  };
  options.on_kernel = [](std::size_t ready, std::size_t all) {
    print(LineKind::kProgress, api::encode(api::Progress{"compile", static_cast<std::int64_t>(ready), static_cast<std::int64_t>(all), {}}));
  };
  const auto found = look_ahead(job / "model.onnx", options);
  auto built = compiler::build(job / "model.onnx", options);
  if (!built) {  // all that stands in the way, rather than the first of it
    const bool more = built.error().code == Code::kUnsupported && found && !found->supported();
    return std::unexpected(more ? found->error() : std::move(built).error());
  }
  const compiler::BuildOutput& output = *built;
  XI_CHECK(base::write_file(out / "engine", output.engine));
  XI_CHECK(kernels.offer());
  for (const compiler::Report::Stage& stage : output.report.stages)
    print(LineKind::kLog, fmt::format("{:<10} {:8.1f} ms  {}", stage.name, stage.milliseconds, stage.detail));
  print(LineKind::kReport, compiler::to_json(output.report));
  return {};
}

}  // namespace xinfer::agent
