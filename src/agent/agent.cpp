#include "agent/agent.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "agent/announcements.h"
#include "agent/hub_link.h"
#include "agent/job.h"
#include "agent/job_folder.h"
#include "agent/kernel_exchange.h"
#include "agent/lease_keeper.h"
#include "agent/model_cache.h"
#include "api/codec.h"
#include "base/digest.h"
#include "base/files.h"
#include "base/log.h"
#include "base/trace.h"
#include "codegen/cuda/nvrtc.h"
#include "engine/layout.h"
#include "queue/channel.h"
#include "runtime/cuda/device.h"
#include "target/registry.h"

namespace xinfer::agent {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Error;
using base::LogLevel;
using base::Result;
using std::chrono::milliseconds;

constexpr std::int64_t kWaitMs = 20'000;
constexpr int kPauseMs = 1'000;

std::vector<std::string> buildable_targets() {
  std::vector<std::string> names;
  const auto nvrtc = codegen::cuda::Nvrtc::load();
  for (const target::TargetInfo& info : target::targets())
    if (info.kind == target::Kind::kCpu || (nvrtc && nvrtc->supports(info.name))) names.emplace_back(info.name);
  return names;
}

// Kinds of jobs that it does, of those that `options` allows. A GPU is tuned for where its candidates can be compiled too.
std::vector<std::string> kinds_here(const AgentOptions& options, const std::vector<api::Device>& devices) {
  const bool tunes = std::ranges::any_of(devices, [&](const api::Device& device) {
    const target::TargetInfo* info = target::find_canonical(device.architecture);
    return info && info->gpu && std::ranges::find(options.targets, device.architecture) != options.targets.end();
  });
  std::vector<std::string> kinds;
  for (const JobWork& work : job_works())
    if ((options.kinds.empty() || std::ranges::find(options.kinds, work.kind) != options.kinds.end()) && (work.kind != "tune" || tunes))
      kinds.emplace_back(work.kind);
  return kinds;
}

// Classes of agents that this one is of: those that its jobs are announced for.
std::vector<std::string> classes_here(const std::vector<std::string>& kinds, const std::vector<std::string>& targets,
                                      const std::vector<api::Device>& devices) {
  const auto does = [&](bool on_device) {
    return std::ranges::any_of(kinds, [&](const std::string& kind) { return find_work(kind)->on_device == on_device; });
  };
  std::vector<std::string> classes;
  if (does(false))
    for (const std::string& target : targets) classes.push_back(queue::class_of(target, false));
  if (does(true))
    for (const target::TargetInfo& info : target::targets())
      if (std::ranges::any_of(devices, [&](const api::Device& device) { return target::runs_on(info.name, device.architecture); }))
        classes.push_back(queue::class_of(info.name, true));
  return classes;
}

// What engines can be run on here.
std::vector<api::Device> devices_here() {
  std::vector<api::Device> devices;
  if (const auto host = target::host()) devices.push_back({host->architecture(), "this agent's CPU"});
  for (int index = 0;; ++index) {
    const auto device = runtime::cuda::Device::open(index);
    if (!device) break;
    devices.push_back({(*device)->architecture(), (*device)->name()});
  }
  return devices;
}

api::BuildError to_build_error(const Error& error, std::string_view kind) {
  return {std::string(kind), std::string(base::facts(error.code).name), error.message, error.where};
}

// Puts the hub's key and signature into the engine's header. Only the header page is read here, outside the sandbox.
Result<void> sign_engine(HubLink& link, const api::Lease& lease, const fs::path& file) {
  XI_TRY(const std::string key_hex, link.public_key());
  XI_TRY(const std::string key, base::from_hex(key_hex));
  engine::Header header;
  {
    XI_TRY(const base::MappedFile mapped, base::MappedFile::open(file));
    XI_TRY(header, engine::decode(mapped.bytes()));
  }
  header.public_key = key;
  const std::string message = engine::signed_message(header);
  XI_TRY(const api::Signature signature,
         link.sign(lease.job, {lease.token, base::to_hex(std::as_bytes(std::span(message)))}));
  XI_TRY(header.signature, base::from_hex(signature.signature));
  if (signature.public_key != key_hex || !base::verify_signature(message, header.signature, key))
    return base::fail(Code::kUntrusted, "the hub's signature does not hold");
  const std::string page = engine::encode(header);
  const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return base::fail(Code::kIo, "cannot write {}", file.string());
  const bool written = ::pwrite(fd, page.data(), page.size(), 0) == static_cast<ssize_t>(page.size());
  ::close(fd);
  if (!written) return base::fail(Code::kIo, "cannot write {}", file.string());
  return {};
}

// One attempt at one job.
class Attempt {
 public:
  Attempt(const AgentOptions& options, const std::atomic<int>& stop, HubLink& link, const api::Lease& lease,
          LeaseKeeper& keeper, JobFolder scratch)
      : options_(options), stop_(stop), link_(link), lease_(lease), work_(*find_work(lease.kind)), keeper_(keeper), scratch_(std::move(scratch)), kernels_(link, lease, scratch_.path() / "job" / "kernels") {}

