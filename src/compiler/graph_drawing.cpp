// Layered drawing after Sugiyama, Tagawa and Toda (1981): layers by longest path, waypoints where an edge crosses a layer,
// order within a layer by barycentres, then places as near to the neighbours as the order allows.
#include "compiler/graph_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace xinfer::compiler {
namespace {

constexpr double kBoxWidth = 232, kBoxHeight = 58, kWaypointWidth = 14, kGapX = 22, kGapY = 40;
constexpr std::size_t kMaxWaypoints = 20'000;  // beyond that edges are drawn straight
constexpr int kSweeps = 6;
constexpr std::size_t kCharacters = 33;  // that fit into a box

using Edges = std::vector<std::pair<std::size_t, std::size_t>>;

class Drawing {
 public:
  Drawing(const std::vector<DrawnBox>& boxes, const Edges& edges) : boxes_(boxes), edges_(edges) {}

  std::string svg(std::string_view id) {
    assign_layers();
    place_waypoints();
    order_layers();
    assign_places();
    double width = 0;
    for (const Vertex& v : vertices_) width = std::max(width, v.x + v.width / 2);
    width += kGapX;
    const double height = static_cast<double>(layers_.size()) * (kBoxHeight + kGapY);
    std::string text = fmt::format(
        R"(<svg id="{}" class="graph" viewBox="0 0 {:.0f} {:.0f}" data-width="{:.0f}" data-height="{:.0f}" role="img"><g class="edges">)",
        id, width, height, width, height);
    for (const auto& chain : chains_) text += path_of(chain);
    text += "</g>";
    for (std::size_t i = 0; i < boxes_.size(); ++i) text += box(boxes_[i], vertices_[i]);
    return text + "</svg>";
  }

 private:
  struct Vertex {
    std::size_t layer = 0, rank = 0;
    double x = 0, width = kBoxWidth;  // x: of the middle
    std::vector<std::size_t> above, below;
  };

  void assign_layers() {
    vertices_.resize(boxes_.size());
    std::vector<std::vector<std::size_t>> next(boxes_.size());
    std::vector<std::size_t> waiting(boxes_.size(), 0), ready;
    for (auto [from, to] : edges_) next[from].push_back(to), ++waiting[to];
    for (std::size_t i = 0; i < boxes_.size(); ++i)
      if (waiting[i] == 0) ready.push_back(i);
    for (std::size_t k = 0; k < ready.size(); ++k)
      for (std::size_t to : next[ready[k]]) {
        vertices_[to].layer = std::max(vertices_[to].layer, vertices_[ready[k]].layer + 1);
        if (--waiting[to] == 0) ready.push_back(to);
      }
    // What nothing comes before stands just above what it is for.
    std::vector<bool> has_above(boxes_.size(), false);
    for (auto [from, to] : edges_) has_above[to] = true;
    for (std::size_t i = 0; i < boxes_.size(); ++i) {
      if (has_above[i] || next[i].empty()) continue;
      std::size_t least = SIZE_MAX;
      for (std::size_t to : next[i]) least = std::min(least, vertices_[to].layer);
      vertices_[i].layer = least - 1;
    }
  }

  void place_waypoints() {
    std::size_t waypoints = 0;
    for (auto [from, to] : edges_) waypoints += vertices_[to].layer - vertices_[from].layer - 1;
    const bool straight = waypoints > kMaxWaypoints;
    for (auto [from, to] : edges_) {
      std::vector<std::size_t> chain{from};
      for (std::size_t layer = vertices_[from].layer + 1; !straight && layer < vertices_[to].layer; ++layer) {
        vertices_.push_back({.layer = layer, .width = kWaypointWidth, .above = {}, .below = {}});
        chain.push_back(vertices_.size() - 1);
      }
      chain.push_back(to);
      for (std::size_t i = 1; i < chain.size(); ++i) {
        vertices_[chain[i - 1]].below.push_back(chain[i]);
        vertices_[chain[i]].above.push_back(chain[i - 1]);
      }
      chains_.push_back(std::move(chain));
    }
    for (std::size_t i = 0; i < vertices_.size(); ++i) {
      if (vertices_[i].layer >= layers_.size()) layers_.resize(vertices_[i].layer + 1);
      vertices_[i].rank = layers_[vertices_[i].layer].size();
      layers_[vertices_[i].layer].push_back(i);
    }
  }

  void order_layers() {
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      const bool down = sweep % 2 == 0;
      for (std::size_t k = 0; k < layers_.size(); ++k) {
        auto& layer = layers_[down ? k : layers_.size() - 1 - k];
        std::vector<std::pair<double, std::size_t>> order;
        for (std::size_t v : layer) {
          const auto& neighbours = down ? vertices_[v].above : vertices_[v].below;
          double sum = 0;
          for (std::size_t n : neighbours)
            sum += static_cast<double>(vertices_[n].rank) / static_cast<double>(layers_[vertices_[n].layer].size());
          const double own = static_cast<double>(vertices_[v].rank) / static_cast<double>(layer.size());
          order.emplace_back(neighbours.empty() ? own : sum / static_cast<double>(neighbours.size()), v);
        }
        std::ranges::stable_sort(order, {}, &std::pair<double, std::size_t>::first);
        for (std::size_t i = 0; i < order.size(); ++i) layer[i] = order[i].second, vertices_[layer[i]].rank = i;
      }
    }
  }

