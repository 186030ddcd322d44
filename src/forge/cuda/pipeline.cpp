// Matrix products and pointwise convolutions through the copy engine and wgmma (templates/pipeline.cuh).
#include <algorithm>
#include <cstdio>
#include <optional>

#include "forge/cuda/tensor_core.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {
namespace {

using base::Code;
using base::fail;

constexpr int kGroups = 2, kDepth = 64;

struct Pipeline {
  bool alternate = true;
  int bm = 128, bn = 128, stages = 4, cluster = 1;
  int stage_bytes() const { return (bm + bn) * kDepth * 2; }
  std::uint32_t shared_bytes() const {
    return static_cast<std::uint32_t>(stages * stage_bytes() + kGroups * 64 * bn * 2 + (stages + 1) * 16 + 1024);
  }
  std::string text() const { return fmt::format("pipeline {}x{} {} stages {} cluster {}", bm, bn, alternate ? "alternate" : "together", stages, cluster); }
};

constexpr Pipeline kShapes[] = {
    {true, 128, 128}, {true, 64, 256}, {true, 64, 128}, {true, 128, 64}, {true, 64, 64}, {true, 64, 192}, {false, 128, 256}, {false, 128, 192}, {false, 256, 128}, {false, 128, 128}, {false, 256, 64},
};

// Of a block: stages that fit beside the finished rows.
int most_stages(Pipeline shape, const target::GpuIsa& gpu) {
  shape.stages = 8;
  while (shape.stages > 0 && static_cast<int>(shape.shared_bytes()) > gpu.shared_bytes) --shape.stages;
  return shape.stages;
}

std::int64_t tiles_of(const Gemm& g, const Pipeline& p) { return ceil_div(g.m, p.bm * p.cluster) * p.cluster * ceil_div(g.n, p.bn); }

std::vector<Pipeline> pipelines_of(const Gemm& g, const target::GpuIsa& gpu) {
  std::vector<Pipeline> all;
  if (gpu.sm != 90 || g.narrow() || !g.pointwise || g.columns_b || g.matrices != 1 || g.k % 8 != 0 || g.n % 8 != 0) return all;
  for (Pipeline p : kShapes)
    for (int cluster : {1, 2}) {
      p.cluster = cluster, p.stages = most_stages(p, gpu);
      const std::int64_t narrowest = std::max<std::int64_t>(64, round_up(g.n, 64));
      // Small products are for the other templates: these blocks have a multiprocessor to themselves.
      if (p.bn > narrowest || tiles_of(g, p) * 2 < gpu.multiprocessors || p.stages < 3) continue;
      all.push_back(p);
      if (p.stages > 4) p.stages = 4, all.push_back(p);
    }
  return all;
}

// Microseconds, about. The constants were fitted to 750 pipelines of 80 problems on an H100 (contraction_bench tune).
double estimate(const Gemm& g, const Pipeline& p, const target::GpuIsa& gpu) {
  const double steps = double(ceil_div(g.k, kDepth)), each = double(ceil_div(tiles_of(g, p), gpu.multiprocessors));
  const double arithmetic = 2.0 * p.bm * p.bn * kDepth / (0.9 * gpu.flops16 / gpu.multiprocessors);
  const double copies = 2.0 * (p.bm + p.bn / p.cluster) * kDepth / 123e3;
  const double output = 2.0 * p.bm * p.bn / (0.77 * gpu.bandwidth / gpu.multiprocessors);
  const double tile = steps * (std::max(arithmetic, copies) + 0.06), finish = output + 1.12;
  const double compute = p.alternate ? each * std::max(tile + 0.385, finish / 2) + finish : each * (tile + output);
  const double memory = g.bytes / (0.89 * gpu.bandwidth) - 0.01 * p.stages;  // of equals more stages are better
  return 0.6 + std::max(compute, memory) + 0.2 * std::min(compute, memory);
}

KernelSource make_kernel(const Gemm& g, const Pipeline& p, const Signature& signature, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  KernelSource kernel;
  kernel.grid = static_cast<std::uint32_t>(std::min<std::int64_t>(tiles_of(g, p), gpu.multiprocessors / p.cluster * p.cluster));
  kernel.threads = (kGroups + 1) * 128;
  kernel.cluster = static_cast<std::uint32_t>(p.cluster);
  kernel.shared_bytes = p.shared_bytes();
  kernel.flops = g.flops(), kernel.bytes = g.bytes, kernel.choice = p.text();
  kernel.tiled = {{0, g.m, g.k, static_cast<std::uint32_t>(p.bm)}, {1, g.n, g.k, static_cast<std::uint32_t>(p.bn / p.cluster)}};
  Constants c;
  c.add("kM", g.m).add("kN", g.n).add("kK", g.k).add("kBM", p.bm).add("kBN", p.bn).add("kStages", p.stages).add("kCluster", p.cluster);
  c.flag("kAlternate", p.alternate);
  assemble(kernel, c, signature, epilogue, {kMmaCuh, wgmma_source(p.bn, g.dtype), kPipelineCuh});
  return kernel;
}

void add(const std::optional<Gemm>& gemm, const target::GpuIsa& gpu, Candidates& to) {
  if (!gemm) return;
  for (const Pipeline& p : pipelines_of(*gemm, gpu)) to.push_back({p.text(), estimate(*gemm, p, gpu)});
}

base::Result<Pipeline> checked(const std::optional<Gemm>& gemm, const std::string& text, const target::GpuIsa& gpu) {
  const std::vector<Pipeline> all = gemm ? pipelines_of(*gemm, gpu) : std::vector<Pipeline>{};
  const auto found = std::ranges::find(all, text, &Pipeline::text);
  if (found == all.end()) return fail(Code::kInvalidArgument, "'{}' is no way to compute this product on {}; tune again", text, gpu.name);
  return *found;
}

// Pixels are rows of a matrix.
std::optional<Gemm> pointwise_gemm(const ConvProblem& p, const target::GpuIsa& gpu) {
  const bool plain = p.stride[1] == 1 && p.stride[2] == 1 && p.pad[1] == 0 && p.pad[2] == 0 && p.in == p.out;
  return plain ? gemm_of(p, gpu) : std::nullopt;
}

}  // namespace

