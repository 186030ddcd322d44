// Image: construction, files.
#include "xinfer/image.h"

#include <algorithm>
#include <cstring>

#include "base/files.h"
#include "zoo/image/codec.h"
#include "zoo/raise.h"

namespace xinfer {
namespace {

using base::Code;
using base::fail;
using base::Result;

Result<zoo::Pixels> decode_any(std::span<const std::byte> file, const ImageLimits& limits) {
  if (file.size() > limits.max_file_bytes)
    return fail(Code::kLimit, "the file has {} bytes, more than {} (max_file_bytes)", file.size(),
                limits.max_file_bytes);
  const auto starts = [&](std::string_view magic) {
    return file.size() >= magic.size() && std::memcmp(file.data(), magic.data(), magic.size()) == 0;
  };
  if (starts("\xFF\xD8\xFF")) return zoo::decode_jpeg(file, limits);
  if (starts("\x89PNG\r\n\x1A\n")) return zoo::decode_png(file, limits);
  if (file.empty()) return fail(Code::kCorrupt, "the file is empty");
  return fail(Code::kUnsupported, "neither a JPEG nor a PNG file; convert it to one of them");
}

std::string lower_extension(const std::filesystem::path& path) {
  std::string text = path.extension().string();
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return text;
}

}  // namespace

namespace zoo {

Result<void> check_size(std::size_t width, std::size_t height, const ImageLimits& limits) {
  if (width == 0 || height == 0) return fail(Code::kCorrupt, "the picture has {} x {} pixels", width, height);
  if (std::max(width, height) > limits.max_side_pixels)
    return fail(Code::kLimit, "{} x {} pixels: a side is longer than {} (max_side_pixels)", width, height,
                limits.max_side_pixels);
  if (width * height > limits.max_total_pixels)
    return fail(Code::kLimit, "{} x {} pixels are more than {} (max_total_pixels)", width, height,
                limits.max_total_pixels);
  return {};
}

}  // namespace zoo

Image::Image(int width, int height, int channels) : width_(width), height_(height), channels_(channels) {
  if (width < 1 || height < 1 || (channels != 1 && channels != 3))
    zoo::raise({Code::kInvalidArgument,
                fmt::format(
                    "an image of {} x {} pixels with {} channels cannot be made: sizes start at 1, channels are 1 or 3",
                    width, height, channels),
                {}});
  zoo::value_or_raise(zoo::check_size(std::size_t(width), std::size_t(height), ImageLimits{}));
  pixels_.resize(std::size_t(width) * height * channels);
}

Image::Image(const ImageView& view) : Image(view.width, view.height, view.channels) {
  for (int y = 0; y < height_; ++y) {
    const std::uint8_t* from = view.row(y);
    std::uint8_t* to = pixels_.data() + std::size_t(y) * width_ * channels_;
    std::memcpy(to, from, std::size_t(width_) * channels_);
    if (view.blue_first && channels_ == 3)
      for (int x = 0; x < width_; ++x) std::swap(to[3 * x], to[3 * x + 2]);
  }
}

Image Image::decode(const void* bytes, std::size_t size_bytes, const ImageLimits& limits) {
  auto pixels = zoo::value_or_raise(decode_any({static_cast<const std::byte*>(bytes), size_bytes}, limits));
  Image image;
  image.width_ = pixels.width;
  image.height_ = pixels.height;
  image.channels_ = pixels.channels;
  image.pixels_ = std::move(pixels.bytes);
  return image;
}

Image Image::load(const std::filesystem::path& path, const ImageLimits& limits) {
  const std::string file = zoo::value_or_raise(base::read_file(path, limits.max_file_bytes));
  try {
    return decode(file.data(), file.size(), limits);
  } catch (const Error& error) {
    throw Error(error.code(), std::string(error.what()) + " (at " + path.string() + ")");
  }
}

std::string Image::encode_jpeg(int quality) const { return zoo::value_or_raise(zoo::encode_jpeg(view(), quality)); }
std::string Image::encode_png() const { return zoo::value_or_raise(zoo::encode_png(view())); }

void Image::save(const std::filesystem::path& path, int jpeg_quality) const {
  const std::string ending = lower_extension(path);
  if (ending != ".jpg" && ending != ".jpeg" && ending != ".png")
    zoo::raise({Code::kInvalidArgument, "a picture is written as .jpg, .jpeg or .png", path.string()});
  zoo::value_or_raise(base::write_file(path, ending == ".png" ? encode_png() : encode_jpeg(jpeg_quality)));
}

}  // namespace xinfer
