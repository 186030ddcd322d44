// Matrix product templates: C[..., m, n] = A[..., m, k] B[..., k, n] (+ bias[n]), batched with broadcasting.
#pragma once
#include "forge/cpu/kernel.h"
#include "target/isa.h"

namespace xinfer::forge::cpu {

using forge::MatMulProblem;

/// Arguments: A, B (packed if constant), [bias], operands, output. Layouts are kPlain. The epilogue's `channel` is the
/// column. A constant bias may stay as it is (pack_bias is empty).
KernelChoice choose_matmul(const MatMulProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue = {});

}  // namespace xinfer::forge::cpu
