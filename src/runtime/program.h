// A verified engine made ready to run on this machine: kernels as function pointers, launches grouped into phases.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "runtime/cuda/program.h"

namespace xinfer::runtime {

/// Consecutive launches that need no meeting of threads in between: one launch shared by all threads, or any number that
/// thread 0 runs alone because sharing them would cost more than it saves.
struct Phase {
  std::uint32_t begin = 0, end = 0;  // launches
  bool shared = false;
};

/// What is done next. A region is entered where its first phase would begin; behind its last one, one that repeats goes on at
/// `target`, the first step inside.
struct Step {
  enum class Kind : std::uint8_t { kPhase, kEnter, kRepeat };
  Kind kind = Kind::kPhase;
  std::uint32_t index = 0;   // of the phase or region
  std::uint32_t target = 0;  // kEnter: the step behind the region
};

/// Immutable; shared by the sessions of an engine.
class Program {
 public:
  /// kIncompatible when this machine does not run the engine's architecture, saying what it needs and what this is. A GPU
  /// engine goes to device `device_index`; kUnavailable when there is none.
  [[nodiscard]] static base::Result<std::shared_ptr<const Program>> load(std::shared_ptr<const engine::Engine> engine,
                                                                         int device_index = 0);

  const engine::Engine& engine() const { return *engine_; }
  const engine::Plan& plan() const { return *plan_; }
  /// The engine's plans for narrower ranges, in order. Of a CPU's engine.
  const std::vector<std::unique_ptr<const Program>>& profiles() const { return profiles_; }
  /// Whether the input may have this shape.
  bool takes(std::size_t input, std::span<const std::int64_t> shape) const;
  engine::CpuKernel kernel(std::size_t launch) const { return kernels_[launch]; }
  /// Tasks of a launch, and sizes of an output: numbers, or formulas over the plan's symbols.
  const tensor::Size& tasks(std::size_t launch) const { return tasks_[launch]; }
  const std::vector<tensor::Size>& output_sizes(std::size_t index) const { return output_sizes_[index]; }
  /// Where an input's dimension gives a symbol its value: dimension = factor * symbol.
  struct Source {
    std::uint32_t dimension, symbol;
    std::int64_t factor, min, max;  // of the dimension
  };
  const std::vector<Source>& sources(std::size_t input) const { return sources_[input]; }
  std::span<const Phase> phases() const { return phases_; }
  std::span<const Step> steps() const { return steps_; }
  /// The engine on its GPU; null for a CPU's.
  const std::shared_ptr<const cuda::Program>& on_device() const { return on_device_; }
  /// Whether more than one thread can gain anything.
  bool worth_sharing() const { return worth_sharing_; }
  /// Bytes of each input and output, symbols at their maximum.
  std::uint64_t input_capacity(std::size_t index) const { return input_bytes_[index]; }
  std::uint64_t output_capacity(std::size_t index) const { return output_bytes_[index]; }

 private:
  Program() = default;
  [[nodiscard]] static base::Result<std::unique_ptr<Program>> of_plan(const engine::Plan& plan);
  base::Result<void> read_sizes();
  void read_launches(const engine::Engine& engine);
  void make_steps();

  std::shared_ptr<const engine::Engine> engine_;  // null for a profile: its program is part of the engine's
  const engine::Plan* plan_ = nullptr;
  std::vector<std::unique_ptr<const Program>> profiles_;
  std::vector<engine::CpuKernel> kernels_;  // per launch
  std::vector<tensor::Size> tasks_;
  std::vector<std::vector<tensor::Size>> output_sizes_;
  std::vector<std::vector<Source>> sources_;
  std::vector<Phase> phases_;
  std::vector<Step> steps_;
  std::vector<std::uint64_t> input_bytes_, output_bytes_;
  std::shared_ptr<const cuda::Program> on_device_;
  bool worth_sharing_ = false;
};

/// Whether this machine runs engines for the architecture. kIncompatible, or kUnavailable where a driver or device is missing.
[[nodiscard]] base::Result<void> check_machine(std::string_view architecture);
/// What runs engines for the architecture here: "NVIDIA H100 80GB HBM3", "x86-64-v4".
[[nodiscard]] base::Result<std::string> machine_name(std::string_view architecture);
/// kIncompatible unless a machine of architecture `machine` runs engines for `needed`.
[[nodiscard]] base::Result<void> check_architecture(std::string_view needed, std::string_view machine);

}  // namespace xinfer::runtime
