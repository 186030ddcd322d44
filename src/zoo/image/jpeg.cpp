// JPEG by libjpeg-turbo.
#include <cstdio>
// jpeglib.h needs FILE and size_t first.
#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <cstring>

#include "zoo/image/codec.h"

namespace xinfer::zoo {
namespace {

using base::Code;
using base::fail;
using base::Result;

/// libjpeg reports through these; a fatal error jumps back to the caller's setjmp.
struct Reporter {
  jpeg_error_mgr manager;
  jpeg_progress_mgr progress;
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX] = {};
  int max_scans = 0;
};

Reporter* reporter_of(j_common_ptr info) { return static_cast<Reporter*>(info->client_data); }

[[noreturn]] void on_error(j_common_ptr info) {
  Reporter* reporter = reporter_of(info);
  (*info->err->format_message)(info, reporter->message);
  std::longjmp(reporter->back, 1);
}

void on_message(j_common_ptr info, int level) {
  // Levels from 0 on are trace; -1 is a warning: most are harmless (stray bytes), these two mean that pixels are
  // missing.
  if (level >= 0) return;
  info->err->num_warnings++;
  if (info->err->msg_code == JWRN_JPEG_EOF || info->err->msg_code == JWRN_HIT_MARKER) on_error(info);
}

void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  Reporter* reporter = reporter_of(info);
  const int scan = reinterpret_cast<j_decompress_ptr>(info)->input_scan_number;
  if (scan <= reporter->max_scans) return;
  std::snprintf(reporter->message, sizeof reporter->message, "more than %d scans (max_jpeg_scans)",
                reporter->max_scans);
  std::longjmp(reporter->back, 2);
}

void attach(Reporter& reporter, j_common_ptr info) {
  info->client_data = &reporter;
  reporter.manager.error_exit = on_error;
  reporter.manager.emit_message = on_message;
}

std::uint32_t read_number(const std::uint8_t* bytes, int count, bool little) {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) value |= std::uint32_t{bytes[i]} << 8 * (little ? i : count - 1 - i);
  return value;
}

/// Orientation tag of an EXIF block (Exif 2.3, tag 0x0112 of the first directory), 1 to 8; 1 if there is none.
int exif_orientation(const std::uint8_t* data, std::size_t size) {
  if (size < 14 || std::memcmp(data, "Exif\0\0", 6) != 0) return 1;
  const std::uint8_t* tiff = data + 6;
  const std::size_t room = size - 6;
  const bool little = tiff[0] == 'I';
  const std::size_t directory = read_number(tiff + 4, 4, little);
  if (directory > room - 2) return 1;
  const std::size_t entries = read_number(tiff + directory, 2, little);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + 12 * i;
    if (at + 12 > room) return 1;
    if (read_number(tiff + at, 2, little) != 0x0112) continue;
    const int value = static_cast<int>(read_number(tiff + at + 8, 2, little));
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/// Turns and mirrors the pixels so that the picture stands upright.
Pixels upright(Pixels in, int orientation) {
  if (orientation <= 1) return in;
  const bool swap = orientation >= 5;
  Pixels out{swap ? in.height : in.width, swap ? in.width : in.height, in.channels, {}};
  out.bytes.resize(in.bytes.size());
  const int w = in.width, h = in.height, c = in.channels;
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      int sx = swap ? y : x, sy = swap ? x : y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) sx = w - 1 - sx;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) sy = h - 1 - sy;
      std::memcpy(&out.bytes[(std::size_t(y) * out.width + x) * c], &in.bytes[(std::size_t(sy) * w + sx) * c], c);
    }
  }
  return out;
}

/// CMYK as Adobe writes it (inverted) to RGB.
void cmyk_to_rgb(const std::vector<std::uint8_t>& from, std::vector<std::uint8_t>& to, bool inverted) {
  for (std::size_t i = 0; i < from.size() / 4; ++i) {
    for (int c = 0; c < 3; ++c) {
      const int ink = inverted ? from[4 * i + c] : 255 - from[4 * i + c];
      const int black = inverted ? from[4 * i + 3] : 255 - from[4 * i + 3];
      to[3 * i + c] = static_cast<std::uint8_t>(ink * black / 255);
    }
  }
}

/// The part between setjmp and longjmp: nothing in it may need a destructor. Returns 0, or the jump's reason.
int read_header(jpeg_decompress_struct& info, Reporter& reporter, std::span<const std::byte> file) {
  if (const int reason = setjmp(reporter.back)) return reason;
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(file.data()), file.size());
  jpeg_save_markers(&info, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&info, TRUE);
  return 0;
}

