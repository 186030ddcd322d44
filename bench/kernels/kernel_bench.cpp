// Times single contraction kernels: kernel_bench [ISA] [FILTER] [silu]. `silu` fuses that activation. One line each: what was chosen, time to compile, time to
// run on one thread, and the share of the multiply-add peak measured at the start. For tuning tiles.
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <random>

#include "base/files.h"
#include "base/subprocess.h"
#include "engine/plan.h"
#include "forge/cpu/conv.h"
#include "forge/cpu/matmul.h"
#include "forge/cpu/pool.h"
#include "forge/cpu/prelude.h"
#include "target/registry.h"

namespace {

using namespace xinfer;
using forge::cpu::ConvProblem;
using forge::cpu::KernelChoice;
using forge::cpu::MatMulProblem;
using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

engine::CpuKernel compile(const forge::cpu::KernelSource& kernel, const target::CpuIsa& isa,
                          const base::TemporaryFolder& folder) {
  const auto source = folder.path() / (kernel.symbol + ".cpp"), library = folder.path() / (kernel.symbol + ".so");
  if (!base::write_file(source, kernel.source)) return nullptr;
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
                                "-w",
                                "-ffp-contract=fast",
                                "-fno-math-errno",
                                "-fno-trapping-math",
                                "-fno-stack-protector",
                                "-shared",
                                "-nostdlib",
                                "-fuse-ld=lld"};
  for (auto flag : isa.flags) argv.emplace_back(flag);
  argv.insert(argv.end(), {source.string(), "-o", library.string()});
  const auto result = base::run_command(argv);
  if (!result || result->exit_code != 0) {
    fmt::print(stderr, "{}\n", result ? result->err : result.error().text());
    return nullptr;
  }
  void* handle = dlopen(library.c_str(), RTLD_NOW);
  return handle ? reinterpret_cast<engine::CpuKernel>(dlsym(handle, kernel.symbol.c_str())) : nullptr;
}

struct Memory {
  std::vector<float> floats;
  explicit Memory(std::size_t count) : floats(count + 32) {
    std::mt19937 random(1);
    for (float& f : floats) f = static_cast<float>(random() % 2000) * 1e-3f - 1;
  }
  void* data() { return reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(floats.data()) + 63) / 64 * 64); }
};

// Shortest time of many runs, in seconds; `cold` first pushes the weights out of the first two cache levels.
double time_kernel(engine::CpuKernel entry, const std::vector<void*>& buffers, void* scratch, std::int64_t tasks,
                   bool cold) {
  static Memory other(1 << 20);
  double best = 1e9, total = 0;
  for (int i = 0; i < 2000 && total < 0.15; ++i) {
    if (cold) {
      auto* bytes = static_cast<volatile char*>(other.data());
      for (std::size_t at = 0; at < (4u << 20); at += 64) (void)bytes[at];
      auto* in = static_cast<volatile char*>(buffers[0]);  // the input comes warm from the layer before
      for (std::size_t at = 0; at < 65536; at += 64) (void)in[at % 65536];
    }
    const double begin = thread_seconds();  // processor time: other work on the machine does not count
    entry(buffers.data(), nullptr, scratch, 0, tasks);
    const double time = thread_seconds() - begin;
    best = std::min(best, time);
    total += time;
  }
  return best;
}

double peak_flops(const target::CpuIsa& isa, const base::TemporaryFolder& folder) {
  auto named = forge::cpu::with_symbol(forge::cpu::prelude(isa) + R"(
XI_KERNEL void XI_SYMBOL(void* const* buffers, int64_t*, void*, int64_t, int64_t) {
  vf sum[10], x = load((float*)buffers[0]);
  for (int i = 0; i < 10; ++i) sum[i] = x;
  for (int i = 0; i < 100000; ++i) {
#pragma clang loop unroll(full)
    for (int j = 0; j < 10; ++j) { sum[j] = sum[j] * x + x; __asm__ volatile("" : "+v"(sum[j])); }
  }
  for (int i = 0; i < 10; ++i) x += sum[i];
  store((float*)buffers[0], x);
})");
  const auto entry = compile({.symbol = named.symbol, .source = named.source}, isa, folder);
  Memory memory(64);
  const double time = time_kernel(entry, {memory.data()}, nullptr, 1, false);
  return 1e6 * 2.0 * isa.vector_lanes / time;
}

