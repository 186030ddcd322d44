// Runs a GPU schedule's kernels on this machine: their text compiled as C++ (cuda_on_host.inc).
#pragma once
#include <dlfcn.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/digest.h"
#include "base/files.h"
#include "base/subprocess.h"
#include "forge/cuda/prelude.h"
#include "schedule/schedule.h"
#include "tensor/tensor.h"

namespace xinfer::codegen::cuda {

/// One shared library with a function launch_<i>(arguments, blocks, threads) for every kernel of the schedule.
inline base::Result<void*> compile_on_host(const schedule::Schedule& schedule) {
  XI_TRY(std::string text, base::read_file(XI_SOURCE_DIR "/tests/unit/codegen/cuda_on_host.inc"));
  std::vector<std::size_t> counts(schedule.kernels.size(), 0);
  for (const auto& launch : schedule.plan.launches) counts[launch.kernel] = launch.arguments.size();
  for (std::size_t i = 0; i < schedule.kernels.size(); ++i) {
    const auto& kernel = schedule.kernels[i];
    std::string types, values;
    for (std::size_t k = 0; k < counts[i]; ++k) {
      types += k ? ", void*" : "void*";
      values += fmt::format("{}a[{}]", k ? ", " : "", k);
    }
    const std::string_view body = std::string_view(kernel.source).substr(forge::cuda::prelude().size());
    auto calls = [&](std::string_view name) { return body.find(name) != body.npos; };
    const bool cooperates = calls("fold_group<") || calls("best_of_group<") || calls("__syncthreads") || calls("__shfl");
    text += fmt::format("#define xi xi_{0}\n{1}\n#undef xi\nvoid entry_{0}() __asm__(\"{3}\");\nextern \"C\" void launch_{0}(void* const* arguments, unsigned blocks, "
                        "unsigned threads) {{\n  host::launch([](void* const* a) {{ ((void (*)({2}))&entry_{0})({4}); }}, "
                        "arguments, blocks, threads, {5});\n}}\n",
                        i, kernel.source, types, kernel.symbol, values, cooperates);
  }
  const std::filesystem::path folder = XI_BINARY_DIR "/kernel-cache/cuda-on-host";
  std::filesystem::create_directories(folder);
  const auto library = folder / (base::sha256(text).substr(0, 32) + ".so");
  if (!std::filesystem::exists(library)) {
    auto partial = library;
    partial += "." + base::random_hex(8);
    base::CommandOptions options;
    options.input = text;
    options.timeout_ms = 300'000;
    XI_TRY(auto run, base::run_command({"clang++-19", "-x", "c++", "-std=c++20", "-O1", "-w", "-fPIC", "-shared", "-ffp-contract=fast",
                                        "-", "-o", partial.string()},
                                       options));
    if (run.exit_code != 0) return base::fail(base::Code::kInternal, "CUDA text is no C++:\n{}", run.err.substr(0, 4000));
    std::filesystem::rename(partial, library);
  }
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) return base::fail(base::Code::kInternal, "{}", ::dlerror());
  return handle;
}

inline base::Result<std::vector<tensor::Tensor>> execute_on_host(const schedule::Schedule& schedule,
                                                                 const std::vector<tensor::Tensor>& inputs) {
  XI_TRY(void* library, compile_on_host(schedule));
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
    using Launch = void (*)(void* const*, unsigned, unsigned);
    auto function = reinterpret_cast<Launch>(::dlsym(library, fmt::format("launch_{}", launch.kernel).c_str()));
    function(arguments.data(), launch.grid.blocks, launch.grid.threads);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) std::memcpy(outputs[i].bytes().data(), out[i], outputs[i].size_bytes());
  bool margins = true;
  for (auto [memory, bytes] : blocks) {
    for (std::size_t i = (bytes + 63) / 64 * 64; i < (bytes + 63) / 64 * 64 + kMargin; ++i)
      margins = margins && static_cast<unsigned char>(memory[i]) == 0xff;
    std::free(memory);
  }
  ::dlclose(library);
  if (!margins) return base::fail(base::Code::kInternal, "a kernel wrote past the end of a buffer");
  return outputs;
}

}  // namespace xinfer::codegen::cuda
