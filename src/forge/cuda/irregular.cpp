#include "forge/cuda/irregular.h"

#include <fmt/format.h>

#include <algorithm>

#include "forge/cpu/irregular/builder.h"
#include "forge/cuda/prelude.h"
#include "forge/cuda_text.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cuda {

namespace {

// More threads than this gain nothing, and each has its own scratch memory.
constexpr std::int64_t kMaxTasks = 1 << 17;
constexpr std::uint64_t kMaxScratch = std::uint64_t{256} << 20;
constexpr std::int64_t kMaxBlocks = 4096;
constexpr std::uint64_t kMaxShared = 40 << 10;

std::int64_t count_present(const ir::Node& node) {
  auto present = [](const std::vector<ir::ValueId>& ids) {
    return std::ranges::count_if(ids, [](ir::ValueId id) { return id != ir::kNoValue; });
  };
  return present(node.inputs) + present(node.outputs);
}

// The template's function called for task `task`, whose scratch memory is `scratch`.
std::string entry(const ir::Node& node, std::uint32_t threads, std::string_view parameter, std::string_view task,
                  std::string_view scratch) {
  std::string parameters, buffers;
  const std::int64_t count = count_present(node);
  for (std::int64_t i = 0; i < count; ++i) {
    parameters += fmt::format("{}void* b{}", i ? ", " : "", i);
    buffers += fmt::format("{}b{}", i ? ", " : "", i);
  }
  return fmt::format(
      "\nextern \"C\" __global__ void __launch_bounds__({}) {}({}{}) {{\n  void* const buffers[] = {{{}}};\n{}  if (task < "
      "kTasks) XI_SYMBOL(buffers, nullptr, {}, task, task + 1);\n}}\n",
      threads, kSymbolMark, parameters, parameter, buffers, task, scratch);
}

KernelSource start(const cpu::irregular::Irregular& made) {
  KernelSource kernel;
  kernel.flops = made.flops;
  kernel.bytes = made.bytes;
  kernel.choice = made.choice;
  return kernel;
}

// A thread a task.
KernelSource alone(const cpu::irregular::Irregular& made, const ir::Node& node, const target::GpuIsa& gpu) {
  const std::uint64_t scratch = (made.scratch_bytes + 15) / 16 * 16;
  std::int64_t tasks = std::clamp<std::int64_t>(made.items, 1, kMaxTasks);
  if (scratch > 0) tasks = std::clamp<std::int64_t>(static_cast<std::int64_t>(kMaxScratch / scratch), 1, tasks);
  // Few threads in many blocks: each has a multiprocessor's caches to itself.
  std::int64_t threads = 32;
  while (threads < 256 && tasks / threads > 4 * std::int64_t{gpu.multiprocessors}) threads *= 2;
  KernelSource kernel = start(made);
  kernel.threads = static_cast<std::uint32_t>(threads);
  kernel.grid = static_cast<std::uint32_t>((tasks + threads - 1) / threads);
  kernel.scratch_bytes = scratch * static_cast<std::uint64_t>(tasks);
  finish_source(kernel, fmt::format("constexpr int64_t kTasks = {};\n{}{}{}", tasks, cpu::kIrregularAloneInc, made.constants + made.text,
                                    entry(node, kernel.threads, scratch > 0 ? ", void* scratch" : "",
                                          fmt::format("  const int64_t task = (int64_t)blockIdx.x * {} + threadIdx.x;\n", threads),
                                          scratch > 0 ? fmt::format("(char*)scratch + task * {}", scratch) : "nullptr")));
  return kernel;
}

// A block a task; its scratch memory is shared memory where it fits.
KernelSource together(const cpu::irregular::Irregular& made, const ir::Node& node) {
  const bool own = !made.block_text.empty();
  const std::string& text = own ? made.block_text : made.text;
  const std::uint64_t scratch = ((own ? made.block_scratch_bytes : made.scratch_bytes) + 63) / 64 * 64;
  const std::int64_t tasks = std::clamp<std::int64_t>(made.items, 1, kMaxBlocks);
  const bool shared = scratch <= kMaxShared;
  KernelSource kernel = start(made);
  kernel.threads = static_cast<std::uint32_t>(made.threads);
  kernel.grid = static_cast<std::uint32_t>(tasks);
  kernel.scratch_bytes = shared ? 0 : scratch * static_cast<std::uint64_t>(tasks);
  const std::string task = "  const int64_t task = blockIdx.x;\n";
  finish_source(kernel,
                fmt::format("constexpr int64_t kTasks = {};\n{}{}{}", tasks, kIrregularTogetherCuh, made.constants + text,
                            shared ? entry(node, kernel.threads, "",
                                           fmt::format("{}  __shared__ __align__(16) char scratch[{}];\n", task,
                                                       std::max<std::uint64_t>(scratch, 64)),
                                           "scratch")
                                   : entry(node, kernel.threads, ", void* scratch", task,
                                           fmt::format("(char*)scratch + task * {}", scratch))));
  return kernel;
}

}  // namespace

base::Result<std::optional<KernelSource>> irregular_kernel(const ir::Node& node, const ir::Graph& graph,
                                                           const target::GpuIsa& gpu) {
  XI_TRY(auto made, cpu::irregular::make_irregular(node, graph));
  if (!made) return std::nullopt;
  return made->threads > 1 ? together(*made, node) : alone(*made, node, gpu);
}

}  // namespace xinfer::forge::cuda
