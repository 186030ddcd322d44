#include "zoo/vision/picture_input.h"

#include <algorithm>
#include <cmath>

#include "tensor/tensor.h"
#include "zoo/raise.h"

namespace xinfer::zoo::vision {
namespace {

// Widths of a line of text are rounded up to this: fewer different sizes, and some margin at the end as in training.
constexpr int kWidthStep = 32;

using base::Code;
using base::fail;
using base::Result;

/// Shrinking to less than half, bilinear sampling would skip pixels (and small faces with them); the mean does not.
Image resize_for_model(const ImageView& picture, int width, int height) {
  const bool skips = picture.width > 2 * width || picture.height > 2 * height;
  return resize(picture, width, height, skips ? Filter::kArea : Filter::kBilinear);
}

}  // namespace

Box Placement::back(const Box& box) const {
  const Point a = back(Point{box.x1, box.y1}), b = back(Point{box.x2, box.y2});
  const auto w = static_cast<float>(picture_width), h = static_cast<float>(picture_height);
  return {std::clamp(a.x, 0.0f, w), std::clamp(a.y, 0.0f, h), std::clamp(b.x, 0.0f, w), std::clamp(b.y, 0.0f, h)};
}

Result<PictureInput> PictureInput::make(const api::ImageInput& settings, const core::TensorDescription& description) {
  const core::Shape& shape = description.opt_shape;
  PictureInput input;
  input.nhwc_ = settings.layout == "nhwc";
  if (!input.nhwc_ && settings.layout != "nchw")
    return fail(Code::kInvalidArgument, "layout '{}' is neither nchw nor nhwc", settings.layout);
  if (shape.size() != 4 || shape[0] != 1)
    return fail(Code::kUnsupported, "an input of shape {} takes no single picture", tensor::to_string(shape));
  input.channels_ = static_cast<int>(shape[input.nhwc_ ? 3 : 1]);
  input.height_ = static_cast<int>(shape[input.nhwc_ ? 1 : 2]);
  const std::size_t across = input.nhwc_ ? 2 : 3;
  const bool many = settings.resize == "height";
  input.min_width_ = static_cast<int>((many ? description.min_shape : shape)[across]);
  input.max_width_ = static_cast<int>((many ? description.max_shape : shape)[across]);

  if (settings.color == "rgb") input.source_channel_ = {0, 1, 2};
  if (settings.color == "bgr") input.source_channel_ = {2, 1, 0};
  if (settings.color == "gray") input.source_channel_ = {0};
  if (settings.color == "rgba") input.source_channel_ = {0, 1, 2, -1};
  input.gray_ = settings.color == "gray";
  if (input.source_channel_.empty())
    return fail(Code::kInvalidArgument, "color '{}' is none of rgb, bgr, gray, rgba", settings.color);
  if (static_cast<int>(input.source_channel_.size()) != input.channels_)
    return fail(Code::kInvalidArgument, "color '{}' has {} channels, but the input of shape {} has {} (layout {})",
                settings.color, input.source_channel_.size(), tensor::to_string(shape), input.channels_,
                settings.layout);

  if (settings.resize == "letterbox") input.fit_ = Fit::kTopLeft;
  else if (settings.resize == "letterbox-center") input.fit_ = Fit::kCenter;
  else if (settings.resize == "stretch") input.fit_ = Fit::kStretch;
  else if (settings.resize == "crop") input.fit_ = Fit::kCrop;
  else if (settings.resize == "height") input.fit_ = Fit::kHeight;
  else
    return fail(Code::kInvalidArgument, "resize '{}' is none of letterbox, letterbox-center, stretch, crop, height",
                settings.resize);
  input.crop_ratio_ = settings.crop_ratio;
  if (input.fit_ == Fit::kCrop && !(settings.crop_ratio > 0 && settings.crop_ratio <= 1))
    return fail(Code::kInvalidArgument, "crop_ratio {} is not in (0, 1]", settings.crop_ratio);

  for (const auto* list : {&settings.mean, &settings.std})
    if (!list->empty() && static_cast<int>(list->size()) != input.channels_)
      return fail(Code::kInvalidArgument, "mean and std need {} values each, one per channel", input.channels_);
  for (int c = 0; c < input.channels_; ++c) {
    const double mean = settings.mean.empty() ? 0 : settings.mean[c], std = settings.std.empty() ? 1 : settings.std[c];
    if (std == 0) return fail(Code::kInvalidArgument, "std must not be 0");
    const auto value = [&](double pixel) { return static_cast<float>((pixel * settings.scale - mean) / std); };
    std::vector<float> table(256);
    for (int i = 0; i < 256; ++i) table[i] = value(i);
    input.table_.push_back(std::move(table));
    input.pad_.push_back(value(settings.pad));
  }
  return input;
}

PictureInput PictureInput::of(const Model& model) {
  return value_or_raise(make(model.metadata.input.value_or(api::ImageInput{}), model.input()));
}

int PictureInput::width_for(const ImageView& picture) const {
  const double wanted = double(picture.width) * height_ / picture.height / kWidthStep;
  const double width = std::ceil(std::min(wanted, double(max_width_) / kWidthStep)) * kWidthStep;
  return std::clamp(static_cast<int>(width), min_width_, max_width_);
}

/// The picture as it will stand in the input: resized, cropped. `left` and `top` say where.
Image PictureInput::fit(const ImageView& picture, int width, Placement& placement, int& left, int& top) const {
  const double ratio_x = double(width) / picture.width, ratio_y = double(height_) / picture.height;
  double ratio = std::min(ratio_x, ratio_y);
  if (fit_ == Fit::kHeight) ratio = ratio_y;
  if (fit_ == Fit::kCrop) ratio = std::max(ratio_x, ratio_y) / crop_ratio_;
  const auto scaled = [&](int size) { return std::max(1, static_cast<int>(std::lround(size * ratio))); };
  int inner_width = fit_ == Fit::kStretch ? width : scaled(picture.width);
  int inner_height = fit_ == Fit::kStretch ? height_ : scaled(picture.height);
  // A line longer than the input is squeezed into it: better read narrow than cut.
  if (fit_ != Fit::kCrop) {
    inner_width = std::min(inner_width, width);
    inner_height = std::min(inner_height, height_);
  }
  left = fit_ == Fit::kCenter || fit_ == Fit::kCrop ? (width - inner_width) / 2 : 0;
  top = fit_ == Fit::kCenter || fit_ == Fit::kCrop ? (height_ - inner_height) / 2 : 0;
  placement = {static_cast<float>(double(inner_width) / picture.width),
               static_cast<float>(double(inner_height) / picture.height),
               static_cast<float>(left),
               static_cast<float>(top),
               picture.width,
               picture.height,
               std::min(inner_width, width)};
  Image inner = resize_for_model(picture, inner_width, inner_height);
  if (gray_) inner = to_gray(inner);
  else if (inner.channels() == 1) inner = to_rgb(inner);
  return inner;
}

Values PictureInput::fill(const ImageView& picture, Placement& placement) const {
  const int width = width_for(picture);
  int left = 0, top = 0;
  const Image inner = fit(picture, width, placement, left, top);
  const std::size_t plane = std::size_t(width) * height_;
  const core::Shape shape = nhwc_ ? core::Shape{1, height_, width, channels_} : core::Shape{1, channels_, height_, width};
  Values values{std::vector<float>(plane * channels_), shape};
  const int x1 = std::max(left, 0), x2 = std::min(left + inner.width(), width);
  const int y1 = std::max(top, 0), y2 = std::min(top + inner.height(), height_);
  const std::size_t step = nhwc_ ? channels_ : 1;
  for (int c = 0; c < channels_; ++c) {
    float* out = values.data.data() + (nhwc_ ? std::size_t(c) : plane * c);
    const std::vector<float>& table = table_[c];
    const int source = source_channel_[c];
    for (int y = 0; y < height_; ++y) {
      const bool inside = y >= y1 && y < y2;
      const std::uint8_t* row =
          inside ? inner.data() + std::size_t(y - top) * inner.width() * inner.channels() : nullptr;
      for (int x = 0; x < width; ++x, out += step) {
        if (!inside || x < x1 || x >= x2) *out = pad_[c];
        else *out = table[source < 0 ? 255 : row[std::size_t(x - left) * inner.channels() + source]];
      }
    }
  }
  return values;
}

}  // namespace xinfer::zoo::vision
