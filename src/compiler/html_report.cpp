#include "compiler/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "compiler/cost_model.h"
#include "compiler/graph_drawing.h"
#include "compiler/launch_graph.h"
#include "compiler/page_text.h"
#include "target/registry.h"

namespace xinfer::compiler {
namespace {

using Json = nlohmann::ordered_json;
using Kind = LaunchGraph::Node::Kind;

// CSS class (report_page.css) of a kind of kernels.
std::string_view style_of(std::string_view kind) {
  if (kind == "conv winograd") return "k8";
  if (kind == "conv depthwise") return "k9";
  if (kind.starts_with("conv")) return "k0";
  if (kind.starts_with("matmul")) return "k1";
  if (kind.starts_with("pool")) return "k2";
  if (kind.starts_with("loop nest")) return "k3";
  if (kind.starts_with("recurrent") || kind == "attention") return "k4";
  return "k5";
}

// Kinds of one colour are one to the eye.
std::string_view family_of(std::string_view kind) {
  for (const std::string_view family : {"loop nest", "pool", "recurrent"})
    if (kind.starts_with(family)) return family;
  return kind;
}

std::string format_time(double microseconds) {
  return microseconds < 10e3 ? fmt::format("{:.1f} us", microseconds) : fmt::format("{:.1f} ms", microseconds / 1e3);
}

std::string format_bytes(double bytes) {
  if (bytes < 1e3) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e6) return fmt::format("{:.1f} KB", bytes / 1e3);
  return bytes < 1e9 ? fmt::format("{:.2f} MB", bytes / 1e6) : fmt::format("{:.2f} GB", bytes / 1e9);
}

std::string number_cell(double value, std::string_view text) {
  return fmt::format("<td class=\"number\" data-value=\"{:.9g}\">{}</td>", value, text);
}

// What of a number may be missing in the engine's report, which is data of a file.
double number_in(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number() ? it->get<double>() : 0;
}

class Page {
 public:
  Page(const engine::Engine& engine, const Measurement* measurement, const std::vector<Report::Stage>* stages)
      : engine_(engine),
        plan_(engine.plan()),
        measurement_(measurement),
        stages_(stages),
        graph_(make_launch_graph(engine.plan(), engine.manifest().report)),
        report_(Json::parse(engine.manifest().report, nullptr, false)) {
    if (!report_.is_object()) report_ = Json::object();
    if (measurement_ != nullptr && measurement_->launch_microseconds.size() == plan_.launches.size())
      for (double time : measurement_->launch_microseconds) total_microseconds_ += time;
  }

  std::string text() {
    const std::string title =
        escape_html(engine_.manifest().model_name.empty() ? "engine" : engine_.manifest().model_name);
    return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
           "content=\"width=device-width,initial-scale=1\">"
           // No request leaves the page, whatever a name in it says.
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
           "script-src 'unsafe-inline'\"><title>" +
           title + "</title><style>" + std::string(kReportPageCss) + "</style></head><body><main><h1>" + title +
           "</h1>" + subtitle() + cards() + times() + drawing() + launches() + memory() + verification() + facts() +
           build() + "<footer>xinfer: one file, nothing in it is loaded from elsewhere</footer></main><script>" +
           std::string(kReportPageJs) + "</script></body></html>\n";
  }

 private:
  bool measured() const { return total_microseconds_ > 0; }
  double microseconds(std::size_t launch) const { return measured() ? measurement_->launch_microseconds[launch] : 0; }
  static std::string section(std::string_view title, const std::string& body) {
    return fmt::format("<section><h2>{}</h2><div class=\"panel\">{}</div></section>", title, body);
  }

  std::string target_name() const {
    const auto* row = target::find_canonical(engine_.manifest().architecture);
    return fmt::format("{}:{}{}", engine_.manifest().architecture, engine_.manifest().precision,
                       row != nullptr ? fmt::format(" ({})", row->display_name) : "");
  }

  std::string subtitle() const {
    return fmt::format("<div class=\"sub\">for {} · {} launches of {} kernels · digest {}</div>",
                       escape_html(target_name()), plan_.launches.size(), plan_.kernels.size(),
                       escape_html(engine_.digest().substr(0, 16)));
  }

