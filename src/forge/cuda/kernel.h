// CUDA kernels as C++ text: what a template of forge hands to codegen.
#pragma once
#include <cstdint>
#include <string>

namespace xinfer::forge::cuda {

/// A kernel's source and how it is launched. `source` is a whole translation unit for NVRTC that defines
/// `extern "C" __global__ void <symbol>(…)`; the symbol is a digest of the source, so equal kernels are one.
struct KernelSource {
  std::string symbol;
  std::string source;
  std::uint32_t grid = 1, threads = 32,
                cluster = 1;       // blocks, threads of a block, blocks of a cluster (sm_90 and later)
  std::uint32_t shared_bytes = 0;  // dynamic shared memory
  double flops = 0, bytes = 0;
  std::string choice;  // template and tunables in words
};

}  // namespace xinfer::forge::cuda
