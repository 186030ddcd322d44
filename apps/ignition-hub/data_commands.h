// ignition-hub migrate, backup, restore, gc: work on a hub's database and store, which may be in use.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace xinfer::hub_app {

/// Adds the commands to the program; `status` gets the exit status of the one that ran.
void add_data_commands(CLI::App& app, int& status);

}  // namespace xinfer::hub_app
