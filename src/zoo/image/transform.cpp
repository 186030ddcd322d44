// Resizing, fitting, cropping and turning images.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "xinfer/image.h"
#include "zoo/raise.h"

namespace xinfer {
namespace {

using base::Code;

void check_source(const ImageView& source) {
  if (source.empty()) zoo::raise({Code::kInvalidArgument, "the image is empty", {}});
  if (source.channels != 1 && source.channels != 3)
    zoo::raise({Code::kInvalidArgument, fmt::format("an image has 1 or 3 channels, not {}", source.channels), {}});
}

/// Where channel c of an RGB pixel lies in the source.
int channel_at(const ImageView& source, int c) { return source.blue_first && source.channels == 3 ? 2 - c : c; }

/// One axis of a bilinear resize: for each target place two source places and the weight of the second, in 1/2048 (as
/// OpenCV rounds it, so that models see the pixels that they were trained on).
struct Axis {
  std::vector<int> first, second, weight;
};
constexpr int kWeightBits = 11;

Axis bilinear_axis(int source, int target) {
  Axis axis;
  const double scale = double(source) / target;
  for (int i = 0; i < target; ++i) {
    const double at = std::clamp((i + 0.5) * scale - 0.5, 0.0, double(source - 1));
    const int first = static_cast<int>(at);
    axis.first.push_back(first);
    axis.second.push_back(std::min(first + 1, source - 1));
    axis.weight.push_back(static_cast<int>(std::lround((at - first) * (1 << kWeightBits))));
  }
  return axis;
}

void blend_columns(const ImageView& source, int y, const Axis& columns, int* out) {
  const std::uint8_t* row = source.row(y);
  const int channels = source.channels;
  for (std::size_t x = 0; x < columns.first.size(); ++x) {
    const std::uint8_t* a = row + std::ptrdiff_t{columns.first[x]} * channels;
    const std::uint8_t* b = row + std::ptrdiff_t{columns.second[x]} * channels;
    for (int c = 0; c < channels; ++c) {
      const int from = channel_at(source, c);
      *out++ = (a[from] << kWeightBits) + (b[from] - a[from]) * columns.weight[x];
    }
  }
}

Image resize_bilinear(const ImageView& source, int width, int height) {
  Image image(width, height, source.channels);
  const Axis columns = bilinear_axis(source.width, width), rows = bilinear_axis(source.height, height);
  const std::size_t count = std::size_t(width) * source.channels;
  std::vector<int> upper(count), lower(count);
  int upper_row = -1, lower_row = -1;
  for (int y = 0; y < height; ++y) {
    if (rows.first[y] == lower_row) {
      std::swap(upper, lower);
      std::swap(upper_row, lower_row);
    }
    if (upper_row != rows.first[y]) blend_columns(source, upper_row = rows.first[y], columns, upper.data());
    if (lower_row != rows.second[y]) blend_columns(source, lower_row = rows.second[y], columns, lower.data());
    const std::int64_t weight = rows.weight[y];
    std::uint8_t* out = image.data() + count * y;
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t value = (std::int64_t{upper[i]} << kWeightBits) + (lower[i] - upper[i]) * weight;
      out[i] = static_cast<std::uint8_t>((value + (1 << (2 * kWeightBits - 1))) >> (2 * kWeightBits));
    }
  }
  return image;
}

/// One axis of an area resize: the source places that each target place covers, and how much of each.
struct Cover {
  std::vector<int> begin;
  std::vector<std::vector<float>> weights;  // of begin[i], begin[i] + 1, …; their sum is 1
};

Cover area_axis(int source, int target) {
  Cover cover;
  const double scale = double(source) / target;
  for (int i = 0; i < target; ++i) {
    const double low = i * scale, high = std::min((i + 1) * scale, double(source));
    const int begin = static_cast<int>(low);
    std::vector<float> weights;
    for (int j = begin; j < source && j < high; ++j)
      weights.push_back(static_cast<float>((std::min(high, j + 1.0) - std::max(low, double(j))) / (high - low)));
    cover.begin.push_back(begin);
    cover.weights.push_back(std::move(weights));
  }
  return cover;
}

Image resize_area(const ImageView& source, int width, int height) {
  Image image(width, height, source.channels);
  const int channels = source.channels;
  const Cover columns = area_axis(source.width, width), rows = area_axis(source.height, height);
  std::vector<float> sums(std::size_t(width) * channels);
  for (int y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (std::size_t j = 0; j < rows.weights[y].size(); ++j) {
      const std::uint8_t* row = source.row(rows.begin[y] + static_cast<int>(j));
      for (int x = 0; x < width; ++x) {
        const std::uint8_t* pixel = row + std::ptrdiff_t{columns.begin[x]} * channels;
        for (const float weight : columns.weights[x]) {
          for (int c = 0; c < channels; ++c)
            sums[std::size_t(x) * channels + c] += rows.weights[y][j] * weight * pixel[channel_at(source, c)];
          pixel += channels;
        }
      }
    }
    std::uint8_t* out = image.data() + sums.size() * y;
    for (std::size_t i = 0; i < sums.size(); ++i) out[i] = static_cast<std::uint8_t>(std::min(sums[i] + 0.5f, 255.0f));
  }
  return image;
}

/// The projective map of the unit square onto four corners (Heckbert 1989, "Fundamentals of Texture Mapping", 2.2.3).
struct Projection {
  double a, b, c, d, e, f, g, h;
  explicit Projection(const std::array<Point, 4>& p) {
    const double sx = p[0].x - p[1].x + p[2].x - p[3].x, sy = p[0].y - p[1].y + p[2].y - p[3].y;
    const double dx1 = p[1].x - p[2].x, dx2 = p[3].x - p[2].x, dy1 = p[1].y - p[2].y, dy2 = p[3].y - p[2].y;
    const double area = dx1 * dy2 - dx2 * dy1;
    if (area == 0) zoo::raise({Code::kInvalidArgument, "the four corners lie on one line", {}});
    g = (sx * dy2 - dx2 * sy) / area;
    h = (dx1 * sy - sx * dy1) / area;
    a = p[1].x - p[0].x + g * p[1].x;
    b = p[3].x - p[0].x + h * p[3].x;
    c = p[0].x;
    d = p[1].y - p[0].y + g * p[1].y;
    e = p[3].y - p[0].y + h * p[3].y;
    f = p[0].y;
  }
  Point at(double u, double v) const {
    const double w = g * u + h * v + 1;
    return {static_cast<float>((a * u + b * v + c) / w), static_cast<float>((d * u + e * v + f) / w)};
  }
};

template <class F>
Image copy_pixels(const ImageView& source, int width, int height, F source_place) {
  check_source(source);
  Image image(width, height, source.channels);
  std::uint8_t* out = image.data();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const auto [sx, sy] = source_place(x, y);
      const std::uint8_t* pixel = source.row(sy) + std::ptrdiff_t{sx} * source.channels;
      for (int c = 0; c < source.channels; ++c) *out++ = pixel[channel_at(source, c)];
    }
  }
  return image;
}

}  // namespace

