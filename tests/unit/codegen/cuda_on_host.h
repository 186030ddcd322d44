// Runs CUDA kernels on this machine: their text compiled as C++ (cuda_on_host.inc).
#pragma once
#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/files.h"
#include "base/subprocess.h"
#include "forge/cuda/kernel.h"
#include "forge/cuda/prelude.h"

namespace xinfer::forge::cuda::testing {

/// Kernels in a shared library of this process.
class HostKernels {
 public:
  /// `counts[i]`: arguments of kernels[i], all pointers. Libraries are kept in `binary_folder` by the digest of their text.
  static base::Result<HostKernels> compile(std::span<const KernelSource> kernels, std::span<const std::size_t> counts,
                                           const std::filesystem::path& source_folder,
                                           const std::filesystem::path& binary_folder) {
    XI_TRY(std::string text, base::read_file(source_folder / "tests/unit/codegen/cuda_on_host.inc"));
    XI_TRY(const std::string mma, base::read_file(source_folder / "tests/unit/codegen/mma_on_host.inc"));
    XI_TRY(const std::string real, base::read_file(source_folder / "src/forge/cuda/templates/mma.cuh"));
    for (std::size_t i = 0; i < kernels.size(); ++i) {
      KernelSource kernel = kernels[i];
      if (const auto at = kernel.source.find(real); at != std::string::npos) kernel.source.replace(at, real.size(), mma);
      text += wrapped(kernel, i, counts[i]);
    }
    const auto folder = binary_folder / "kernel-cache/cuda-on-host";
    std::filesystem::create_directories(folder);
    const auto library = folder / (base::sha256(text).substr(0, 32) + ".so");
    if (!std::filesystem::exists(library)) {
      auto partial = library;
      partial += "." + base::random_hex(8);
      base::CommandOptions options;
      options.input = text;
      options.timeout_ms = 300'000;
      XI_TRY(auto run, base::run_command({"clang++-19", "-x", "c++", "-std=c++20", "-O1", "-w", "-fPIC", "-shared",
                                          "-ffp-contract=fast", "-", "-o", partial.string()},
                                         options));
      if (run.exit_code != 0)
        return base::fail(base::Code::kInternal, "CUDA text is no C++:\n{}", run.err.substr(0, 4000));
      std::filesystem::rename(partial, library);
    }
    HostKernels made;
    made.library_.reset(::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL));
    if (!made.library_) return base::fail(base::Code::kInternal, "{}", ::dlerror());
    return made;
  }

  void launch(std::size_t kernel, void* const* arguments, std::uint32_t blocks, std::uint32_t threads) const {
    using Launch = void (*)(void* const*, unsigned, unsigned);
    reinterpret_cast<Launch>(::dlsym(library_.get(), fmt::format("launch_{}", kernel).c_str()))(arguments, blocks, threads);
  }

 private:
  // The kernel's unit in a namespace of its own, and a function launch_<i>(arguments, blocks, threads).
  static std::string wrapped(const KernelSource& kernel, std::size_t i, std::size_t count) {
    std::string types, values;
    for (std::size_t k = 0; k < count; ++k) {
      types += k ? ", void*" : "void*";
      values += fmt::format("{}a[{}]", k ? ", " : "", k);
    }
    const std::string_view body = std::string_view(kernel.source).substr(prelude().size());
    auto calls = [&](std::string_view name) { return body.find(name) != body.npos; };
    const bool cooperates = calls("fold_group<") || calls("best_of_group<") || calls("__syncthreads") || calls("__shfl");
    return fmt::format(
        "#define xi xi_{0}\n{1}\n#undef xi\nvoid entry_{0}() __asm__(\"{3}\");\nextern \"C\" void launch_{0}(void* const* "
        "arguments, unsigned blocks, unsigned threads) {{\n  host::launch([](void* const* a) {{ ((void "
        "(*)({2}))&entry_{0})({4}); }}, arguments, blocks, threads, {5});\n}}\n",
        i, kernel.source, types, kernel.symbol, values, cooperates);
  }

  struct Close {
    void operator()(void* handle) const { ::dlclose(handle); }
  };
  std::unique_ptr<void, Close> library_;
};

}  // namespace xinfer::forge::cuda::testing
