// All commands, in the order of the help text.
#include "command.h"

namespace xinfer::cli {

void add_commands(CLI::App& app, Invocation& invocation) {
  add_test_onnx_command(app, invocation);
  add_targets_command(app, invocation);
}

}  // namespace xinfer::cli