  // As near as possible to the middle of the neighbours: from the left no nearer than the order allows, from the right
  // likewise, and the mean of the two.
  void assign_places() {
    for (auto& layer : layers_) {
      double x = 0;
      for (std::size_t v : layer) x += vertices_[v].width / 2, vertices_[v].x = x, x += vertices_[v].width / 2 + kGapX;
      for (std::size_t v : layer) vertices_[v].x -= x / 2;
    }
    for (int sweep = 0; sweep < 2 * kSweeps; ++sweep) {
      const bool down = sweep % 2 == 0;
      for (std::size_t k = 0; k < layers_.size(); ++k) {
        const auto& layer = layers_[down ? k : layers_.size() - 1 - k];
        std::vector<double> wanted, left(layer.size()), right(layer.size());
        for (std::size_t v : layer)
          wanted.push_back(middle_of(down ? vertices_[v].above : vertices_[v].below, vertices_[v].x));
        const auto distance = [&](std::size_t i) {
          return (vertices_[layer[i - 1]].width + vertices_[layer[i]].width) / 2 + kGapX;
        };
        for (std::size_t i = 0; i < layer.size(); ++i)
          left[i] = i == 0 ? wanted[i] : std::max(wanted[i], left[i - 1] + distance(i));
        for (std::size_t i = layer.size(); i-- > 0;)
          right[i] = i + 1 == layer.size() ? wanted[i] : std::min(wanted[i], right[i + 1] - distance(i + 1));
        for (std::size_t i = 0; i < layer.size(); ++i) vertices_[layer[i]].x = (left[i] + right[i]) / 2;
      }
    }
    double least = 0;
    for (const Vertex& v : vertices_) least = std::min(least, v.x - v.width / 2);
    for (Vertex& v : vertices_) v.x += kGapX - least;
  }

  double middle_of(const std::vector<std::size_t>& neighbours, double own) const {
    if (neighbours.empty()) return own;
    double sum = 0;
    for (std::size_t n : neighbours) sum += vertices_[n].x;
    return sum / static_cast<double>(neighbours.size());
  }

  double top(const Vertex& v) const { return static_cast<double>(v.layer) * (kBoxHeight + kGapY) + kGapY / 2; }

  std::string path_of(const std::vector<std::size_t>& chain) const {
    double x = vertices_[chain[0]].x, y = top(vertices_[chain[0]]) + kBoxHeight;
    std::string text = fmt::format("<path d=\"M{:.0f} {:.0f}", x, y);
    for (std::size_t i = 1; i < chain.size(); ++i) {
      const Vertex& v = vertices_[chain[i]];
      const double bend = (top(v) - y) / 2;
      text += fmt::format("C{:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f}", x, y + bend, v.x, top(v) - bend, v.x, top(v));
      x = v.x, y = top(v);
      if (i + 1 < chain.size()) y += kBoxHeight, text += fmt::format("V{:.0f}", y);
    }
    return text + "\"/>";
  }

  std::string box(const DrawnBox& b, const Vertex& v) const {
    const auto line = [](int y, std::string_view style, const std::string& text) {
      return text.empty() ? std::string()
                          : fmt::format("<text x=\"10\" y=\"{}\" class=\"{}\">{}</text>", y, style, escape_html(text));
    };
    return fmt::format(
        "<g class=\"box {}\"{} transform=\"translate({:.0f} {:.0f})\"><title>{}</title><rect width=\"{:.0f}\" "
        "height=\"{:.0f}\" rx=\"6\"/>{}{}{}</g>",
        b.style, b.link.empty() ? "" : " data-link=\"" + escape_html(b.link) + "\"", v.x - kBoxWidth / 2, top(v),
        escape_html(b.tooltip), kBoxWidth, kBoxHeight, line(18, "title", keep_begin(b.title, kCharacters)),
        line(34, "line", keep_end(b.line, kCharacters)), line(49, "line", keep_end(b.last_line, kCharacters)));
  }

  const std::vector<DrawnBox>& boxes_;
  const Edges& edges_;
  std::vector<Vertex> vertices_;  // the boxes, then waypoints
  std::vector<std::vector<std::size_t>> layers_, chains_;
};

}  // namespace

std::string draw_graph(const std::vector<DrawnBox>& boxes, const Edges& edges, std::string_view id) {
  return Drawing(boxes, edges).svg(id);
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f) out += "\xEF\xBF\xBD";
        else out += c;
    }
  }
  return out;
}

namespace {
bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }  // in UTF-8
}  // namespace

std::string keep_begin(std::string_view text, std::size_t length) {
  std::size_t cut = 0, characters = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!begins_character(text[at])) continue;
    if (++characters == length) cut = at;
    if (characters > length) return std::string(text.substr(0, cut)) + "…";
  }
  return std::string(text);
}

std::string keep_end(std::string_view text, std::size_t length) {
  std::size_t characters = static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
  if (characters <= length) return std::string(text);
  std::size_t at = 0;
  for (std::size_t drop = characters - length + 1; at < text.size(); ++at)
    if (begins_character(text[at]) && drop-- == 0) break;
  return "…" + std::string(text.substr(at));
}

}  // namespace xinfer::compiler
