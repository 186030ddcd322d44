// CPU kernels' C++ text to machine code: Clang 19 for each kernel, lld for one flat position-independent image.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "forge/cpu/kernel.h"
#include "target/isa.h"

namespace xinfer::codegen::cpu {

struct CompileOptions {
  /// Objects are kept here by the digest of source, flags and compiler version. Empty: no cache.
  std::filesystem::path cache_folder;
  /// Called once, before the first compilation, with the paths below `cache_folder` of what is to be compiled: whoever has it
  /// elsewhere may put it there.
  std::function<void(const std::vector<std::string>&)> on_missing;
  int jobs = 0;  // compilers at once; 0: one per core
  /// Called with (objects ready, objects in all) after each; from one thread at a time.
  std::function<void(std::size_t, std::size_t)> on_progress;
  /// Asked between kernels; true ends with Code::kCancelled.
  std::function<bool()> cancelled;
};

/// The code of all kernels. `code` is loaded at any 4096-byte aligned address, read and execute only: it holds no
/// relocations and no writable data. `entry_offsets[i]` is where kernels[i] begins.
struct CodeImage {
  std::string code;
  std::vector<std::uint64_t> entry_offsets;
  std::size_t compiled = 0;  // objects that were not in the cache
};

/// "clang version 19.1.7 (…)", the first line of the compiler's version. kUnavailable says what to install.
[[nodiscard]] base::Result<std::string> compiler_version();

/// Compiles and links; byte-identical for equal sources, ISA and compiler. Errors: kUnavailable (no Clang 19 or lld),
/// kInternal (a kernel does not compile or breaks the image's rules: our bug; where = its symbol), kCancelled, kIo.
/// Thread-safe; several processes may share a cache folder.
[[nodiscard]] base::Result<CodeImage> compile_kernels(std::span<const forge::cpu::KernelSource> kernels,
                                                      const target::CpuIsa& isa, const CompileOptions& options = {});

/// For each kernel whether its object lies in the cache folder. kUnavailable as compile_kernels.
[[nodiscard]] base::Result<std::vector<bool>> find_cached(std::span<const forge::cpu::KernelSource> kernels,
                                                          const target::CpuIsa& isa,
                                                          const std::filesystem::path& cache_folder);

}  // namespace xinfer::codegen::cpu
