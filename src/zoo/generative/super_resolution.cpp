#include "xinfer/zoo/generative/super_resolution.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "zoo/model.h"
#include "zoo/raise.h"

namespace xinfer::zoo::generative {
namespace {

using base::Code;

/// Pixels at a tile's edges whose surroundings the network did not see: ESPCN's convolutions reach 5, rounded up.
constexpr int kMargin = 8;

/// One channel of a picture as floats.
struct Plane {
  int width = 0, height = 0;
  std::vector<float> values;
  Plane(int w, int h) : width(w), height(h), values(std::size_t(w) * h) {}
  float& at(int x, int y) { return values[std::size_t(y) * width + x]; }
  float at(int x, int y) const { return values[std::size_t(y) * width + x]; }
  /// Beyond the edges the edge's value.
  float near(int x, int y) const { return at(std::clamp(x, 0, width - 1), std::clamp(y, 0, height - 1)); }
};

struct YCbCr {
  Plane y, cb, cr;
};

/// JFIF's conversion (ITU-R BT.601, full range).
YCbCr split(const ImageView& image) {
  YCbCr planes{Plane(image.width, image.height), Plane(image.width, image.height), Plane(image.width, image.height)};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const std::uint8_t* pixel = image.row(y) + std::ptrdiff_t{x} * image.channels;
      const bool gray = image.channels == 1;
      const float r = pixel[gray ? 0 : image.blue_first ? 2 : 0], g = pixel[gray ? 0 : 1];
      const float b = pixel[gray ? 0 : image.blue_first ? 0 : 2];
      planes.y.at(x, y) = 0.299f * r + 0.587f * g + 0.114f * b;
      planes.cb.at(x, y) = 128 - 0.168736f * r - 0.331264f * g + 0.5f * b;
      planes.cr.at(x, y) = 128 + 0.5f * r - 0.418688f * g - 0.081312f * b;
    }
  }
  return planes;
}

std::uint8_t to_byte(float value) { return static_cast<std::uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f)); }

/// Keys' cubic convolution with a = -0.5 at the four taps around a place `fraction` after the second.
std::array<float, 4> cubic_weights(float fraction) {
  const auto inner = [](float d) { return (1.5f * d - 2.5f) * d * d + 1; };
  const auto outer = [](float d) { return ((-0.5f * d + 2.5f) * d - 4) * d + 2; };
  return {outer(1 + fraction), inner(fraction), inner(1 - fraction), outer(2 - fraction)};
}

Plane enlarge_cubic(const Plane& plane, int factor) {
  Plane wide(plane.width * factor, plane.height), out(plane.width * factor, plane.height * factor);
  const auto place = [&](int i, float& fraction) {
    const float at = (static_cast<float>(i) + 0.5f) / static_cast<float>(factor) - 0.5f;
    const float low = std::floor(at);
    fraction = at - low;
    return static_cast<int>(low) - 1;
  };
  float fraction;
  for (int x = 0; x < wide.width; ++x) {
    const int first = place(x, fraction);
    const auto weights = cubic_weights(fraction);
    for (int y = 0; y < wide.height; ++y)
      for (int t = 0; t < 4; ++t) wide.at(x, y) += weights[t] * plane.near(first + t, y);
  }
  for (int y = 0; y < out.height; ++y) {
    const int first = place(y, fraction);
    const auto weights = cubic_weights(fraction);
    for (int x = 0; x < out.width; ++x)
      for (int t = 0; t < 4; ++t) out.at(x, y) += weights[t] * wide.near(x, first + t);
  }
  return out;
}

}  // namespace

struct SuperResolution::State {
  Model model;
  int factor = 0, tile_width = 0, tile_height = 0;
  float scale = 1;