Image resize(const ImageView& source, int width, int height, Filter filter) {
  check_source(source);
  if (width == source.width && height == source.height) return Image(source);
  if (filter == Filter::kArea && width <= source.width && height <= source.height)
    return resize_area(source, width, height);
  return resize_bilinear(source, width, height);
}

Letterboxed letterbox(const ImageView& source, int width, int height, Anchor anchor, Color fill, Filter filter) {
  check_source(source);
  Letterboxed out{Image(width, height, source.channels), 1, 1, 0, 0};
  const double ratio = std::min(double(width) / source.width, double(height) / source.height);
  const int inner_width = std::clamp(static_cast<int>(std::lround(source.width * ratio)), 1, width);
  const int inner_height = std::clamp(static_cast<int>(std::lround(source.height * ratio)), 1, height);
  const int left = anchor == Anchor::kCenter ? (width - inner_width) / 2 : 0;
  const int top = anchor == Anchor::kCenter ? (height - inner_height) / 2 : 0;
  const Image inner = resize(source, inner_width, inner_height, filter);

  const int channels = source.channels;
  const std::uint8_t colors[3] = {fill.red, fill.green, fill.blue};
  std::uint8_t* to = out.image.data();
  for (std::size_t i = 0; i < out.image.size_bytes(); ++i) to[i] = channels == 1 ? fill.green : colors[i % 3];
  for (int y = 0; y < inner_height; ++y)
    std::memcpy(to + (std::size_t(top + y) * width + left) * channels,
                inner.data() + std::size_t(y) * inner_width * channels, std::size_t(inner_width) * channels);
  out.scale_x = static_cast<float>(double(inner_width) / source.width);
  out.scale_y = static_cast<float>(double(inner_height) / source.height);
  out.offset_x = static_cast<float>(left);
  out.offset_y = static_cast<float>(top);
  return out;
}

