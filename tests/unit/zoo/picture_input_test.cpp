// Pictures to inputs: values, layout, and the way back of coordinates.
#include "zoo/vision/picture_input.h"

#include <gtest/gtest.h>

namespace xinfer::zoo::vision {
namespace {

Image plain(int width, int height, Color color) {
  Image image(width, height, 3);
  image.fill_box({0, 0, float(width), float(height)}, color);
  return image;
}

core::TensorDescription fixed(const core::Shape& shape) {
  return {"image", core::DataType::kFloat32, shape, shape, shape, shape};
}

TEST(PictureInput, NormalisesPerChannelInTheModelsOrder) {
  api::ImageInput settings;
  settings.color = "bgr";
  settings.scale = 1.0 / 255;
  settings.mean = {0.1, 0.2, 0.3};
  settings.std = {0.5, 0.5, 2};
  const auto input = PictureInput::make(settings, fixed({1, 3, 2, 2}));
  ASSERT_TRUE(input) << input.error().text();
  Placement placement;
  const auto values = input->fill(plain(2, 2, {255, 51, 0}), placement);
  ASSERT_EQ(values.data.size(), 12u);
  EXPECT_FLOAT_EQ(values.data[0], (0 - 0.1f) / 0.5f);  // blue
  EXPECT_FLOAT_EQ(values.data[4], 0);                  // green: 0.2 - 0.2
  EXPECT_FLOAT_EQ(values.data[8], (1 - 0.3f) / 2);     // red
}

TEST(PictureInput, LetterboxPadsAndTellsTheWayBack) {
  api::ImageInput settings;
  settings.resize = "letterbox";
  settings.pad = 114;
  settings.layout = "nhwc";
  const auto input = PictureInput::make(settings, fixed({1, 40, 40, 3}));
  ASSERT_TRUE(input);
  Placement placement;
  auto values = input->fill(plain(200, 100, {10, 20, 30}), placement);
  EXPECT_FLOAT_EQ(values.data[0], 10);
  EXPECT_FLOAT_EQ(values.data[(19 * 40 + 39) * 3 + 2], 30);
  EXPECT_FLOAT_EQ(values.data[(20 * 40 + 39) * 3 + 2], 114);
  const Box box = placement.back(Box{10, 5, 50, 15});
  EXPECT_FLOAT_EQ(box.x1, 50);
  EXPECT_FLOAT_EQ(box.y2, 75);
  EXPECT_FLOAT_EQ(box.x2, 200);  // cut at the edge

  settings.resize = "letterbox-center";
  const auto centred = PictureInput::make(settings, fixed({1, 40, 40, 3}));
  values = centred->fill(plain(200, 100, {10, 20, 30}), placement);
  EXPECT_FLOAT_EQ(values.data[0], 114);
  EXPECT_FLOAT_EQ(placement.back(Point{0, 10}).y, 0);
}

TEST(PictureInput, HeightKeepsTheRatioUntilTheInputIsFull) {
  api::ImageInput settings;
  settings.resize = "height";
  settings.color = "gray";
  settings.pad = 7;
  const auto input = PictureInput::make(settings, fixed({1, 1, 10, 50}));
  ASSERT_TRUE(input);
  Placement placement;
  const auto values = input->fill(plain(60, 20, {100, 100, 100}), placement);
  EXPECT_EQ(placement.filled_width, 30);
  EXPECT_FLOAT_EQ(values.data[29], 100);
  EXPECT_FLOAT_EQ(values.data[30], 7);
  input->fill(plain(400, 20, {100, 100, 100}), placement);
  EXPECT_EQ(placement.filled_width, 50);  // squeezed, not cut
}

TEST(PictureInput, HeightUsesTheWidthsThatAnEngineTakes) {
  api::ImageInput settings;
  settings.resize = "height";
  settings.color = "gray";
  const core::TensorDescription range{"x", core::DataType::kFloat32, {1, 1, 10, -1}, {1, 1, 10, 64}, {1, 1, 10, 320}, {1, 1, 10, 96}};
  const auto input = PictureInput::make(settings, range);
  ASSERT_TRUE(input);
  EXPECT_TRUE(input->takes_many_widths());
  Placement placement;
  const auto width = [&](int picture) { return input->fill(plain(picture, 10, {1, 1, 1}), placement).shape[3]; };
  EXPECT_EQ(width(20), 64);    // the narrowest
  EXPECT_EQ(width(100), 128);  // in steps of 32
  EXPECT_EQ(width(128), 128);
  EXPECT_EQ(width(30000), 320);
  settings.resize = "stretch";  // all the picture in one size: the optimum
  const auto fixed_at_optimum = PictureInput::make(settings, range);
  ASSERT_TRUE(fixed_at_optimum);
  EXPECT_EQ(fixed_at_optimum->fill(plain(7, 7, {1, 1, 1}), placement).shape, (core::Shape{1, 1, 10, 96}));
}

TEST(PictureInput, CropTakesTheMiddle) {
  api::ImageInput settings;
  settings.resize = "crop";
  settings.crop_ratio = 0.5;
  const auto input = PictureInput::make(settings, fixed({1, 3, 10, 10}));
  ASSERT_TRUE(input);
  Image image = plain(40, 20, {0, 0, 0});
  image.fill_box({15, 5, 25, 15}, {200, 0, 0});
  Placement placement;
  const auto values = input->fill(image, placement);
  for (int i = 0; i < 100; ++i) ASSERT_FLOAT_EQ(values.data[i], 200) << i;
  EXPECT_FLOAT_EQ(placement.back(Point{0, 0}).x, 15);
}

TEST(PictureInput, MistakesAreNamed) {
  const auto message = [](const auto& change, core::Shape shape = {1, 3, 4, 4}) {
    api::ImageInput settings;
    change(settings);
    const auto input = PictureInput::make(settings, fixed(shape));
    return input ? "no error" : input.error().message;
  };
  EXPECT_EQ(message([](auto& s) { s.layout = "chw"; }), "layout 'chw' is neither nchw nor nhwc");
  EXPECT_EQ(message([](auto& s) { s.color = "hsv"; }), "color 'hsv' is none of rgb, bgr, gray, rgba");
  EXPECT_EQ(message([](auto& s) { s.color = "gray"; }),
            "color 'gray' has 1 channels, but the input of shape [1,3,4,4] has 3 (layout nchw)");
  EXPECT_EQ(message([](auto& s) { s.mean = {1}; }), "mean and std need 3 values each, one per channel");
  EXPECT_EQ(message([](auto&) {}, {2, 3, 4, 4}), "an input of shape [2,3,4,4] takes no single picture");
}

}  // namespace
}  // namespace xinfer::zoo::vision
