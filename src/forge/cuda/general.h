// The general templates: every contraction, correct on any problem, one thread an output. What the fast templates do not
// take, and what they are compared with.
#pragma once
#include "forge/cuda/contraction.h"

namespace xinfer::forge::cuda {

inline constexpr std::string_view kGeneral = "general";

[[nodiscard]] base::Result<Solution> general_conv(const forge::ConvProblem& problem, const Epilogue& epilogue);
[[nodiscard]] base::Result<Solution> general_matmul(const forge::MatMulProblem& problem, const Epilogue& epilogue);
[[nodiscard]] base::Result<Solution> general_pool(const forge::PoolProblem& problem, const Epilogue& epilogue);

/// For templates written with these names: the types Element (input), Weight, Sum and Out; XI_PARAMETERS, the kernel's
/// parameters (input, weights, bias or zero point, e0 …, output, indices), XI_OPERANDS(offset, channel), which declares
/// `const float operands[]`, kHasBias, kHasZeroPoint, kFused and the epilogue.
struct Parameters {
  DType dtype = DType::kFloat32;
  bool weights = false, bias = false, constant_bias = true, indices = false, zero_point = false;
};
std::string parameters_source(const Parameters& parameters, const Epilogue& epilogue);

}  // namespace xinfer::forge::cuda