Image crop(const ImageView& source, const Box& box) {
  check_source(source);
  const auto inside = [](float value, int size) {
    return static_cast<int>(std::lround(std::clamp(double(value), 0.0, double(size))));
  };
  const int x1 = inside(box.x1, source.width), x2 = inside(box.x2, source.width);
  const int y1 = inside(box.y1, source.height), y2 = inside(box.y2, source.height);
  if (x2 <= x1 || y2 <= y1)
    zoo::raise({Code::kInvalidArgument,
                fmt::format("the box ({}, {}) to ({}, {}) covers nothing of the image", box.x1, box.y1, box.x2, box.y2),
                {}});
  ImageView part = source;
  part.pixels = source.row(y1) + std::ptrdiff_t{x1} * source.channels;
  part.width = x2 - x1;
  part.height = y2 - y1;
  return Image(part);
}

Image crop_quad(const ImageView& source, const std::array<Point, 4>& corners, int width, int height) {
  check_source(source);
  const Projection projection(corners);
  Image image(width, height, source.channels);
  std::uint8_t* out = image.data();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const Point at = projection.at((x + 0.5) / width, (y + 0.5) / height);
      const float sx = std::clamp(at.x - 0.5f, 0.0f, float(source.width - 1));
      const float sy = std::clamp(at.y - 0.5f, 0.0f, float(source.height - 1));
      const int x1 = static_cast<int>(sx), y1 = static_cast<int>(sy);
      const int x2 = std::min(x1 + 1, source.width - 1), y2 = std::min(y1 + 1, source.height - 1);
      const float fx = sx - x1, fy = sy - y1;
      for (int c = 0; c < source.channels; ++c) {
        const int from = channel_at(source, c);
        const auto pixel = [&](int px, int py) { return float(source.row(py)[px * source.channels + from]); };
        const float top = pixel(x1, y1) + (pixel(x2, y1) - pixel(x1, y1)) * fx;
        const float bottom = pixel(x1, y2) + (pixel(x2, y2) - pixel(x1, y2)) * fx;
        *out++ = static_cast<std::uint8_t>(top + (bottom - top) * fy + 0.5f);
      }
    }
  }
  return image;
}

Image rotate_180(const ImageView& source) {
  return copy_pixels(source, source.width, source.height,
                     [&](int x, int y) { return std::pair(source.width - 1 - x, source.height - 1 - y); });
}

Image rotate_90_left(const ImageView& source) {
  return copy_pixels(source, source.height, source.width,
                     [&](int x, int y) { return std::pair(source.width - 1 - y, x); });
}

Image to_gray(const ImageView& source) {
  check_source(source);
  if (source.channels == 1) return Image(source);
  Image image(source.width, source.height, 1);
  const int red = channel_at(source, 0), blue = channel_at(source, 2);
  std::uint8_t* out = image.data();
  for (int y = 0; y < source.height; ++y) {
    const std::uint8_t* pixel = source.row(y);
    for (int x = 0; x < source.width; ++x, pixel += 3)  // 0.299, 0.587, 0.114 in 1/65536
      *out++ = static_cast<std::uint8_t>((pixel[red] * 19595 + pixel[1] * 38470 + pixel[blue] * 7471 + 32768) >> 16);
  }
  return image;
}

Image to_rgb(const ImageView& source) {
  check_source(source);
  if (source.channels == 3) return Image(source);
  Image image(source.width, source.height, 3);
  std::uint8_t* out = image.data();
  for (int y = 0; y < source.height; ++y)
    for (int x = 0; x < source.width; ++x)
      for (int c = 0; c < 3; ++c) *out++ = source.row(y)[x];
  return image;
}

}  // namespace xinfer
