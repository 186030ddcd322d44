// CUDA kernels' text to the code section of an engine: one cubin a kernel, by NVRTC.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "codegen/cuda/nvrtc.h"
#include "forge/cuda/kernel.h"

namespace xinfer::codegen::cuda {

struct CompileOptions {
  /// Cubins are kept here by the digest of source, architecture and NVRTC's version. Empty: no cache.
  std::filesystem::path cache_folder;
  /// Called once, before the first compilation, with the paths below `cache_folder` of what is to be compiled: whoever has it
  /// elsewhere may put it there.
  std::function<void(const std::vector<std::string>&)> on_missing;
  int jobs = 0;  // compilations at once; 0: one per core
  /// Called with (cubins ready, cubins in all) after each; from one thread at a time.
  std::function<void(std::size_t, std::size_t)> on_progress;
  /// Asked between kernels; true ends with Code::kCancelled.
  std::function<bool()> cancelled;
};

/// The cubins of all kernels, one after the other at multiples of 64 bytes. `places[i]`: where that of kernels[i] lies.
struct Cubins {
  std::string code;
  struct Place {
    std::uint64_t offset = 0, bytes = 0;
  };
  std::vector<Place> places;
  std::size_t compiled = 0;  // cubins that were not in the cache
};

/// Errors: kInternal (a kernel does not compile: our bug; where = its symbol), kCancelled, kIo. Thread-safe; several
/// processes may share a cache folder.
[[nodiscard]] base::Result<Cubins> compile_kernels(const Nvrtc& nvrtc, std::span<const forge::KernelSource> kernels,
                                                   std::string_view architecture, const CompileOptions& options = {});

}  // namespace xinfer::codegen::cuda