  std::string cards() const {
    std::string text = "<div class=\"cards\">";
    const auto card = [&](std::string_view value, std::string_view what, std::string_view style = "") {
      text += fmt::format("<div class=\"card\"><b class=\"{}\">{}</b><span>{}</span></div>", style, value, what);
    };
    double flops = 0;
    for (const engine::Launch& launch : plan_.launches) flops += launch.flops;
    if (measurement_ != nullptr) {
      card(fmt::format("{:.4g} ms", measurement_->median_ms),
           fmt::format("median with {} thread{}", measurement_->threads, measurement_->threads == 1 ? "" : "s"));
      card(fmt::format("{:.4g}", flops / measurement_->median_ms / 1e6), "GFLOP/s");
    }
    card(fmt::format("{:.4g}", flops / 1e9), "GFLOP an inference");
    card(format_bytes(static_cast<double>(engine_.weights().size())), "weights");
    card(format_bytes(static_cast<double>(plan_.arena_bytes)), "arena, the peak of values");
    card(format_bytes(static_cast<double>(engine_.code().size())), "machine code");
    const Json* found = verification_json();
    const bool ran = found != nullptr && found->value("ran", Json(false)) == true,
               passed = ran && found->value("passed", Json(false)) == true;
    card(passed ? "passed"
         : ran  ? "failed"
                : "not run",
         "verification against the reference",
         passed ? "good"
         : ran  ? "bad"
                : "");
    return text + "</div>";
  }

  const Json* verification_json() const {
    const auto it = report_.find("verification");
    return it != report_.end() && it->is_object() ? &*it : nullptr;
  }

  // --- time ----------------------------------------------------------------------------------------------------------

  std::string times() const {
    if (!measured()) return "";
    std::map<std::string_view, double> by_kind;
    double slowest = 0;
    for (std::size_t i = 0; i < plan_.launches.size(); ++i) {
      by_kind[family_of(kernel_kind(plan_.launches[i].choice))] += microseconds(i);
      slowest = std::max(slowest, microseconds(i));
    }
    std::vector<std::pair<std::string_view, double>> kinds(by_kind.begin(), by_kind.end());
    std::ranges::stable_sort(kinds, std::greater{}, &std::pair<std::string_view, double>::second);
    std::string share = "<div class=\"share\">", legend = "<div class=\"legend\">";
    for (const auto& [kind, time] : kinds) {
      share += fmt::format("<i class=\"{}\" style=\"width:{:.2f}%\" title=\"{}: {}\"></i>", style_of(kind),
                           100 * time / total_microseconds_, kind, format_time(time));
      legend += fmt::format("<span><i class=\"dot {}\"></i>{} {}, {:.1f} %</span>", style_of(kind), kind, format_time(time),
                            100 * time / total_microseconds_);
    }
    constexpr double kWidth = 1200, kHeight = 180;
    const double step = kWidth / static_cast<double>(plan_.launches.size());
    std::string bars = fmt::format("<svg class=\"chart\" viewBox=\"0 0 {} 200\" preserveAspectRatio=\"none\">", kWidth);
    for (std::size_t i = 0; i < plan_.launches.size(); ++i) {
      const engine::Launch& launch = plan_.launches[i];
      const double height = std::max(1.0, microseconds(i) / slowest * kHeight);
      bars += fmt::format(
          "<rect class=\"{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\"><title>{}. {}: {:.1f} "
          "us</title></rect>",
          style_of(kernel_kind(launch.choice)), static_cast<double>(i) * step, 20 + kHeight - height,
          std::max(0.5, step - std::min(1.5, step / 4)), height, i, escape_html(launch.name), microseconds(i));
    }
    bars += fmt::format("<line x1=\"0\" x2=\"{0}\" y1=\"199.5\" y2=\"199.5\"/></svg>", kWidth);
    return section("Time by launch", fmt::format("{}</div>{}</div><p class=\"hint\">From left to right in the order of "
                                                 "execution; the tallest bar is {} of {} in all.</p>{}",
                                                 share, legend, format_time(slowest), format_time(total_microseconds_), bars));
  }