int read_pixels(jpeg_decompress_struct& info, Reporter& reporter, std::uint8_t* pixels, std::size_t row_bytes) {
  if (const int reason = setjmp(reporter.back)) return reason;
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = pixels + row_bytes * info.output_scanline;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  return 0;
}

struct Decompressor {
  Reporter reporter;
  jpeg_decompress_struct info{};
  Decompressor() {
    info.err = jpeg_std_error(&reporter.manager);
    jpeg_create_decompress(&info);
    attach(reporter, reinterpret_cast<j_common_ptr>(&info));
  }
  ~Decompressor() { jpeg_destroy_decompress(&info); }
  std::unexpected<base::Error> failed(int reason) const {
    return fail(reason == 2 ? Code::kLimit : Code::kCorrupt, "damaged JPEG file: {}", reporter.message);
  }
};

}  // namespace

Result<Pixels> decode_jpeg(std::span<const std::byte> file, const ImageLimits& limits) {
  Decompressor jpeg;
  if (const int reason = read_header(jpeg.info, jpeg.reporter, file)) return jpeg.failed(reason);
  XI_CHECK(check_size(jpeg.info.image_width, jpeg.info.image_height, limits));

  int orientation = 1;
  for (auto marker = jpeg.info.marker_list; marker && orientation == 1; marker = marker->next)
    orientation = exif_orientation(marker->data, marker->data_length);

  const bool cmyk = jpeg.info.jpeg_color_space == JCS_CMYK || jpeg.info.jpeg_color_space == JCS_YCCK;
  const bool gray = jpeg.info.jpeg_color_space == JCS_GRAYSCALE;
  jpeg.info.out_color_space = cmyk ? JCS_CMYK : gray ? JCS_GRAYSCALE : JCS_RGB;
  jpeg.reporter.max_scans = limits.max_jpeg_scans;
  jpeg.reporter.progress.progress_monitor = on_progress;
  jpeg.info.progress = &jpeg.reporter.progress;

  const int stored = cmyk ? 4 : gray ? 1 : 3;
  Pixels out{static_cast<int>(jpeg.info.image_width), static_cast<int>(jpeg.info.image_height), gray ? 1 : 3, {}};
  const std::size_t count = std::size_t(out.width) * out.height;
  std::vector<std::uint8_t> bytes(count * stored);
  if (const int reason = read_pixels(jpeg.info, jpeg.reporter, bytes.data(), std::size_t(out.width) * stored))
    return jpeg.failed(reason);
  if (cmyk) {
    out.bytes.resize(count * 3);
    cmyk_to_rgb(bytes, out.bytes, jpeg.info.saw_Adobe_marker);
  } else {
    out.bytes = std::move(bytes);
  }
  return upright(std::move(out), orientation);
}

namespace {

int write_pixels(jpeg_compress_struct& info, Reporter& reporter, const ImageView& image, std::uint8_t* row_buffer,
                 int quality) {
  if (const int reason = setjmp(reporter.back)) return reason;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  if (quality >= 90) info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;  // keep thin coloured lines
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    const std::uint8_t* source = image.row(static_cast<int>(info.next_scanline));
    for (int i = 0; i < image.width * image.channels; ++i)
      row_buffer[i] = image.blue_first && image.channels == 3 ? source[i + 2 - 2 * (i % 3)] : source[i];
    JSAMPROW row = row_buffer;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  return 0;
}

}  // namespace

Result<std::string> encode_jpeg(const ImageView& image, int quality) {
  if (image.empty()) return fail(Code::kInvalidArgument, "the image is empty");
  if (quality < 1 || quality > 100) return fail(Code::kInvalidArgument, "JPEG quality {} is not in 1 to 100", quality);
  constexpr int kMaxSide = 65500;  // JPEG_MAX_DIMENSION
  if (image.width > kMaxSide || image.height > kMaxSide)
    return fail(Code::kLimit, "{} x {} pixels do not fit into a JPEG file (at most {} a side)", image.width,
                image.height, kMaxSide);
  Reporter reporter;
  jpeg_compress_struct info{};
  info.err = jpeg_std_error(&reporter.manager);
  jpeg_create_compress(&info);
  attach(reporter, reinterpret_cast<j_common_ptr>(&info));
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = image.channels;
  info.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  std::vector<std::uint8_t> row(std::size_t(image.width) * image.channels);
  const int reason = write_pixels(info, reporter, image, row.data(), quality);
  std::string out;
  if (!reason) out.assign(reinterpret_cast<const char*>(buffer), size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  if (reason) return fail(Code::kInternal, "JPEG encoder: {}", reporter.message);
  return out;
}

}  // namespace xinfer::zoo
