// xinfer-cli targets: the registry of hardware targets as a table.
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "codegen/cpu/compile.h"
#include "codegen/cuda/nvrtc.h"
#include "command.h"
#include "runtime/program.h"
#include "target/registry.h"

namespace xinfer::cli {

namespace {

// What this machine lacks to build engines for the target; empty when nothing.
std::string missing_to_build(const target::TargetInfo& row) {
  if (row.kind == target::Kind::kCpu) {
    static const auto clang = codegen::cpu::compiler_version();
    return clang ? "" : clang.error().message;
  }
  static const auto nvrtc = codegen::cuda::Nvrtc::load();
  if (!nvrtc) return nvrtc.error().message;
  return nvrtc->supports(row.name) ? "" : fmt::format("{} makes no code for {}: CUDA 13 does", nvrtc->version(), row.name);
}

base::Result<int> list_targets(bool json) {
  std::string unavailable;
  auto host = target::host();
  std::string host_name = host ? host->architecture() : "";
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const auto& row : target::targets()) {
    const bool runs_here = runtime::check_machine(row.name).has_value();
    const std::string missing = missing_to_build(row);
    if (json) {
      rows.push_back({{"name", row.name},
                      {"display_name", row.display_name},
                      {"hardware", row.hardware},
                      {"aliases", row.aliases},
                      {"available", missing.empty()},
                      {"unavailable_reason", missing},
                      {"host", row.name == host_name},
                      {"runs_here", runs_here}});
    } else {
      std::string_view state = row.name == host_name ? "host" : runs_here ? "runs here" : missing.empty() ? "builds" : "-";
      fmt::print("{:<10} {:<10} {:<28} {}\n", row.name, state, row.display_name, fmt::join(row.aliases, " "));
      if (!missing.empty()) unavailable = missing;
    }
  }
  if (!unavailable.empty()) fmt::print("-: unavailable: {}\n", unavailable);
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