  // --- graph ---------------------------------------------------------------------------------------------------------

  DrawnBox box_of(const LaunchGraph::Node& node) const {
    if (node.kind != Kind::kLaunch)
      return {node.kind == Kind::kInput ? "input" : "output",
              node.name,
              node.output.substr(std::min(node.output.size(), node.name.size() + 2)),
              node.output,
              node.kind == Kind::kInput ? "k6" : "k7",
              ""};
    const engine::Launch& launch = plan_.launches[node.index];
    const auto colon = node.output.rfind(": ");
    const std::string shape =
        colon == std::string::npos ? format_bytes(launch.bytes) + " moved" : node.output.substr(colon + 2);
    std::string last = shape;
    if (measured()) last = fmt::format("{}  {}", shape, format_time(microseconds(node.index)));
    std::string tooltip = fmt::format("{}. {}\n{}\n{}", node.index, launch.name, launch.choice, node.reason);
    if (!node.output.empty()) tooltip += "\nmakes " + node.output;
    return {launch.choice,
            launch.name,
            last,
            tooltip,
            std::string(style_of(kernel_kind(launch.choice))),
            fmt::format("launch-{}", node.index)};
  }

  // Chains of launches with one reader each, as one box; `group[i]` is the box of node i.
  std::string folded_drawing() const {
    const std::size_t count = graph_.nodes.size();
    std::vector<std::size_t> readers(count, 0), sources(count, 0), group(count);
    for (const auto& edge : graph_.edges) ++readers[edge.from], ++sources[edge.to];
    std::iota(group.begin(), group.end(), std::size_t{0});
    std::map<std::size_t, std::vector<std::size_t>> members;
    for (const auto& edge : graph_.edges)  // sorted: a chain's beginning comes first
      if (readers[edge.from] == 1 && sources[edge.to] == 1 && graph_.nodes[edge.from].kind == Kind::kLaunch &&
          graph_.nodes[edge.to].kind == Kind::kLaunch)
        group[edge.to] = group[edge.from];
    for (std::size_t i = 0; i < count; ++i) members[group[i]].push_back(i);
    std::vector<DrawnBox> boxes;
    std::map<std::size_t, std::size_t> place;
    for (const auto& [leader, list] : members) {
      place[leader] = boxes.size();
      DrawnBox box = box_of(graph_.nodes[leader]);
      if (list.size() > 1) {
        double time = 0;
        box.tooltip = fmt::format("{} launches in a row:", list.size());
        for (std::size_t i : list) {
          time += microseconds(graph_.nodes[i].index);
          box.tooltip += fmt::format("\n{}. {} [{}]", graph_.nodes[i].index, graph_.nodes[i].name,
                                     plan_.launches[graph_.nodes[i].index].choice);
        }
        box.title = fmt::format("{} launches in a row", list.size());
        box.line = fmt::format("{} …", keep_end(graph_.nodes[list.front()].name, 14)) + " " +
                   keep_end(graph_.nodes[list.back()].name, 15);
        const DrawnBox end = box_of(graph_.nodes[list.back()]);
        box.last_line =
            measured() ? fmt::format("{}, {:.1f} %", format_time(time), 100 * time / total_microseconds_) : end.last_line;
      }
      boxes.push_back(std::move(box));
    }
    std::vector<std::pair<std::size_t, std::size_t>> edges;
    for (const auto& edge : graph_.edges)
      if (group[edge.from] != group[edge.to]) edges.emplace_back(place[group[edge.from]], place[group[edge.to]]);
    std::ranges::sort(edges);
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
    return draw_graph(boxes, edges, "folded");
  }

