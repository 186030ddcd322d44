// Runs a GPU schedule on this machine.
#pragma once
#include <cstring>

#include "cuda_on_host.h"
#include "schedule/schedule.h"
#include "tensor/tensor.h"

namespace xinfer::codegen::cuda {

inline base::Result<std::vector<tensor::Tensor>> execute_on_host(const schedule::Schedule& schedule,
                                                                 const std::vector<tensor::Tensor>& inputs) {
  std::vector<std::size_t> counts(schedule.kernels.size(), 0);
  for (const auto& launch : schedule.plan.launches) counts[launch.kernel] = launch.arguments.size();
  XI_TRY(auto kernels, forge::cuda::testing::HostKernels::compile(schedule.kernels, counts, XI_SOURCE_DIR, XI_BINARY_DIR));
  std::vector<tensor::Tensor> outputs;
  for (const auto& info : schedule.plan.outputs) outputs.emplace_back(info.dtype, info.shape);
  // 64-byte aligned memory with a margin that must stay as it is.
  constexpr std::size_t kMargin = 256;
  auto aligned = [](std::size_t bytes) {
    const std::size_t size = (bytes + 63) / 64 * 64 + kMargin;
    char* memory = static_cast<char*>(std::aligned_alloc(64, size));
    std::memset(memory, 0xff, size);  // stale memory (NaN) must not matter
    return memory;
  };
  std::vector<std::pair<char*, std::size_t>> blocks;
  auto block = [&](std::size_t bytes) { return blocks.emplace_back(aligned(bytes), bytes).first; };
  char* arena = block(schedule.plan.arena_bytes);
  char* weights = block(schedule.weights.size());
  std::memcpy(weights, schedule.weights.data(), schedule.weights.size());
  std::vector<char*> in, out;
  for (const auto& input : inputs) {
    in.push_back(block(input.size_bytes()));
    std::memcpy(in.back(), input.bytes().data(), input.size_bytes());
  }
  for (const auto& output : outputs) out.push_back(block(output.size_bytes()));
  for (const auto& launch : schedule.plan.launches) {
    std::vector<void*> arguments;
    for (const auto& ref : launch.arguments) {
      using Space = engine::BufferRef::Space;
      char* base = ref.space == Space::kArena     ? arena
                   : ref.space == Space::kWeights ? weights
                   : ref.space == Space::kInput   ? in[ref.index]
                                                  : out[ref.index];
      arguments.push_back(base + ref.offset);
    }
    kernels.launch(launch.kernel, arguments.data(), launch.grid.blocks, launch.grid.threads);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) std::memcpy(outputs[i].bytes().data(), out[i], outputs[i].size_bytes());
  bool margins = true;
  for (auto [memory, bytes] : blocks) {
    for (std::size_t i = (bytes + 63) / 64 * 64; i < (bytes + 63) / 64 * 64 + kMargin; ++i)
      margins = margins && static_cast<unsigned char>(memory[i]) == 0xff;
    std::free(memory);
  }
  if (!margins) return base::fail(base::Code::kInternal, "a kernel wrote past the end of a buffer");
  return outputs;
}

}  // namespace xinfer::codegen::cuda
