// Pooling templates: maximum, average and Lp, over windows or whole planes.
#pragma once
#include "forge/cpu/kernel.h"
#include "target/isa.h"

namespace xinfer::forge::cpu {

using forge::PoolProblem;

/// Arguments: input, operands, output, [indices]. Epilogues: float32 without indices.
KernelChoice choose_pool(const PoolProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue = {});

}  // namespace xinfer::forge::cpu