struct Bench {
  const target::CpuIsa& isa;
  std::string filter;
  base::TemporaryFolder folder{"kernel-bench"};
  forge::cpu::Epilogue epilogue;
  double peak = 0, total = 0;

  void report(const std::string& name, const KernelChoice& choice, std::vector<std::size_t> sizes) {
    if (!filter.empty() && name.find(filter) == std::string::npos) return;
    const auto begin = Clock::now();
    const auto entry = compile(choice.kernel, isa, folder);
    const double compile_time = seconds(begin);
    if (!entry) return;
    std::vector<Memory> memory;
    for (std::size_t size : sizes) memory.emplace_back(size);
    std::vector<void*> buffers;
    for (Memory& m : memory) buffers.push_back(m.data());
    Memory scratch(choice.kernel.scratch_bytes / 4 + 16);
    const double hot = time_kernel(entry, buffers, scratch.data(), choice.kernel.num_tasks, false);
    const double cold = time_kernel(entry, buffers, scratch.data(), choice.kernel.num_tasks, true);
    total += cold;
    fmt::print(
        "{:34} {:8.4f} ms hot {:8.4f} cold {:6.1f} GF/s {:5.1f} % peak {:6.1f} GB/s  compile {:.2f} s  tasks {:3}  "
        "{}\n",
        name, hot * 1e3, cold * 1e3, choice.kernel.flops / hot * 1e-9, 100 * choice.kernel.flops / hot / peak,
        choice.kernel.bytes / hot * 1e-9, compile_time, choice.kernel.num_tasks, choice.kernel.choice);
    std::fflush(stdout);
  }

  void conv(std::int64_t in, std::int64_t out, std::int64_t height, std::int64_t width, std::int64_t kernel,
            std::int64_t stride, std::int64_t groups = 1) {
    const std::string name = fmt::format("conv{} {}-{} @{}x{} s{}{}", kernel, in, out, height, width, stride,
                                         groups > 1 ? fmt::format(" g{}", groups) : "");
    if (!filter.empty() && name.find(filter) == std::string::npos) return;
    ConvProblem p{.in_channels = in,
                  .out_channels = out,
                  .groups = groups,
                  .in = {1, height, width},
                  .kernel = {1, kernel, kernel},
                  .stride = {1, stride, stride},
                  .pad = {0, kernel / 2, kernel / 2},
                  .bias = true};
    p.out = {1, (height + 2 * (kernel / 2) - kernel) / stride + 1, (width + 2 * (kernel / 2) - kernel) / stride + 1};
    p.plain_input = in <= 12;
    const KernelChoice choice = forge::cpu::choose_conv(p, isa, epilogue);
    std::vector<float> weights(static_cast<std::size_t>(in / groups * out * kernel * kernel));
    const std::size_t packed = choice.pack_weights ? choice.pack_weights(weights).size() : weights.size();
    const auto blocked = [&](std::int64_t c) {
      return static_cast<std::size_t>((c + isa.vector_lanes - 1) / isa.vector_lanes * isa.vector_lanes);
    };
    report(name, choice,
           {blocked(in) * static_cast<std::size_t>(height * width), packed, blocked(out),
            blocked(out) * static_cast<std::size_t>(p.out[1] * p.out[2])});
  }

  void matmul(std::int64_t batch, std::int64_t m, std::int64_t k, std::int64_t n, bool constant,
              bool transpose_b = false) {
    const std::string name =
        fmt::format("matmul {}x {}x{}x{}{}{}", batch, m, k, n, constant ? "" : " dynamic", transpose_b ? " T" : "");
    MatMulProblem p{.m = m, .n = n, .k = k, .batch_a = {batch}, .transpose_b = transpose_b, .constant_b = constant};
    if (!constant) p.batch_b = {batch};
    const KernelChoice choice = forge::cpu::choose_matmul(p, isa);
    report(name, choice,
           {static_cast<std::size_t>(batch * m * k), static_cast<std::size_t>((constant ? 1 : batch) * k * (n + 16)),
            static_cast<std::size_t>(batch * m * n)});
  }

