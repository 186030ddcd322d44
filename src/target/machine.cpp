#include "target/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <fstream>
#include <numeric>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace xinfer::target {

using base::Code;
using base::fail;

double Machine::bandwidth(double bytes) const {
  if (bytes <= level2_bytes) return level2_bandwidth;
  const double near = level2_bytes / bytes;  // of each round, what still lies in the nearer cache
  if (bytes <= level3_bytes) return 1 / (near / level2_bandwidth + (1 - near) / level3_bandwidth);
  const double middle = level3_bytes / bytes;
  return 1 / (middle / level3_bandwidth + (1 - middle) / memory_bandwidth);
}

namespace {

// Two multiply-adds a cycle of 128 or 256 bits, one of 512: forge/cpu/contraction.cpp.
double core_flops(const CpuIsa& isa) { return isa.vector_lanes >= 8 ? 32 : 16; }

struct Figures {
  std::string_view target, name;
  int cores;
  double gigahertz, gigaflops_per_core;       // GPUs: per multiprocessor
  double level2, level3, memory, all_memory;  // gigabytes a second
  double level2_kibibytes, level3_mebibytes;  // GPUs have one cache for all: the second level
};

// Datasheets: frequency under load, vector units, channels of memory. Those of GPUs are in the registry.
constexpr std::array kFigures = {
    Figures{"x86-64-v3", "AMD Zen 2 server core (EPYC 7002)", 8, 3.2, 102, 90, 25, 15, 120, 512, 16},
    Figures{"x86-64-v4", "AMD Zen 4 server core (EPYC 9004)", 8, 3.6, 115, 100, 30, 20, 200, 1024, 32},
    Figures{"armv8-a", "Arm Neoverse N1 (AWS Graviton2)", 8, 2.5, 40, 50, 20, 12, 100, 1024, 32},
};

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Keeps the compiler from leaving a computation out.
inline void keep(const void* result) { asm volatile("" : : "r"(result) : "memory"); }

// A chain of additions, one a cycle: tells the frequency.
void add_chain(std::int64_t rounds) {
  std::int64_t sum = rounds;
  for (std::int64_t i = 0; i < rounds; ++i)
    for (int k = 0; k < 8; ++k) {
      sum += i;
      asm volatile("" : "+r"(sum));
    }
}

// Fused multiply-adds on as many accumulators as hide their latency; returns how many float operations a round has.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) double multiply_adds_512(std::int64_t rounds) {
  __m512 sums[12];
  for (auto& sum : sums) sum = _mm512_set1_ps(1.0f);
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
  for (std::int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < 12; ++k) sums[k] = _mm512_fmadd_ps(sums[k], x, y);
  keep(sums);
  return 12 * 16 * 2;
}
__attribute__((target("avx2,fma"))) double multiply_adds_256(std::int64_t rounds) {
  __m256 sums[12];
  for (auto& sum : sums) sum = _mm256_set1_ps(1.0f);
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
  for (std::int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < 12; ++k) sums[k] = _mm256_fmadd_ps(sums[k], x, y);
  keep(sums);
  return 12 * 8 * 2;
}
double multiply_adds(const CpuIsa& isa, std::int64_t rounds) {
  return isa.vector_lanes >= 16 ? multiply_adds_512(rounds) : multiply_adds_256(rounds);
}
__attribute__((target("avx512f"))) void read_all_512(const float* from, std::size_t count) {
  __m512 sums[8] = {};
  for (std::size_t i = 0; i + 128 <= count; i += 128)
#pragma GCC unroll 8
    for (std::size_t k = 0; k < 8; ++k) sums[k] = _mm512_add_ps(sums[k], _mm512_loadu_ps(from + i + 16 * k));
  keep(sums);
}
__attribute__((target("avx2"))) void read_all_256(const float* from, std::size_t count) {
  __m256 sums[8] = {};
  for (std::size_t i = 0; i + 64 <= count; i += 64)
#pragma GCC unroll 8
    for (std::size_t k = 0; k < 8; ++k) sums[k] = _mm256_add_ps(sums[k], _mm256_loadu_ps(from + i + 8 * k));
  keep(sums);
}
void read_all(const CpuIsa& isa, const float* from, std::size_t count) {
  if (isa.vector_lanes >= 16) read_all_512(from, count);
  else read_all_256(from, count);
}
#elif defined(__aarch64__)
double multiply_adds(const CpuIsa&, std::int64_t rounds) {
  float32x4_t sums[16];
  for (auto& sum : sums) sum = vdupq_n_f32(1.0f);
  const float32x4_t x = vdupq_n_f32(0.999f), y = vdupq_n_f32(1e-3f);
  for (std::int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 16
    for (int k = 0; k < 16; ++k) sums[k] = vfmaq_f32(y, sums[k], x);
  keep(sums);
  return 16 * 4 * 2;
}
void read_all(const CpuIsa&, const float* from, std::size_t count) {
  float32x4_t sums[8] = {};
  for (std::size_t i = 0; i + 32 <= count; i += 32)
#pragma GCC unroll 8
    for (std::size_t k = 0; k < 8; ++k) sums[k] = vaddq_f32(sums[k], vld1q_f32(from + i + 4 * k));
  keep(sums);
}
#else
double multiply_adds(const CpuIsa&, std::int64_t) { return 0; }
void read_all(const CpuIsa&, const float*, std::size_t) {}
#endif

// The shortest of several runs, in seconds.
template <class Work>
double shortest(int runs, const Work& work) {
  double best = INFINITY;
  for (int run = 0; run < runs; ++run) {
    const auto start = Clock::now();
    work();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

double read_bandwidth(const CpuIsa& isa, std::vector<float>& memory, double bytes, int runs) {
  const std::size_t count = std::min(memory.size() - 16, static_cast<std::size_t>(bytes / 4));
  const std::size_t again =
      std::max<std::size_t>(1, (std::size_t{1} << 18) / count);  // a run takes some 50 us at least
  // As the engines' buffers: a load that straddles two lines takes twice as long.
  const float* from = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64 / 4;
  const double seconds = shortest(runs, [&] {
    for (std::size_t i = 0; i < again; ++i) read_all(isa, from, count);
  });
  return static_cast<double>(count * again) * 4 / seconds;
}

double cache_bytes(int name, double fallback) {
  const long size = ::sysconf(name);
  return size > 0 ? static_cast<double>(size) : fallback;
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos) return line.substr(line.find(": ") + 2);
  return "";
}

}  // namespace

base::Result<Machine> measure_host(const TargetInfo& target) {
  XI_TRY(const TargetInfo* host, find("host"));
  if (target.isa == nullptr || !runs_on(target.name, host->name))
    return fail(Code::kUnsupported, "this machine, {}, does not run engines for {}", host->name, target.name);
  Machine machine;
  const std::string processor = processor_name();
  machine.name = processor.empty() ? "this machine" : "this machine, " + processor;
  machine.measured = true;
  machine.cores = usable_cores();
  machine.core_flops = core_flops(*target.isa);
  constexpr std::int64_t kRounds = 20'000;
  double work = 0;
  // The vector units first: they bring the clock to what it is under their load.
  const double seconds = shortest(30, [&] { work = multiply_adds(*target.isa, kRounds); });
  machine.flops = work * kRounds / seconds;
  machine.frequency = 8.0 * kRounds / shortest(10, [] { add_chain(kRounds); });
  machine.level2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 512 << 10);
  // A shared last level is shared: a neighbour's programs leave each core no more than some share of it.
  machine.level3_bytes = std::clamp(cache_bytes(_SC_LEVEL3_CACHE_SIZE, 8 << 20), 4.0 * machine.level2_bytes, 48e6);
  std::vector<float> memory(24 << 20, 1.0f);
  machine.level2_bandwidth = read_bandwidth(*target.isa, memory, machine.level2_bytes / 4, 30);
  machine.level3_bandwidth = std::min(machine.level2_bandwidth, read_bandwidth(*target.isa, memory, 3 * machine.level2_bytes, 10));
  machine.memory_bandwidth = std::min(machine.level3_bandwidth, read_bandwidth(*target.isa, memory, 96e6, 2));
  machine.all_memory_bandwidth = machine.memory_bandwidth * std::min(machine.cores, 4);
  return machine;
}

