// What a cost model knows of a machine: peak arithmetic, bandwidths, cores. Measured for this one, by datasheet for others.
#pragma once
#include <cstdint>
#include <string>

#include "base/error.h"
#include "target/registry.h"

namespace xinfer::target {

struct Machine {
  std::string name;       // "this machine, AMD EPYC …", "AWS Graviton2"
  bool measured = false;  // else from datasheets: a stand-in for many machines
  bool is_gpu = false;    // then one core is the whole device
  int cores = 1;          // that this process may use
  double frequency = 0;   // cycles a second of one core under vector load
  double flops = 0;       // float32 a second of one core, a fused multiply-add being two
  double flops16 = 0;     // of a GPU's tensor cores
  double core_flops = 0;  // float32 a cycle of the core that forge's cost model of CPU contractions is made for
  // Bytes a second that one core reads from its second-level cache, from the last-level cache, and from memory.
  double level2_bandwidth = 0, level3_bandwidth = 0, memory_bandwidth = 0;
  double level2_bytes = 0, level3_bytes = 0;  // sizes of those caches
  double all_memory_bandwidth = 0;            // bytes a second of all cores together

  /// Bytes a second of one core that goes round and round over `bytes`: between two levels, part comes from each.
  double bandwidth(double bytes) const;
};

/// Measures this machine as its engines for `isa` would use it, in about a tenth of a second: the best of short runs, since
/// others can only slow a run down. kUnsupported where this machine does not run them.
[[nodiscard]] base::Result<Machine> measure_host(const TargetInfo& target);

/// A usual machine of that target, by its maker's figures; the name says which.
Machine typical_machine(const TargetInfo& target);

}  // namespace xinfer::target
