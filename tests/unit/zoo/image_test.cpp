// Image: what goes into a file comes out again, bad files are named, geometry is exact.
#include "xinfer/image.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/files.h"
#include "xinfer/error.h"

namespace xinfer {
namespace {

/// A picture whose every pixel differs from its neighbours, smooth enough for JPEG.
Image gradient(int width, int height, int channels = 3) {
  Image image(width, height, channels);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.data()[(std::size_t(y) * width + x) * channels + c] =
            static_cast<std::uint8_t>((x * 3 + y * 2 + c * 40) % 256);
  return image;
}

std::string code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code() + ": " + error.what();
  }
  return "no error";
}

TEST(Image, PngKeepsEveryPixel) {
  for (const int channels : {1, 3}) {
    const Image image = gradient(37, 21, channels);
    const std::string file = image.encode_png();
    const Image back = Image::decode(file.data(), file.size());
    ASSERT_EQ(back.width(), 37);
    ASSERT_EQ(back.height(), 21);
    ASSERT_EQ(back.channels(), channels);
    EXPECT_EQ(std::string(back.data(), back.data() + back.size_bytes()),
              std::string(image.data(), image.data() + image.size_bytes()));
  }
}

TEST(Image, JpegKeepsPixelsNearly) {
  const Image image = gradient(40, 30, 1);
  const std::string file = image.encode_jpeg(98);
  const Image back = Image::decode(file.data(), file.size());
  ASSERT_EQ(back.channels(), 1);
  int worst = 0;
  for (std::size_t i = 0; i < image.size_bytes(); ++i)
    worst = std::max(worst, std::abs(image.data()[i] - back.data()[i]));
  EXPECT_LE(worst, 6);
}

TEST(Image, JpegOrientationTurnsUpright) {
  Image image(24, 16, 3);
  image.fill_box({0, 0, 8, 8}, {255, 0, 0});  // the stored picture has its red corner at the top left
  std::string file = image.encode_jpeg(95);
  // EXIF: little-endian TIFF, one entry, orientation 6 (turn a quarter with the clock to stand upright).
  std::string exif("Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", 32);
  std::string marker = "\xFF\xE1";
  marker += static_cast<char>(0);
  marker += static_cast<char>(exif.size() + 2);
  file.insert(2, marker + exif);
  const Image back = Image::decode(file.data(), file.size());
  ASSERT_EQ(back.width(), 16);
  ASSERT_EQ(back.height(), 24);
  const auto red = [&](int x, int y) { return int(back.data()[(y * 16 + x) * 3]); };
  EXPECT_GT(red(13, 3), 200);  // top right now
  EXPECT_LT(red(3, 3), 60);
}

TEST(Image, BadFilesAreNamed) {
  const std::string png = gradient(64, 64).encode_png(), jpeg = gradient(64, 64).encode_jpeg();
  const auto decode = [](std::string bytes, ImageLimits limits = {}) {
    return code_of([&] { Image::decode(bytes.data(), bytes.size(), limits); });
  };
  EXPECT_EQ(decode(""), "corrupt: the file is empty");
  EXPECT_EQ(decode("GIF89a"), "unsupported: neither a JPEG nor a PNG file; convert it to one of them");
  EXPECT_EQ(decode(png.substr(0, png.size() / 2)), "corrupt: damaged PNG file: the file ends too early");
  EXPECT_EQ(decode(jpeg.substr(0, jpeg.size() / 2)), "corrupt: damaged JPEG file: Premature end of JPEG file");
  ImageLimits narrow;
  narrow.max_side_pixels = 32;
  EXPECT_EQ(decode(png, narrow), "limit: 64 x 64 pixels: a side is longer than 32 (max_side_pixels)");
  EXPECT_EQ(decode(jpeg, narrow), "limit: 64 x 64 pixels: a side is longer than 32 (max_side_pixels)");
  ImageLimits few;
  few.max_total_pixels = 1000;
  EXPECT_EQ(decode(png, few), "limit: 64 x 64 pixels are more than 1000 (max_total_pixels)");
  ImageLimits small;
  small.max_file_bytes = 10;
  EXPECT_EQ(decode("0123456789a", small), "limit: the file has 11 bytes, more than 10 (max_file_bytes)");
  std::string flipped = png;
  flipped[png.size() / 2] = static_cast<char>(flipped[png.size() / 2] ^ 0x40);
  EXPECT_EQ(decode(flipped).substr(0, 26), "corrupt: damaged PNG file:");
}

TEST(Image, LoadNamesTheFile) {
  base::TemporaryFolder folder;
  const auto path = folder.path() / "x.png";
  std::ofstream(path) << "text";
  EXPECT_EQ(code_of([&] { Image::load(path); }),
            "unsupported: neither a JPEG nor a PNG file; convert it to one of them (at " + path.string() + ")");
  EXPECT_EQ(
      code_of([&] { gradient(2, 2).save(folder.path() / "x.bmp"); }),
      "invalid_argument: a picture is written as .jpg, .jpeg or .png (at " + (folder.path() / "x.bmp").string() + ")");
  gradient(5, 4).save(folder.path() / "y.PNG");
  EXPECT_EQ(Image::load(folder.path() / "y.PNG").width(), 5);
}

