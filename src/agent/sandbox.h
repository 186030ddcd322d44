// A build as a child process under bubblewrap: no network, read-only system, own /tmp, limits; and how it ended.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/types.h"
#include "base/error.h"

namespace xinfer::agent {

struct SandboxLimits {
  std::int64_t memory_bytes = std::int64_t{8} << 30;  // address space of each process
  std::int64_t time_ms = 30 * 60'000;                 // by the clock; CPU time is limited to this on every core
  std::int64_t file_bytes = std::int64_t{16} << 30;
  std::int64_t temporary_bytes = std::int64_t{4} << 30;  // of /tmp
  int processes = 512;
};

struct SandboxJob {
  std::filesystem::path program;       // read-only in the sandbox
  std::filesystem::path input;         // read-only folder, /job
  std::filesystem::path output;        // writable folder, /out
  std::filesystem::path cache;         // writable folder, /cache
  std::vector<std::string> arguments;  // "{job}", "{out}" and "{cache}" become the folders' places
  bool sandboxed = true;
  bool gpu = false;  // the driver's device files are there, and address space is not limited: CUDA reserves more than any limit
  SandboxLimits limits;
  std::function<void(std::string_view)> on_line;  // standard output
  std::function<void(std::string_view)> on_error_line;
  std::function<bool()> cancelled;  // asked several times a second
};

/// How the child ended, when not by its own account.
struct Ending {
  int exit_code = 0;
  int signal = 0;  // of the child in the sandbox
  bool timed_out = false, cancelled = false;
  bool out_of_memory = false;  // the kernel killed for memory while it ran
};

/// kUnavailable, saying what to install or set, when bubblewrap cannot make a sandbox here.
[[nodiscard]] base::Result<void> check_sandbox();

/// Runs to the end. The whole process group is killed on time-out and cancellation.
[[nodiscard]] base::Result<Ending> run_sandboxed(const SandboxJob& job);

/// The error that a user reads for a child that ended without telling why.
api::BuildError describe(const Ending& ending, const SandboxLimits& limits);

}  // namespace xinfer::agent
