// What the `hub` commands share: which hub, tables, JSON, arguments that several take.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "api/types.h"
#include "command.h"
#include "engine_options.h"
#include "hub/client.h"

namespace xinfer::cli {

struct HubArguments {
  std::string url;  // --hub
  hub::HubOptions options() const;
};

/// Adds `hub NAME` with --json and --hub.
CLI::App* add_hub_command(CLI::App& hub, Invocation& invocation, HubArguments& arguments, std::string name,
                          std::string description, std::string examples);

/// Rows as columns of equal width, the first row as heading.
void print_table(const std::vector<std::vector<std::string>>& rows);
/// JSON text with indentation.
void print_json(const std::string& json);

std::string format_bytes(std::int64_t bytes);
std::string format_time(std::int64_t ms_since_1970);  // "2026-11-23 18:09:10" in UTC

/// Metadata from a JSON file; nothing for an empty path.
[[nodiscard]] base::Result<std::optional<api::Metadata>> read_metadata(const std::string& path);

/// Progress on the terminal, with the hub's estimate where it has one; of one of several builds with `of` before it. Log lines
/// where they are wanted.
void show_progress(ProgressPrinter& printer, const hub::Progress& progress, bool log, const std::string& of = {});
/// "a,b:fp16" as canonical targets; `precision` for those that name none.
[[nodiscard]] base::Result<std::vector<HardwareTarget>> parse_targets(const std::string& text, const std::string& precision);

// hub_jobs.cpp: preflights and tunings
void add_hub_job_commands(CLI::App& hub, Invocation& invocation);
void print_job(const api::Job& job);
// hub_builds.cpp
void add_hub_build_commands(CLI::App& hub, Invocation& invocation);
// hub_models.cpp
void add_hub_model_commands(CLI::App& hub, Invocation& invocation);
// hub_access.cpp
void add_hub_access_commands(CLI::App& hub, Invocation& invocation);

}  // namespace xinfer::cli