TEST(Image, ResizeBilinearHasHalfPixelCentres) {
  Image image(2, 1, 1);
  image.data()[0] = 0;
  image.data()[1] = 200;
  const Image wide = resize(image, 4, 1);  // places -0.25, 0.25, 0.75, 1.25 of the source
  EXPECT_EQ(std::vector<int>(wide.data(), wide.data() + 4), (std::vector<int>{0, 50, 150, 200}));
}

TEST(Image, ResizeAreaIsTheMean) {
  Image image(3, 2, 1);
  const std::uint8_t values[] = {0, 30, 60, 90, 120, 150};
  std::copy(values, values + 6, image.data());
  const Image one = resize(image, 1, 1, Filter::kArea);
  EXPECT_EQ(one.data()[0], 75);
  const Image two = resize(image, 2, 1, Filter::kArea);  // 1.5 columns each
  EXPECT_EQ(two.data()[0], 55);                          // ((0 + 30/2) / 1.5 + (90 + 120/2) / 1.5) / 2
  EXPECT_EQ(two.data()[1], 95);
}

TEST(Image, BlueFirstViewsReadAsRgb) {
  const std::uint8_t bgr[] = {10, 20, 30, 40, 50, 60, 0, 0};  // a row with two bytes of padding
  const ImageView view{bgr, 2, 1, 3, 8, true};
  const Image image(view);
  EXPECT_EQ(std::vector<int>(image.data(), image.data() + 6), (std::vector<int>{30, 20, 10, 60, 50, 40}));
  const Image wide = resize(view, 4, 1);
  EXPECT_EQ(wide.data()[0], 30);
  EXPECT_EQ(wide.data()[11], 40);
}

TEST(Image, LetterboxTellsTheWayBack) {
  Image image(100, 50, 3);
  image.fill_box({0, 0, 100, 50}, {200, 0, 0});
  const Letterboxed centred = letterbox(image, 40, 40);
  EXPECT_FLOAT_EQ(centred.scale_x, 0.4f);
  EXPECT_FLOAT_EQ(centred.offset_y, 10);
  EXPECT_EQ(centred.image.data()[0], 114);
  EXPECT_EQ(centred.image.data()[(10 * 40 + 0) * 3], 200);
  const Letterboxed top = letterbox(image, 40, 40, Anchor::kTopLeft);
  EXPECT_FLOAT_EQ(top.offset_y, 0);
  EXPECT_EQ(top.image.data()[0], 200);
  EXPECT_EQ(top.image.data()[(39 * 40) * 3], 114);
}

TEST(Image, CropAndQuadAgreeOnUprightBoxes) {
  const Image image = gradient(60, 40);
  const Image part = crop(image, {10, 5, 40, 25});
  const Image quad = crop_quad(image, {{{10, 5}, {40, 5}, {40, 25}, {10, 25}}}, 30, 20);
  ASSERT_EQ(part.size_bytes(), quad.size_bytes());
  for (std::size_t i = 0; i < part.size_bytes(); ++i) ASSERT_NEAR(part.data()[i], quad.data()[i], 1) << i;
  EXPECT_EQ(code_of([&] { crop(image, {50, 10, 40, 20}); }),
            "invalid_argument: the box (50, 10) to (40, 20) covers nothing of the image");
}

TEST(Image, QuadTakesCornersInOrder) {
  const Image image = gradient(60, 40, 1);
  // Corners of the same box, starting at its bottom left: the crop is turned a quarter with the clock.
  const Image turned = crop_quad(image, {{{10, 25}, {10, 5}, {40, 5}, {40, 25}}}, 20, 30);
  const Image part = rotate_90_left(rotate_180(crop(image, {10, 5, 40, 25})));
  ASSERT_EQ(part.width(), 20);
  for (std::size_t i = 0; i < part.size_bytes(); ++i) ASSERT_NEAR(part.data()[i], turned.data()[i], 1) << i;
}

TEST(Image, RotationsTurnTheRightWay) {
  Image image(2, 1, 1);
  image.data()[0] = 1;
  image.data()[1] = 2;
  EXPECT_EQ(rotate_180(image).data()[0], 2);
  const Image left = rotate_90_left(image);
  ASSERT_EQ(left.height(), 2);
  EXPECT_EQ(left.data()[0], 2);  // the right end comes to the top
}

TEST(Image, TextHasItsSize) {
  EXPECT_EQ(Image::text_size("ab", 2), (std::pair{22, 18}));
  EXPECT_EQ(Image::text_size("\xE4\xB8\xAD", 1), (std::pair{5, 9}));  // one character of three bytes
  Image image(30, 20, 1);
  image.draw_text({1, 1}, "I", {255, 255, 255}, 1);
  int dots = 0;
  for (std::size_t i = 0; i < image.size_bytes(); ++i) dots += image.data()[i] == 255;
  EXPECT_EQ(dots, 11);
}

TEST(Image, DrawingStopsAtTheEdges) {
  Image image(10, 10, 3);
  image.draw_box({-5, -5, 50, 50}, {255, 0, 0});
  image.draw_line({-100, -100}, {200, 150}, {0, 255, 0}, 3);
  image.draw_label({-20, 100}, "a long label", {0, 0, 255});
  EXPECT_EQ(image.data()[0 + 0], 0);
}

}  // namespace
}  // namespace xinfer
