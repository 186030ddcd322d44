#include <fmt/format.h>

#include <algorithm>

#include "farm.h"

namespace xinfer::bench_farm {
namespace {

constexpr double kWidth = 860, kHeight = 240, kLeft = 60, kTop = 40;
constexpr const char* kColours[] = {"#2f6fde", "#e0762f", "#2a9d62", "#b0409c", "#8a6d1f"};

/// One line of the plot for each organisation; values are scaled to `top`.
template <class Values>
std::string lines(const Outcome& outcome, double y, double top, Values&& values) {
  std::string out;
  const double hours = std::max(1e-9, outcome.samples.empty() ? 1 : outcome.samples.back().hours);
  for (std::size_t i = 0; i < outcome.organisations.size(); ++i) {
    std::string points;
    for (const Sample& sample : outcome.samples)
      points += fmt::format("{:.1f},{:.1f} ", kLeft + (kWidth - kLeft - 20) * sample.hours / hours,
                            y + kHeight - 60 - (kHeight - 60) * values(sample)[i] / std::max(top, 1e-9));
    out += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"{}\"/>\n", kColours[i % 5], points);
  }
  return out;
}

std::string panel(const Outcome& outcome, double y, const std::string& title, const std::string& unit, double top,
                  const std::string& drawn) {
  const double bottom = y + kHeight - 60;
  std::string out = fmt::format("<text x=\"{}\" y=\"{}\" font-weight=\"bold\">{}</text>\n", kLeft, y - 12, title);
  for (int tick = 0; tick <= 4; ++tick) {
    const double at = bottom - (kHeight - 60) * tick / 4;
    out += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>"
                       "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.3g}{}</text>\n",
                       kLeft, kWidth - 20, at, at, kLeft - 6, at + 4, top * tick / 4, unit);
  }
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{:.2f} h</text>\n", kWidth - 20, bottom + 18,
                     outcome.samples.empty() ? 0 : outcome.samples.back().hours);
  return out + drawn;
}

}  // namespace

std::string to_json(const std::vector<Outcome>& outcomes) {
  std::string out = "[\n";
  for (const Outcome& o : outcomes) {
    out += fmt::format("{}  {{\"name\": \"{}\", \"agents\": {}, \"jobs\": {}, \"succeeded\": {}, \"given_up\": {}, "
                       "\"lost_attempts\": {}, \"left_over\": {}, \"decisions_per_second\": {:.0f}, \"virtual_ms\": {:.0f}, "
                       "\"utilisation\": {:.4f}, \"organisations\": [",
                       &o == &outcomes.front() ? "" : ",\n", o.name, o.agents, o.jobs, o.succeeded, o.given_up, o.lost_attempts,
                       o.left_over, o.decisions_per_second, o.virtual_ms, o.utilisation);
    for (const Served& row : o.organisations)
      out += fmt::format("{}\n    {{\"name\": \"{}\", \"weight\": {}, \"jobs\": {}, \"share\": {:.5f}, \"of_fair\": {:.4f}, "
                         "\"wait_p50_s\": {:.2f}, \"wait_p90_s\": {:.2f}, \"wait_p99_s\": {:.2f}}}",
                         &row == &o.organisations.front() ? "" : ",", row.name, row.weight, row.jobs, row.share, row.of_fair,
                         row.wait_p50_s, row.wait_p90_s, row.wait_p99_s);
    out += "]}";
  }
  return out + "\n]\n";
}

std::string to_svg(const std::vector<Outcome>& outcomes) {
  const double height = kTop + static_cast<double>(outcomes.size()) * 2 * kHeight + 30;
  std::string out = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" "
                                "font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
                                kWidth, height);
  double y = kTop;
  for (const Outcome& outcome : outcomes) {
    double waiting = 1;
    for (const Sample& sample : outcome.samples) waiting = std::max(waiting, *std::ranges::max_element(sample.waiting));
    out += panel(outcome, y, outcome.name + ": share of the build time so far", "", 0.5,
                 lines(outcome, y, 0.5, [](const Sample& sample) -> const std::vector<double>& { return sample.shares; }));
    y += kHeight;
    out += panel(outcome, y, outcome.name + ": jobs that wait", "", waiting,
                 lines(outcome, y, waiting, [](const Sample& sample) -> const std::vector<double>& { return sample.waiting; }));
    y += kHeight;
  }
  for (std::size_t i = 0; i < outcomes.front().organisations.size(); ++i)
    out += fmt::format("<text x=\"{}\" y=\"{}\" fill=\"{}\">organisation {}</text>\n", kLeft + 150.0 * static_cast<double>(i), y - 10,
                       kColours[i % 5], i + 1);
  return out + "</svg>\n";
}

}  // namespace xinfer::bench_farm
