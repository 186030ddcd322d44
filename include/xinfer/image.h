// Image: 8-bit pictures in memory, read from and written to JPEG and PNG, resized, cropped and drawn on.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace xinfer {

/// A place in an image, in pixels from the top left corner; (0.5, 0.5) is the middle of the first pixel.
struct Point {
  float x = 0, y = 0;
};

/// An upright rectangle in pixels; x2 and y2 lie outside of it.
struct Box {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  float width() const { return x2 - x1; }
  float height() const { return y2 - y1; }
};

struct Color {
  std::uint8_t red = 0, green = 0, blue = 0;
};

/// What a picture file may ask for at most. A file that goes beyond is refused (limit) before its pixels are decoded.
struct ImageLimits {
  std::size_t max_file_bytes = std::size_t{256} << 20;
  std::size_t max_side_pixels = 32768;
  std::size_t max_total_pixels = std::size_t{100} << 20;
  int max_jpeg_scans = 100;  // a progressive JPEG of few bytes can ask for days of work
};

/// Pixels that belong to somebody else: an Image, a cv::Mat (xinfer/opencv.h), a camera's buffer. It borrows them: keep
/// them alive and unchanged while the view is used. One byte per channel, channels interleaved.
struct ImageView {
  const std::uint8_t* pixels = nullptr;
  int width = 0, height = 0;
  int channels = 3;              // 1: grey, 3: colour
  std::ptrdiff_t row_bytes = 0;  // from one row to the next, at least width * channels
  bool blue_first = false;       // channels are blue, green, red (OpenCV's order)

  bool empty() const { return pixels == nullptr || width <= 0 || height <= 0; }
  const std::uint8_t* row(int y) const { return pixels + y * row_bytes; }
};

enum class Filter {
  kBilinear,  // half-pixel centres, no smoothing when shrinking: what most detectors were trained with
  kArea,      // mean of the covered area when shrinking, kBilinear when enlarging
};

class Image;

/// A picture fitted into a frame: `image`, and how to get back: x_source = (x - offset_x) / scale_x.
struct Letterboxed;

/// An 8-bit image that owns its pixels, rows without gaps, grey or RGB. Copying copies the pixels. Objects are
/// independent; one object may be read from several threads at once. Functions throw xinfer::Error.
class Image {
 public:
  Image() = default;
  /// A black image. Sizes from 1; channels 1 or 3. Throws invalid_argument, limit.
  Image(int width, int height, int channels = 3);
  /// A copy of the view's pixels, in RGB order.
  explicit Image(const ImageView& view);

  /// Reads a JPEG (upright: its EXIF orientation is applied) or PNG (transparent parts on white) file.
  /// Throws not_found, io, limit, unsupported (another format), corrupt (what is wrong in the file).
  static Image load(const std::filesystem::path& path, const ImageLimits& limits = {});
  /// The same from a file's bytes in memory.
  static Image decode(const void* bytes, std::size_t size_bytes, const ImageLimits& limits = {});

  /// Writes JPEG (.jpg, .jpeg) or PNG (.png) by the path's ending, whole or not at all. Throws invalid_argument, io.
  void save(const std::filesystem::path& path, int jpeg_quality = 92) const;
  std::string encode_jpeg(int quality = 92) const;
  std::string encode_png() const;

  bool empty() const { return pixels_.empty(); }
  int width() const { return width_; }
  int height() const { return height_; }
  int channels() const { return channels_; }
  /// Row after row from the top, channels interleaved: width() * height() * channels() bytes.
  const std::uint8_t* data() const { return pixels_.data(); }
  std::uint8_t* data() { return pixels_.data(); }
  std::size_t size_bytes() const { return pixels_.size(); }
  ImageView view() const {
    return {pixels_.data(), width_, height_, channels_, std::ptrdiff_t{width_} * channels_, false};
  }
  operator ImageView() const { return view(); }  // NOLINT: an Image is used wherever a view is asked for

  /// Draws a frame of `thickness` pixels, its outer edge on the box.
  void draw_box(const Box& box, Color color, int thickness = 2);
  void draw_line(Point from, Point to, Color color, int thickness = 2);
  /// Lines from point to point and back to the first.
  void draw_polygon(const std::vector<Point>& points, Color color, int thickness = 2);
  void fill_box(const Box& box, Color color);
  /// Text with its top left corner at `at`, each dot of the built-in 5 x 9 font `scale` pixels wide. UTF-8; what the
  /// font lacks (it has ASCII) shows as a hollow box.
  void draw_text(Point at, std::string_view text, Color color, int scale = 2);
  /// Text on a filled background, black or white, whichever is easier to read on it.
  void draw_label(Point at, std::string_view text, Color background, int scale = 2);
  /// Width and height of a line of text in pixels.
  static std::pair<int, int> text_size(std::string_view text, int scale = 2);

 private:
  int width_ = 0, height_ = 0, channels_ = 3;
  std::vector<std::uint8_t> pixels_;
};

struct Letterboxed {
  Image image;
  float scale_x = 1, scale_y = 1;
  float offset_x = 0, offset_y = 0;
};

// Each makes a new image; the source keeps its pixels. Throws invalid_argument for an empty source or a bad size.

Image resize(const ImageView& source, int width, int height, Filter filter = Filter::kBilinear);

enum class Anchor { kTopLeft, kCenter };
/// Fits the source into width x height with its proportions kept, and fills the rest.
Letterboxed letterbox(const ImageView& source, int width, int height, Anchor anchor = Anchor::kCenter,
                      Color fill = {114, 114, 114}, Filter filter = Filter::kBilinear);

/// The part of the source inside of the box, rounded to whole pixels and cut at the edges.
Image crop(const ImageView& source, const Box& box);

/// The four-cornered part of the source (corners from the top left, clockwise) pulled straight to width x height
/// (perspective, bilinear; outside of the source its edge is repeated). For text lines that lie askew.
Image crop_quad(const ImageView& source, const std::array<Point, 4>& corners, int width, int height);

Image rotate_180(const ImageView& source);
/// A quarter turn against the clock.
Image rotate_90_left(const ImageView& source);
/// Luma of ITU-R BT.601.
Image to_gray(const ImageView& source);
Image to_rgb(const ImageView& source);

}  // namespace xinfer
