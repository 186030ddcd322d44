// What a code generator needs to know of a CPU instruction set.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace xinfer::target {

/// One CPU code-generation target. The rows are in the registry (registry.cpp).
struct CpuIsa {
  std::string_view name;                // "x86-64-v3", "x86-64-v4", "armv8-a"
  std::string_view triple;              // for Clang's -target
  std::vector<std::string_view> flags;  // for Clang, beside the common ones
  int vector_lanes;                     // float32 lanes of a vector register: 8, 16, 4
  int vector_registers;                 // 16, 32, 32
  std::string_view emulator;            // runs it elsewhere: "qemu-aarch64"; empty where only the hardware does
};

/// One GPU code-generation target, with the figures of the hardware that it is mostly used for: the cost model's.
struct GpuIsa {
  std::string_view name;       // for NVRTC's -arch: "sm_80", "sm_90a"
  int sm;                      // compute capability as a number: 75, 80, … 120
  int multiprocessors;
  int shared_bytes;            // that one block may have
  double bandwidth;            // bytes of device memory a microsecond
  double flops16, flops32;     // a microsecond: 16-bit tensor cores with float32 sums; float32 without them
};

}  // namespace xinfer::target
