#include "yolov8.h"

#include "builder.h"

namespace xinfer::make_model {
namespace {

constexpr int64_t kImage = 640;
constexpr int64_t kClasses = 80;
constexpr int64_t kBins = 16;  // of the distribution over distances, per side of a box

Value conv_silu(Builder& b, const Value& x, int64_t channels, int64_t kernel, int64_t stride = 1) {
  const Value y = b.conv(x, channels, {.kernel = kernel, .stride = stride, .gain = kSiluGain});
  return b.op("Mul", {y, b.op("Sigmoid", {y}, channels)}, channels);
}

Value c2f(Builder& b, const Value& x, int64_t channels, int repeat, bool shortcut) {
  const int64_t half = channels / 2;
  std::vector<Value> parts = b.split(conv_silu(b, x, channels, 1), 1, {half, half});
  for (int i = 0; i < repeat; ++i) {
    const Value in = parts.back();
    const Value out = conv_silu(b, conv_silu(b, in, half, 3), half, 3);
    parts.push_back(shortcut ? b.op("Add", {in, out}, half) : out);
  }
  return conv_silu(b, b.concat(parts, 1, half * static_cast<int64_t>(parts.size())), channels, 1);
}

Value sppf(Builder& b, const Value& x) {
  const int64_t half = x.channels / 2;
  std::vector<Value> parts = {conv_silu(b, x, half, 1)};
  for (int i = 0; i < 3; ++i) parts.push_back(b.max_pool(parts.back(), 5, 1));
  return conv_silu(b, b.concat(parts, 1, half * 4), x.channels, 1);
}

Value upsample(Builder& b, const Value& x) {
  const Value y = b.op("Resize", {x, {}, b.floats("scales", {4}, {1, 1, 2, 2})}, x.channels);
  b.set_string("mode", "nearest");
  b.set_string("coordinate_transformation_mode", "asymmetric");
  b.set_string("nearest_mode", "floor");
  return y;
}

Value join(Builder& b, const Value& x, const Value& y) { return b.concat({x, y}, 1, x.channels + y.channels); }

// Boxes from distances to the cell's centre, in pixels: centre x, centre y, width, height (x 8400).
Value decode_boxes(Builder& b, const Value& distribution, int64_t cells, const std::vector<int64_t>& strides) {
  Value x = b.reshape(distribution, {0, 4, kBins, cells});
  x = b.op("Softmax", {b.transpose(x, {0, 2, 1, 3})}, kBins);
  b.set_int("axis", 1);
  std::vector<float> bins;
  for (int64_t i = 0; i < kBins; ++i) bins.push_back(static_cast<float>(i));
  x = b.op("Conv", {x, b.floats("bins", {1, kBins, 1, 1}, bins)}, 1);
  x = b.reshape(x, {0, 4, cells});
  std::vector<float> centres(static_cast<size_t>(2 * cells));
  std::vector<float> scale;
  for (const int64_t stride : strides) {
    const int64_t side = kImage / stride;
    for (int64_t i = 0; i < side * side; ++i) {
      centres[scale.size()] = static_cast<float>(i % side) + 0.5F;
      centres[static_cast<size_t>(cells) + scale.size()] = static_cast<float>(i / side) + 0.5F;
      scale.push_back(static_cast<float>(stride));
    }
  }
  const Value anchors = b.floats("anchors", {1, 2, cells}, centres);
  const std::vector<Value> sides = b.split(x, 1, {2, 2});
  const Value low = b.op("Sub", {anchors, sides[0]}, 2);
  const Value high = b.op("Add", {anchors, sides[1]}, 2);
  const Value centre = b.op("Div", {b.op("Add", {low, high}, 2), b.scalar("two", 2.0F)}, 2);
  const Value size = b.op("Sub", {high, low}, 2);
  return b.op("Mul", {b.concat({centre, size}, 1, 4), b.floats("strides", {1, cells}, scale)}, 4);
}

Value detect(Builder& b, const std::vector<Value>& levels) {
  const std::vector<int64_t> strides = {8, 16, 32};
  constexpr int64_t kBoxes = 4 * kBins;
  std::vector<Value> flat;
  int64_t cells = 0;
  for (size_t i = 0; i < levels.size(); ++i) {
    const ConvOptions last = {.gain = kLinearGain};
    const Value box = b.conv(conv_silu(b, conv_silu(b, levels[i], kBoxes, 3), kBoxes, 3), kBoxes, last);
    const Value score = b.conv(conv_silu(b, conv_silu(b, levels[i], kClasses, 3), kClasses, 3), kClasses, last);
    const int64_t side = kImage / strides[i];
    flat.push_back(b.reshape(join(b, box, score), {0, kBoxes + kClasses, side * side}));
    cells += side * side;
  }
  const std::vector<Value> parts = b.split(b.concat(flat, 2, kBoxes + kClasses), 1, {kBoxes, kClasses});
  const Value boxes = decode_boxes(b, parts[0], cells, strides);
  return b.concat({boxes, b.op("Sigmoid", {parts[1]}, kClasses)}, 1, 4 + kClasses);
}

}  // namespace

std::string yolov8n(int64_t batch) {
  Builder b("yolov8n", 17);
  Value x = b.input("images", DataType::kFloat, {batch, 3, kImage, kImage});
  x = conv_silu(b, x, 16, 3, 2);
  x = c2f(b, conv_silu(b, x, 32, 3, 2), 32, 1, true);
  const Value p3 = c2f(b, conv_silu(b, x, 64, 3, 2), 64, 2, true);
  const Value p4 = c2f(b, conv_silu(b, p3, 128, 3, 2), 128, 2, true);
  const Value p5 = sppf(b, c2f(b, conv_silu(b, p4, 256, 3, 2), 256, 1, true));
  const Value n4 = c2f(b, join(b, upsample(b, p5), p4), 128, 1, false);
  const Value n3 = c2f(b, join(b, upsample(b, n4), p3), 64, 1, false);
  const Value m4 = c2f(b, join(b, conv_silu(b, n3, 64, 3, 2), n4), 128, 1, false);
  const Value m5 = c2f(b, join(b, conv_silu(b, m4, 128, 3, 2), p5), 256, 1, false);
  b.output(detect(b, {n3, m4, m5}), {batch, 4 + kClasses, 8400});
  return b.serialize();
}

}  // namespace xinfer::make_model
