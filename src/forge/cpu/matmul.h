// Matrix product templates: C[..., m, n] = A[..., m, k] B[..., k, n] (+ bias[n]), batched with broadcasting.
#pragma once
#include <cstdint>
#include <vector>

#include "forge/cpu/kernel.h"
#include "target/isa.h"
#include "tensor/dtype.h"

namespace xinfer::forge::cpu {

struct MatMulProblem {
  std::int64_t m = 1, n = 1, k = 1;
  std::vector<std::int64_t> batch_a, batch_b;     // leading dimensions, numpy broadcasting; empty: none
  bool transpose_a = false;                       // A lies as [..., k, m]
  bool transpose_b = false;                       // B lies as [..., n, k]
  bool constant_b = false;                        // B is a constant without batch dimensions (or all 1): it is packed
  bool bias = false;                              // [n], float32 only
  tensor::DType dtype = tensor::DType::kFloat32;  // others (float64, integers): plain loops, no bias, no epilogue
};

/// Arguments: A, B (packed if constant), [bias], operands, output. Layouts are kPlain. The epilogue's `channel` is the
/// column. A constant bias may stay as it is (pack_bias is empty).
KernelChoice choose_matmul(const MatMulProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue = {});

}  // namespace xinfer::forge::cpu
