#include "server/metrics.h"

#include <fmt/format.h>

namespace xinfer::server {
namespace {

constexpr double kBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};

std::string_view help_of(std::string_view name) {
  struct Row {
    std::string_view name, help;
  };
  static constexpr Row kRows[] = {
      {"xinfer_http_requests_total", "Requests by route, method and status."},
      {"xinfer_http_request_seconds", "Time from a request's head to its answer's last byte."},
      {"xinfer_http_sent_bytes_total", "Bytes of answers."},
      {"xinfer_lease_expiries_total", "Leases that ended without a heartbeat."},
      {"xinfer_builds_requested_total", "Build requests by how they were answered."},
      {"xinfer_jobs_finished_total", "Jobs by their end."},
      {"xinfer_job_seconds", "Time from the first lease of a job to its end."},
      {"xinfer_build_stage_seconds", "Build time by stage, of builds that succeeded."},
      {"xinfer_leases_total", "Leases given to agents."},
      {"xinfer_source_fetches_total", "Fetches of catalogue sources by outcome."},
      {"xinfer_jobs_announced_total", "Messages that announced a waiting job."},
      {"xinfer_collected_objects_total", "Objects deleted because nothing referred to them."},
  };
  for (const Row& row : kRows)
    if (row.name == name) return row.help;
  return "";
}

std::string series(std::string_view name, std::string_view labels, double value) {
  return labels.empty() ? fmt::format("{} {}\n", name, value) : fmt::format("{}{{{}}} {}\n", name, labels, value);
}

}  // namespace

void Metrics::count(std::string_view name, const std::string& labels, double by) {
  const std::lock_guard lock(mutex_);
  counters_[std::string(name)][labels] += by;
}

void Metrics::observe_seconds(std::string_view name, const std::string& labels, double seconds) {
  const std::lock_guard lock(mutex_);
  Histogram& histogram = histograms_[std::string(name)][labels];
  histogram.buckets.resize(std::size(kBounds));
  for (std::size_t i = 0; i < std::size(kBounds); ++i)
    if (seconds <= kBounds[i]) ++histogram.buckets[i];
  ++histogram.count;
  histogram.sum += seconds;
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, values] : counters_) {
    out += fmt::format("# HELP {} {}\n# TYPE {} counter\n", name, help_of(name), name);
    for (const auto& [labels, value] : values) out += series(name, labels, value);
  }
  for (const auto& [name, values] : histograms_) {
    out += fmt::format("# HELP {} {}\n# TYPE {} histogram\n", name, help_of(name), name);
    for (const auto& [labels, histogram] : values) {
      const std::string comma = labels.empty() ? "" : labels + ",";
      for (std::size_t i = 0; i < std::size(kBounds); ++i)
        out += series(name + "_bucket", fmt::format("{}le=\"{}\"", comma, kBounds[i]),
                      static_cast<double>(histogram.buckets[i]));
      out += series(name + "_bucket", comma + "le=\"+Inf\"", static_cast<double>(histogram.count));
      out += series(name + "_sum", labels, histogram.sum);
      out += series(name + "_count", labels, static_cast<double>(histogram.count));
    }
  }
  return out;
}

std::string gauge_line(std::string_view name, std::string_view labels, double value, std::string_view help) {
  std::string out;
  if (!help.empty()) out = fmt::format("# HELP {} {}\n# TYPE {} gauge\n", name, help, name);
  return out + series(name, labels, value);
}

std::string label_value(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out;
}

}  // namespace xinfer::server
