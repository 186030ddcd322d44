// Text: regions out of a probability map, reading order, and classes to characters.
#include <gtest/gtest.h>

#include <cmath>

#include "zoo/vision/ctc.h"
#include "zoo/vision/text_regions.h"

namespace xinfer::zoo::vision {
namespace {

TEST(Ctc, JoinsRepetitionsAndDropsBlanks) {
  const Alphabet alphabet{{"a", "b", "\xC3\xA9"}, 0, true};  // classes: blank, a, b, é, space
  const int classes[] = {1, 1, 0, 1, 4, 3, 3, 0, 2};
  std::vector<float> probabilities;
  for (const int best : classes)
    for (int c = 0; c < 5; ++c) probabilities.push_back(c == best ? 0.8f : 0.05f);
  const RecognizedText text = decode_ctc(probabilities, 5, alphabet);
  EXPECT_EQ(text.text,
            "aa \xC3\xA9"
            "b");
  EXPECT_FLOAT_EQ(text.score, 0.8f);
  EXPECT_EQ(decode_ctc({}, 5, alphabet).text, "");
}

TEST(Ctc, TheBlankMayComeLast) {
  const Alphabet alphabet{{"a", "b"}, 2, false};
  const std::vector<float> probabilities = {0.9f, 0.1f, 0, /**/ 0, 0, 1, /**/ 0.2f, 0.8f, 0};
  EXPECT_EQ(decode_ctc(probabilities, 3, alphabet).text, "ab");
}

/// A map with 0.9 inside of a rectangle of that size, turned by the angle around its middle.
std::vector<float> map_with(int width, int height, float cx, float cy, float w, float h, float degrees) {
  std::vector<float> map(std::size_t(width) * height, 0.01f);
  const float angle = degrees * 3.14159265f / 180;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const float dx = static_cast<float>(x) + 0.5f - cx, dy = static_cast<float>(y) + 0.5f - cy;
      const float u = dx * std::cos(angle) + dy * std::sin(angle), v = -dx * std::sin(angle) + dy * std::cos(angle);
      if (std::abs(u) <= w / 2 && std::abs(v) <= h / 2) map[std::size_t(y) * width + x] = 0.9f;
    }
  }
  return map;
}

TEST(TextRegions, AnUprightLineGrowsByItsRatio) {
  const auto regions = find_text_regions(map_with(200, 100, 100, 50, 80, 20, 0).data(), 200, 100, {});
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_NEAR(regions[0].score, 0.9f, 0.02f);
  const float by = 80.0f * 20 * 1.5f / (2 * (80 + 20));  // 12
  const Quad& quad = regions[0].corners;
  EXPECT_NEAR(quad[0].x, 60 - by, 0.6f);
  EXPECT_NEAR(quad[0].y, 40 - by, 0.6f);
  EXPECT_NEAR(quad[2].x, 140 + by, 0.6f);
  EXPECT_NEAR(quad[2].y, 60 + by, 0.6f);
}

TEST(TextRegions, ATurnedLineKeepsItsAngle) {
  const auto regions = find_text_regions(map_with(300, 200, 150, 100, 120, 16, 20).data(), 300, 200, {});
  ASSERT_EQ(regions.size(), 1u);
  const Quad& quad = regions[0].corners;
  const float angle = std::atan2(quad[1].y - quad[0].y, quad[1].x - quad[0].x) * 180 / 3.14159265f;
  EXPECT_NEAR(angle, 20, 1.5f);
  EXPECT_LT(quad[0].x, quad[1].x);
  EXPECT_LT(quad[0].y, quad[3].y);
}

TEST(TextRegions, FaintAndTinyRegionsAreLeftOut) {
  auto faint = map_with(100, 50, 50, 25, 40, 10, 0);
  for (float& value : faint) value *= 0.5f;  // over the pixel threshold, under the box threshold
  EXPECT_TRUE(find_text_regions(faint.data(), 100, 50, {}).empty());
  EXPECT_TRUE(find_text_regions(map_with(100, 50, 50, 25, 40, 2, 0).data(), 100, 50, {}).empty());
}

TEST(TextRegions, ReadingOrderIsByLineThenByColumn) {
  const auto at = [](float x, float y) { return Quad{{{x, y}, {x + 50, y}, {x + 50, y + 10}, {x, y + 10}}}; };
  const auto lines = reading_order({at(100, 42), at(0, 0), at(0, 40), at(100, 3)});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], (std::vector<std::size_t>{1, 3}));
  EXPECT_EQ(lines[1], (std::vector<std::size_t>{2, 0}));
}

TEST(Page, TextJoinsLines) {
  Page page;
  page.lines = {{{{{0, 0}, {50, 0}, {50, 10}, {0, 10}}}, "one", 1},
                {{{{60, 1}, {90, 1}, {90, 11}, {60, 11}}}, "two", 1},
                {{{{0, 30}, {50, 30}, {50, 40}, {0, 40}}}, "three", 1}};
  EXPECT_EQ(page.text(), "one two\nthree\n");
}

}  // namespace
}  // namespace xinfer::zoo::vision
