// xinfer-cli targets: the registry of hardware targets as a table.
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "command.h"
#include "target/registry.h"

namespace xinfer::cli {

namespace {

base::Result<int> list_targets(bool json) {
  auto host = target::host();
  std::string host_name = host ? host->architecture() : "";
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const auto& row : target::targets()) {
    bool runs_here = !host_name.empty() && target::runs_on(row.name, host_name);
    if (json) {
      rows.push_back({{"name", row.name},
                      {"display_name", row.display_name},
                      {"hardware", row.hardware},
                      {"aliases", row.aliases},
                      {"available", row.unavailable.empty()},
                      {"unavailable_reason", row.unavailable},
                      {"host", row.name == host_name},
                      {"runs_here", runs_here}});
    } else {
      std::string_view state = row.name == host_name     ? "host"
                               : runs_here               ? "runs here"
                               : row.unavailable.empty() ? "builds"
                                                         : "-";
      fmt::print("{:<10} {:<10} {:<28} {}\n", row.name, state, row.display_name, fmt::join(row.aliases, " "));
    }
  }
  if (json) fmt::print("{}\n", rows.dump(2));
  return 0;
}

}  // namespace

void add_targets_command(CLI::App& app, Invocation& invocation) {
  auto* command = add_command(app, invocation, "targets", "Lists the hardware that engines are built for",
                              "xinfer-cli targets\nxinfer-cli targets --json");
  command->callback([&invocation] { invocation.action = [&invocation] { return list_targets(invocation.json); }; });
}

}  // namespace xinfer::cli
