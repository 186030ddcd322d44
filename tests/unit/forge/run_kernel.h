// Compiles a kernel's source with Clang and runs it: in this process where the CPU can, else under qemu.
#pragma once
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/subprocess.h"
#include "engine/plan.h"
#include "forge/cpu/kernel.h"
#include "target/registry.h"

namespace xinfer::forge::cpu::testing {

inline bool have_program(const std::string& name) { return base::run_command({name, "--version"}).has_value(); }

inline const target::CpuIsa& isa_named(std::string_view name) { return *target::find_canonical(name)->isa; }

inline bool runs_here(std::string_view name) {
  if (name == "x86-64-v4")
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (name == "x86-64-v3") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return false;
}

/// What this machine lacks to run kernels for the ISA; empty: nothing.
inline std::string missing_for(const std::string& isa) {
  if (!have_program("clang++-19")) return "needs clang++-19";
  if (isa == "armv8-a")
    return have_program("qemu-aarch64") && have_program("aarch64-linux-gnu-g++")
               ? ""
               : "needs qemu-aarch64 and aarch64-linux-gnu-g++";
  return runs_here(isa) ? "" : "this CPU does not run " + isa;
}

/// The name of a test parameterised by ISA and index.
inline std::string case_name(const ::testing::TestParamInfo<std::tuple<std::string, int>>& info) {
  std::string name = std::get<0>(info.param) + "_" + std::to_string(std::get<1>(info.param));
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
}

/// A buffer of bytes on a 64-byte boundary with guard bytes behind it that `intact` checks.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : bytes_(bytes), memory_(bytes + 64 + kGuard) {
    std::memset(data() + bytes_, 0x5a, kGuard);
  }
  template <class T>
  static Buffer of(const std::vector<T>& values) {
    Buffer buffer(values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(buffer.data(), values.data(), values.size() * sizeof(T));
    return buffer;
  }
  std::byte* data() {
    return reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(memory_.data()) + 63) / 64 * 64);
  }
  template <class T>
  std::vector<T> as() {
    std::vector<T> values(bytes_ / sizeof(T));
    std::memcpy(values.data(), data(), bytes_);
    return values;
  }
  std::size_t size() const { return bytes_; }
  bool intact() {
    for (std::size_t i = 0; i < kGuard; ++i)
      if (data()[bytes_ + i] != std::byte{0x5a}) return false;
    return true;
  }

 private:
  static constexpr std::size_t kGuard = 256;
  std::size_t bytes_;
  std::vector<std::byte> memory_;
};

inline std::vector<std::string> clang_command(const target::CpuIsa& isa) {
  std::vector<std::string> argv{"clang++-19",
                                "-target",
                                std::string(isa.triple),
                                "-O3",
                                "-std=c++20",
                                "-ffreestanding",
                                "-nostdlibinc",
                                "-fno-exceptions",
                                "-fno-rtti",
                                "-fPIC",
                                "-ffp-contract=fast",
                                "-fno-math-errno",
                                "-fno-trapping-math",
                                "-fno-stack-protector",
                                "-fno-asynchronous-unwind-tables",
                                "-Werror"};
  for (auto flag : isa.flags) argv.emplace_back(flag);
  return argv;
}

/// A kernel loaded into this process.
class LoadedKernel {
 public:
  static base::Result<LoadedKernel> load(const KernelSource& kernel, const target::CpuIsa& isa) {
    base::TemporaryFolder folder("kernel");
    const auto source = folder.path() / "k.cpp", library = folder.path() / "k.so";
    XI_CHECK(base::write_file(source, kernel.source));
    auto argv = clang_command(isa);
    for (std::string word : {"-shared", "-nostdlib", "-fuse-ld=lld", "-Wl,--no-undefined"}) argv.push_back(word);
    argv.insert(argv.end(), {source.string(), "-o", library.string()});
    XI_TRY(auto result, base::run_command(argv));
    if (result.exit_code != 0)
      return base::fail(base::Code::kInternal, "{}\n{}", kernel.choice, result.err.substr(0, 3000));
    LoadedKernel loaded;
    loaded.handle_.reset(dlopen(library.c_str(), RTLD_NOW));
    if (!loaded.handle_) return base::fail(base::Code::kInternal, "{}", dlerror());
    loaded.entry_ = reinterpret_cast<engine::CpuKernel>(dlsym(loaded.handle_.get(), kernel.symbol.c_str()));
    if (!loaded.entry_) return base::fail(base::Code::kInternal, "no symbol {}", kernel.symbol);
    return loaded;
  }
  engine::CpuKernel entry() const { return entry_; }

