#include "target/registry.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <numeric>

namespace xinfer {

// The one door by which the library makes HardwareTargets, so that users only get registered ones.
struct HardwareTargetFactory {
  static HardwareTarget make(std::string_view architecture, std::string_view precision) {
    return HardwareTarget(std::string(architecture), std::string(precision));
  }
};

}  // namespace xinfer

namespace xinfer::target {

using base::Code;
using base::fail;

namespace {

constexpr int kJetsonOrin = 87;
constexpr std::array<std::string_view, 4> kPrecisions = {"fp32", "fp16", "bf16", "int8"};

const std::array<CpuIsa, 3>& isas() {
  static const std::array<CpuIsa, 3> rows = {{
      {"x86-64-v3", "x86_64-unknown-linux-gnu", {"-march=x86-64-v3"}, 8, 16, ""},
      {"x86-64-v4", "x86_64-unknown-linux-gnu", {"-march=x86-64-v4", "-mprefer-vector-width=512"}, 16, 32, ""},
      {"armv8-a", "aarch64-unknown-linux-gnu", {"-march=armv8-a"}, 4, 32, "qemu-aarch64"},
  }};
  return rows;
}

// Figures of T4, A100, RTX 3090, Jetson AGX Orin, RTX 4090, H100 SXM, B200 and RTX 5090, from NVIDIA's data sheets.
const std::array<GpuIsa, 8>& gpus() {
  static const std::array<GpuIsa, 8> rows = {{
      {"sm_75", 75, 40, 64 << 10, 320e3, 65e6, 8.1e6},
      {"sm_80", 80, 108, 163 << 10, 1555e3, 312e6, 19.5e6},
      {"sm_86", 86, 82, 99 << 10, 936e3, 71e6, 35.6e6},
      {"sm_87", 87, 16, 163 << 10, 204e3, 42e6, 5.3e6},
      {"sm_89", 89, 128, 99 << 10, 1008e3, 165e6, 82.6e6},
      {"sm_90a", 90, 132, 227 << 10, 3350e3, 989e6, 67e6},
      {"sm_100", 100, 148, 227 << 10, 8000e3, 2250e6, 80e6},
      {"sm_120", 120, 170, 99 << 10, 1792e3, 209e6, 104e6},
  }};
  return rows;
}

const GpuIsa* find_gpu(std::string_view name) {
  auto row = std::ranges::find(gpus(), name, &GpuIsa::name);
  return row == gpus().end() ? nullptr : &*row;
}

std::vector<TargetInfo> make_rows() {
  const auto& isa = isas();
  auto nvidia = [](std::string_view name, std::string_view display, std::string_view hardware,
                   std::vector<std::string_view> aliases, std::vector<std::string_view> runs = {}) {
    return TargetInfo{name, display, hardware, Kind::kNvidia, std::move(aliases), std::move(runs), nullptr, find_gpu(name)};
  };
  // A cubin also runs on later minor revisions of its major capability, except on Jetson, and never with an "a" suffix
  // (CUDA C++ Programming Guide, "Binary Compatibility").
  return {
      {"x86-64-v3",
       "x86-64 with AVX2",
       "Intel Haswell and later, AMD Zen and later",
       Kind::kCpu,
       {"avx2", "x86_64_v3", "haswell", "zen2", "zen3"},
       {},
       &isa[0],
       nullptr},
      {"x86-64-v4",
       "x86-64 with AVX-512",
       "Intel Skylake-SP and later, AMD Zen 4 and later",
       Kind::kCpu,
       {"avx512", "avx_512", "x86_64_v4", "skylake_sp", "zen4", "zen5"},
       {"x86-64-v3"},
       &isa[1],
       nullptr},
      {"armv8-a",
       "64-bit Arm with NEON",
       "AWS Graviton, Raspberry Pi 4 and 5, Apple M, Jetson CPUs",
       Kind::kCpu,
       {"aarch64", "arm64", "neon", "graviton", "graviton2", "graviton3", "raspberry_pi_4", "raspberry_pi_5"},
       {},
       &isa[2],
       nullptr},
      nvidia("sm_75", "NVIDIA Turing (sm_75)", "T4, RTX 2080, GTX 1660",
             {"t4", "turing", "rtx_2060", "rtx_2070", "rtx_2080", "rtx_2080_ti", "gtx_1650", "gtx_1660"}),
      nvidia("sm_80", "NVIDIA Ampere (sm_80)", "A100, A30", {"a100", "a30", "ampere"}),
      nvidia("sm_86", "NVIDIA Ampere (sm_86)", "RTX 3090, A10, A10G, A40, RTX A6000",
             {"rtx_3050", "rtx_3060", "rtx_3070", "rtx_3080", "rtx_3090", "rtx_3090_ti", "a10", "a10g", "a40", "a2",
              "a16", "rtx_a4000", "rtx_a5000", "rtx_a6000"},
             {"sm_80"}),
      nvidia("sm_87", "NVIDIA Jetson Orin (sm_87)", "Jetson AGX Orin, Orin NX, Orin Nano",
             {"jetson_orin", "jetson_agx_orin", "jetson_orin_nx", "jetson_orin_nano", "orin"}),
      nvidia("sm_89", "NVIDIA Ada (sm_89)", "RTX 4090, L4, L40S",
             {"rtx_4060", "rtx_4070", "rtx_4080", "rtx_4090", "l4", "l40", "l40s", "rtx_6000_ada", "ada"},
             {"sm_80", "sm_86"}),
      nvidia("sm_90a", "NVIDIA Hopper (sm_90a)", "H100, H200, GH200",
             {"sm_90", "h100", "h200", "h20", "gh200", "hopper"}),
      nvidia("sm_100", "NVIDIA Blackwell (sm_100)", "B200, B100, GB200", {"b100", "b200", "gb200", "blackwell"}),
      nvidia("sm_120", "NVIDIA Blackwell (sm_120)", "RTX 5090, RTX PRO 6000",
             {"rtx_5060", "rtx_5070", "rtx_5080", "rtx_5090", "rtx_pro_6000"}),
  };
}

// "NVIDIA GeForce RTX 4090" and "rtx-4090" are both "rtx_4090".
std::string normalise(std::string_view name) {
  std::string text;
  for (char c : name)
    text += c == '-' || c == ' ' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (std::string_view maker : {"nvidia_", "geforce_", "tesla_"})
    if (text.starts_with(maker)) text.erase(0, maker.size());
  return text;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      std::size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

base::Result<const TargetInfo*> probe_host() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
    return find_canonical("x86-64-v4");
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
      __builtin_cpu_supports("bmi2"))
    return find_canonical("x86-64-v3");
  return fail(Code::kUnsupported, "this CPU lacks AVX2 and FMA, which engines for x86-64 need");
#elif defined(__aarch64__)
  return find_canonical("armv8-a");
#else
  return fail(Code::kUnsupported, "no engines exist for this machine's CPU: x86-64 and 64-bit Arm are supported");
#endif
}

}  // namespace