  std::string drawing() const {
    std::vector<DrawnBox> boxes;
    std::vector<std::pair<std::size_t, std::size_t>> edges;
    for (const auto& node : graph_.nodes) boxes.push_back(box_of(node));
    for (const auto& edge : graph_.edges) edges.emplace_back(edge.from, edge.to);
    std::string folded = folded_drawing();
    folded.insert(4, " hidden");
    return section("Graph of launches",
                   "<div class=\"tools\"><button id=\"zoom-in\">zoom in</button><button id=\"zoom-out\">zoom "
                   "out</button><button id=\"top\">begin</button><button id=\"fit\">whole</button>"
                   "<button id=\"fold\" aria-pressed=\"false\">fold chains</button><input id=\"find\" type=\"search\" "
                   "placeholder=\"find a node\" aria-label=\"find a node\">"
                   "<span class=\"hint\">drag to move, wheel to zoom, click a box for its row; each box is one kernel "
                   "call with the model's nodes that it computes</span></div><div class=\"view\">" +
                       draw_graph(boxes, edges, "every") + folded + "</div>");
  }

  // --- tables --------------------------------------------------------------------------------------------------------

  std::string launches() const {
    std::string text =
        "<div class=\"scroll\"><table class=\"sortable\" id=\"launches\"><thead><tr><th "
        "class=\"number\">#</th><th>nodes of the model</th><th>kernel, and why</th><th>makes</th><th "
        "class=\"number\">tasks</th>"
        "<th class=\"number\">MFLOP</th><th class=\"number\">moved</th><th class=\"number\">weights</th>";
    if (measured())
      text +=
          "<th class=\"number\">us</th><th class=\"number\">%</th><th class=\"number\">GFLOP/s</th><th "
          "class=\"number\">GB/s</th>";
    text += "</tr></thead><tbody>";
    for (const auto& node : graph_.nodes) {
      if (node.kind != Kind::kLaunch) continue;
      const engine::Launch& launch = plan_.launches[node.index];
      text += fmt::format(
          "<tr id=\"launch-{0}\">{1}<td>{2}</td><td><i class=\"dot {3}\"></i>{4}<div "
          "class=\"reason\">{5}</div></td><td>{6}</td>",
          node.index, number_cell(static_cast<double>(node.index), std::to_string(node.index)),
          escape_html(launch.name), style_of(kernel_kind(launch.choice)), escape_html(launch.choice),
          escape_html(node.reason), escape_html(node.output));
      text += number_cell(static_cast<double>(launch.num_tasks), std::to_string(launch.num_tasks)) +
              number_cell(launch.flops, fmt::format("{:.3f}", launch.flops / 1e6)) +
              number_cell(launch.bytes, format_bytes(launch.bytes)) +
              number_cell(node.weight_bytes, format_bytes(node.weight_bytes));
      if (measured()) {
        const double time = microseconds(node.index), safe = std::max(time, 1e-3);
        text += number_cell(time, fmt::format("{:.1f}", time)) +
                number_cell(time, fmt::format("{:.1f}", 100 * time / total_microseconds_)) +
                number_cell(launch.flops / safe, fmt::format("{:.1f}", launch.flops / safe / 1e3)) +
                number_cell(launch.bytes / safe, fmt::format("{:.1f}", launch.bytes / safe / 1e3));
      }
      text += "</tr>";
    }
    return section("Launches", text + "</tbody></table></div>");
  }

  std::string memory() const {
    if (plan_.arena_bytes == 0 || plan_.launches.empty()) return "";
    constexpr double kWidth = 1200, kHeight = 200;
    const double step = kWidth / static_cast<double>(plan_.launches.size()),
                 scale = kHeight / static_cast<double>(plan_.arena_bytes);
    std::string text =
        fmt::format("<svg class=\"memory\" viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\">", kWidth, kHeight);
    for (const auto& block : graph_.blocks)
      text += fmt::format(
          "<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\"><title>{} at {}, from launch {} to "
          "{}</title></rect>",
          static_cast<double>(block.born) * step, static_cast<double>(block.begin) * scale,
          static_cast<double>(block.last - block.born + 1) * step,
          std::max(0.6, static_cast<double>(block.end - block.begin) * scale),
          format_bytes(static_cast<double>(block.end - block.begin)), format_bytes(static_cast<double>(block.begin)),
          block.born, block.last);
    text += "</svg>";
    return section(
        "Memory plan",
        fmt::format("<p class=\"hint\">The arena, {}: from left to right the launches, from top to bottom the "
                    "addresses. Each block is a value from the launch that makes it to the last that reads it; "
                    "addresses are used again. Weights: {}, of them {} read by launches.</p>{}",
                    format_bytes(static_cast<double>(plan_.arena_bytes)),
                    format_bytes(static_cast<double>(engine_.weights().size())), format_bytes(weights_read()), text));
  }

