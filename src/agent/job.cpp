#include "agent/job.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
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

using base::Code;
using base::Error;
using base::Result;

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

namespace {

// Whose fault a failed job is: the model's, the compiler's or this machine's.
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

Result<void> verify(const api::Lease&, const JobFiles& files) {
  XI_TRY(const std::string key, base::read_file(files.job / "key", 1000));
  engine::Trust trust;
  XI_TRY(trust.public_keys.emplace_back(), base::from_hex(key));
  XI_TRY(auto engine, engine::open(files.job / "engine", trust));
  print(LineKind::kProgress, api::encode(api::Progress{"verify", 0, 1, {}}));
  compiler::Report report;
  report.model_digest = engine->manifest().model_digest;
  report.target = engine->manifest().architecture;
  KernelRequest references(files.job, files.out, files.cache, print);
  XI_TRY(report.verification, compiler::verify(files.job / "model.onnx", std::move(engine), {},
                                               {files.cache, [&](const std::vector<std::string>& missing) { references.ask(missing); }}));
  XI_CHECK(references.offer());
  print(LineKind::kReport, compiler::to_json(report));
  return {};
}

Result<void> tune(const api::Lease& lease, const JobFiles& files) {
  constexpr std::int64_t kCandidates = 32;
  compiler::BuildOptions options;
  options.target = lease.target + ":" + lease.precision;
  options.input_ranges = lease.shapes;
  options.cache_folder = files.cache;
  options.jobs = files.jobs;
  options.on_progress = [](std::string_view stage, double fraction) {
    print(LineKind::kProgress, api::encode(api::Progress{std::string(stage), static_cast<std::int64_t>(fraction * 100), 100, {}}));
  };
  const std::int64_t candidates = lease.options ? lease.options->candidates.value_or(kCandidates) : kCandidates;
  XI_TRY(const std::string records, compiler::tune(files.job / "model.onnx", options, static_cast<std::size_t>(candidates)));
  print(LineKind::kReport, records);
  return {};
}

Result<void> preflight(const api::Lease& lease, const JobFiles& files) {
  compiler::PreflightOptions options;
  options.targets = {lease.target + ":" + lease.precision};
  if (lease.options && !lease.options->targets.empty()) options.targets = lease.options->targets;
  options.input_ranges = lease.shapes;
  options.profiles = lease.profiles;
  options.cache_folder = files.cache;
  options.jobs = files.jobs;
  print(LineKind::kProgress, api::encode(api::Progress{"preflight", 0, 1, {}}));
  XI_TRY(const compiler::Preflight found, compiler::preflight(files.job / "model.onnx", options));
  print(LineKind::kReport, compiler::to_json(found, lease.options && lease.options->launches.value_or(false)));
  return {};
}

constexpr JobWork kWork[] = {
    {.kind = "build", .run = run_build, .gives_engine = true},
    {.kind = "verify", .run = verify, .takes_engine = true, .on_device = true},
    {.kind = "tune", .run = tune, .on_device = true},
    {.kind = "preflight", .run = preflight},
};

Result<void> run(const JobFiles& files) {
  XI_TRY(const std::string text, base::read_file(files.job / "lease.json", 64 << 20));
  XI_TRY(const api::Lease lease, api::decode<api::Lease>(text, api::Unknown::kIgnore));
  const JobWork* work = find_work(lease.kind);
  if (!work) return base::fail(Code::kUnsupported, "this agent does no jobs of kind \"{}\"", lease.kind);
  return work->run(lease, files);
}

}  // namespace

std::span<const JobWork> job_works() { return kWork; }

const JobWork* find_work(std::string_view kind) {
  const auto found = std::ranges::find(kWork, kind.empty() ? "build" : kind, &JobWork::kind);
  return found == std::end(kWork) ? nullptr : &*found;
}

int run_job(const JobFiles& files) {
  try {
    const Result<void> done = run(files);
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

}  // namespace xinfer::agent
