// Products on tensor cores: what a convolution and a matrix product have in common, tiles and their cost. Internal to
// src/forge/cuda.
#pragma once
#include <optional>

#include "forge/cuda/source.h"

namespace xinfer::forge::cuda {

/// `matrices` products of m x k by k x n. Depth counts pairs of bytes: elements of 16 bits, or two of 8.
struct Gemm {
  std::int64_t m = 1, n = 1, k = 1, matrices = 1;
  bool columns_b = false;  // B lies as [k][n]
  bool pointwise = true;   // A's rows lie side by side
  DType dtype = DType::kFloat16;
  double bytes = 0;  // of A, B and the output
  bool narrow() const { return forge::is_narrow(dtype); }
  double flops() const { return (narrow() ? 4.0 : 2.0) * double(m) * double(n) * double(k) * double(matrices); }
};

/// The product that a problem is, if tensor cores take it.
std::optional<Gemm> gemm_of(const ConvProblem& problem, const target::GpuIsa& gpu);
std::optional<Gemm> gemm_of(const MatMulProblem& problem, const target::GpuIsa& gpu);
/// multiply_group(): wgmma of 64 rows, `bn` columns, 16 of depth, both operands in shared memory.
std::string wgmma_source(int bn, DType dtype);
/// A matrix product's parameters.
Signature matmul_signature(const MatMulProblem& problem);
/// A matrix product's constant B from [k][n] to [n][k].
std::vector<std::byte> pack_columns(const MatMulProblem& problem, const tensor::Tensor& constant);

/// The tile of a block, its warps, the steps in flight, and how many blocks share the depth of one tile: those of a cluster,
/// or where there are no clusters any, whose sums a second kernel adds up (Solution::finish).
struct Tile {
  bool wgmma = false;
  int bm = 64, bn = 64, bk = 64, warps_m = 2, warps_n = 2, stages = 3, split = 1;
  int threads() const { return warps_m * warps_n * 32 * (wgmma ? 4 : 1); }  // wgmma: groups of four warps
  std::uint32_t shared_bytes() const;
  std::string text() const;
};

/// Tile from its text, which need not fit anything.
std::optional<Tile> parse_tile(const std::string& text);
bool fits(const Gemm& gemm, const Tile& tile, const target::GpuIsa& gpu);
inline bool has_clusters(const target::GpuIsa& gpu) { return gpu.sm >= 90; }
/// Every tile worth measuring.
std::vector<Tile> tiles_of(const Gemm& gemm, const target::GpuIsa& gpu);
/// Microseconds, about.
double estimate(const Gemm& gemm, const Tile& tile, const target::GpuIsa& gpu);

}  // namespace xinfer::forge::cuda