  // What went wrong, or nothing. `retry` tells whether another attempt may do better.
  std::optional<api::BuildError> run(bool& retry) {
    retry = true;
    if (auto prepared = prepare(); !prepared) return to_build_error(prepared.error(), "internal");
    if (auto error = work(retry)) return error;
    retry = true;
    if (auto delivered = deliver(); !delivered) return to_build_error(delivered.error(), "internal");
    return std::nullopt;
  }

 private:
  fs::path input() const { return scratch_.path() / "job"; }
  fs::path output() const { return scratch_.path() / "out"; }

  Result<void> prepare() {
    std::error_code error;
    for (const fs::path& folder : {input(), input() / "kernels", output(), cache()}) {
      fs::create_directories(folder, error);
      if (error) return base::fail(Code::kIo, "cannot make {}: {}", folder.string(), error.message());
    }
    keeper_.progress({"download", 0, lease_.onnx_bytes, {}});
    const ModelCache models(options_.work / "models", options_.model_cache_bytes);
    XI_TRY(const bool had, models.take(lease_.onnx, input() / "model.onnx",
                                       [&](const fs::path& file) { return link_.fetch_input(lease_, file); }));
    if (had) keeper_.log("the model was here already");
    if (work_.takes_engine) {
      XI_CHECK(link_.fetch_engine(lease_, input() / "engine"));
      XI_TRY(const std::string key, link_.public_key());
      XI_CHECK(base::write_file(input() / "key", key));
    }
    return base::write_file(input() / "lease.json", api::encode(lease_));
  }

  // Kernel caches are shared within an organisation only: what a build writes there, the next one runs.
  fs::path cache() const { return options_.work / "kernels" / lease_.cache_scope; }

  void take_line(std::string_view line) {
    if (line.empty()) return;
    const std::string text(line.substr(1));
    switch (static_cast<LineKind>(line.front())) {
      case LineKind::kProgress:
        if (auto progress = api::decode<api::Progress>(text, api::Unknown::kIgnore))
          keeper_.progress(std::move(*progress));
        break;
      case LineKind::kLog: keeper_.log(text); break;
      case LineKind::kError:
        if (auto error = api::decode<api::BuildError>(text, api::Unknown::kIgnore)) error_ = std::move(*error);
        break;
      case LineKind::kKernels:
        if (const auto query = api::decode<api::KernelQuery>(text, api::Unknown::kIgnore)) {
          const std::size_t fetched = kernels_.fetch(query->names);
          const bool references = !query->names.empty() && query->names.front().ends_with(".reference");
          keeper_.log(fmt::format("{} of {} {} were on the hub", fetched, query->names.size(),
                                  references ? "outputs of the reference to compute" : "kernels to compile"));
        }
        break;
      case LineKind::kOffer:
        if (auto offer = api::decode<api::KernelOffer>(text, api::Unknown::kIgnore)) offer_ = std::move(*offer);
        break;
      case LineKind::kReport: report_ = text; break;
      default: keeper_.log(std::string(line));
    }
  }

  std::optional<api::BuildError> work(bool& retry) {
    SandboxJob job;
    job.program = options_.program;
    job.input = input();
    job.output = output();
    job.cache = cache();
    job.arguments = {"job", "{job}", "{out}", "{cache}", "--jobs", std::to_string(options_.jobs)};
    const target::TargetInfo* info = target::find_canonical(lease_.target);
    job.gpu = work_.on_device && info && info->gpu;
    job.sandboxed = options_.sandbox;
    job.limits = options_.limits;
    job.on_line = [this](std::string_view line) { take_line(line); };
    job.on_error_line = [this](std::string_view line) { keeper_.log(std::string(line)); };
    job.cancelled = [this] { return keeper_.ended() || stop_ >= kNow; };
    const auto ending = run_sandboxed(job);
    if (!ending) return to_build_error(ending.error(), "internal");
    if (ending->cancelled)
      return api::BuildError{"lost_agent", "cancelled", "the agent stopped, or the job was cancelled", ""};
    if (ending->exit_code == 0 && ending->signal == 0 && !report_.empty()) return std::nullopt;
    if (!error_) error_ = describe(*ending, options_.limits);
    // The same model would fail the same way; only what this machine did to the attempt is worth another.
    retry = error_->kind == "internal" || (ending->signal == SIGKILL && !ending->out_of_memory && !ending->timed_out);
    return error_;
  }

  Result<void> deliver() {
    if (!work_.gives_engine) {
      kernels_.give(std::move(offer_), output() / "kernels");
      keeper_.flush();
      return link_.complete(lease_.job, {lease_.token, {}, api::RawJson{report_}});
    }
    const fs::path engine = output() / "engine";
    std::error_code error;
    if (!fs::is_regular_file(fs::symlink_status(engine, error)))
      return base::fail(Code::kInternal, "the build left no engine");
    keeper_.progress({"sign", 0, 1, {}});
    XI_CHECK(sign_engine(link_, lease_, engine));
    XI_TRY(const std::string digest,
           link_.upload(engine, [&](std::int64_t sent, std::int64_t all) { keeper_.progress({"upload", sent, all, {}}); }));
    kernels_.give(std::move(offer_), output() / "kernels");
    keeper_.flush();
    return link_.complete(lease_.job, {lease_.token, digest, api::RawJson{report_}});
  }