 private:
  struct Close {
    void operator()(void* handle) const { dlclose(handle); }
  };
  std::unique_ptr<void, Close> handle_;
  engine::CpuKernel entry_ = nullptr;
};

/// Runs the kernel for `isa` as two ranges of tasks in the wrong order; the last buffer is the output, given with what it
/// holds before. Emulated ISAs run in a static program under their emulator.
inline base::Result<void> run_kernel(const KernelSource& kernel, const target::CpuIsa& isa,
                                     std::vector<Buffer*> buffers) {
  if (isa.emulator.empty()) {
    XI_TRY(auto loaded, LoadedKernel::load(kernel, isa));
    std::vector<void*> pointers;
    for (Buffer* b : buffers) pointers.push_back(b->data());
    Buffer scratch(kernel.scratch_bytes);
    const std::int64_t middle = kernel.num_tasks / 2;
    loaded.entry()(pointers.data(), nullptr, scratch.data(), middle, kernel.num_tasks);
    if (middle) loaded.entry()(pointers.data(), nullptr, scratch.data(), 0, middle);
    if (!scratch.intact()) return base::fail(base::Code::kInternal, "{}: wrote behind its scratch", kernel.choice);
  } else {
    base::TemporaryFolder folder("kernel");
    const auto at = [&](const std::string& name) { return (folder.path() / name).string(); };
    std::string driver =
        "#include <cstdio>\n#include <cstdlib>\n#include <cstdint>\nextern \"C\" void " + kernel.symbol +
        "(void* const*, int64_t*, void*, int64_t, int64_t);\nint main(int, char** argv) {\n  void* b[32];\n";
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      XI_CHECK(base::write_file(at("b" + std::to_string(i)),
                                {reinterpret_cast<const char*>(buffers[i]->data()), buffers[i]->size()}));
      driver += "  { b[" + std::to_string(i) + "] = aligned_alloc(64, " +
                std::to_string((buffers[i]->size() + 127) / 64 * 64) + "); FILE* f = fopen(\"" +
                at("b" + std::to_string(i)) + "\", \"rb\"); if (fread(b[" + std::to_string(i) + "], 1, " +
                std::to_string(buffers[i]->size()) + ", f) != " + std::to_string(buffers[i]->size()) +
                ") return 1; }\n";
    }
    driver += "  " + kernel.symbol + "(b, nullptr, aligned_alloc(64, " +
              std::to_string((kernel.scratch_bytes + 127) / 64 * 64) + "), 0, " + std::to_string(kernel.num_tasks) +
              ");\n  FILE* f = fopen(\"" + at("out") + "\", \"wb\"); fwrite(b[" + std::to_string(buffers.size() - 1) +
              "], 1, " + std::to_string(buffers.back()->size()) + ", f); return fclose(f);\n}\n";
    XI_CHECK(base::write_file(at("k.cpp"), kernel.source));
    XI_CHECK(base::write_file(at("main.cpp"), driver));
    auto argv = clang_command(isa);
    argv.insert(argv.end(), {"-c", at("k.cpp"), "-o", at("k.o")});
    XI_TRY(auto compiled, base::run_command(argv));
    if (compiled.exit_code != 0)
      return base::fail(base::Code::kInternal, "{}\n{}", kernel.choice, compiled.err.substr(0, 3000));
    XI_TRY(auto linked,
           base::run_command({"aarch64-linux-gnu-g++", "-static", "-O1", at("main.cpp"), at("k.o"), "-o", at("main")}));
    if (linked.exit_code != 0) return base::fail(base::Code::kInternal, "{}", linked.err.substr(0, 3000));
    XI_TRY(auto ran, base::run_command({std::string(isa.emulator), at("main")}));
    if (ran.exit_code != 0)
      return base::fail(base::Code::kInternal, "{}: ended with {} {}", kernel.choice, ran.exit_code, ran.err);
    XI_TRY(std::string out, base::read_file(at("out")));
    std::memcpy(buffers.back()->data(), out.data(), out.size());
  }
  for (Buffer* b : buffers)
    if (!b->intact()) return base::fail(base::Code::kInternal, "{}: wrote behind a buffer", kernel.choice);
  return {};
}

}  // namespace xinfer::forge::cpu::testing
