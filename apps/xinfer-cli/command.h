// What the CLI's commands share: how they are added, how they answer and fail.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"

namespace xinfer::cli {

/// One invocation. A command's callback sets `action`; main() runs it after parsing, prints its error and exits with the
/// error's exit code (base::facts), or with the code that the action returns.
struct Invocation {
  bool json = false;  // print one JSON document on standard output instead of text
  std::function<base::Result<int>()> action;
};

/// Adds a subcommand with the --json flag; `examples` is shown at the end of its help. `Options` is the command's own
/// struct, which lives as long as the app:
///
///   struct Options { std::string file; };
///   void add_inspect_command(CLI::App& app, Invocation& invocation) {
///     auto options = std::make_shared<Options>();
///     auto* command = add_command(app, invocation, "inspect", "Shows what an engine holds", "xinfer-cli inspect a.engine");
///     command->add_option("file", options->file, "engine file")->required();
///     command->callback([options, &invocation] { invocation.action = [options, &invocation] { return inspect(*options, invocation.json); }; });
///   }
CLI::App* add_command(CLI::App& app, Invocation& invocation, std::string name, std::string description,
                      std::string examples);

/// Adds every command (commands.cpp).
void add_commands(CLI::App& app, Invocation& invocation);

// One function per command or group.
void add_preflight_command(CLI::App& app, Invocation& invocation);
void add_build_command(CLI::App& app, Invocation& invocation);
void add_tune_command(CLI::App& app, Invocation& invocation);
void add_inspect_command(CLI::App& app, Invocation& invocation);
void add_verify_command(CLI::App& app, Invocation& invocation);
void add_run_command(CLI::App& app, Invocation& invocation);
void add_benchmark_command(CLI::App& app, Invocation& invocation);
void add_test_onnx_command(CLI::App& app, Invocation& invocation);
void add_targets_command(CLI::App& app, Invocation& invocation);
void add_keys_command(CLI::App& app, Invocation& invocation);
void add_hub_commands(CLI::App& app, Invocation& invocation);  // hub_*.cpp

/// Progress on standard error: a bar that redraws on a terminal, a line whenever the stage changes elsewhere.
class ProgressPrinter {
 public:
  ProgressPrinter();
  ~ProgressPrinter();  // ends the bar's line
  /// `fraction` 0 to 1, negative when unknown. `note` stands behind it.
  void show(std::string_view stage, double fraction, std::string_view note = {});

 private:
  bool terminal_, drawn_ = false;
  std::string last_stage_, last_note_;
  int last_percent_ = -1;
};

}  // namespace xinfer::cli
