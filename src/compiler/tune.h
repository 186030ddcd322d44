// Tuning: every candidate of a contraction, measured on this machine's GPU as an engine of one launch. Internal to
// src/compiler; tune() of build.h is the door.
#pragma once
#include <functional>
#include <vector>

#include "codegen/cuda/compile.h"
#include "forge/cuda/records.h"

namespace xinfer::compiler {

/// A contraction as a schedule launches it.
struct TunedContraction {
  forge::cuda::Problem problem;
  forge::cuda::Epilogue epilogue;
  std::vector<std::uint64_t> argument_bytes;  // of the launch that was scheduled, as of one kernel (forge::cuda::Solution)
  bool finished = false;                      // it was scheduled as two kernels
};

struct TuneMeasurement {
  std::size_t max_candidates = 32;  // of each contraction, the best by the cost model
  codegen::cuda::CompileOptions compile;
};

/// Records of the fastest candidates. Errors: kUnavailable or kIncompatible without the device, those of compiling.
[[nodiscard]] base::Result<forge::cuda::Records> measure_candidates(const std::vector<TunedContraction>& contractions,
                                                                    const target::GpuIsa& gpu,
                                                                    const TuneMeasurement& options);

}  // namespace xinfer::compiler
