#include "hub_command.h"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "base/files.h"
#include "target/registry.h"

namespace xinfer::cli {

using base::Code;
using base::fail;
using base::Result;

void add_hub_commands(CLI::App& app, Invocation& invocation) {
  auto* hub = app.add_subcommand("hub", "Talks to a hub: models, builds, engines");
  hub->require_subcommand(1);
  hub->footer(
      "The hub's address comes from --hub, else $XINFER_HUB, else http://127.0.0.1:8080; the access token from "
      "$XINFER_TOKEN,\n"
      "else from `xinfer-cli hub login`. Reading the public catalogue and its engines needs no token.");
  add_hub_build_commands(*hub, invocation);
  add_hub_job_commands(*hub, invocation);
  add_hub_model_commands(*hub, invocation);
  add_hub_access_commands(*hub, invocation);
}

CLI::App* add_hub_command(CLI::App& hub, Invocation& invocation, HubArguments& arguments, std::string name,
                          std::string description, std::string examples) {
  auto* command = add_command(hub, invocation, std::move(name), std::move(description), std::move(examples));
  command->add_option("--hub", arguments.url, "The hub's address");
  return command;
}

hub::HubOptions HubArguments::options() const {
  hub::HubOptions options;
  options.url = url;
  return options;
}

namespace {

/// Columns on a terminal: code points, which is right for the text that hubs hold.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - width_of(row[i]) + 2, ' ');
    }
    fmt::print("{}\n", line);
  }
}

void print_json(const std::string& json) {
  const auto document = nlohmann::ordered_json::parse(json, nullptr, false);
  fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string format_bytes(std::int64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  if (bytes < 1000'000) return fmt::format("{:.1f} kB", double(bytes) / 1e3);
  if (bytes < 1000'000'000) return fmt::format("{:.1f} MB", double(bytes) / 1e6);
  return fmt::format("{:.2f} GB", double(bytes) / 1e9);
}

std::string format_time(std::int64_t ms_since_1970) {
  if (ms_since_1970 == 0) return "-";
  const std::time_t seconds = ms_since_1970 / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

Result<std::vector<HardwareTarget>> parse_targets(const std::string& text, const std::string& precision) {
  std::vector<HardwareTarget> targets;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string one = text.substr(begin, end - begin);
    if (!precision.empty() && one.find(':') == std::string::npos) one += ":" + precision;
    XI_TRY(HardwareTarget target, target::parse(one));
    targets.push_back(std::move(target));
    begin = end + 1;
  }
  return targets;
}

void show_progress(ProgressPrinter& printer, const hub::Progress& progress, bool log, const std::string& of) {
  const std::string before = of.empty() ? "" : of + ": ";
  if (!progress.log.empty()) {
    if (log) fmt::print(stderr, "{}{}\n", before, progress.log);
    return;
  }
  const bool known = progress.seconds_left >= 0;
  printer.show(before + progress.stage, progress.fraction,
               known ? fmt::format("about {:.0f} s left, from {} builds", progress.seconds_left, progress.builds) : "");
}

Result<std::optional<api::Metadata>> read_metadata(const std::string& path) {
  if (path.empty()) return std::optional<api::Metadata>{};
  XI_TRY(const std::string text, base::read_file(path, 16 << 20));
  auto metadata = api::decode<api::Metadata>(text);
  if (!metadata) return std::unexpected(std::move(metadata.error()).in(path));
  return std::optional<api::Metadata>(std::move(*metadata));
}

}  // namespace xinfer::cli
