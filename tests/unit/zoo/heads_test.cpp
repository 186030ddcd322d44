// Detection heads: values encoded here by the formulas of the papers come back as the boxes they stand for.
#include "zoo/vision/heads.h"

#include <gtest/gtest.h>

#include <cmath>

namespace xinfer::zoo::vision {
namespace {

float logit(float p) { return std::log(p / (1 - p)); }

Values filled(core::Shape shape, float value = 0) {
  std::size_t count = 1;
  for (const auto size : shape) count *= static_cast<std::size_t>(size);
  return {std::vector<float>(count, value), std::move(shape)};
}

void expect_box(const Candidate& found, Box box, float tolerance = 1e-3f) {
  EXPECT_NEAR(found.box.x1, box.x1, tolerance);
  EXPECT_NEAR(found.box.y1, box.y1, tolerance);
  EXPECT_NEAR(found.box.x2, box.x2, tolerance);
  EXPECT_NEAR(found.box.y2, box.y2, tolerance);
}

TEST(Heads, Yolox) {
  api::Metadata metadata;
  metadata.strides = {8, 16};
  Outputs outputs{{"predictions", filled({1, 20, 7})}};      // 32 x 32: 16 cells and 4
  float* row = outputs["predictions"].data.data() + 17 * 7;  // stride 16, cell (1, 0)
  const float values[] = {0.25f, 0.5f, std::log(2.0f), std::log(1.5f), 0.9f, 0.2f, 0.8f};
  std::copy(values, values + 7, row);
  const auto found = decode_yolox({metadata, outputs, 32, 32, 0.3f});
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_EQ(found->size(), 1u);
  expect_box((*found)[0], {20 - 16, 8 - 12, 20 + 16, 8 + 12});
  EXPECT_EQ((*found)[0].class_id, 1);
  EXPECT_FLOAT_EQ((*found)[0].score, 0.72f);

  const auto wrong = decode_yolox({metadata, outputs, 64, 32, 0.3f});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message,
            "the output of role 'predictions' has 20 rows, but the strides make 40 cells of a 64 x 32 input");
}

TEST(Heads, Yolov5Decoded) {
  api::Metadata metadata;
  Outputs outputs{{"predictions", {{100, 60, 40, 20, 0.8f, 0.1f, 0.5f, /**/ 1, 2, 3, 4, 0.1f, 0.9f, 0.9f}, {1, 2, 7}}}};
  const auto found = decode_yolov5({metadata, outputs, 320, 320, 0.3f});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  expect_box((*found)[0], {80, 50, 120, 70});
  EXPECT_FLOAT_EQ((*found)[0].score, 0.4f);
}

TEST(Heads, Yolov5Raw) {
  api::Metadata metadata;
  metadata.strides = {16};
  metadata.anchors = {{10, 13, 16, 30}};
  Outputs outputs{{"predictions", filled({1, 2 * 2 * 2, 6}, -20)}};
  // Second anchor, cell (0, 1): row 4 + 2. Centre (0.3 + 0, 0.6 + 1) cells, size 1.44 and 0.64 of the anchor.
  const float values[] = {logit(0.4f), logit(0.55f), logit(0.6f), logit(0.4f), logit(0.9f), logit(0.5f)};
  std::copy(values, values + 6, outputs["predictions"].data.data() + 6 * 6);
  const auto found = decode_yolov5({metadata, outputs, 32, 32, 0.3f});
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_EQ(found->size(), 1u);
  const float cx = 0.3f * 16, cy = 1.6f * 16, w = 1.44f * 16, h = 0.64f * 30;
  expect_box((*found)[0], {cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2});
  EXPECT_NEAR((*found)[0].score, 0.45f, 1e-5f);
}

TEST(Heads, Yolov8) {
  api::Metadata metadata;
  Outputs outputs{{"predictions", filled({1, 6, 3})}};
  auto& data = outputs["predictions"].data;
  const float column[] = {100, 60, 40, 20, 0.2f, 0.7f};
  for (int i = 0; i < 6; ++i) data[i * 3 + 2] = column[i];
  const auto found = decode_yolov8({metadata, outputs, 320, 320, 0.3f});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  expect_box((*found)[0], {80, 50, 120, 70});
  EXPECT_EQ((*found)[0].class_id, 1);
}

TEST(Heads, NanodetTakesTheExpectationOverBins) {
  api::Metadata metadata;
  metadata.strides = {16};
  metadata.reg_max = 3;
  Outputs outputs{{"scores_16", filled({1, 4, 2})}, {"boxes_16", filled({1, 4, 16})}};
  outputs["scores_16"].data[3 * 2 + 1] = 0.6f;  // cell (1, 1), class 1
  float* sides = outputs["boxes_16"].data.data() + 3 * 16;
  sides[2] = 50;                     // left: bin 2 alone
  sides[4 + 0] = sides[4 + 1] = 50;  // top: bins 0 and 1 alike
  // right and bottom: all bins alike, expectation 1.5
  const auto found = decode_nanodet({metadata, outputs, 32, 32, 0.3f});
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_EQ(found->size(), 1u);
  expect_box((*found)[0], {24 - 32, 24 - 8, 24 + 24, 24 + 24});
}

TEST(Heads, Fastestdet) {
  api::Metadata metadata;
  Outputs outputs{{"predictions", filled({1, 7, 2, 2})}};
  auto& data = outputs["predictions"].data;
  const float cell[] = {0.8f, std::atanh(0.5f), std::atanh(0.25f), logit(0.5f), logit(0.25f), 0.1f, 0.9f};
  for (int i = 0; i < 7; ++i) data[i * 4 + 1] = cell[i];  // cell (1, 0)
  const auto found = decode_fastestdet({metadata, outputs, 64, 64, 0.3f});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  expect_box((*found)[0], {48 - 16, 8 - 8, 48 + 16, 8 + 8});
  EXPECT_NEAR((*found)[0].score, std::pow(0.8f, 0.6f) * std::pow(0.9f, 0.4f), 1e-5f);
}

TEST(Heads, Blazeface) {
  api::Metadata metadata;
  metadata.anchors = {{2, 2}, {1, 1}};
  Outputs outputs{{"scores_0", filled({1, 8, 1}, -50)},
                  {"boxes_0", filled({1, 8, 6})},
                  {"scores_1", filled({1, 1, 1}, -50)},
                  {"boxes_1", filled({1, 1, 6})}};
  outputs["scores_0"].data[5] = logit(0.9f);  // cell 2: (0, 1)
  const float row[] = {4, -2, 20, 30, 1, 2};
  std::copy(row, row + 6, outputs["boxes_0"].data.data() + 5 * 6);
  const auto found = decode_blazeface({metadata, outputs, 64, 64, 0.5f});
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_EQ(found->size(), 1u);
  expect_box((*found)[0], {20 - 10, 46 - 15, 20 + 10, 46 + 15});
  ASSERT_EQ((*found)[0].keypoints.size(), 1u);
  EXPECT_FLOAT_EQ((*found)[0].keypoints[0].x, 17);
  EXPECT_FLOAT_EQ((*found)[0].keypoints[0].y, 50);
}

TEST(Heads, Ultraface) {
  api::Metadata metadata;
  Outputs outputs{{"scores", {{0.9f, 0.1f, 0.2f, 0.8f}, {1, 2, 2}}},
                  {"boxes", {{0, 0, 1, 1, 0.25f, 0.5f, 0.5f, 0.75f}, {1, 2, 4}}}};
  const auto found = decode_ultraface({metadata, outputs, 320, 240, 0.7f});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  expect_box((*found)[0], {80, 120, 160, 180});
}

TEST(Heads, YunetPriorsMatchTheModel) {
  api::Metadata metadata;
  Outputs outputs{{"boxes", filled({1076, 14})}, {"scores", filled({1076, 2})}, {"iou", filled({1076, 1})}};
  // Row 900 + 2 * 12 + 1: stride 16, cell (2, 1), second size (48).
  const std::size_t row = 925;
  outputs["scores"].data[row * 2 + 1] = 0.81f;
  outputs["iou"].data[row] = 1.5f;  // counts as 1
  float* values = outputs["boxes"].data.data() + row * 14;
  values[0] = 1;
  values[2] = 10 * std::log(2.0f);
  values[4] = -2;
  const auto found = decode_yunet({metadata, outputs, 160, 120, 0.7f});
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_EQ(found->size(), 1u);
  const float cx = 40 + 4.8f;
  expect_box((*found)[0], {cx - 48, 24 - 24, cx + 48, 24 + 24});
  EXPECT_FLOAT_EQ((*found)[0].score, 0.9f);
  EXPECT_NEAR((*found)[0].keypoints[0].x, 40 - 9.6f, 1e-4f);
}

TEST(Heads, MissingRolesAreNamed) {
  api::Metadata metadata;
  Outputs outputs{{"a", filled({1})}, {"b", filled({1})}};
  const auto found = decode_ultraface({metadata, outputs, 1, 1, 0});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message, "the metadata gives no output the role 'scores' (outputs: a, b)");
}

TEST(Suppress, KeepsTheBestOfEachClass) {
  const std::vector<Candidate> candidates = {{{0, 0, 10, 10}, 0, 0.6f, {}},
                                             {{1, 0, 11, 10}, 0, 0.9f, {}},
                                             {{0, 0, 10, 10}, 1, 0.5f, {}},
                                             {{20, 0, 30, 10}, 0, 0.4f, {}}};
  const auto kept = suppress(candidates, 0.5f, 10);
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_FLOAT_EQ(kept[0].score, 0.9f);
  EXPECT_EQ(kept[1].class_id, 1);
  EXPECT_FLOAT_EQ(kept[2].score, 0.4f);
  EXPECT_EQ(suppress(candidates, 0.5f, 1).size(), 1u);
  EXPECT_EQ(suppress(candidates, 0.5f, 10, true).size(), 2u);
  EXPECT_FLOAT_EQ(overlap({0, 0, 10, 10}, {5, 0, 15, 10}), 1.0f / 3);
}

}  // namespace
}  // namespace xinfer::zoo::vision
