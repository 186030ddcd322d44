#include "compiler/cost_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace xinfer::compiler {
namespace {

// One row per kind of kernel. Contractions run at a share of the machine's peak; other kernels take so many cycles per
// operation that the loop nest counts. Set by judgement; bench/cost/calibrate.mjs measures how far off they are.
struct Row {
  std::string_view kind;
  std::string_view first, marker;  // Launch::choice begins with the one and holds the other
  bool contraction;
  double arithmetic;         // contractions: share of peak; others: cycles per operation and core
  double call_microseconds;  // of every launch, whatever its size
};
constexpr std::array kRows = {
    Row{"conv winograd", "conv", " winograd", true, 1.00, 1.0},
    Row{"conv depthwise", "conv", " depthwise", true, 0.25, 0.5},
    Row{"conv direct", "conv", " direct", true, 0.70, 0.5},
    Row{"conv general", "conv", " general", true, 0.05, 0.5},
    Row{"matmul general", "matmul", " general", true, 0.03, 0.5},
    Row{"matmul packed", "matmul", " packed", true, 0.70, 0.3},
    Row{"matmul", "matmul", "", true, 0.50, 0.3},
    Row{"pool", "pool", "", false, 0.3, 0.3},
    Row{"recurrent", "lstm", "", true, 0.1, 0.5},
    Row{"recurrent", "gru", "", true, 0.1, 0.5},
    Row{"recurrent", "rnn", "", true, 0.1, 0.5},
    Row{"attention", "attention", "", true, 0.1, 0.5},
    Row{"loop nest", "loop nest", "", false, 0.2, 0.2},
    Row{"gpu product", "mma", "", true, 1.0, 0},  // on a GPU the datasheet counts, not this table
    Row{"gpu product", "wgmma", "", true, 1.0, 0},
    Row{"gpu product", "simt", "", true, 1.0, 0},
    Row{"gpu product", "gather", "", true, 1.0, 0},
    Row{"gpu product", "depthwise", "", true, 1.0, 0},
    Row{"irregular", "", "", false, 1.0, 0.3},
};

const Row& row_of(std::string_view choice) {
  for (const Row& row : kRows)
    if (choice.starts_with(row.first) && choice.find(row.marker) != std::string_view::npos) return row;
  return kRows.back();
}

// Factors of the likely value between which measurements are expected.
struct Spread {
  double low, high;
};
constexpr Spread kOneThread{0.70, 1.75}, kThreads{0.60, 1.80}, kOtherMachine{0.5, 2.0}, kBuild{0.6, 1.8};

Interval around(double likely, Spread spread) { return {likely * spread.low, likely, likely * spread.high}; }

constexpr double kHidden = 0.7;               // of the shorter of arithmetic and memory, what the longer hides
constexpr double kBarrierMicroseconds = 2.0;  // until all threads have begun and ended a launch

}  // namespace

std::string_view kernel_kind(std::string_view choice) { return row_of(choice).kind; }

bool is_contraction_kind(std::string_view kind) {
  return std::ranges::any_of(kRows, [&](const Row& row) { return row.kind == kind && row.contraction; });
}

double LaunchCost::seconds() const {
  return call + std::max(arithmetic, memory) + (1 - kHidden) * std::min(arithmetic, memory);
}

LaunchCost predict_launch(const engine::Launch& launch, double plan_bytes, const target::Machine& machine) {
  const Row& row = row_of(launch.choice);
  LaunchCost cost{.kind = row.kind, .call = row.call_microseconds * 1e-6};
  cost.arithmetic = row.contraction ? launch.flops / (machine.flops * row.arithmetic)
                                    : launch.flops * row.arithmetic / machine.frequency;
  double weights = 0, values = 0;
  for (const engine::BufferRef& argument : launch.arguments) {
    double bytes = static_cast<double>(argument.bytes);
    // A gather touches a part of its table only: about what it counts as operations.
    if (!row.contraction) bytes = std::min(bytes, 8 * launch.flops + 64);
    (argument.space == engine::BufferRef::Space::kWeights ? weights : values) += bytes;
  }
  if (launch.bytes > 0) values = std::min(values, launch.bytes);  // buffers have room for the largest sizes of a range
  cost.memory = weights / machine.bandwidth(plan_bytes) + values / machine.bandwidth(2 * values);
  return cost;
}