  double weights_read() const {
    double bytes = 0;
    for (const auto& node : graph_.nodes) bytes += node.weight_bytes;
    return bytes;
  }

  std::string verification() const {
    const Json* found = verification_json();
    if (found == nullptr) return "";
    if (found->value("ran", Json(false)) != true) {
      const Json reason = found->value("reason", Json(""));
      return section("Verification", escape_html(reason.is_string() ? reason.get<std::string>() : "not run"));
    }
    std::string text =
        "<table><thead><tr><th>output</th><th class=\"number\">largest error</th><th class=\"number\">largest relative "
        "error</th><th class=\"number\">cosine</th><th>agrees</th></tr></thead><tbody>";
    if (const auto list = found->find("outputs"); list != found->end() && list->is_array())
      for (const Json& output : *list) {
        if (!output.is_object()) continue;
        const Json name = output.value("name", Json("")), matches = output.value("matches", Json(false));
        text += fmt::format(
            "<tr><td>{}</td><td class=\"number\">{:.3g}</td><td class=\"number\">{:.3g}</td><td "
            "class=\"number\">{:.9f}</td><td class=\"{}\">{}</td></tr>",
            escape_html(name.is_string() ? name.get<std::string>() : ""), number_in(output, "max_abs_error"),
            number_in(output, "max_rel_error"), number_in(output, "cosine"), matches == true ? "good" : "bad",
            matches == true ? "yes" : "no");
      }
    return section("Verification against the reference", text + "</tbody></table>");
  }

  std::string facts() const {
    const engine::Manifest& manifest = engine_.manifest();
    std::string text = "<table class=\"facts\"><tbody>";
    const auto row = [&](std::string_view label, std::string_view value) {
      if (!value.empty()) text += fmt::format("<tr><th>{}</th><td>{}</td></tr>", label, escape_html(value));
    };
    row("target", target_name());
    for (const auto& node : graph_.nodes)
      if (node.kind != Kind::kLaunch) row(node.kind == Kind::kInput ? "input" : "output", node.output);
    row("licence", manifest.licence);
    row("model digest", manifest.model_digest);
    row("engine digest", engine_.digest());
    row("signed by", engine_.signer().empty() ? "nobody" : engine::key_id(engine_.signer()));
    row("toolchain", manifest.toolchain);
    row("file", fmt::format("format {}, {}", engine_.format_version(),
                            format_bytes(static_cast<double>(engine_.file_bytes()))));
    if (measurement_ != nullptr)
      row("measured", fmt::format("median {:.4f} ms, least {:.4f}, nine of ten below {:.4f}", measurement_->median_ms,
                                  measurement_->min_ms, measurement_->p90_ms));
    return section("Engine", text + "</tbody></table>");
  }

  std::string build() const {
    if (stages_ == nullptr) return "";
    std::string text =
        "<table><thead><tr><th>stage</th><th class=\"number\">ms</th><th>what came of it</th></tr></thead><tbody>";
    for (const Report::Stage& stage : *stages_)
      text += fmt::format("<tr><td>{}</td><td class=\"number\">{:.1f}</td><td>{}</td></tr>", escape_html(stage.name),
                          stage.milliseconds, escape_html(stage.detail));
    return section("Build", text + "</tbody></table>");
  }

  const engine::Engine& engine_;
  const engine::Plan& plan_;
  const Measurement* measurement_;
  const std::vector<Report::Stage>* stages_;
  const LaunchGraph graph_;
  Json report_;
  double total_microseconds_ = 0;
};

}  // namespace

std::string html_report(const engine::Engine& engine, const Measurement* measurement,
                        const std::vector<Report::Stage>* stages) {
  return Page(engine, measurement, stages).text();
}

}  // namespace xinfer::compiler
