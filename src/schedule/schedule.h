// From a verified, shape-inferred graph to kernels, a plan and packed weights for one kind of hardware.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/plan.h"
#include "forge/cuda/records.h"
#include "forge/kernel.h"
#include "ir/graph.h"
#include "target/isa.h"

namespace xinfer::schedule {

struct Options {
  /// Threads that the plan should be able to use: large kernels are cut into at least this many tasks.
  int max_threads = 16;
};

/// What reports say of a launch beyond the plan.
struct LaunchNote {
  std::size_t outputs = 1;          // of the arguments that `values` names, the last so many
  double cycles = 0;                // of a contraction on a CPU, by KernelSource::cycles
  double fused_operations = 0;      // of its epilogue, on vectors
  std::vector<std::string> values;  // per argument: "name: float32[1,64,56,56]"; empty for a table of constants
};

/// What codegen and the engine writer need. `plan.kernels[i]` is `kernels[i]`, symbol for symbol; its code_offset is
/// still 0 (codegen knows it). Equal kernels appear once. Offsets of BufferRef::Space::kWeights count in `weights`.
struct Schedule {
  std::vector<forge::KernelSource> kernels;
  engine::Plan plan;
  std::vector<std::byte> weights;
  std::vector<LaunchNote> notes;  // per launch
  std::vector<std::uint64_t> pieces;  // where each tensor in `weights` begins, rising
};

/// Adds the schedule of the same model for narrower ranges to the plan's profiles. Kernels and weights that both have are kept
/// once.
void add_profile(Schedule& schedule, Schedule profile);

/// Chooses kernels for every node, lays values out in memory and packs the constants. The graph must have known
/// shapes and no composite or fold-only operators left (the passes see to that). The result depends on nothing but the
/// arguments. Errors: kUnsupported names every node that cannot be scheduled, one line each.
[[nodiscard]] base::Result<Schedule> make_schedule(const ir::Graph& graph, const target::CpuIsa& isa,
                                                   const Options& options = {});
struct GpuOptions {
  /// float32, float16 or bfloat16: in what large tensors lie in memory and contractions multiply; all else is computed in
  /// float32.
  tensor::DType precision = tensor::DType::kFloat32;
  /// Only the general contraction templates, which are plain C++ and take everything: to tell others' errors from these.
  bool general_templates = false;
  /// Tuning records that count before those of the repository; null: none.
  const forge::cuda::Records* records = nullptr;
  /// Told of every contraction that was given a kernel.
  std::function<void(const forge::cuda::Problem&, const forge::cuda::Epilogue&, const forge::cuda::Solution&)> on_contraction;
};

/// The same for a GPU.
[[nodiscard]] base::Result<Schedule> make_schedule(const ir::Graph& graph, const target::GpuIsa& gpu,
                                                   const GpuOptions& options = {});

}  // namespace xinfer::schedule
