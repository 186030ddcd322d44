// CUDA kernels as C++ text: what a template of forge hands to codegen.
#pragma once
#include "forge/kernel.h"

namespace xinfer::forge::cuda {

/// `source` is a whole translation unit for NVRTC that defines `extern "C" __global__ void <symbol>(…)`, whose parameters
/// are pointers to device memory: the launch's arguments in order, then its scratch memory when scratch_bytes > 0
/// (64-byte aligned, holding anything).
using forge::KernelSource;

}  // namespace xinfer::forge::cuda
