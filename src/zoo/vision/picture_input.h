// A picture becomes a model's input: resized, normalised, laid out; and coordinates find their way back.
#pragma once
#include <vector>

#include "api/types.h"
#include "base/error.h"
#include "xinfer/image.h"
#include "zoo/model.h"

namespace xinfer::zoo::vision {

/// From places in the input to places in the picture: x_picture = (x - offset_x) / scale_x.
struct Placement {
  float scale_x = 1, scale_y = 1, offset_x = 0, offset_y = 0;
  int picture_width = 0, picture_height = 0;
  int filled_width = 0;  // columns of the input that hold the picture, the rest is padding

  Point back(Point at) const { return {(at.x - offset_x) / scale_x, (at.y - offset_y) / scale_y}; }
  /// The same for a box, cut at the picture's edges.
  Box back(const Box& box) const;
};

/// How pictures become one input, as the catalogue says it (catalog/README.md, "input").
class PictureInput {
 public:
  /// `input`: the engine's, [1, C, H, W] or [1, H, W, C]. Where it takes many widths, resize "height" uses them; every other
  /// range counts as its optimum. Errors: kInvalidArgument, kUnsupported.
  [[nodiscard]] static base::Result<PictureInput> make(const api::ImageInput& settings,
                                                       const core::TensorDescription& input);
  /// As the model's metadata says. Throws Error.
  static PictureInput of(const Model& model);

  /// Of the widest input.
  int width() const { return max_width_; }
  int height() const { return height_; }
  bool takes_many_widths() const { return min_width_ < max_width_; }
  /// The input's values, row-major in the input's layout, and its shape.
  Values fill(const ImageView& picture, Placement& placement) const;

 private:
  enum class Fit { kTopLeft, kCenter, kStretch, kCrop, kHeight };
  int width_for(const ImageView& picture) const;
  Image fit(const ImageView& picture, int width, Placement& placement, int& left, int& top) const;

  int min_width_ = 0, max_width_ = 0, height_ = 0, channels_ = 3;
  bool nhwc_ = false, gray_ = false;
  std::vector<int> source_channel_;  // of each channel of the input, -1: opaque (255)
  Fit fit_ = Fit::kStretch;
  double crop_ratio_ = 1;
  std::vector<std::vector<float>> table_;  // per channel: value of each pixel value
  std::vector<float> pad_;                 // per channel
};

}  // namespace xinfer::zoo::vision
