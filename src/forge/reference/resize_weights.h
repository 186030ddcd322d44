// The neighbours and weights of one axis of Resize.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace xinfer::forge::reference {

struct AxisWeights {
  std::vector<std::vector<std::pair<std::int64_t, double>>> taps;  // per output coordinate: input coordinate, weight
  std::vector<bool> outside;  // per output coordinate: takes the extrapolation value
};

/// For an axis of size `in` resized to `out` by `scale`, as Resize-19 defines its modes.
AxisWeights resize_weights(const ir::Attributes& attributes, std::int64_t in, std::int64_t out, double scale,
                           double roi_begin, double roi_end);

}  // namespace xinfer::forge::reference
