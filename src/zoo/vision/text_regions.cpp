#include "zoo/vision/text_regions.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace xinfer::zoo::vision {
namespace {

float cross(Point o, Point a, Point b) { return (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x); }
float distance(Point a, Point b) { return std::hypot(a.x - b.x, a.y - b.y); }

/// Andrew's monotone chain; anticlockwise with y upwards.
std::vector<Point> convex_hull(std::vector<Point> points) {
  std::sort(points.begin(), points.end(), [](Point a, Point b) { return a.x < b.x || (a.x == b.x && a.y < b.y); });
  points.erase(std::unique(points.begin(), points.end(), [](Point a, Point b) { return a.x == b.x && a.y == b.y; }),
               points.end());
  if (points.size() < 3) return points;
  std::vector<Point> hull;
  for (int pass = 0; pass < 2; ++pass) {
    const std::size_t start = hull.size();
    for (const Point point : points) {
      while (hull.size() >= start + 2 && cross(hull[hull.size() - 2], hull.back(), point) <= 0) hull.pop_back();
      hull.push_back(point);
    }
    hull.pop_back();
    std::reverse(points.begin(), points.end());
  }
  return hull;
}

/// Corners of a rectangle, clockwise on screen from the text's top left: text runs along the sides that lie flatter.
Quad in_text_order(const std::array<Point, 4>& corners) {
  std::array<Point, 4> by_x = corners;
  std::sort(by_x.begin(), by_x.end(), [](Point a, Point b) { return a.x < b.x; });
  if (by_x[0].y > by_x[1].y) std::swap(by_x[0], by_x[1]);
  if (by_x[2].y > by_x[3].y) std::swap(by_x[2], by_x[3]);
  return {by_x[0], by_x[2], by_x[3], by_x[1]};
}

/// Connected pixels that are text.
struct Blob {
  std::vector<Point> outline;  // of each row its two ends: nothing else can be a corner
  float mean = 0;              // probability
};

/// The blob from `start` on; its pixels are marked as seen.
Blob blob_from(const float* map, int width, int height, float threshold, std::size_t start, std::vector<char>& seen) {
  std::vector<std::size_t> stack = {start};
  seen[start] = 1;
  double sum = 0;
  std::size_t count = 0;
  std::vector<std::pair<int, int>> ends(static_cast<std::size_t>(height), {width, -1});
  while (!stack.empty()) {
    const std::size_t at = stack.back();
    stack.pop_back();
    sum += map[at];
    ++count;
    const int x = static_cast<int>(at % width), y = static_cast<int>(at / width);
    ends[y] = {std::min(ends[y].first, x), std::max(ends[y].second, x)};
    for (int ny = std::max(0, y - 1); ny <= std::min(height - 1, y + 1); ++ny) {
      for (int nx = std::max(0, x - 1); nx <= std::min(width - 1, x + 1); ++nx) {
        const std::size_t next = std::size_t(ny) * width + nx;
        if (seen[next] || map[next] <= threshold) continue;
        seen[next] = 1;
        stack.push_back(next);
      }
    }
  }
  std::vector<Point> points;
  for (int y = 0; y < height; ++y) {
    if (ends[y].second < 0) continue;
    for (const float py : {static_cast<float>(y), static_cast<float>(y + 1)}) {
      points.push_back({static_cast<float>(ends[y].first), py});
      points.push_back({static_cast<float>(ends[y].second + 1), py});
    }
  }
  return {std::move(points), static_cast<float>(sum / static_cast<double>(count))};
}

/// Moves every side of a rectangle outwards by `by`.
Quad grow(const Quad& quad, float by) {
  Quad out = quad;
  for (int i = 0; i < 4; ++i) {
    for (const int neighbour : {(i + 1) % 4, (i + 3) % 4}) {
      const float length = distance(quad[i], quad[neighbour]);
      if (length == 0) continue;
      out[i].x += (quad[i].x - quad[neighbour].x) / length * by;
      out[i].y += (quad[i].y - quad[neighbour].y) / length * by;
    }
  }
  return out;
}

}  // namespace

Quad smallest_rectangle(std::vector<Point> points) {
  const std::vector<Point> hull = convex_hull(std::move(points));
  if (hull.empty()) return {};
  Quad best{};
  double best_area = -1;
  // One side of the smallest rectangle lies on a side of the hull.
  for (std::size_t i = 0; i < hull.size(); ++i) {
    const Point a = hull[i], b = hull[(i + 1) % hull.size()];
    const float length = distance(a, b);
    const Point along = length > 0 ? Point{(b.x - a.x) / length, (b.y - a.y) / length} : Point{1, 0};
    const Point across{-along.y, along.x};
    float low_u = 1e9f, high_u = -1e9f, low_v = 1e9f, high_v = -1e9f;
    for (const Point point : hull) {
      const float u = point.x * along.x + point.y * along.y, v = point.x * across.x + point.y * across.y;
      low_u = std::min(low_u, u);
      high_u = std::max(high_u, u);
      low_v = std::min(low_v, v);
      high_v = std::max(high_v, v);
    }
    const double area = double(high_u - low_u) * (high_v - low_v);
    if (best_area >= 0 && area >= best_area) continue;
    best_area = area;
    const auto corner = [&](float u, float v) { return Point{u * along.x + v * across.x, u * along.y + v * across.y}; };
    best = {corner(low_u, low_v), corner(high_u, low_v), corner(high_u, high_v), corner(low_u, high_v)};
  }
  return in_text_order(best);
}

std::vector<TextRegion> find_text_regions(const float* map, int width, int height, const RegionSettings& settings) {
  std::vector<char> seen(std::size_t(width) * height);
  std::vector<TextRegion> regions;
  for (std::size_t at = 0; at < seen.size() && regions.size() < settings.max_regions; ++at) {
    if (seen[at] || map[at] <= settings.pixel_threshold) continue;
    Blob blob = blob_from(map, width, height, settings.pixel_threshold, at, seen);
    // Over the blob's own pixels: lines of a bent page fill little of their rectangle.
    if (blob.mean < settings.box_threshold) continue;
    const Quad core = smallest_rectangle(std::move(blob.outline));
    const float w = distance(core[0], core[1]), h = distance(core[1], core[2]);
    if (std::min(w, h) < settings.min_side) continue;
    const float by = w * h * settings.unclip_ratio / (2 * (w + h));
    regions.push_back({grow(core, by), blob.mean});
  }
  return regions;
}

std::vector<std::vector<std::size_t>> reading_order(const std::vector<Quad>& quads) {
  const auto middle = [&](std::size_t i) {
    float sum = 0;
    for (const Point point : quads[i]) sum += point.y / 4;
    return sum;
  };
  const auto height = [&](std::size_t i) {
    return (distance(quads[i][0], quads[i][3]) + distance(quads[i][1], quads[i][2])) / 2;
  };
  std::vector<std::size_t> order(quads.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return middle(a) < middle(b); });
  std::vector<std::vector<std::size_t>> lines;
  for (const std::size_t i : order) {
    // On the line that was begun last when its middle lies within half a letter of that line's.
    if (!lines.empty()) {
      const std::size_t last = lines.back().back();
      if (std::abs(middle(i) - middle(last)) < 0.5f * std::min(height(i), height(last))) {
        lines.back().push_back(i);
        continue;
      }
    }
    lines.push_back({i});
  }
  for (auto& line : lines)
    std::sort(line.begin(), line.end(), [&](std::size_t a, std::size_t b) { return quads[a][0].x < quads[b][0].x; });
  return lines;
}

}  // namespace xinfer::zoo::vision
