// PNG by libpng.
#include <png.h>

#include <csetjmp>
#include <cstring>

#include "zoo/image/codec.h"

namespace xinfer::zoo {
namespace {

using base::Code;
using base::fail;
using base::Result;

struct Reporter {
  char message[256] = {};
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* reporter = static_cast<Reporter*>(png_get_error_ptr(png));
  std::strncpy(reporter->message, message, sizeof reporter->message - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}  // pixels are whole; nothing that the caller could act on

struct Source {
  std::span<const std::byte> left;
};

void read_bytes(png_structp png, png_bytep out, std::size_t count) {
  auto* source = static_cast<Source*>(png_get_io_ptr(png));
  if (count > source->left.size()) png_error(png, "the file ends too early");
  std::memcpy(out, source->left.data(), count);
  source->left = source->left.subspan(count);
}

/// Reads up to the pixels and sets them to 8 bits, grey, grey with alpha, RGB or RGBA. False after an error.
bool read_header(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_read_info(png, info);
  return true;
}

bool read_pixels(png_structp png, png_infop info, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_read_image(png, rows);
  png_read_end(png, info);
  return true;
}

bool set_transforms(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_expand(png);    // palettes to RGB, 1, 2 and 4 bits to 8, transparent colours to alpha
  png_set_scale_16(png);  // 16 bits to 8, rounded
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return true;
}

struct Reader {
  Reporter reporter;
  Source source;
  png_structp png;
  png_infop info;
  explicit Reader(std::span<const std::byte> file) : source{file} {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reporter, on_error, on_warning);
    info = png_create_info_struct(png);
    png_set_read_fn(png, &source, read_bytes);
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  std::unexpected<base::Error> failed() const { return fail(Code::kCorrupt, "damaged PNG file: {}", reporter.message); }
};

/// Colour over white: what a viewer shows of a transparent picture on paper.
void flatten(const std::vector<std::uint8_t>& from, int stored, std::vector<std::uint8_t>& to) {
  const int colors = stored - 1;
  for (std::size_t i = 0; i < from.size() / stored; ++i) {
    const int alpha = from[stored * i + colors];
    for (int c = 0; c < colors; ++c)
      to[colors * i + c] = static_cast<std::uint8_t>((from[stored * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
  }
}

}  // namespace

Result<Pixels> decode_png(std::span<const std::byte> file, const ImageLimits& limits) {
  Reader reader(file);
  if (!reader.png || !reader.info) return fail(Code::kOutOfMemory, "no memory to read a PNG file");
  if (!read_header(reader.png, reader.info)) return reader.failed();
  const std::size_t width = png_get_image_width(reader.png, reader.info);
  const std::size_t height = png_get_image_height(reader.png, reader.info);
  XI_CHECK(check_size(width, height, limits));
  if (!set_transforms(reader.png, reader.info)) return reader.failed();

  const int stored = png_get_channels(reader.png, reader.info);
  std::vector<std::uint8_t> bytes(width * height * stored);
  std::vector<png_bytep> rows(height);
  for (std::size_t y = 0; y < height; ++y) rows[y] = bytes.data() + y * width * stored;
  if (!read_pixels(reader.png, reader.info, rows.data())) return reader.failed();

  const bool alpha = stored == 2 || stored == 4;
  Pixels out{static_cast<int>(width), static_cast<int>(height), alpha ? stored - 1 : stored, {}};
  if (alpha) {
    out.bytes.resize(width * height * out.channels);
    flatten(bytes, stored, out.bytes);
  } else {
    out.bytes = std::move(bytes);
  }
  return out;
}

namespace {

void write_bytes(png_structp png, png_bytep bytes, std::size_t count) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(bytes), count);
}

void flush_nothing(png_structp) {}

bool write_image(png_structp png, png_infop info, const ImageView& image) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height), 8,
               image.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  if (image.blue_first && image.channels == 3) png_set_bgr(png);
  for (int y = 0; y < image.height; ++y) png_write_row(png, image.row(y));
  png_write_end(png, info);
  return true;
}

}  // namespace

Result<std::string> encode_png(const ImageView& image) {
  if (image.empty()) return fail(Code::kInvalidArgument, "the image is empty");
  std::string out;
  Reporter reporter;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &reporter, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  if (!info) return fail(Code::kOutOfMemory, "no memory to write a PNG file");
  png_set_write_fn(png, &out, write_bytes, flush_nothing);
  const bool good = write_image(png, info, image);
  png_destroy_write_struct(&png, &info);
  if (!good) return fail(Code::kInternal, "PNG encoder: {}", reporter.message);
  return out;
}

}  // namespace xinfer::zoo
