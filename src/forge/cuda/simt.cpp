// Products without tensor cores, any floating type (templates/simt.cuh).
#include <algorithm>

#include "forge/cuda/prelude.h"
#include "forge/cuda/source.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {
namespace {

using base::Code;
using base::fail;

struct Tile {
  int bm = 64, bn = 64, bk = 16, tm = 4, tn = 4;
  int threads() const { return bm / tm * (bn / tn); }
  std::uint32_t shared_bytes() const { return static_cast<std::uint32_t>(2 * bk * (bm + 4 + bn + 4) * 4); }
  std::string text() const { return fmt::format("simt {}x{}x{} sums {}x{}", bm, bn, bk, tm, tn); }
};
constexpr Tile kTiles[] = {{128, 128, 8, 8, 8}, {128, 64, 16, 8, 4}, {64, 64, 16, 4, 4}, {32, 64, 16, 4, 4}, {32, 32, 32, 4, 4}};

double estimate(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t matrices, double bytes, const Tile& t, const target::GpuIsa& gpu) {
  const double blocks = static_cast<double>(matrices * ceil_div(m, t.bm) * ceil_div(n, t.bn));
  const double resident = std::clamp(blocks / gpu.multiprocessors, 1.0, 512.0 / t.threads());
  const double waves = std::max(1.0, blocks / (gpu.multiprocessors * resident));
  const double rate = gpu.flops32 / gpu.multiprocessors * (t.tm * t.tn >= 64 ? 0.7 : t.tm * t.tn >= 32 ? 0.6 : 0.45);
  const double step = std::max(2.0 * t.bm * t.bn * t.bk * resident / rate, 0.7);
  return std::max(2.0 + waves * static_cast<double>(ceil_div(k, t.bk)) * step, bytes / gpu.bandwidth);
}

base::Result<Tile> parse(const std::string& text) {
  const auto tile = std::ranges::find_if(kTiles, [&](const Tile& t) { return t.text() == text; });
  if (tile == std::end(kTiles)) return fail(Code::kInvalidArgument, "'{}' is no way to compute this product; tune again", text);
  return *tile;
}

void add_tile(Constants& c, const Tile& t) {
  c.add("kBM", t.bm).add("kBN", t.bn).add("kBK", t.bk).add("kTM", t.tm).add("kTN", t.tn);
}

KernelSource kernel_of(const Tile& t, std::int64_t m, std::int64_t n, std::int64_t matrices) {
  KernelSource kernel;
  kernel.grid = static_cast<std::uint32_t>(matrices * ceil_div(m, t.bm) * ceil_div(n, t.bn));
  kernel.threads = static_cast<std::uint32_t>(t.threads());
  kernel.shared_bytes = t.shared_bytes();
  kernel.choice = t.text();
  return kernel;
}

bool is_plain_conv(const ConvProblem& p) {
  return p.groups == 1 && p.spatial_rank <= 2 && p.constant_weights && is_computed(p.dtype);
}

}  // namespace

void add_simt(const ConvProblem& p, const target::GpuIsa& gpu, Candidates& to) {
  if (!is_plain_conv(p)) return;
  const std::int64_t m = p.batch * p.out[1] * p.out[2], n = padded_channels(p.out_channels), k = p.kernel[1] * p.kernel[2] * padded_channels(p.in_channels);
  for (const Tile& t : kTiles) to.push_back({t.text(), estimate(m, n, k, 1, bytes_of(p), t, gpu)});
}

void add_simt(const MatMulProblem& p, const target::GpuIsa& gpu, Candidates& to) {
  if (!is_computed(p.dtype)) return;
  for (const Tile& t : kTiles) to.push_back({t.text(), estimate(p.m, p.n, p.k, matrices_of(p), bytes_of(p), t, gpu)});
}

Solved solve_simt(const ConvProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa&) {
  XI_TRY(const Tile tile, parse(text));
  if (!is_plain_conv(p)) return fail(Code::kInvalidArgument, "'{}' is no way to compute this convolution; tune again", text);
  const std::int64_t m = p.batch * p.out[1] * p.out[2], n = padded_channels(p.out_channels);
  Constants c;
  add_window(c, p);
  c.add("kImages", p.batch).add("kC", padded_channels(p.in_channels)).add("kM", m).add("kN", n);
  c.flag("kConvolution", true).flag("kTransposed", p.transposed).flag("kTransposeA", false).flag("kColumnsB", false);
  add_tile(c, tile);
  Solution solution{kernel_of(tile, m, n, 1)};
  solution.kernel.flops = flops_of(p);
  solution.kernel.bytes = bytes_of(p);
  assemble(solution.kernel, c, {true, p.bias, false, p.dtype, DType::kFloat32, p.out_channels}, epilogue, {kOneMatrix, kSimtCuh});
  solution.pack_weights = [p](const tensor::Tensor& constant) { return pack_conv(p, constant); };
  solution.input_layout = solution.output_layout = Layout::kBlocked;
  return solution;
}

Solved solve_simt(const MatMulProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa&) {
  XI_TRY(const Tile tile, parse(text));
  if (!is_computed(p.dtype)) return fail(Code::kInvalidArgument, "'{}' does not take {}", text, tensor::name(p.dtype));
  ConvProblem rows;  // of one pixel each
  rows.in[1] = rows.out[1] = p.m;
  Constants c;
  add_window(c, rows);
  c.add("kImages", 1).add("kC", p.k).add("kM", p.m).add("kN", p.n);
  c.flag("kConvolution", false).flag("kTransposed", false).flag("kTransposeA", p.transpose_a).flag("kColumnsB", !p.transpose_b);
  add_tile(c, tile);
  Solution solution{kernel_of(tile, p.m, p.n, matrices_of(p))};
  solution.kernel.flops = flops_of(p);
  solution.kernel.bytes = bytes_of(p);
  const DType bias = p.constant_b ? DType::kFloat32 : p.dtype;
  assemble(solution.kernel, c, {true, p.bias, false, p.dtype, bias, p.n}, epilogue, {matrices_source(p), kSimtCuh});
  return solution;
}

}  // namespace xinfer::forge::cuda
