// Detection heads: raw outputs to boxes, one pure function each.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "api/types.h"
#include "base/error.h"
#include "xinfer/image.h"
#include "zoo/model.h"

namespace xinfer::zoo::vision {

/// A box in pixels of the model's input.
struct Candidate {
  Box box;
  int class_id = 0;
  float score = 0;
  std::vector<Point> keypoints;
};

struct HeadInput {
  const api::Metadata& metadata;
  const Outputs& outputs;     // by role
  int width = 0, height = 0;  // of the model's input
  float score_threshold = 0;  // candidates below are left out
};

using Decode = base::Result<std::vector<Candidate>> (*)(const HeadInput&);

struct Head {
  std::string_view name;
  Decode decode;
};

/// Every detection head there is.
std::span<const Head> heads();

// heads_grid.cpp
[[nodiscard]] base::Result<std::vector<Candidate>> decode_yolox(const HeadInput& input);
[[nodiscard]] base::Result<std::vector<Candidate>> decode_yolov5(const HeadInput& input);
[[nodiscard]] base::Result<std::vector<Candidate>> decode_yolov8(const HeadInput& input);
[[nodiscard]] base::Result<std::vector<Candidate>> decode_nanodet(const HeadInput& input);
[[nodiscard]] base::Result<std::vector<Candidate>> decode_fastestdet(const HeadInput& input);
// heads_face.cpp
[[nodiscard]] base::Result<std::vector<Candidate>> decode_blazeface(const HeadInput& input);
[[nodiscard]] base::Result<std::vector<Candidate>> decode_ultraface(const HeadInput& input);
[[nodiscard]] base::Result<std::vector<Candidate>> decode_yunet(const HeadInput& input);

/// The output of that role as rows of `columns` values (0: as many as the last axis has).
struct Rows {
  const float* data = nullptr;
  std::int64_t count = 0, columns = 0;
  const float* operator[](std::int64_t row) const { return data + row * columns; }
};
[[nodiscard]] base::Result<Rows> rows_of(const Outputs& outputs, const std::string& role, std::int64_t columns = 0);

/// Intersection over union.
float overlap(const Box& a, const Box& b);

/// Greedy non-maximum suppression within each class, or (`agnostic`) across classes: the best first, at most `limit`.
std::vector<Candidate> suppress(std::vector<Candidate> candidates, float iou_threshold, std::size_t limit,
                                bool agnostic = false);

}  // namespace xinfer::zoo::vision
