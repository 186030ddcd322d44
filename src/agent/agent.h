// The agent: takes jobs under leases, builds each in a sandbox, signs by the hub, uploads, reports.
#pragma once
#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "agent/sandbox.h"
#include "base/error.h"

namespace xinfer::agent {

struct AgentOptions {
  std::string hub, token, name;
  std::string queue;                 // where jobs are announced (amqp://…); empty: the hub alone
  std::vector<std::string> targets;  // canonical; empty: every CPU target that this version builds
  std::vector<std::string> kinds;    // of jobs that it does; empty: all that it can
  std::vector<std::string> devices;  // that it runs engines on, canonical: those of this machine that are named here
  bool all_devices = true;           // all of this machine instead
  std::filesystem::path work;        // kernel caches, and scratch folders of jobs
  std::filesystem::path program;     // with the command job: this one
  bool once = false, sandbox = true;
  int jobs = 0;  // compilers at once; 0: one per core
  std::int64_t model_cache_bytes = std::int64_t{8} << 30;  // of models kept; 0: none
  SandboxLimits limits;
};

/// How far the agent is to stop; grows from outside, at any time.
enum Stop { kRun = 0, kDrain = 1, kNow = 2 };

/// Works until `stop` (kDrain: after the running job; kNow: the job is given back), or one job with `once`.
[[nodiscard]] base::Result<void> run_agent(const AgentOptions& options, const std::atomic<int>& stop);

}  // namespace xinfer::agent
