// All commands, in the order of the help text.
#include "command.h"

namespace xinfer::cli {

void add_commands(CLI::App& app, Invocation& invocation) {
  add_preflight_command(app, invocation);
  add_build_command(app, invocation);
  add_run_command(app, invocation);
  add_benchmark_command(app, invocation);
  add_tune_command(app, invocation);
  add_inspect_command(app, invocation);
  add_verify_command(app, invocation);
  add_test_onnx_command(app, invocation);
  add_targets_command(app, invocation);
  add_keys_command(app, invocation);
  add_hub_commands(app, invocation);
}

}  // namespace xinfer::cli
