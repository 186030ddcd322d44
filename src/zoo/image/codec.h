// JPEG and PNG files to and from pixels, without exceptions.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "xinfer/image.h"

namespace xinfer::zoo {

/// Pixels as a decoder leaves them: rows without gaps, grey (1) or RGB (3).
struct Pixels {
  int width = 0, height = 0, channels = 3;
  std::vector<std::uint8_t> bytes;
};

[[nodiscard]] base::Result<Pixels> decode_jpeg(std::span<const std::byte> file, const ImageLimits& limits);
[[nodiscard]] base::Result<Pixels> decode_png(std::span<const std::byte> file, const ImageLimits& limits);
[[nodiscard]] base::Result<std::string> encode_jpeg(const ImageView& image, int quality);
[[nodiscard]] base::Result<std::string> encode_png(const ImageView& image);

/// The size against max_side_pixels and max_total_pixels.
[[nodiscard]] base::Result<void> check_size(std::size_t width, std::size_t height, const ImageLimits& limits);

}  // namespace xinfer::zoo
