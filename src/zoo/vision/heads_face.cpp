// Heads of face detectors.
#include <algorithm>
#include <cmath>

#include "zoo/vision/heads.h"

namespace xinfer::zoo::vision {
namespace {

using base::Code;
using base::fail;
using base::Result;

}  // namespace

// BlazeFace (Bazarevsky et al. 2019), SsdAnchorsCalculator and TensorsToDetectionsCalculator of MediaPipe with anchors
// of fixed size: all values are pixels relative to the middle of the anchor's cell.
Result<std::vector<Candidate>> decode_blazeface(const HeadInput& input) {
  std::vector<Candidate> found;
  const auto& levels = input.metadata.anchors;
  if (levels.empty())
    return fail(Code::kInvalidArgument, "metadata.anchors is missing: [cells per side, anchors per cell] per output");
  for (std::size_t level = 0; level < levels.size(); ++level) {
    if (levels[level].size() != 2 || levels[level][0] < 1 || levels[level][1] < 1)
      return fail(Code::kInvalidArgument, "metadata.anchors[{}] is not [cells per side, anchors per cell]", level);
    const auto cells = static_cast<std::int64_t>(levels[level][0]),
               anchors = static_cast<std::int64_t>(levels[level][1]);
    XI_TRY(const Rows scores, rows_of(input.outputs, "scores_" + std::to_string(level), 1));
    XI_TRY(const Rows boxes, rows_of(input.outputs, "boxes_" + std::to_string(level)));
    if (scores.count != cells * cells * anchors || boxes.count != scores.count || boxes.columns < 4 ||
        boxes.columns % 2)
      return fail(Code::kInvalidArgument,
                  "outputs scores_{0} and boxes_{0} have {1} and {2} rows; the anchors make {3}", level, scores.count,
                  boxes.count, cells * cells * anchors);
    for (std::int64_t i = 0; i < scores.count; ++i) {
      const float score = 1 / (1 + std::exp(-std::clamp(scores[i][0], -100.0f, 100.0f)));
      if (score < input.score_threshold) continue;
      const std::int64_t cell = i / anchors;
      const float cx =
          (static_cast<float>(cell % cells) + 0.5f) / static_cast<float>(cells) * static_cast<float>(input.width);
      const float cy =
          (static_cast<float>(cell / cells) + 0.5f) / static_cast<float>(cells) * static_cast<float>(input.height);
      const float* row = boxes[i];
      Candidate face;
      face.score = score;
      face.box = {cx + row[0] - row[2] / 2, cy + row[1] - row[3] / 2, cx + row[0] + row[2] / 2,
                  cy + row[1] + row[3] / 2};
      for (std::int64_t k = 4; k + 1 < boxes.columns; k += 2) face.keypoints.push_back({cx + row[k], cy + row[k + 1]});
      found.push_back(std::move(face));
    }
  }
  return found;
}

// Ultra-Light-Fast-Generic-Face-Detector (Linzaer): the network's end decodes the boxes already, as corners in 0 to 1.
Result<std::vector<Candidate>> decode_ultraface(const HeadInput& input) {
  XI_TRY(const Rows scores, rows_of(input.outputs, "scores", 2));
  XI_TRY(const Rows boxes, rows_of(input.outputs, "boxes", 4));
  if (scores.count != boxes.count)
    return fail(Code::kInvalidArgument, "{} scores for {} boxes", scores.count, boxes.count);
  const bool normalized = input.metadata.normalized_boxes.value_or(true);
  const float width = normalized ? static_cast<float>(input.width) : 1;
  const float height = normalized ? static_cast<float>(input.height) : 1;
  std::vector<Candidate> found;
  for (std::int64_t i = 0; i < scores.count; ++i) {
    const float score = scores[i][1];  // [background, face]
    if (score < input.score_threshold) continue;
    const float* row = boxes[i];
    found.push_back({{row[0] * width, row[1] * height, row[2] * width, row[3] * height}, 0, score, {}});
  }
  return found;
}

namespace {

struct Prior {
  float cx, cy, size;  // in pixels of the input
};

/// YuNet's priors (libfacedetection): the grids come from halving the input, rounded as its convolutions round.
std::vector<Prior> yunet_priors(const HeadInput& input, const std::vector<std::int64_t>& strides,
                                const std::vector<std::vector<double>>& sizes) {
  std::vector<Prior> priors;
  int columns = (input.width + 1) / 2 / 2, lines = (input.height + 1) / 2 / 2;
  for (std::size_t level = 0; level < strides.size(); ++level) {
    columns /= 2;
    lines /= 2;
    const auto stride = static_cast<float>(strides[level]);
    for (int y = 0; y < lines; ++y)
      for (int x = 0; x < columns; ++x)
        for (const double size : sizes[level])
          priors.push_back({(static_cast<float>(x) + 0.5f) * stride, (static_cast<float>(y) + 0.5f) * stride,
                            static_cast<float>(size)});
  }
  return priors;
}

}  // namespace

// YuNet (Wu et al. 2021), FaceDetectorYN of OpenCV: SSD encoding with variances, score = sqrt(class * predicted IoU).
Result<std::vector<Candidate>> decode_yunet(const HeadInput& input) {
  XI_TRY(const Rows boxes, rows_of(input.outputs, "boxes", 14));
  XI_TRY(const Rows scores, rows_of(input.outputs, "scores", 2));
  XI_TRY(const Rows ious, rows_of(input.outputs, "iou", 1));
  const auto& metadata = input.metadata;
  const std::vector<std::int64_t> strides =
      metadata.strides.empty() ? std::vector<std::int64_t>{8, 16, 32, 64} : metadata.strides;
  const std::vector<std::vector<double>> sizes =
      metadata.anchors.empty() ? std::vector<std::vector<double>>{{10, 16, 24}, {32, 48}, {64, 96}, {128, 192, 256}}
                               : metadata.anchors;
  if (sizes.size() != strides.size())
    return fail(Code::kInvalidArgument, "{} lists of anchors for {} strides", sizes.size(), strides.size());
  const auto priors = yunet_priors(input, strides, sizes);
  const auto count = static_cast<std::int64_t>(priors.size());
  if (boxes.count != count || scores.count != count || ious.count != count)
    return fail(Code::kInvalidArgument, "the outputs have {}, {} and {} rows; the priors of a {} x {} input are {}",
                boxes.count, scores.count, ious.count, input.width, input.height, count);
  const float v0 = static_cast<float>(metadata.variances.size() == 2 ? metadata.variances[0] : 0.1);
  const float v1 = static_cast<float>(metadata.variances.size() == 2 ? metadata.variances[1] : 0.2);
  std::vector<Candidate> found;
  for (std::int64_t i = 0; i < count; ++i) {
    const float score = std::sqrt(scores[i][1] * std::clamp(ious[i][0], 0.0f, 1.0f));
    if (!(score >= input.score_threshold)) continue;
    const Prior& prior = priors[i];
    const float* row = boxes[i];
    const float cx = prior.cx + row[0] * v0 * prior.size, cy = prior.cy + row[1] * v0 * prior.size;
    // OpenCV scales the width's exponent by the first variance and the height's by the second; the model was trained
    // so.
    const float w = prior.size * std::exp(row[2] * v0), h = prior.size * std::exp(row[3] * v1);
    Candidate face{{cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2}, 0, score, {}};
    for (int k = 4; k < 14; k += 2)
      face.keypoints.push_back({prior.cx + row[k] * v0 * prior.size, prior.cy + row[k + 1] * v0 * prior.size});
    found.push_back(std::move(face));
  }
  return found;
}

}  // namespace xinfer::zoo::vision