Machine typical_machine(const TargetInfo& target) {
  if (const GpuIsa* gpu = target.gpu) {
    Machine machine;
    machine.name = std::string(target.hardware.substr(0, target.hardware.find(',')));
    machine.is_gpu = true;
    machine.flops = gpu->flops32 * 1e6;
    machine.flops16 = gpu->flops16 * 1e6;
    machine.memory_bandwidth = machine.all_memory_bandwidth = gpu->bandwidth * 1e6;
    return machine;
  }
  for (const Figures& figures : kFigures) {
    if (figures.target != target.name) continue;
    Machine machine;
    machine.name = figures.name;
    machine.cores = figures.cores;
    machine.frequency = figures.gigahertz * 1e9;
    machine.flops = figures.gigaflops_per_core * 1e9;
    machine.core_flops = core_flops(*target.isa);
    machine.level2_bandwidth = figures.level2 * 1e9;
    machine.level3_bandwidth = figures.level3 * 1e9;
    machine.memory_bandwidth = figures.memory * 1e9;
    machine.all_memory_bandwidth = figures.all_memory * 1e9;
    machine.level2_bytes = figures.level2_kibibytes * 1024;
    machine.level3_bytes = figures.level3_mebibytes * 1024 * 1024;
    return machine;
  }
  return {};
}

}  // namespace xinfer::target
