// The registry of hardware targets: what exists, how it is called, what runs where, and what this machine is.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "target/isa.h"
#include "xinfer/target.h"

namespace xinfer::target {

enum class Kind { kCpu, kNvidia };

/// One architecture that engines are compiled for.
struct TargetInfo {
  std::string_view name;          // canonical: "x86-64-v4", "sm_89"
  std::string_view display_name;  // for people: "NVIDIA Ada (sm_89)"
  std::string_view hardware;      // examples: "RTX 4090, L4, L40S"
  Kind kind;
  std::vector<std::string_view> aliases;  // normalised: lower case, words joined by '_'
  std::vector<std::string_view> runs;     // other architectures whose engines this one runs
  const CpuIsa* isa = nullptr;            // of CPU targets
  const GpuIsa* gpu = nullptr;            // of NVIDIA targets
};

/// All rows: CPU targets first, then NVIDIA by compute capability.
std::span<const TargetInfo> targets();

/// The row of a canonical name or alias; "host" is this machine's CPU. Case, '-', '_' and blanks do not matter.
/// kNotFound lists the nearest names; kUnsupported when "host" is no CPU that engines can be built for.
[[nodiscard]] base::Result<const TargetInfo*> find(std::string_view name);
/// The row of exactly this canonical name, or null.
const TargetInfo* find_canonical(std::string_view name);

/// Names and aliases nearest to `name` by edit distance, best first, at most `limit`; none when nothing is near.
std::vector<std::string> nearest_names(std::string_view name, std::size_t limit = 3);

/// "NAME[:PRECISION]" with the errors of find(); kInvalidArgument for an unknown precision.
[[nodiscard]] base::Result<HardwareTarget> parse(std::string_view text);
/// The best CPU target of this machine in fp32. kUnsupported on a CPU without AVX2 and FMA.
[[nodiscard]] base::Result<HardwareTarget> host();

/// Whether this version builds engines for the target in its precision. kUnsupported says what to do. What the machine at
/// hand lacks to do so (Clang, NVRTC) is codegen's to say.
[[nodiscard]] base::Result<void> check_buildable(const HardwareTarget& target);

/// Whether a machine of architecture `machine` (canonical) executes engines built for `engine` (canonical).
bool runs_on(std::string_view engine, std::string_view machine);

}  // namespace xinfer::target
