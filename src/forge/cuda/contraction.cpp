#include "forge/cuda/contraction.h"

#include <algorithm>

#include "forge/cuda/general.h"
#include "forge/cuda/source.h"

namespace xinfer::forge::cuda {
namespace {

double elements_in(const ConvProblem& p) { return double(p.batch * p.in_channels * p.in[0]) * double(p.in[1] * p.in[2]); }
double elements_out(const ConvProblem& p) { return double(p.batch * p.out_channels * p.out[0]) * double(p.out[1] * p.out[2]); }
double taps(const ConvProblem& p) { return double(p.kernel[0] * p.kernel[1] * p.kernel[2]); }

Candidates collect(const ConvProblem& p, const target::GpuIsa& gpu) {
  Candidates all;
  add_depthwise(p, gpu, all);
  add_stem(p, gpu, all);
  add_small_channels(p, gpu, all);
  add_tensor_core(p, gpu, all);
  add_pipeline(p, gpu, all);
  if (all.empty()) add_simt(p, gpu, all);
  return all;
}
Candidates collect(const MatMulProblem& given, const target::GpuIsa& gpu) {
  const MatMulProblem p = fold_batch(given);
  Candidates all;
  add_tensor_core(p, gpu, all);
  add_pipeline(p, gpu, all);
  if (all.empty()) add_simt(p, gpu, all);
  return all;
}
Candidates collect(const PoolProblem& p, const target::GpuIsa& gpu) {
  Candidates all;
  add_pool(p, gpu, all);
  return all;
}

Solved solve(const ConvProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  if (text == kGeneral) return general_conv(p, epilogue);
  if (text.starts_with("depthwise")) return solve_depthwise(p, text, epilogue, gpu);
  if (text.starts_with("stem")) return solve_stem(p, text, epilogue, gpu);
  if (text.starts_with("gather")) return solve_small_channels(p, text, epilogue, gpu);
  if (text.starts_with("pipeline")) return solve_pipeline(p, text, epilogue, gpu);
  if (text.starts_with("simt")) return solve_simt(p, text, epilogue, gpu);
  return solve_tensor_core(p, text, epilogue, gpu);
}
Solved solve(const MatMulProblem& given, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  const MatMulProblem p = fold_batch(given);
  if (text == kGeneral) return general_matmul(p, epilogue);
  if (text.starts_with("pipeline")) return solve_pipeline(p, text, epilogue, gpu);
  if (text.starts_with("simt")) return solve_simt(p, text, epilogue, gpu);
  return solve_tensor_core(p, text, epilogue, gpu);
}
Solved solve(const PoolProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  if (text == kGeneral) return general_pool(p, epilogue);
  return solve_pool(p, text, epilogue, gpu);
}

}  // namespace

DType output_dtype(DType problem, const Epilogue& epilogue) {
  if (epilogue.output != DType::kUndefined) return epilogue.output;
  return forge::is_narrow(problem) ? DType::kInt32 : problem;
}

double flops_of(const ConvProblem& p) {
  const double sums = p.transposed ? elements_in(p) * double(p.out_channels) : elements_out(p) * double(p.in_channels);
  return 2 * sums / double(p.groups) * taps(p);
}
double flops_of(const MatMulProblem& p) { return 2 * double(matrices_of(p)) * double(p.m) * double(p.n) * double(p.k); }
double bytes_of(const ConvProblem& p) {
  const double weights = double(p.in_channels * p.out_channels / p.groups) * taps(p);
  return double(tensor::size_of(p.dtype)) * (elements_in(p) + elements_out(p) + weights);
}
double bytes_of(const MatMulProblem& p) {
  const double a = double(tensor::num_elements(p.batch_a)) * double(p.m * p.k), b = double(tensor::num_elements(p.batch_b)) * double(p.k * p.n);
  return double(tensor::size_of(p.dtype)) * (a + b + double(matrices_of(p)) * double(p.m * p.n));
}
double bytes_of(const PoolProblem& p) {
  return double(tensor::size_of(p.dtype)) * double(p.batch * p.channels) * double(p.in[0] * p.in[1] * p.in[2] + p.out[0] * p.out[1] * p.out[2]);
}

std::vector<Candidate> candidates(const Problem& problem, const target::GpuIsa& gpu) {
  Candidates all = std::visit([&](const auto& p) { return collect(p, gpu); }, problem);
  if (all.empty()) all.push_back({std::string(kGeneral)});
  std::ranges::stable_sort(all, {}, &Candidate::microseconds);
  return all;
}

base::Result<Solution> solve(const Problem& problem, const std::string& candidate, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  return std::visit([&](const auto& p) { return solve(p, candidate, epilogue, gpu); }, problem);
}

}  // namespace xinfer::forge::cuda
