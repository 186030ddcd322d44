// An engine as one self-contained HTML page: graph, times, memory, verification. Nothing in it is loaded from elsewhere.
#pragma once
#include <string>
#include <vector>

#include "compiler/build.h"
#include "engine/engine.h"

namespace xinfer::compiler {

/// What `benchmark --per-layer` measured.
struct Measurement {
  int threads = 1;
  double median_ms = 0, min_ms = 0, p90_ms = 0;
  std::vector<double> launch_microseconds;  // as the plan's launches
};

/// `measurement` and `stages` (of the build) may be null. All texts of the model and the engine are taken for hostile.
std::string html_report(const engine::Engine& engine, const Measurement* measurement,
                        const std::vector<Report::Stage>* stages);

}  // namespace xinfer::compiler
