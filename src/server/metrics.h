// Counters and histograms in Prometheus' text format.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace xinfer::server {

/// Thread-safe.
class Metrics {
 public:
  /// `labels` as they are printed: `route="/v1/models",method="GET"`.
  void count(std::string_view name, const std::string& labels = {}, double by = 1);
  void observe_seconds(std::string_view name, const std::string& labels, double seconds);
  /// All of it as text, with HELP and TYPE lines.
  std::string text() const;

 private:
  struct Histogram {
    std::vector<std::uint64_t> buckets;
    std::uint64_t count = 0;
    double sum = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, std::map<std::string, double>> counters_;
  std::map<std::string, std::map<std::string, Histogram>> histograms_;
};

/// One line `name{labels} value` of a gauge, with its HELP and TYPE lines first when `help` is given.
std::string gauge_line(std::string_view name, std::string_view labels, double value, std::string_view help = {});
/// A text as a label's value: quotes, backslashes and line breaks escaped.
std::string label_value(std::string_view text);

}  // namespace xinfer::server