  void pool(std::int64_t channels, std::int64_t size, std::int64_t kernel, std::int64_t stride, bool average) {
    forge::cpu::PoolProblem p{
        .kind = average ? forge::cpu::PoolProblem::Kind::kAverage : forge::cpu::PoolProblem::Kind::kMax,
        .channels = channels,
        .in = {1, size, size},
        .kernel = {1, kernel, kernel},
        .stride = {1, stride, stride},
        .layout = forge::cpu::Layout::kBlocked};
    const std::int64_t pad = kernel == size ? 0 : kernel / 2;
    p.pad = p.pad_end = {0, pad, pad};
    p.out = {1, (size + 2 * pad - kernel) / stride + 1, (size + 2 * pad - kernel) / stride + 1};
    const auto count = static_cast<std::size_t>(channels + 16);
    report(fmt::format("pool{} {} @{} s{}", kernel, channels, size, stride), forge::cpu::choose_pool(p, isa),
           {count * static_cast<std::size_t>(size * size), count * static_cast<std::size_t>(p.out[1] * p.out[2])});
  }
};

}  // namespace

int main(int argc, char** argv) {
  Bench bench{.isa = *target::find_canonical(argc > 1 ? argv[1] : "x86-64-v4")->isa, .filter = argc > 2 ? argv[2] : ""};
  if (argc > 3 && std::string_view(argv[3]) == "silu")
    bench.epilogue.source =
        "template <class Access> XI_INLINE vf epilogue(vf x, void* const*, int64_t, int64_t, Access) { return x * "
        "sigmoid(x); }";
  bench.peak = peak_flops(bench.isa, bench.folder);
  fmt::print("peak {:.1f} GFLOP/s\n", bench.peak * 1e-9);
  // ResNet-50
  bench.conv(3, 64, 224, 224, 7, 2);
  bench.conv(64, 64, 56, 56, 3, 1);
  bench.conv(128, 128, 28, 28, 3, 1);
  bench.conv(256, 256, 14, 14, 3, 1);
  bench.conv(512, 512, 7, 7, 3, 1);
  bench.conv(64, 256, 56, 56, 1, 1);
  bench.conv(256, 64, 56, 56, 1, 1);
  bench.conv(1024, 256, 14, 14, 1, 1);
  bench.conv(512, 2048, 7, 7, 1, 1);
  bench.conv(256, 512, 56, 56, 1, 2);
  bench.conv(128, 128, 56, 56, 3, 2);
  // MobileNetV2
  bench.conv(3, 32, 224, 224, 3, 2);
  bench.conv(32, 16, 112, 112, 1, 1);
  bench.conv(16, 96, 112, 112, 1, 1);
  bench.conv(96, 24, 56, 56, 1, 1);
  bench.conv(24, 144, 56, 56, 1, 1);
  bench.conv(160, 960, 7, 7, 1, 1);
  bench.conv(960, 320, 7, 7, 1, 1);
  bench.conv(96, 96, 112, 112, 3, 2, 96);
  bench.conv(144, 144, 56, 56, 3, 1, 144);
  bench.conv(384, 384, 14, 14, 3, 1, 384);
  bench.conv(960, 960, 7, 7, 3, 1, 960);
  // YOLOX-nano, NanoDet and the like
  bench.conv(12, 16, 208, 208, 3, 1);
  bench.conv(16, 32, 208, 208, 1, 1);
  bench.conv(32, 32, 104, 104, 3, 2, 32);
  bench.conv(64, 64, 52, 52, 5, 1, 64);
  bench.conv(128, 128, 26, 26, 1, 1);
  bench.conv(256, 256, 13, 13, 1, 1);
  // YOLOv8n
  bench.conv(16, 32, 320, 320, 3, 2);
  bench.conv(32, 32, 80, 80, 3, 1);
  bench.conv(64, 64, 40, 40, 3, 1);
  bench.conv(128, 128, 20, 20, 3, 1);
  bench.conv(64, 80, 80, 80, 3, 1);
  // products
  bench.matmul(1, 128, 768, 3072, true);
  bench.matmul(1, 1, 2048, 1000, true);
  bench.matmul(1, 4, 768, 768, true);
  bench.matmul(1, 40, 120, 6625, true);
  bench.matmul(12, 128, 64, 128, false, true);
  bench.matmul(12, 128, 128, 64, false);
  bench.matmul(1, 512, 512, 512, false);
  bench.pool(64, 112, 3, 2, false);
  bench.pool(128, 20, 5, 1, false);
  bench.pool(2048, 7, 7, 1, true);
  fmt::print("total cold {:.3f} ms\n", bench.total * 1e3);
}
