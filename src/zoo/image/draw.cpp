// Boxes, lines and text on images.
#include <algorithm>
#include <cmath>

#include "xinfer/image.h"
#include "zoo/image/font.h"

namespace xinfer {
namespace {

/// The next code point's first byte, moving past its continuation bytes.
unsigned char next_character(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text.front());
  text.remove_prefix(1);
  while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xC0) == 0x80) text.remove_prefix(1);
  return first;
}

int count_characters(std::string_view text) {
  int count = 0;
  while (!text.empty()) {
    next_character(text);
    ++count;
  }
  return count;
}

const zoo::Glyph& glyph_of(unsigned char character) {
  const int index = character - zoo::kFirstGlyph;
  return index >= 0 && index < 95 ? zoo::kGlyphs[index] : zoo::kMissingGlyph;
}

constexpr int kAdvance = zoo::kGlyphWidth + 1;

std::uint8_t luma(Color color) {
  return static_cast<std::uint8_t>((color.red * 299 + color.green * 587 + color.blue * 114) / 1000);
}

int clamped(double value, int size) { return static_cast<int>(std::clamp(value, 0.0, double(size))); }

}  // namespace

void Image::fill_box(const Box& box, Color color) {
  const int x1 = clamped(std::lround(box.x1), width_), x2 = clamped(std::lround(box.x2), width_);
  const int y1 = clamped(std::lround(box.y1), height_), y2 = clamped(std::lround(box.y2), height_);
  for (int y = y1; y < y2; ++y) {
    std::uint8_t* pixel = pixels_.data() + (std::size_t(y) * width_ + x1) * channels_;
    for (int x = x1; x < x2; ++x, pixel += channels_) {
      if (channels_ == 1) {
        pixel[0] = luma(color);
      } else {
        pixel[0] = color.red;
        pixel[1] = color.green;
        pixel[2] = color.blue;
      }
    }
  }
}

void Image::draw_box(const Box& box, Color color, int thickness) {
  const float t = static_cast<float>(thickness);
  fill_box({box.x1, box.y1, box.x2, box.y1 + t}, color);
  fill_box({box.x1, box.y2 - t, box.x2, box.y2}, color);
  fill_box({box.x1, box.y1, box.x1 + t, box.y2}, color);
  fill_box({box.x2 - t, box.y1, box.x2, box.y2}, color);
}

void Image::draw_line(Point from, Point to, Color color, int thickness) {
  const double dx = to.x - from.x, dy = to.y - from.y;
  if (!std::isfinite(dx) || !std::isfinite(dy)) return;
  const int steps = static_cast<int>(std::min(std::max(std::abs(dx), std::abs(dy)), 100000.0)) + 1;
  const float half = 0.5f * static_cast<float>(thickness);
  for (int i = 0; i <= steps; ++i) {
    const float x = static_cast<float>(from.x + dx * i / steps), y = static_cast<float>(from.y + dy * i / steps);
    fill_box({x - half, y - half, x + half, y + half}, color);
  }
}

void Image::draw_polygon(const std::vector<Point>& points, Color color, int thickness) {
  for (std::size_t i = 0; i < points.size(); ++i)
    draw_line(points[i], points[(i + 1) % points.size()], color, thickness);
}

void Image::draw_text(Point at, std::string_view text, Color color, int scale) {
  float left = at.x;
  while (!text.empty()) {
    const zoo::Glyph& glyph = glyph_of(next_character(text));
    for (int row = 0; row < zoo::kGlyphHeight; ++row) {
      for (int column = 0; column < zoo::kGlyphWidth; ++column) {
        if (!(glyph[row] >> (zoo::kGlyphWidth - 1 - column) & 1)) continue;
        const float x = left + static_cast<float>(column * scale), y = at.y + static_cast<float>(row * scale);
        const float size = static_cast<float>(scale);
        fill_box({x, y, x + size, y + size}, color);
      }
    }
    left += static_cast<float>(kAdvance * scale);
  }
}

std::pair<int, int> Image::text_size(std::string_view text, int scale) {
  const int count = count_characters(text);
  return {count ? (count * kAdvance - 1) * scale : 0, zoo::kGlyphHeight * scale};
}

void Image::draw_label(Point at, std::string_view text, Color background, int scale) {
  const auto [text_width, text_height] = text_size(text, scale);
  const float pad = static_cast<float>(2 * scale);
  const float full_width = static_cast<float>(text_width) + 2 * pad,
              full_height = static_cast<float>(text_height) + pad;
  // Moved so that the label stays readable at the picture's edges.
  at.x = std::max(0.0f, std::min(at.x, static_cast<float>(width_) - full_width));
  at.y = std::max(0.0f, std::min(at.y, static_cast<float>(height_) - full_height));
  fill_box({at.x, at.y, at.x + full_width, at.y + full_height}, background);
  const Color ink = luma(background) > 128 ? Color{0, 0, 0} : Color{255, 255, 255};
  draw_text({at.x + pad, at.y + pad}, text, ink, scale);
}

}  // namespace xinfer
