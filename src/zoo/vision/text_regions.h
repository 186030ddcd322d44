// Where text is: DB's probability map to four-cornered regions (Liao et al. 2020, "Real-time Scene Text Detection with
// Differentiable Binarization"), and the order in which people read them.
#pragma once
#include <array>
#include <cstddef>
#include <vector>

#include "xinfer/image.h"

namespace xinfer::zoo::vision {

using Quad = std::array<Point, 4>;  // clockwise from the text's top left

struct TextRegion {
  Quad corners;
  float score = 0;  // mean probability of its pixels
};

struct RegionSettings {
  float pixel_threshold = 0.3f;  // a pixel is text from here on
  float box_threshold = 0.6f;    // least mean probability of a region
  float unclip_ratio = 1.5f;     // the map marks the core of text; regions grow by area * ratio / perimeter
  float min_side = 3;            // pixels of the map
  std::size_t max_regions = 1000;
};

/// `map`: width * height probabilities, row-major.
std::vector<TextRegion> find_text_regions(const float* map, int width, int height, const RegionSettings& settings);

/// The smallest rectangle, at any angle, around the points; corners clockwise from the one nearest to the top left.
Quad smallest_rectangle(std::vector<Point> points);

/// Indices of the quads line by line from the top, within a line from the left.
std::vector<std::vector<std::size_t>> reading_order(const std::vector<Quad>& quads);

}  // namespace xinfer::zoo::vision
