#include "zoo/vision/heads.h"

#include <algorithm>

namespace xinfer::zoo::vision {

using base::Code;
using base::fail;
using base::Result;

std::span<const Head> heads() {
  static constexpr Head kHeads[] = {
      {"yolox", decode_yolox},         {"yolov5", decode_yolov5},         {"yolov8", decode_yolov8},
      {"nanodet", decode_nanodet},     {"fastestdet", decode_fastestdet}, {"blazeface", decode_blazeface},
      {"ultraface", decode_ultraface}, {"yunet", decode_yunet},
  };
  return kHeads;
}

Result<Rows> rows_of(const Outputs& outputs, const std::string& role, std::int64_t columns) {
  XI_TRY(const Values* values, find_output(outputs, role));
  const std::int64_t last = values->shape.empty() ? 1 : values->shape.back();
  const auto count = static_cast<std::int64_t>(values->data.size());
  if (columns == 0) columns = last;
  if (last != columns || count % columns != 0)
    return fail(Code::kInvalidArgument, "the output of role '{}' has rows of {} values, not of {}", role, last,
                columns);
  return Rows{values->data.data(), count / columns, columns};
}

float overlap(const Box& a, const Box& b) {
  const float width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const float height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  const float common = width * height;
  return common / (a.width() * a.height() + b.width() * b.height() - common);
}

std::vector<Candidate> suppress(std::vector<Candidate> candidates, float iou_threshold, std::size_t limit,
                                bool agnostic) {
  constexpr std::size_t kMost = 5000;  // suppression is quadratic; a threshold near 0 must not freeze the caller
  const auto better = [](const Candidate& a, const Candidate& b) { return a.score > b.score; };
  std::stable_sort(candidates.begin(), candidates.end(), better);
  if (candidates.size() > kMost) candidates.resize(kMost);
  std::vector<Candidate> kept;
  for (Candidate& candidate : candidates) {
    if (kept.size() >= limit) break;
    const bool covered = std::any_of(kept.begin(), kept.end(), [&](const Candidate& other) {
      return (agnostic || other.class_id == candidate.class_id) && overlap(other.box, candidate.box) > iou_threshold;
    });
    if (!covered) kept.push_back(std::move(candidate));
  }
  return kept;
}

}  // namespace xinfer::zoo::vision
