#include "forge/cuda/irregular.h"

#include <fmt/format.h>

#include <algorithm>

#include "forge/cpu/irregular/builder.h"
#include "forge/cuda/prelude.h"

namespace xinfer::forge::cuda {

namespace {

// More threads than this gain nothing, and each has its own scratch memory.
constexpr std::int64_t kMaxTasks = 1 << 17;
constexpr std::uint64_t kMaxScratch = std::uint64_t{256} << 20;

std::int64_t count_present(const ir::Node& node) {
  auto present = [](const std::vector<ir::ValueId>& ids) {
    return std::ranges::count_if(ids, [](ir::ValueId id) { return id != ir::kNoValue; });
  };
  return present(node.inputs) + present(node.outputs);
}

}  // namespace

base::Result<std::optional<KernelSource>> irregular_kernel(const ir::Node& node, const ir::Graph& graph,
                                                           const target::GpuIsa& gpu) {
  XI_TRY(auto made, cpu::irregular::make_irregular(node, graph));
  if (!made) return std::nullopt;
  const std::uint64_t scratch = (made->scratch_bytes + 15) / 16 * 16;
  std::int64_t tasks = std::clamp<std::int64_t>(made->items, 1, kMaxTasks);
  if (scratch > 0) tasks = std::clamp<std::int64_t>(static_cast<std::int64_t>(kMaxScratch / scratch), 1, tasks);
  // Few threads in many blocks: each has a multiprocessor's caches to itself.
  std::int64_t threads = 32;
  while (threads < 256 && tasks / threads > 4 * std::int64_t{gpu.multiprocessors}) threads *= 2;
  KernelSource kernel;
  kernel.threads = static_cast<std::uint32_t>(threads);
  kernel.grid = static_cast<std::uint32_t>((tasks + threads - 1) / threads);
  kernel.scratch_bytes = scratch * static_cast<std::uint64_t>(tasks);
  kernel.flops = made->flops;
  kernel.bytes = made->bytes;
  kernel.choice = std::move(made->choice);
  std::string parameters, buffers;
  const std::int64_t count = count_present(node);
  for (std::int64_t i = 0; i < count; ++i) {
    parameters += fmt::format("{}void* b{}", i ? ", " : "", i);
    buffers += fmt::format("{}b{}", i ? ", " : "", i);
  }
  if (scratch > 0) parameters += ", void* scratch";
  finish_source(kernel, fmt::format("constexpr int64_t kTasks = {0};\n{1}\nextern \"C\" __global__ void __launch_bounds__({2}) "
                                    "{3}({4}) {{\n  void* const buffers[] = {{{5}}};\n  const int64_t task = "
                                    "(int64_t)blockIdx.x * {2} + threadIdx.x;\n  if (task < kTasks) XI_SYMBOL(buffers, nullptr, "
                                    "{6}, task, task + 1);\n}}\n",
                                    tasks, made->text, threads, kSymbolMark, parameters, buffers,
                                    scratch > 0 ? fmt::format("(char*)scratch + task * {}", scratch) : "nullptr"));
  return kernel;
}

}  // namespace xinfer::forge::cuda
