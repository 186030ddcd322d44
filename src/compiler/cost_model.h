// How long a plan will take on a machine, and a build of it, before either exists. docs/preflight.md has the formulas.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "forge/kernel.h"
#include "schedule/schedule.h"
#include "target/machine.h"

namespace xinfer::compiler {

/// What is expected, and between which values it should lie.
struct Interval {
  double low = 0, likely = 0, high = 0;
};

/// The group of kernels, alike in speed, to which a launch belongs, by its Launch::choice: "conv direct", "loop nest", …
std::string_view kernel_kind(std::string_view choice);

/// Whether kernels of this kind do multiply-adds alone, so that half their flops are the network's multiply-adds.
bool is_contraction_kind(std::string_view kind);

/// Where the time of one launch goes, in seconds of one thread. Arithmetic and memory overlap for the most part.
struct LaunchCost {
  std::string_view kind;
  double arithmetic = 0, memory = 0, call = 0;
  double cycles = 0, operations = 0;        // as LaunchNote
  double weight_bytes = 0, value_bytes = 0;  // read and written
  std::int64_t tasks = 1;                   // at the optimum of ranges
  double seconds() const;
};

/// `launch`: of the plan. On a GPU a roofline by datasheet; `half`: contractions multiply in 16 bits.
LaunchCost predict_launch(const schedule::Schedule& schedule, std::size_t launch, const target::Machine& machine, bool half = false);

/// Seconds of one inference. Threads do not count on a GPU.
Interval predict_latency(const schedule::Schedule& schedule, const target::Machine& machine, int threads, bool half = false);

/// Bytes of a kernel's source that are tables of numbers, in lines of their own: a compiler reads over them.
double table_bytes(std::string_view source);

/// What a build has to do.
struct BuildWork {
  double prepare_seconds = 0;                       // import, passes and schedule, as they took a moment ago
  std::vector<const forge::KernelSource*> kernels;  // not in the cache
  bool for_gpu = false;                             // compiled by NVRTC
  double contraction_flops = 0, other_flops = 0;    // that the reference computes again, when verifying, at all sizes
  double engine_bytes = 0;
  bool verify = true;
  int jobs = 1;
};

/// Seconds on this machine.
Interval predict_build(const BuildWork& work);

}  // namespace xinfer::compiler