  const AgentOptions& options_;
  const std::atomic<int>& stop_;
  HubLink& link_;
  const api::Lease& lease_;
  const JobWork& work_;
  LeaseKeeper& keeper_;
  JobFolder scratch_;
  KernelExchange kernels_;
  api::KernelOffer offer_;
  std::string report_;
  std::optional<api::BuildError> error_;
};

Result<void> work_on(const AgentOptions& options, const std::atomic<int>& stop, HubLink& link,
                     const api::Lease& lease) {
  const auto trace = base::parse_trace(lease.trace);
  const std::string trace_id = trace ? trace->id : std::string();
  base::log(LogLevel::kInfo, "job leased",
            {{"job", lease.job}, {"attempt", std::to_string(lease.attempt)}, {"target", lease.target}, {"trace", trace_id}});
  link.set_trace(trace);
  XI_TRY(HubLink beat, HubLink::open(options.hub, options.token, {}, 1));
  beat.set_trace(trace);
  LeaseKeeper keeper(std::move(beat), lease);
  bool retry = true;
  std::optional<api::BuildError> error;
  if (!find_work(lease.kind)) {
    error = api::BuildError{"internal", "unsupported", fmt::format("this agent does no jobs of kind \"{}\"", lease.kind), ""};
  } else if (auto scratch = JobFolder::make(options.work)) {
    error = Attempt(options, stop, link, lease, keeper, std::move(*scratch)).run(retry);
  } else {
    error = to_build_error(scratch.error(), "internal");
  }
  if (!error) {
    base::log(LogLevel::kInfo, "job succeeded", {{"job", lease.job}, {"trace", trace_id}});
    return {};
  }
  base::log(LogLevel::kWarning, "job failed", {{"job", lease.job}, {"kind", error->kind}, {"error", error->message}, {"trace", trace_id}});
  if (keeper.ended()) return {};  // nobody waits for an answer
  keeper.flush();
  const auto told = link.fail(lease.job, {lease.token, *error, retry});
  if (!told && told.error().code != Code::kConflict)
    base::log(LogLevel::kWarning, "the hub could not be told", {{"error", told.error().text()}});
  return {};
}

}  // namespace

Result<void> run_agent(const AgentOptions& given, const std::atomic<int>& stop) {
  AgentOptions options = given;
  if (options.sandbox) XI_CHECK(check_sandbox());
  if (options.targets.empty()) options.targets = buildable_targets();
  std::vector<api::Device> devices = devices_here();
  if (!options.all_devices)
    std::erase_if(devices, [&](const api::Device& device) { return std::ranges::find(options.devices, device.architecture) == options.devices.end(); });
  const std::vector<std::string> kinds = kinds_here(options, devices);
  if (kinds.empty()) return base::fail(Code::kUnavailable, "this machine can do none of the jobs of --kinds: is there a device of the targets?");
  if (const int stale = remove_stale_job_folders(options.work))
    base::log(LogLevel::kInfo, "removed folders of agents that were killed", {{"folders", std::to_string(stale)}});
  // Waiting for a job ends at the first signal; what a job needs of the hub goes on until the second.
  XI_TRY(HubLink waiting, HubLink::open(options.hub, options.token, [&stop] { return stop >= kDrain; }, 1));
  XI_TRY(HubLink working, HubLink::open(options.hub, options.token, {}));
  Announcements announced(options.queue, classes_here(kinds, options.targets, devices), [&stop] { return stop >= kDrain; });
  while (stop == kRun) {
    api::LeaseRequest request{options.name, options.targets, kWaitMs, devices, kinds, {}};
    const bool at_queue = announced.ready();
    if (at_queue) {
      // After a while without a message the hub is asked too: messages may get lost, rows do not.
      if (auto announced_for = announced.wait(kWaitMs)) request.queue = *announced_for;
      request.wait_ms = 0;
      if (stop != kRun) break;
    }
    const auto lease = waiting.lease(request);
    if (lease) announced.settle(lease->has_value());
    else announced.drop();
    if (!lease) {
      if (stop != kRun) break;
      if (lease.error().code == Code::kUnauthorized || lease.error().code == Code::kForbidden ||
          lease.error().code == Code::kInvalidArgument)
        return std::unexpected(lease.error());
      base::log(LogLevel::kWarning, "no answer from the hub", {{"error", lease.error().text()}});
      for (int i = 0; i < kPauseMs / 50 && stop == kRun; ++i) std::this_thread::sleep_for(milliseconds(50));
      continue;
    }
    if (!*lease) {
      if (options.once && at_queue) return {};  // others were faster
      continue;
    }
    if (auto worked = work_on(options, stop, working, **lease); !worked)
      base::log(LogLevel::kError, "attempt lost", {{"error", worked.error().text()}});
    if (options.once) return {};
  }
  return {};
}

}  // namespace xinfer::agent
