#include "codegen/cuda/compile.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "base/digest.h"
#include "base/files.h"

namespace xinfer::codegen::cuda {

using base::Code;
using base::fail;
using base::Result;
using forge::KernelSource;

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kAlignment = 64;

class Compilation {
 public:
  Compilation(const Nvrtc& nvrtc, std::span<const KernelSource> kernels, std::string_view architecture,
              const CompileOptions& options)
      : nvrtc_(nvrtc), kernels_(kernels), architecture_(architecture), options_(options), cubins_(kernels.size()) {}

  Result<std::vector<std::string>> run() {
    if (!options_.cache_folder.empty()) folder_ = options_.cache_folder / "cubins";
    tell_missing();
    std::size_t count = options_.jobs > 0 ? static_cast<std::size_t>(options_.jobs) : std::thread::hardware_concurrency();
    count = std::clamp<std::size_t>(count, 1, std::max<std::size_t>(1, kernels_.size()));
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 1; i < count; ++i) threads.emplace_back([this] { work(); });
      work();
    }
    XI_CHECK(outcome_);
    return std::move(cubins_);
  }
  std::size_t compiled() const { return compiled_; }

 private:
  void work() {
    for (std::size_t i; !stop_ && (i = next_++) < kernels_.size();) {
      auto made = options_.cancelled && options_.cancelled() ? fail(Code::kCancelled, "the compilation was cancelled")
                                                             : make(kernels_[i]);
      std::lock_guard lock(mutex_);
      if (made) cubins_[i] = *std::move(made);
      else if (outcome_) outcome_ = std::unexpected(std::move(made).error()), stop_ = true;
      ++ready_;
      if (options_.on_progress && outcome_) options_.on_progress(ready_, kernels_.size());
    }
  }

  std::string name_of(const KernelSource& kernel) const {
    base::Sha256 digest;
    digest.update(fmt::format("{}\n{}\n", nvrtc_.version(), architecture_));
    digest.update(kernel.source);
    return digest.finish() + ".cubin";
  }

  void tell_missing() const {
    if (!options_.on_missing || folder_.empty()) return;
    std::vector<std::string> missing;
    std::error_code ignored;
    for (const KernelSource& kernel : kernels_)
      if (const std::string name = name_of(kernel); !fs::exists(folder_ / name, ignored)) missing.push_back("cubins/" + name);
    if (!missing.empty()) options_.on_missing(missing);
  }

  // From the cache, or compiled.
  Result<std::string> make(const KernelSource& kernel) {
    fs::path path;
    if (!folder_.empty()) {
      path = folder_ / name_of(kernel);
      std::error_code ignored;
      if (fs::exists(path, ignored)) return base::read_file(path);
    }
    ++compiled_;
    auto cubin = nvrtc_.compile(kernel.source, architecture_);
    if (!cubin) return std::unexpected(std::move(cubin).error().in(kernel.symbol));
    if (!path.empty()) XI_CHECK(base::write_file(path, *cubin));
    return cubin;
  }

  const Nvrtc& nvrtc_;
  std::span<const KernelSource> kernels_;
  std::string_view architecture_;
  const CompileOptions& options_;
  fs::path folder_;
  std::atomic<std::size_t> next_ = 0, compiled_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;  // guards what follows
  std::size_t ready_ = 0;
  std::vector<std::string> cubins_;
  Result<void> outcome_;
};

}  // namespace

Result<Cubins> compile_kernels(const Nvrtc& nvrtc, std::span<const KernelSource> kernels, std::string_view architecture,
                               const CompileOptions& options) {
  Compilation compilation(nvrtc, kernels, architecture, options);
  XI_TRY(const auto cubins, compilation.run());
  Cubins made;
  made.compiled = compilation.compiled();
  for (const std::string& cubin : cubins) {
    made.code.resize((made.code.size() + kAlignment - 1) / kAlignment * kAlignment);
    made.places.push_back({made.code.size(), cubin.size()});
    made.code += cubin;
  }
  return made;
}

}  // namespace xinfer::codegen::cuda
