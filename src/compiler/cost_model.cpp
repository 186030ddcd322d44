#include "compiler/cost_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>

#include "tensor/size.h"

namespace xinfer::compiler {
namespace {

// What sets a kernel's pace when its data are near.
enum class Pace : std::uint8_t { kPeak, kVectors, kClock };

// One row per kind of kernel. kPeak: `factor` times as long as the register tiles take by forge's cost model, or where that is
// unknown, as the flops at the machine's peak. Others: so many cycles per operation that the kernel counts; kVectors: of a core
// of 64 float32 operations a cycle. bench/cost fits the last two columns; docs/preflight.md says how well.
struct Row {
  std::string_view kind;
  std::string_view first, marker;  // Launch::choice begins with the one and holds the other
  Pace pace;
  double factor, call_microseconds;
  double compile_seconds;  // of one core, for one kernel
};
constexpr std::array kRows = {
    Row{"conv winograd", "conv", " winograd", Pace::kPeak, 1.5, 0.02, 0.18},
    Row{"conv depthwise", "conv", " depthwise", Pace::kPeak, 1.2, 0.02, 0.12},
    Row{"conv direct", "conv", " direct", Pace::kPeak, 1.2, 0.05, 0.18},
    Row{"conv general", "conv", " general", Pace::kPeak, 6.4, 0.02, 0.09},
    Row{"matmul general", "matmul", " general", Pace::kPeak, 8.7, 0.02, 0.09},
    Row{"matmul packed", "matmul", " packed", Pace::kPeak, 1.2, 0.02, 0.11},
    Row{"matmul", "matmul", "", Pace::kPeak, 1.1, 0.02, 0.10},
    Row{"pool blocked", "pool", " blocked", Pace::kVectors, 0.054, 0.4, 0.11},
    Row{"pool", "pool", "", Pace::kClock, 8.7, 0.8, 0.10},
    Row{"recurrent narrow", "lstm", " narrow", Pace::kPeak, 38, 0.8, 0.19},
    Row{"recurrent", "lstm", "", Pace::kPeak, 4.7, 0.02, 0.23},
    Row{"recurrent narrow", "gru", " narrow", Pace::kPeak, 38, 0.8, 0.19},
    Row{"recurrent", "gru", "", Pace::kPeak, 4.7, 0.02, 0.23},
    Row{"recurrent narrow", "rnn", " narrow", Pace::kPeak, 38, 0.8, 0.19},
    Row{"recurrent", "rnn", "", Pace::kPeak, 4.7, 0.02, 0.23},
    Row{"attention", "attention", "", Pace::kPeak, 10.0, 0.2, 0.17},
    Row{"loop nest folding strides", "loop nest", " folding strides", Pace::kClock, 0.87, 0.02, 0.11},
    Row{"loop nest folding", "loop nest", " folding", Pace::kVectors, 0.2, 0.8, 0.10},
    Row{"loop nest short rows", "loop nest", " short rows", Pace::kClock, 0.15, 0.02, 0.10},
    Row{"loop nest gathering", "loop nest", " gathering", Pace::kClock, 0.74, 0.02, 0.10},
    Row{"loop nest transposing", "loop nest", " transposing", Pace::kVectors, 0.086, 0.4, 0.14},
    Row{"loop nest", "loop nest", "", Pace::kVectors, 0.086, 0.02, 0.10},
    Row{"gpu product", "mma", "", Pace::kPeak, 1.0, 0, 0},  // on a GPU the datasheet counts, not this table
    Row{"gpu product", "wgmma", "", Pace::kPeak, 1.0, 0, 0},
    Row{"gpu product", "simt", "", Pace::kPeak, 1.0, 0, 0},
    Row{"gpu product", "gather", "", Pace::kPeak, 1.0, 0, 0},
    Row{"gpu product", "depthwise", "", Pace::kPeak, 1.0, 0, 0},
    Row{"trees", "", " trees", Pace::kClock, 6.9, 0.4, 0.09},
    Row{"irregular", "", "", Pace::kClock, 6.9, 0.4, 0.09},
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
constexpr Spread kOneThread{0.65, 1.55}, kThreads{0.60, 1.65}, kOtherMachine{0.5, 2.0}, kBuild{0.6, 2.5};

Interval around(double likely, Spread spread) { return {likely * spread.low, likely, likely * spread.high}; }

constexpr double kHidden = 0.7;               // of the shorter of arithmetic and memory, what the longer hides
constexpr double kTiles = 0.73;               // of forge's cycles, for a factor of 1
constexpr double kFusedCycles = 1.2;          // per operation on a vector behind a contraction's sums
constexpr double kBarrierMicroseconds = 2.0;  // until all threads have begun and ended a launch
constexpr double kShared = 1.08;              // tasks beside others, by what they take alone

}  // namespace

std::string_view kernel_kind(std::string_view choice) { return row_of(choice).kind; }

bool is_contraction_kind(std::string_view kind) {
  return std::ranges::any_of(kRows, [&](const Row& row) { return row.kind == kind && row.pace == Pace::kPeak; });
}

double LaunchCost::seconds() const {
  return call + std::max(arithmetic, memory) + (1 - kHidden) * std::min(arithmetic, memory);
}

namespace {

// Weights, arena, inputs and outputs: what one inference walks over, so that it may have left the caches when it is read again.
double bytes_of(const schedule::Schedule& schedule) {
  const engine::Plan& plan = schedule.plan;
  double bytes = static_cast<double>(schedule.weights.size()) + static_cast<double>(plan.arena_bytes);
  for (const auto* infos : {&plan.inputs, &plan.outputs})
    for (const engine::TensorInfo& info : *infos) {
      double size = static_cast<double>(tensor::size_of(info.dtype));
      for (std::int64_t dim : info.shape) size *= static_cast<double>(std::max<std::int64_t>(dim, 1));
      bytes += size;
    }
  return bytes;
}

std::int64_t usual_tasks(const engine::Plan& plan, const engine::Launch& launch) {
  if (launch.tasks.empty()) return launch.num_tasks;
  const auto tasks = tensor::Size::parse(launch.tasks, [&](std::string_view name) -> std::optional<tensor::Symbol> {
    for (const engine::Symbol& symbol : plan.symbols)
      if (symbol.name == name) return tensor::Symbol{symbol.name, symbol.min, symbol.opt, symbol.max};
    return std::nullopt;
  });
  return tasks ? std::max<std::int64_t>(1, tasks->opt()) : launch.num_tasks;
}

void count_bytes(const engine::Launch& launch, LaunchCost& cost) {
  for (const engine::BufferRef& argument : launch.arguments)
    (argument.space == engine::BufferRef::Space::kWeights ? cost.weight_bytes : cost.value_bytes) += static_cast<double>(argument.bytes);
  if (launch.bytes <= 0) return;
  // Buffers have room for the largest sizes of a range; of a table a gather reads only what it takes, of padded weights most
  // kernels the model's own. Only those of a Winograd convolution are really more than the model's.
  cost.value_bytes = std::min(cost.value_bytes, launch.bytes);
  if (cost.kind != "conv winograd") cost.weight_bytes = std::min(cost.weight_bytes, launch.bytes);
}

}  // namespace

LaunchCost predict_launch(const schedule::Schedule& schedule, std::size_t index, const target::Machine& machine, bool half) {
  const engine::Launch& launch = schedule.plan.launches[index];
  const Row& row = row_of(launch.choice);
  LaunchCost cost{.kind = row.kind, .tasks = usual_tasks(schedule.plan, launch)};
  if (index < schedule.notes.size()) cost.cycles = schedule.notes[index].cycles, cost.operations = schedule.notes[index].fused_operations;
  count_bytes(launch, cost);
  if (machine.is_gpu) {
    // Shares of the datasheet's figures, and what a launch in a graph costs. Not calibrated: the interval is wide.
    constexpr double kTensorCores = 0.3, kArithmetic = 0.4, kMemory = 0.6, kLaunchMicroseconds = 2.5;
    cost.call = kLaunchMicroseconds * 1e-6;
    cost.arithmetic = launch.flops / (half && row.pace == Pace::kPeak ? kTensorCores * machine.flops16 : kArithmetic * machine.flops);
    cost.memory = launch.bytes / (kMemory * machine.memory_bandwidth);
    return cost;
  }
  cost.call = row.call_microseconds * 1e-6;
  // A core with twice the arithmetic is not twice as fast: its loads are the same. The square root fits AVX2 and AVX-512.
  const double flops_per_cycle = machine.flops / machine.frequency;
  if (cost.cycles > 0) {
    cost.arithmetic = cost.cycles / machine.frequency * std::sqrt(machine.core_flops / flops_per_cycle) * kTiles * row.factor;
  } else if (row.pace == Pace::kPeak) {
    cost.arithmetic = launch.flops * row.factor / machine.flops;
  } else {
    cost.arithmetic = launch.flops * row.factor / machine.frequency / (row.pace == Pace::kVectors ? std::sqrt(flops_per_cycle / 64) : 1);
  }
  cost.arithmetic += cost.operations * kFusedCycles / machine.frequency;
  cost.memory = cost.weight_bytes / machine.bandwidth(bytes_of(schedule)) + cost.value_bytes / machine.bandwidth(2 * cost.value_bytes);
  return cost;
}

Interval predict_latency(const schedule::Schedule& schedule, const target::Machine& machine, int threads, bool half) {
  double seconds = 0;
  for (std::size_t i = 0; i < schedule.plan.launches.size(); ++i) {
    LaunchCost cost = predict_launch(schedule, i, machine, half);
    const std::int64_t workers = machine.is_gpu ? 1 : std::clamp<std::int64_t>(cost.tasks, 1, threads);
    if (workers > 1) {
      const double rounds = std::ceil(static_cast<double>(cost.tasks) / static_cast<double>(workers));
      const double share = rounds / static_cast<double>(cost.tasks);
      cost.arithmetic *= share * kShared;
      cost.memory *= std::max(share, machine.memory_bandwidth / machine.all_memory_bandwidth);
      cost.call += kBarrierMicroseconds * 1e-6;
    }
    seconds += cost.seconds();
  }
  return around(seconds, !machine.measured ? kOtherMachine : threads > 1 ? kThreads : kOneThread);
}

double table_bytes(std::string_view source) {
  constexpr std::size_t kLongLine = 1000;
  double bytes = 0;
  for (std::size_t begin = 0; begin < source.size();) {
    const std::size_t end = std::min(source.find('\n', begin), source.size());
    if (end - begin > kLongLine) bytes += static_cast<double>(end - begin);
    begin = end + 1;
  }
  return bytes;
}

Interval predict_build(const BuildWork& work) {
  // Seconds of one core per kilobyte of tables in kernels; of start and link; per byte of the engine, for reading, packing, hashing
  // and writing; of the reference functions. bench/cost fits these and the table's last column.
  constexpr double kTableKilobyte = 0.00014, kFixed = 0.19, kGpuKernel = 0.6, kEngineBytes = 160e6;
  constexpr double kReferenceFlops = 5e9, kReferenceOthers = 86e6;
  double compile = 0, longest = 0;
  for (const forge::KernelSource* kernel : work.kernels) {
    const double seconds = work.for_gpu ? kGpuKernel : row_of(kernel->choice).compile_seconds + kTableKilobyte * table_bytes(kernel->source) / 1024;
    compile += seconds;
    longest = std::max(longest, seconds);
  }
  double seconds = work.prepare_seconds + kFixed + std::max(longest, compile / std::max(1, work.jobs)) + work.engine_bytes / kEngineBytes;
  if (work.verify) seconds += work.contraction_flops / kReferenceFlops + work.other_flops / kReferenceOthers;
  return around(seconds, kBuild);
}

}  // namespace xinfer::compiler
