// Convolution templates: which one a convolution gets, its kernel, and how its weights are packed.
#pragma once
#include "forge/cpu/kernel.h"
#include "target/isa.h"

namespace xinfer::forge::cpu {

using forge::ConvProblem;

/// Chooses template and tunables for `isa`. Rank 3 and 5 tensors are always kPlain; a rank-3 convolution may be given as
/// rank 4 with height 1, which is the faster way. Arguments: input, weights, [bias], operands, output.
KernelChoice choose_conv(const ConvProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue = {});

}  // namespace xinfer::forge::cpu
