// First layers with an even stride (templates/stem.cuh).
#include <algorithm>
#include <cstdio>

#include "forge/cuda/prelude.h"
#include "forge/cuda/source.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {
namespace {

// A block's outputs in a row and channels.
struct Tile {
  int bm = 0, bn = 64;
  std::string text() const { return fmt::format("stem {}x{}", bm, bn); }
};

std::int64_t depth_of(const ConvProblem& p) { return round_up(p.in_channels * p.kernel[1] * 8, 16); }

std::uint32_t shared_bytes(const ConvProblem& p, const Tile& t) {
  const std::int64_t depth = depth_of(p), patch = round_up(depth / 8 * ((t.bm - 1) * p.stride[2] + 8) * 2, 16);
  return static_cast<std::uint32_t>(std::max<std::int64_t>(patch + t.bn * (depth * 2 + 16), t.bm * (t.bn + 4) * 4));
}

std::vector<Tile> tiles_of(const ConvProblem& p, const target::GpuIsa& gpu) {
  std::vector<Tile> all;
  const bool fits = has_few_channels(p, gpu) && p.stride[2] % 2 == 0 && p.kernel[2] <= 8 && p.dilation[1] == 1 && p.dilation[2] == 1;
  for (int warps = 1; fits && warps <= 8; ++warps)
    for (int bn : {32, 64}) {
      const Tile tile{16 * warps, bn};
      if (p.out[2] % tile.bm == 0 && (bn == 32 || p.out_channels > 32) && static_cast<int>(shared_bytes(p, tile)) <= gpu.shared_bytes) all.push_back(tile);
    }
  return all;
}

std::int64_t blocks_of(const ConvProblem& p, const Tile& t) {
  return p.batch * p.out[1] * (p.out[2] / t.bm) * ceil_div(padded_channels(p.out_channels), t.bn);
}

// [out][in][ky][kx] to [padded out][in][ky][8], zeros up to the depth.
std::vector<std::byte> pack(const ConvProblem& p, const tensor::Tensor& constant) {
  const std::vector<float> from = floats_of(constant);
  const std::int64_t depth = depth_of(p), rows = p.in_channels * p.kernel[1], kw = p.kernel[2];
  std::vector<float> to(static_cast<std::size_t>(padded_channels(p.out_channels) * depth));
  for (std::int64_t o = 0; o < p.out_channels; ++o)
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t kx = 0; kx < kw; ++kx)
        to[static_cast<std::size_t>(o * depth + row * 8 + kx)] = from[static_cast<std::size_t>((o * rows + row) * kw + kx)];
  return bytes_of(to, p.dtype);
}

}  // namespace

void add_stem(const ConvProblem& p, const target::GpuIsa& gpu, Candidates& to) {
  for (const Tile& t : tiles_of(p, gpu)) {
    // Blocks are alike in latency: large ones, as long as all multiprocessors have some.
    const double blocks = static_cast<double>(blocks_of(p, t)), each = blocks / gpu.multiprocessors, copy = p.plain_input ? 0 : 2;
    const double work = std::max(std::max(1.0, each * t.bm / 512) * 1.5, bytes_of(p) / (0.6 * gpu.bandwidth));
    to.push_back({t.text(), 1.5 + copy + work + 16.0 / t.bm + 0.0025 * blocks});
  }
}

Solved solve_stem(const ConvProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  const auto all = tiles_of(p, gpu);
  const auto t = std::ranges::find(all, text, [](const Tile& tile) { return tile.text(); });
  if (t == all.end()) return base::fail(base::Code::kInvalidArgument, "'{}' is no way to compute this convolution; tune again", text);
  Solution solution;
  solution.input_dtype = plain_input_dtype(p);
  KernelSource& kernel = solution.kernel;
  kernel.grid = static_cast<std::uint32_t>(blocks_of(p, *t));
  kernel.threads = static_cast<std::uint32_t>(t->bm * 2);
  kernel.shared_bytes = shared_bytes(p, *t);
  kernel.flops = flops_of(p);
  kernel.bytes = bytes_of(p);
  kernel.choice = text;
  Constants c;
  add_window(c, p);
  c.add("kImages", p.batch).add("kC", p.in_channels).add("kM", p.batch * p.out[1] * p.out[2]).add("kN", padded_channels(p.out_channels));
  c.add("kDepth", depth_of(p)).add("kBM", t->bm).add("kBN", t->bn).add("kWarpsM", t->bm / 16).add("kWarpsN", 1).add("kSplitK", 1).flag("kPartial", false).flag("kWgmma", false);
  c.type("Input", element_type(solution.input_dtype));
  assemble(kernel, c, {true, p.bias, false, p.dtype, DType::kFloat32, p.out_channels}, epilogue, {kMmaCuh, kFinishCuh, kTileCuh, kStemCuh});
  solution.pack_weights = [p](const tensor::Tensor& constant) { return pack(p, constant); };
  solution.output_layout = Layout::kBlocked;
  return solution;
}

}  // namespace xinfer::forge::cuda
