// Heads that predict objects on grids over the picture.
#include <algorithm>
#include <cmath>

#include "zoo/vision/heads.h"

namespace xinfer::zoo::vision {
namespace {

using base::Code;
using base::fail;
using base::Result;

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

Box around(float cx, float cy, float width, float height) {
  return {cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2};
}

/// Index of the largest of `count` values that lie `step` apart.
int argmax(const float* values, std::int64_t count, std::int64_t step = 1) {
  int best = 0;
  for (std::int64_t i = 1; i < count; ++i)
    if (values[i * step] > values[best * step]) best = static_cast<int>(i);
  return best;
}

/// One cell of the grids, in the order of their rows in an output: stride by stride, row by row.
struct Cell {
  int x, y, stride, level;
};

std::vector<Cell> grid_cells(const HeadInput& input, const std::vector<std::int64_t>& strides) {
  std::vector<Cell> cells;
  for (std::size_t level = 0; level < strides.size(); ++level) {
    const int stride = static_cast<int>(strides[level]);
    for (int y = 0; y < (input.height + stride - 1) / stride; ++y)
      for (int x = 0; x < (input.width + stride - 1) / stride; ++x)
        cells.push_back({x, y, stride, static_cast<int>(level)});
  }
  return cells;
}

Result<std::vector<std::int64_t>> strides_of(const HeadInput& input) {
  if (input.metadata.strides.empty()) return std::vector<std::int64_t>{8, 16, 32};
  for (const std::int64_t stride : input.metadata.strides)
    if (stride < 1 || stride > 4096) return fail(Code::kInvalidArgument, "stride {} is not in 1 to 4096", stride);
  return input.metadata.strides;
}

Result<void> check_rows(std::string_view role, std::int64_t rows, std::size_t cells, const HeadInput& input) {
  if (rows == static_cast<std::int64_t>(cells)) return {};
  return fail(Code::kInvalidArgument,
              "the output of role '{}' has {} rows, but the strides make {} cells of a {} x {} input", role, rows,
              cells, input.width, input.height);
}

Result<void> check_columns(std::string_view role, std::int64_t columns, std::int64_t least) {
  if (columns >= least) return {};
  return fail(Code::kInvalidArgument, "the output of role '{}' has rows of {} values, fewer than {}", role, columns,
              least);
}

}  // namespace

// YOLOX (Ge et al. 2021), demo_postprocess of its repository: centre = (value + cell) * stride, size = exp(value) *
// stride, score = objectness * class.
Result<std::vector<Candidate>> decode_yolox(const HeadInput& input) {
  XI_TRY(const Rows rows, rows_of(input.outputs, "predictions"));
  XI_CHECK(check_columns("predictions", rows.columns, 6));
  XI_TRY(const auto strides, strides_of(input));
  const auto cells = grid_cells(input, strides);
  XI_CHECK(check_rows("predictions", rows.count, cells.size(), input));
  std::vector<Candidate> found;
  for (std::int64_t i = 0; i < rows.count; ++i) {
    const float* row = rows[i];
    if (row[4] < input.score_threshold) continue;
    const int best = argmax(row + 5, rows.columns - 5);
    const float score = row[4] * row[5 + best];
    if (score < input.score_threshold) continue;
    const auto stride = static_cast<float>(cells[i].stride);
    found.push_back(
        {around((row[0] + static_cast<float>(cells[i].x)) * stride, (row[1] + static_cast<float>(cells[i].y)) * stride,
                std::exp(row[2]) * stride, std::exp(row[3]) * stride),
         best,
         score,
         {}});
  }
  return found;
}

namespace {

/// YOLOv5 as its training head leaves it: sigmoid, then centre = (2 s - 0.5 + cell) * stride, size = (2 s)^2 * anchor.
Result<std::vector<Candidate>> decode_yolov5_raw(const HeadInput& input, const Rows& rows) {
  XI_TRY(const auto strides, strides_of(input));
  const auto& anchors = input.metadata.anchors;
  if (anchors.size() != strides.size())
    return fail(Code::kInvalidArgument, "{} lists of anchors for {} strides", anchors.size(), strides.size());
  std::size_t expected = 0;
  for (std::size_t level = 0; level < strides.size(); ++level)
    expected += (input.width / strides[level]) * (input.height / strides[level]) * (anchors[level].size() / 2);
  XI_CHECK(check_rows("predictions", rows.count, expected, input));
  std::vector<Candidate> found;
  std::int64_t i = 0;
  for (std::size_t level = 0; level < strides.size(); ++level) {
    const auto stride = static_cast<float>(strides[level]);
    const int columns = input.width / static_cast<int>(strides[level]),
              lines = input.height / static_cast<int>(strides[level]);
    for (std::size_t a = 0; a + 1 < anchors[level].size(); a += 2) {
      for (int cell = 0; cell < columns * lines; ++cell, ++i) {
        const float* row = rows[i];
        const int best = argmax(row + 5, rows.columns - 5);
        const float score = sigmoid(row[4]) * sigmoid(row[5 + best]);
        if (score < input.score_threshold) continue;
        const float w = 2 * sigmoid(row[2]), h = 2 * sigmoid(row[3]);
        const auto x = static_cast<float>(cell % columns), y = static_cast<float>(cell / columns);
        found.push_back(
            {around((2 * sigmoid(row[0]) - 0.5f + x) * stride, (2 * sigmoid(row[1]) - 0.5f + y) * stride,
                    w * w * static_cast<float>(anchors[level][a]), h * h * static_cast<float>(anchors[level][a + 1])),
             best,
             score,
             {}});
      }
    }
  }
  return found;
}

}  // namespace

Result<std::vector<Candidate>> decode_yolov5(const HeadInput& input) {
  XI_TRY(const Rows rows, rows_of(input.outputs, "predictions"));
  XI_CHECK(check_columns("predictions", rows.columns, 6));
  if (!input.metadata.anchors.empty()) return decode_yolov5_raw(input, rows);
  std::vector<Candidate> found;
  for (std::int64_t i = 0; i < rows.count; ++i) {
    const float* row = rows[i];
    if (row[4] < input.score_threshold) continue;
    const int best = argmax(row + 5, rows.columns - 5);
    const float score = row[4] * row[5 + best];
    if (score >= input.score_threshold) found.push_back({around(row[0], row[1], row[2], row[3]), best, score, {}});
  }
  return found;
}

Result<std::vector<Candidate>> decode_yolov8(const HeadInput& input) {
  XI_TRY(const Values* values, find_output(input.outputs, "predictions"));
  if (values->shape.size() != 3 || values->dim(0) != 1 || values->dim(1) < 5)
    return fail(Code::kInvalidArgument, "the output of role 'predictions' is not of shape [1, 4 + classes, N]");
  const std::int64_t count = values->dim(2), classes = values->dim(1) - 4;
  const float* data = values->data.data();
  std::vector<Candidate> found;
  for (std::int64_t i = 0; i < count; ++i) {
    const int best = argmax(data + 4 * count + i, classes, count);
    const float score = data[(4 + best) * count + i];
    if (score < input.score_threshold) continue;
    found.push_back({around(data[i], data[count + i], data[2 * count + i], data[3 * count + i]), best, score, {}});
  }
  return found;
}

// NanoDet (RangiLyu), GFL head: each side's distance is the expectation over its bins, times the stride.
Result<std::vector<Candidate>> decode_nanodet(const HeadInput& input) {
  XI_TRY(const auto strides, strides_of(input));
  const std::int64_t bins = input.metadata.reg_max.value_or(7) + 1;
  std::vector<Candidate> found;
  for (const std::int64_t stride : strides) {
    XI_TRY(const Rows scores, rows_of(input.outputs, "scores_" + std::to_string(stride)));
    XI_TRY(const Rows sides, rows_of(input.outputs, "boxes_" + std::to_string(stride), 4 * bins));
    const auto cells = grid_cells(input, {stride});
    XI_CHECK(check_rows("scores_" + std::to_string(stride), scores.count, cells.size(), input));
    XI_CHECK(check_rows("boxes_" + std::to_string(stride), sides.count, cells.size(), input));
    for (std::int64_t i = 0; i < scores.count; ++i) {
      const int best = argmax(scores[i], scores.columns);
      const float score = scores[i][best];
      if (score < input.score_threshold) continue;
      float distance[4];
      for (int side = 0; side < 4; ++side) {
        const float* logits = sides[i] + side * bins;
        const float top = *std::max_element(logits, logits + bins);
        float sum = 0, weighted = 0;
        for (std::int64_t bin = 0; bin < bins; ++bin) {
          const float weight = std::exp(logits[bin] - top);
          sum += weight;
          weighted += weight * static_cast<float>(bin);
        }
        distance[side] = weighted / sum * static_cast<float>(stride);
      }
      const float cx = (static_cast<float>(cells[i].x) + 0.5f) * static_cast<float>(stride);
      const float cy = (static_cast<float>(cells[i].y) + 0.5f) * static_cast<float>(stride);
      found.push_back({{cx - distance[0], cy - distance[1], cx + distance[2], cy + distance[3]}, best, score, {}});
    }
  }
  return found;
}

// FastestDet (dog-qiuqiu), handle_preds of its repository: score = objectness^0.6 * class^0.4, box relative to the
// picture.
Result<std::vector<Candidate>> decode_fastestdet(const HeadInput& input) {
  XI_TRY(const Values* values, find_output(input.outputs, "predictions"));
  if (values->shape.size() != 4 || values->dim(0) != 1 || values->dim(1) < 6)
    return fail(Code::kInvalidArgument, "the output of role 'predictions' is not of shape [1, 5 + classes, H, W]");
  const std::int64_t classes = values->dim(1) - 5, lines = values->dim(2), columns = values->dim(3);
  const std::int64_t plane = lines * columns;
  const auto width = static_cast<float>(input.width), height = static_cast<float>(input.height);
  std::vector<Candidate> found;
  for (std::int64_t i = 0; i < plane; ++i) {
    const float* cell = values->data.data() + i;
    const int best = argmax(cell + 5 * plane, classes, plane);
    const float score = std::pow(cell[0], 0.6f) * std::pow(cell[(5 + best) * plane], 0.4f);
    if (!(score >= input.score_threshold)) continue;
    const float cx = (static_cast<float>(i % columns) + std::tanh(cell[plane])) / static_cast<float>(columns);
    const float cy = (static_cast<float>(i / columns) + std::tanh(cell[2 * plane])) / static_cast<float>(lines);
    found.push_back(
        {around(cx * width, cy * height, sigmoid(cell[3 * plane]) * width, sigmoid(cell[4 * plane]) * height),
         best,
         score,
         {}});
  }
  return found;
}

}  // namespace xinfer::zoo::vision
