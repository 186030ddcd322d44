#include "agent/build_job.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <new>

#include "agent/kernel_exchange.h"
#include "api/codec.h"
#include "base/digest.h"
#include "base/files.h"
#include "compiler/build.h"
#include "compiler/preflight.h"
#include "engine/engine.h"
#include "engine/trust.h"

namespace xinfer::agent {
namespace {

using base::Code;
using base::Error;

void print(LineKind kind, std::string_view text) {
  std::string line(1, static_cast<char>(kind));
  for (char c : text) line += c == '\n' ? ' ' : c;
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Whose fault a failed build is: the model's, the compiler's or this machine's.
std::string_view kind_of(const Error& error) {
  if (error.message.find("out of memory") != std::string::npos || error.message.find("bad_alloc") != std::string::npos)
    return "out_of_memory";
  switch (error.code) {
    case Code::kOutOfMemory: return "out_of_memory";
    case Code::kInvalidArgument:
    case Code::kUnsupported:
    case Code::kCorrupt:
    case Code::kLimit:
    case Code::kNotFound: return "invalid_model";
    case Code::kTimeout: return "time_out";
    case Code::kInternal: return "compiler_error";
    default: return "internal";
  }
}

int fail_with(const Error& error) {
  const std::string kind(kind_of(error));
  // The compiler's own words for want of memory come with the code of a bug.
  const Code code = kind == "out_of_memory" ? Code::kOutOfMemory : error.code;
  print(LineKind::kError, api::encode(api::BuildError{kind, std::string(base::facts(code).name), error.message, error.where}));
  return base::facts(error.code).exit_code;
}

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

base::Result<void> build_files(const std::filesystem::path& job, const std::filesystem::path& out,
                               const std::filesystem::path& cache, int jobs) {
  XI_TRY(const std::string text, base::read_file(job / "lease.json", 64 << 20));
  XI_TRY(const api::Lease lease, api::decode<api::Lease>(text, api::Unknown::kIgnore));
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

base::Result<void> verify_files(const std::filesystem::path& job) {
  XI_TRY(const std::string key, base::read_file(job / "key", 1000));
  engine::Trust trust;
  XI_TRY(trust.public_keys.emplace_back(), base::from_hex(key));
  XI_TRY(auto engine, engine::open(job / "engine", trust));
  print(LineKind::kProgress, api::encode(api::Progress{"verify", 0, 1, {}}));
  compiler::Report report;
  report.model_digest = engine->manifest().model_digest;
  report.target = engine->manifest().architecture;
  XI_TRY(report.verification, compiler::verify(job / "model.onnx", std::move(engine)));
  print(LineKind::kReport, compiler::to_json(report));
  return {};
}

// The exit status of what is done here; how it failed is printed.
template <class Work>
int end_of(Work work) {
  try {
    const base::Result<void> done = work();
    return done ? 0 : fail_with(done.error());
  } catch (const std::bad_alloc&) {
    // Text made beforehand: there may be no memory to make any.
    static constexpr std::string_view kLine =
        "E{\"kind\":\"out_of_memory\",\"code\":\"out_of_memory\",\"message\":\"the build needs more memory than its agent allows: build for "
        "smaller sizes, or have the agent's operator raise --memory-bytes (agents.build_memory_bytes)\"}\n";
    (void)!::write(STDOUT_FILENO, kLine.data(), kLine.size());
    return base::facts(Code::kOutOfMemory).exit_code;
  } catch (const std::exception& error) {
    return fail_with(Error{Code::kInternal, fmt::format("the compiler threw: {}", error.what()), {}});
  }
}

}  // namespace

int run_verify_job(const std::filesystem::path& job) {
  return end_of([&] { return verify_files(job); });
}

int run_build_job(const std::filesystem::path& job, const std::filesystem::path& out,
                  const std::filesystem::path& cache, int jobs) {
  return end_of([&] { return build_files(job, out, cache, jobs); });
}

}  // namespace xinfer::agent
