// ignition-agent: builds engines for a hub.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>

#include "agent/agent.h"
#include "agent/job.h"
#include "base/files.h"
#include "target/registry.h"

namespace {

using namespace xinfer;

// Set by signal handlers only.
std::atomic<int>& stop_level() {
  static std::atomic<int> level{agent::kRun};
  return level;
}
void drain(int) { stop_level() = stop_level() == agent::kRun ? agent::kDrain : agent::kNow; }
void stop_now(int) { stop_level() = agent::kNow; }

int report(const base::Error& error) {
  std::fprintf(stderr, "ignition-agent: %s\n", error.text().c_str());
  return base::facts(error.code).exit_code;
}

int work(agent::AgentOptions options, const std::string& token_file, const std::string& sandbox, const std::string& devices) {
  auto token = base::read_file(token_file, 4096);
  if (!token) return report(token.error());
  options.token = token->substr(0, token->find_first_of(" \r\n"));
  options.sandbox = sandbox == "on";
  options.all_devices = devices == "all";
  if (devices != "all" && devices != "none")
    for (std::size_t begin = 0; begin <= devices.size();) {
      const std::size_t end = std::min(devices.find(',', begin), devices.size());
      const auto found = target::find(devices.substr(begin, end - begin));
      if (!found) return report(found.error());
      options.devices.emplace_back((*found)->name);
      begin = end + 1;
    }
  for (std::string& name : options.targets) {
    const auto found = target::find(name);
    if (!found) return report(found.error());
    name = (*found)->name;
  }
  std::error_code error;
  options.program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (options.name.empty()) options.name = "agent-" + std::to_string(::getpid());
  if (options.work.empty()) options.work = base::cache_folder() / "agent";
  options.work = std::filesystem::absolute(options.work);
  stop_level();  // made before a handler may need it
  signal(SIGTERM, drain);
  signal(SIGINT, stop_now);
  signal(SIGPIPE, SIG_IGN);
  const auto done = agent::run_agent(options, stop_level());
  return done ? 0 : report(done.error());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Builds engines for an Ignition Hub"};
  app.set_version_flag("--version", "ignition-agent " XI_VERSION);
  agent::AgentOptions options;
  std::string token_file, sandbox = "on", devices = "all";
  std::vector<std::string> kinds;
  for (const agent::JobWork& work : agent::job_works()) kinds.emplace_back(work.kind);
  auto* hub = app.add_option("--hub", options.hub, "Address of the hub");
  auto* token = app.add_option("--token-file", token_file, "File with the agent's token");
  app.add_option("--queue", options.queue, "amqp://… where the hub announces jobs, to wait there")
      ->envname("IGNITION_AGENT_QUEUE");
  app.add_option("--name", options.name, "Name in the hub's logs");
  app.add_option("--targets", options.targets, "Targets to build for (all that this version can)")->delimiter(',');
  app.add_option("--kinds", options.kinds, "Jobs to do: build, verify, tune, preflight (all that this machine can)")
      ->delimiter(',')
      ->check(CLI::IsMember(kinds));
  app.add_option("--devices", devices, "What engines are run on here: all, none, or names with commas, such as host,h100");
  app.add_option("--work", options.work, "Folder for caches of kernels and models, and for jobs");
  app.add_option("--sandbox", sandbox, "on, or off where every model is trusted")->check(CLI::IsMember({"on", "off"}));
  app.add_option("--memory-bytes", options.limits.memory_bytes, "Address space of a build")->check(CLI::PositiveNumber);
  app.add_option("--time-ms", options.limits.time_ms, "Longest build")->check(CLI::PositiveNumber);
  app.add_option("--jobs", options.jobs, "Compilers at once; 0: one per core")->check(CLI::NonNegativeNumber);
  app.add_option("--model-cache-bytes", options.model_cache_bytes, "Models kept in --work for further builds; 0: none")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--once", options.once, "End after one job");

  agent::JobFiles files;
  CLI::App* job = app.add_subcommand("job", "One job inside the sandbox (the agent calls this)");
  job->add_option("job", files.job)->required();
  job->add_option("out", files.out)->required();
  job->add_option("cache", files.cache)->required();
  job->add_option("--jobs", files.jobs);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return report({base::Code::kInvalidArgument, std::string(error.what()) + "; try --help", ""});
  }
  if (*job) return agent::run_job(files);
  if (!*hub || !*token) return report({base::Code::kInvalidArgument, "--hub and --token-file are required", ""});
  return work(std::move(options), token_file, sandbox, devices);
}