std::span<const TargetInfo> targets() {
  static const std::vector<TargetInfo> rows = make_rows();
  return rows;
}

const TargetInfo* find_canonical(std::string_view name) {
  for (const auto& row : targets())
    if (row.name == name) return &row;
  return nullptr;
}

base::Result<const TargetInfo*> find(std::string_view name) {
  std::string wanted = normalise(name);
  if (wanted == "host") return probe_host();
  for (const auto& row : targets())
    if (normalise(row.name) == wanted || std::ranges::find(row.aliases, wanted) != row.aliases.end()) return &row;
  auto near = nearest_names(name);
  if (near.empty())
    return fail(Code::kNotFound, "unknown target '{}'; 'xinfer-cli targets' lists the known ones", name);
  return fail(Code::kNotFound, "unknown target '{}'; did you mean {}?", name, fmt::join(near, ", "));
}

std::vector<std::string> nearest_names(std::string_view name, std::size_t limit) {
  std::string wanted = normalise(name);
  std::vector<std::pair<std::size_t, std::string>> candidates;
  auto consider = [&](std::string_view candidate) {
    std::size_t distance = edit_distance(wanted, normalise(candidate));
    if (distance <= std::max<std::size_t>(2, wanted.size() / 3)) candidates.emplace_back(distance, candidate);
  };
  for (const auto& row : targets()) {
    consider(row.name);
    for (auto alias : row.aliases) consider(alias);
  }
  consider("host");
  std::ranges::stable_sort(candidates, {}, &std::pair<std::size_t, std::string>::first);
  std::vector<std::string> names;
  for (auto& [distance, candidate] : candidates)
    if (names.size() < limit) names.push_back(std::move(candidate));
  return names;
}

base::Result<HardwareTarget> parse(std::string_view text) {
  auto colon = text.find(':');
  std::string_view precision = "fp32";
  if (colon != std::string_view::npos) {
    precision = text.substr(colon + 1);
    if (std::ranges::find(kPrecisions, precision) == kPrecisions.end())
      return fail(Code::kInvalidArgument, "unknown precision '{}' in target '{}'; known are {}", precision, text,
                  fmt::join(kPrecisions, ", "));
  }
  XI_TRY(const TargetInfo* row, find(text.substr(0, colon)));
  return HardwareTargetFactory::make(row->name, precision);
}

base::Result<HardwareTarget> host() { return parse("host"); }

base::Result<void> check_buildable(const HardwareTarget& target) {
  const TargetInfo* row = find_canonical(target.architecture());
  if (!row) return fail(Code::kNotFound, "unknown target '{}'", target.architecture());
  const std::string& precision = target.precision();
  if (row->kind == Kind::kCpu && precision != "fp32")
    return fail(Code::kUnsupported, "{}: precision {} is not supported on CPU targets by this version; use fp32",
                row->name, precision);
  if (row->kind == Kind::kNvidia && precision == "int8")
    return fail(Code::kUnsupported, "{}: precision int8 is not supported by this version; use fp16, bf16 or fp32",
                row->name);
  if (row->kind == Kind::kNvidia && precision == "bf16" && row->gpu->sm < 80)
    return fail(Code::kUnsupported, "{}: this hardware has no bfloat16; use fp16 or fp32", row->name);
  return {};
}

bool runs_on(std::string_view engine, std::string_view machine) {
  if (engine == machine) return true;
  if (const TargetInfo* row = find_canonical(machine)) return std::ranges::find(row->runs, engine) != row->runs.end();
  // A device newer than this version: CUDA's own rule, for what is neither a Jetson's nor for one architecture alone.
  auto capability = [](std::string_view name) {
    int number = 0;
    auto [end, problem] = std::from_chars(name.data() + std::min<std::size_t>(3, name.size()), name.data() + name.size(), number);
    return name.starts_with("sm_") && problem == std::errc() && end == name.data() + name.size() ? number : 0;
  };
  const int needed = capability(engine), there = capability(machine);
  return needed > 0 && needed != kJetsonOrin && needed / 10 == there / 10 && needed < there;
}

}  // namespace xinfer::target
