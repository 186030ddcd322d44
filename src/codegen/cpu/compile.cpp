#include "codegen/cpu/compile.h"

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "base/digest.h"
#include "base/files.h"
#include "base/subprocess.h"
#include "codegen/cpu/image.h"

namespace xinfer::codegen::cpu {

using base::Code;
using base::fail;
using base::Result;
using forge::cpu::KernelSource;

namespace {

namespace fs = std::filesystem;

// Clang turns structure copies and clearing loops into calls even in freestanding code, so the image brings its own.
constexpr std::string_view kSupportSymbol = "xi_support";
constexpr std::string_view kSupportSource = R"(
typedef unsigned long size_t;
#define XI_KEEP __attribute__((visibility("hidden"), used))
extern "C" {
XI_KEEP void* memset(void* to, int value, size_t count) {
  unsigned char* p = (unsigned char*)to;
  for (size_t i = 0; i < count; ++i) p[i] = (unsigned char)value;
  return to;
}
XI_KEEP void* memcpy(void* __restrict to, const void* __restrict from, size_t count) {
  unsigned char* p = (unsigned char*)to;
  const unsigned char* q = (const unsigned char*)from;
  for (size_t i = 0; i < count; ++i) p[i] = q[i];
  return to;
}
XI_KEEP void* memmove(void* to, const void* from, size_t count) {
  unsigned char* p = (unsigned char*)to;
  const unsigned char* q = (const unsigned char*)from;
  if (p < q || p >= q + count)
    for (size_t i = 0; i < count; ++i) p[i] = q[i];
  else
    for (size_t i = count; i-- > 0;) p[i] = q[i];
  return to;
}
}
)";

constexpr int kCompileTimeoutMs = 300'000;

struct Toolchain {
  std::string compiler, linker, version;
};

Result<Toolchain> find_toolchain() {
  Toolchain found;
  for (const char* name : {"clang++-19", "clang-19"}) {
    auto run = base::run_command({name, "--version"}, {.timeout_ms = 30'000});
    if (run && run->exit_code == 0) {
      found.compiler = name;
      found.version = run->out.substr(0, run->out.find('\n'));
      break;
    }
  }
  if (found.compiler.empty())
    return fail(Code::kUnavailable, "building CPU engines needs Clang 19: install the packages clang-19 and lld-19");
  for (const char* name : {"ld.lld-19", "ld.lld"}) {
    auto run = base::run_command({name, "--version"}, {.timeout_ms = 30'000});
    if (run && run->exit_code == 0) {
      found.linker = name;
      return found;
    }
  }
  return fail(Code::kUnavailable, "building CPU engines needs the linker lld 19: install the package lld-19");
}

std::vector<std::string> compiler_flags(const target::CpuIsa& isa) {
  // Never -ffast-math: reassociated accumulators lose a third of the peak, and NaN must stay NaN.
  std::vector<std::string> flags = {"-target",
                                    std::string(isa.triple),
                                    "-O3",
                                    "-std=c++20",
                                    "-ffreestanding",
                                    "-nostdlibinc",
                                    "-fno-exceptions",
                                    "-fno-rtti",
                                    "-fPIC",
                                    "-fvisibility=hidden",
                                    "-ffp-contract=fast",
                                    "-fno-math-errno",
                                    "-fno-trapping-math",
                                    "-fno-stack-protector",
                                    "-fno-asynchronous-unwind-tables",
                                    "-fno-unwind-tables",
                                    "-fomit-frame-pointer",
                                    "-fno-ident",
                                    "-fstrict-aliasing",
                                    "-w"};
  for (auto flag : isa.flags) flags.emplace_back(flag);
  if (isa.vector_lanes == 16) flags.emplace_back("-mprefer-vector-width=512");
  return flags;
}

struct Job {
  std::string_view symbol, source;
  fs::path object;
};

// Where the object of a source belongs.
fs::path object_path(const fs::path& folder, const Toolchain& tools, const std::vector<std::string>& flags,
                     std::string_view source) {
  std::string key = tools.version;
  for (const auto& flag : flags) key += '\n' + flag;
  base::Sha256 digest;
  digest.update(key);
  digest.update(std::string_view("\0", 1));
  digest.update(source);
  return folder / (digest.finish() + ".o");
}

// One object file: from the cache, or compiled beside its place and renamed into it, so that a reader never sees a
// part.
Result<void> make_object(const Job& job, const Toolchain& tools, const std::vector<std::string>& flags,
                         std::atomic<std::size_t>& compiled) {
  std::error_code ignored;
  if (fs::exists(job.object, ignored)) return {};
  ++compiled;
  fs::path partial = job.object;
  partial += "." + base::random_hex(8) + ".part";
  std::vector<std::string> argv = {tools.compiler};
  argv.insert(argv.end(), flags.begin(), flags.end());
  for (const char* word : {"-x", "c++", "-c", "-", "-o"}) argv.emplace_back(word);
  argv.push_back(partial.string());
  base::CommandOptions options;
  options.input = std::string(job.source);
  options.timeout_ms = kCompileTimeoutMs;
  options.output_limit_bytes = 16 << 10;
  auto run = base::run_command(argv, options);
  if (!run) return std::unexpected(std::move(run).error().in(job.symbol));
  if (run->exit_code != 0) {
    fs::remove(partial, ignored);
    return std::unexpected(base::Error{Code::kInternal,
                                       run->signal == 9 ? "the compiler was killed, most likely for want of memory"
                                                        : "a generated kernel does not compile (our bug):\n" + run->err,
                                       std::string(job.symbol)});
  }
  std::error_code error;
  fs::rename(partial, job.object, error);
  if (error) return fail(Code::kIo, "cannot write '{}': {}", job.object.string(), error.message());
  return {};
}

// How many had to be compiled.
Result<std::size_t> make_objects(const std::vector<Job>& jobs, const Toolchain& tools, const std::vector<std::string>& flags,
                                 const CompileOptions& options) {
  std::atomic<std::size_t> compiled = 0;
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;  // guards the three below
  std::size_t ready = 0;
  base::Result<void> outcome;
  std::atomic<bool> stop = false;
  auto work = [&] {
    for (std::size_t i; !stop && (i = next++) < jobs.size();) {
      if (options.cancelled && options.cancelled()) {
        std::lock_guard lock(mutex);
        stop = true;
        if (outcome) outcome = fail(Code::kCancelled, "the compilation was cancelled");
        return;
      }
      auto made = make_object(jobs[i], tools, flags, compiled);
      std::lock_guard lock(mutex);
      if (!made && outcome) outcome = std::move(made), stop = true;
      ++ready;
      if (options.on_progress && outcome) options.on_progress(ready, jobs.size());
    }
  };
  unsigned count = options.jobs > 0 ? static_cast<unsigned>(options.jobs) : std::thread::hardware_concurrency();
  count = std::max(1u, std::min<unsigned>(count, static_cast<unsigned>(jobs.size())));
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < count; ++i) threads.emplace_back(work);
    work();
  }
  XI_CHECK(outcome);
  return compiled.load();
}

void tell_missing(const std::vector<Job>& jobs, const CompileOptions& options) {
  if (!options.on_missing || options.cache_folder.empty()) return;
  std::vector<std::string> missing;
  std::error_code ignored;
  for (const Job& job : jobs)
    if (!fs::exists(job.object, ignored)) missing.push_back("objects/" + job.object.filename().string());
  if (!missing.empty()) options.on_missing(missing);
}

Result<LinkedImage> link(const std::vector<Job>& jobs, const Toolchain& tools, const target::CpuIsa& isa) {
  base::TemporaryFolder folder("xinfer-link");
  fs::path script = folder.path() / "image.ld", output = folder.path() / "image.elf", list = folder.path() / "objects";
  XI_CHECK(base::write_file(script, linker_script()));
  std::string objects;  // a response file: thousands of kernels do not fit on a command line
  for (const auto& job : jobs) objects += "\"" + job.object.string() + "\"\n";
  XI_CHECK(base::write_file(list, objects));
  bool arm = isa.triple.starts_with("aarch64");
  XI_TRY(auto run, base::run_command({tools.linker, "-m", arm ? "aarch64linux" : "elf_x86_64", "--pie",
                                      "--no-dynamic-linker", "-T", script.string(), "--build-id=none", "--no-undefined",
                                      "-z", "notext", "-z", "norelro", "-o", output.string(), "@" + list.string()},
                                     {.timeout_ms = kCompileTimeoutMs, .output_limit_bytes = 16 << 10}));
  if (run.exit_code != 0) return fail(Code::kInternal, "the generated kernels do not link (our bug):\n{}", run.err);
  XI_TRY(auto elf, base::read_file(output));
  return extract_image(elf);
}

}  // namespace

Result<std::string> compiler_version() {
  XI_TRY(auto tools, find_toolchain());
  return tools.version;
}

Result<CodeImage> compile_kernels(std::span<const KernelSource> kernels, const target::CpuIsa& isa,
                                  const CompileOptions& options) {
  XI_TRY(auto tools, find_toolchain());
  auto flags = compiler_flags(isa);
  base::TemporaryFolder temporary("xinfer-objects");
  fs::path folder = options.cache_folder.empty() ? temporary.path() : options.cache_folder / "objects";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(Code::kIo, "cannot make the kernel cache '{}': {}", folder.string(), error.message());

  std::map<std::string_view, std::string_view> sources;  // sorted: the image must not depend on the graph's order
  for (const auto& kernel : kernels) sources[kernel.symbol] = kernel.source;
  sources[kSupportSymbol] = kSupportSource;
  std::vector<Job> jobs;
  for (auto [symbol, source] : sources) jobs.push_back({symbol, source, object_path(folder, tools, flags, source)});
  tell_missing(jobs, options);
  XI_TRY(const std::size_t compiled, make_objects(jobs, tools, flags, options));
  XI_TRY(auto linked, link(jobs, tools, isa));
  CodeImage image;
  image.code = std::move(linked.code);
  image.compiled = compiled;
  for (const auto& kernel : kernels) {
    auto found = linked.symbols.find(kernel.symbol);
    if (found == linked.symbols.end())
      return std::unexpected(
          base::Error{Code::kInternal, "the kernel's source does not define its symbol (our bug)", kernel.symbol});
    image.entry_offsets.push_back(found->second);
  }
  return image;
}

Result<std::vector<bool>> find_cached(std::span<const KernelSource> kernels, const target::CpuIsa& isa,
                                      const fs::path& cache_folder) {
  XI_TRY(auto tools, find_toolchain());
  const auto flags = compiler_flags(isa);
  std::vector<bool> cached;
  std::error_code ignored;
  for (const auto& kernel : kernels)
    cached.push_back(!cache_folder.empty() &&
                     fs::exists(object_path(cache_folder / "objects", tools, flags, kernel.source), ignored));
  return cached;
}

}  // namespace xinfer::codegen::cpu
