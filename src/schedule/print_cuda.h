// Loop nests as CUDA C++.
#pragma once
#include "forge/cuda/kernel.h"
#include "schedule/loop_nest.h"
#include "target/isa.h"

namespace xinfer::schedule {

/// The kernel of one nest (from a builder in NestStyle::kWhole). Its parameters are the builder's operands in order, then
/// the output. Every buffer begins at a multiple of 64 bytes.
forge::KernelSource print_cuda_kernel(NestBuilder& builder, const Nest& nest, const Storage& output,
                                      const target::GpuIsa& gpu);

}  // namespace xinfer::schedule