LaunchCost predict_gpu_launch(const engine::Launch& launch, const target::Machine& machine, bool half) {
  // Shares of the datasheet's figures, and what a launch in a graph costs. Not calibrated: the interval is wide.
  constexpr double kTensorCores = 0.3, kArithmetic = 0.4, kMemory = 0.6, kLaunchMicroseconds = 2.5;
  const Row& row = row_of(launch.choice);
  LaunchCost cost{.kind = row.kind, .call = kLaunchMicroseconds * 1e-6};
  const double peak = half && row.contraction ? kTensorCores * machine.flops16 : kArithmetic * machine.flops;
  cost.arithmetic = launch.flops / peak;
  cost.memory = launch.bytes / (kMemory * machine.memory_bandwidth);
  return cost;
}

Interval predict_gpu_latency(const engine::Plan& plan, const target::Machine& machine, bool half) {
  double seconds = 0;
  for (const engine::Launch& launch : plan.launches) seconds += predict_gpu_launch(launch, machine, half).seconds();
  return around(seconds, kOtherMachine);
}

double bytes_of(const engine::Plan& plan, double weight_bytes) {
  double bytes = weight_bytes + static_cast<double>(plan.arena_bytes);
  for (const auto* infos : {&plan.inputs, &plan.outputs})
    for (const engine::TensorInfo& info : *infos) {
      double size = static_cast<double>(tensor::size_of(info.dtype));
      for (std::int64_t dim : info.shape) size *= static_cast<double>(std::max<std::int64_t>(dim, 1));
      bytes += size;
    }
  return bytes;
}

Interval predict_latency(const engine::Plan& plan, double weight_bytes, const target::Machine& machine, int threads) {
  const double plan_bytes = bytes_of(plan, weight_bytes);
  double seconds = 0;
  for (const engine::Launch& launch : plan.launches) {
    LaunchCost cost = predict_launch(launch, plan_bytes, machine);
    const std::int64_t workers = std::clamp<std::int64_t>(launch.num_tasks, 1, threads);
    if (workers > 1) {
      const double rounds = std::ceil(static_cast<double>(launch.num_tasks) / static_cast<double>(workers));
      const double share = rounds / static_cast<double>(launch.num_tasks);
      cost.arithmetic *= share;
      cost.memory *= std::max(share, machine.memory_bandwidth / machine.all_memory_bandwidth);
      cost.call += kBarrierMicroseconds * 1e-6;
    }
    seconds += cost.seconds();
  }
  return around(seconds, !machine.measured ? kOtherMachine : threads > 1 ? kThreads : kOneThread);
}

Interval predict_build(const BuildWork& work) {
  // Seconds of one core per kernel and per kilobyte of its own text; of the linker; of the reference functions.
  constexpr double kPerKernel = 0.10, kPerKilobyte = 0.01, kLink = 0.15, kStart = 0.1, kPerGpuKernel = 0.6;
  constexpr double kReferenceFlops = 0.8e9, kReferenceOthers = 0.05e9, kWriteBytes = 300e6;
  double compile = 0, longest = 0;
  for (const forge::KernelSource* kernel : work.kernels) {
    const double seconds = work.for_gpu ? kPerGpuKernel : kPerKernel + kPerKilobyte * static_cast<double>(kernel->source.size()) / 1024;
    compile += seconds;
    longest = std::max(longest, seconds);
  }
  double seconds =
      kStart + kLink + std::max(longest, compile / std::max(1, work.jobs)) + work.engine_bytes / kWriteBytes;
  if (work.verify) seconds += work.contraction_flops / kReferenceFlops + work.other_flops / kReferenceOthers;
  return around(seconds, kBuild);
}

}  // namespace xinfer::compiler
