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

}  // namespace xinfer::target
