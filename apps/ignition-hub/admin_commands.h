// ignition-hub admin: organisations and tokens, in the database of a hub that may be running.
#pragma once
#include <CLI/CLI.hpp>

namespace xinfer::hub_app {

/// Adds the commands to the program; `status` gets the exit status of the one that ran.
void add_admin_commands(CLI::App& app, int& status);

}  // namespace xinfer::hub_app