  explicit State(const SuperResolutionConfig& config)
      : model(load_model(config.engine_path, config.engine, config.metadata, "")) {
    const auto& metadata = model.metadata;
    if (metadata.head != "espcn")
      raise({Code::kUnsupported,
             fmt::format("the model's head '{}' does not enlarge pictures (head: espcn)", metadata.head),
             {}});
    const auto& shape = model.input().opt_shape;
    factor = static_cast<int>(metadata.upscale.value_or(3));
    if (metadata.input) scale = static_cast<float>(metadata.input->scale);
    if (shape.size() != 4 || shape[0] != 1 || shape[1] != 1 || shape[2] <= 2 * kMargin || shape[3] <= 2 * kMargin)
      raise({Code::kUnsupported, "the engine's input is not [1, 1, H, W] with sides over 16", {}});
    if (factor < 1 || factor > 16 || !(scale > 0))
      raise({Code::kInvalidArgument, "metadata.upscale or metadata.input.scale makes no sense", {}});
    tile_height = static_cast<int>(shape[2]);
    tile_width = static_cast<int>(shape[3]);
  }

  /// Runs the network on the tile whose top left corner lies at (left, top), and keeps what the margins leave.
  void enlarge_tile(const Plane& luma, int left, int top, Plane& out) const {
    Values values{{}, model.input().opt_shape};
    values.data.reserve(std::size_t(tile_width) * tile_height);
    for (int y = 0; y < tile_height; ++y)
      for (int x = 0; x < tile_width; ++x) values.data.push_back(luma.near(left + x, top + y) * scale);
    const Outputs outputs = infer(model, values);
    const Values& result = *value_or_raise(find_output(outputs, "image"));
    const int wide = tile_width * factor;
    if (result.data.size() != std::size_t(wide) * tile_height * factor)
      raise(
          {Code::kInvalidArgument, fmt::format("the engine does not enlarge by the metadata's factor {}", factor), {}});
    const int y1 = std::max(0, (top + kMargin) * factor),
              y2 = std::min(out.height, (top + tile_height - kMargin) * factor);
    const int x1 = std::max(0, (left + kMargin) * factor),
              x2 = std::min(out.width, (left + tile_width - kMargin) * factor);
    for (int y = y1; y < y2; ++y)
      for (int x = x1; x < x2; ++x)
        out.at(x, y) = result.data[std::size_t(y - top * factor) * wide + (x - left * factor)] / scale;
  }
};

SuperResolution::SuperResolution(const SuperResolutionConfig& config) : state_(std::make_unique<State>(config)) {}
SuperResolution::SuperResolution(const std::string& model_id, const HardwareTarget& target,
                                 const hub::DownloadOptions& options) {
  SuperResolutionConfig config;
  config.engine_path = hub::download_engine(model_id, target, options);
  config.engine.trusted_keys = options.trusted_keys;
  state_ = std::make_unique<State>(config);
}
SuperResolution::SuperResolution(SuperResolution&&) noexcept = default;
SuperResolution& SuperResolution::operator=(SuperResolution&&) noexcept = default;
SuperResolution::~SuperResolution() = default;

int SuperResolution::factor() const { return state_->factor; }

Image SuperResolution::predict(const ImageView& image) const {
  const State& state = *state_;
  if (image.empty()) raise({Code::kInvalidArgument, "the image is empty", {}});
  Image out(image.width * state.factor, image.height * state.factor, image.channels);
  const YCbCr planes = split(image);
  Plane luma(out.width(), out.height());
  // Tiles begin a margin before the picture, and each gives its middle.
  for (int top = -kMargin; top < image.height - kMargin; top += state.tile_height - 2 * kMargin)
    for (int left = -kMargin; left < image.width - kMargin; left += state.tile_width - 2 * kMargin)
      state.enlarge_tile(planes.y, left, top, luma);

  if (out.channels() == 1) {
    for (std::size_t i = 0; i < luma.values.size(); ++i) out.data()[i] = to_byte(luma.values[i]);
    return out;
  }
  const Plane cb = enlarge_cubic(planes.cb, state.factor), cr = enlarge_cubic(planes.cr, state.factor);
  std::uint8_t* pixel = out.data();
  for (std::size_t i = 0; i < luma.values.size(); ++i, pixel += 3) {
    const float y = luma.values[i], b = cb.values[i] - 128, r = cr.values[i] - 128;
    pixel[0] = to_byte(y + 1.402f * r);
    pixel[1] = to_byte(y - 0.344136f * b - 0.714136f * r);
    pixel[2] = to_byte(y + 1.772f * b);
  }
  return out;
}

}  // namespace xinfer::zoo::generative