void add_pipeline(const ConvProblem& p, const target::GpuIsa& gpu, Candidates& to) { add(pointwise_gemm(p, gpu), gpu, to); }
void add_pipeline(const MatMulProblem& p, const target::GpuIsa& gpu, Candidates& to) { add(gemm_of(p, gpu), gpu, to); }

Solved solve_pipeline(const ConvProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  const std::optional<Gemm> gemm = pointwise_gemm(p, gpu);
  XI_TRY(const Pipeline pipeline, checked(gemm, text, gpu));
  Signature signature{true, p.bias, false, p.dtype, DType::kFloat32, p.out_channels};
  signature.tiled = true;
  Solution solution{make_kernel(*gemm, pipeline, signature, epilogue, gpu)};
  solution.pack_weights = [p](const tensor::Tensor& constant) { return pack_conv(p, constant); };
  solution.input_layout = solution.output_layout = Layout::kBlocked;
  return solution;
}

Solved solve_pipeline(const MatMulProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  const std::optional<Gemm> gemm = gemm_of(p, gpu);
  XI_TRY(const Pipeline pipeline, checked(gemm, text, gpu));
  Signature signature = matmul_signature(p);
  signature.tiled = true;
  Solution solution{make_kernel(*gemm, pipeline, signature, epilogue, gpu)};
  if (p.constant_b && !p.transpose_b) solution.pack_weights = [p](const tensor::Tensor& constant) { return pack_columns(p, constant); };
  return solution;
}

}  // namespace xinfer::forge::cuda
