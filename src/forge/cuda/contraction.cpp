#include "forge/cuda/contraction.h"

#include "forge/cuda/general.h"

namespace xinfer::forge::cuda {

std::vector<Candidate> candidates(const Problem&, const target::GpuIsa&) { return {{std::string(kGeneral), 0}}; }

base::Result<Solution> solve(const Problem& problem, const std::string& candidate, const Epilogue& epilogue,
                             const target::GpuIsa&) {
  if (candidate != kGeneral)
    return base::fail(base::Code::kInvalidArgument, "there is no kernel '{}' for this contraction", candidate);
  if (const auto* conv = std::get_if<forge::ConvProblem>(&problem)) return general_conv(*conv, epilogue);
  if (const auto* matmul = std::get_if<forge::MatMulProblem>(&problem)) return general_matmul(*matmul, epilogue);
  return general_pool(std::get<forge::PoolProblem>(problem), epilogue);
}

}  // namespace xinfer::forge::cuda
