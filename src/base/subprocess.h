// Child processes: run to completion with captured output, limits and a deadline.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace xinfer::base {

struct CommandResult {
  int exit_code = -1;  // exit status, or -1 when ended by a signal
  int signal = 0;      // the signal that ended it, or 0
  std::string out, err;
};

struct CommandOptions {
  std::string input;                                     // written to standard input
  int timeout_ms = 0;                                    // 0: none; on expiry the process group is killed, kTimeout
  std::size_t output_limit_bytes = std::size_t{64} << 20;  // of each stream kept; the rest is dropped
  std::function<void(std::string_view)> on_error_line;   // called for each line of standard error as it comes
};

/// Runs argv[0] (found on PATH) and waits. A program that fails is a result, not an error;
/// errors: kNotFound (no such program), kTimeout, kIo. Thread-safe.
[[nodiscard]] Result<CommandResult> run_command(const std::vector<std::string>& argv, const CommandOptions& options = {});

}  // namespace xinfer::base
