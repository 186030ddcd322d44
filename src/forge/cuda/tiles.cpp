// Tiles of products on tensor cores: which there are and what they cost.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "forge/cuda/tensor_core.h"

namespace xinfer::forge::cuda {
namespace {

// Threads, registers and shared memory of a multiprocessor. The last is what one block may have and the kilobyte that
// the hardware keeps for each.
int blocks_at_once(const Tile& t, const target::GpuIsa& gpu) {
  const int threads = gpu.sm == 75 ? 1024 : gpu.sm == 80 || gpu.sm == 90 || gpu.sm == 100 ? 2048 : 1536;
  const int registers = std::min(255, 64 + t.bm * t.bn / t.threads());
  const int by_shared = (gpu.shared_bytes + 1024) / static_cast<int>(t.shared_bytes() + 1024);
  return std::max(1, std::min({by_shared, threads / t.threads(), 65536 / (registers * t.threads())}));
}

std::int64_t blocks_of(const Gemm& g, const Tile& t) {
  return g.matrices * ceil_div(g.m, t.bm) * ceil_div(g.n, t.bn) * t.split;
}

constexpr Tile kShapes[] = {
    {false, 64, 64, 64, 2, 2},   {false, 128, 64, 64, 4, 2},  {false, 32, 32, 64, 2, 2},   {false, 32, 64, 64, 2, 2},
    {false, 64, 32, 64, 4, 1},   {false, 64, 128, 64, 2, 4},  {false, 128, 128, 64, 4, 2}, {false, 128, 128, 64, 2, 2},
    {false, 128, 256, 64, 2, 4}, {false, 256, 128, 64, 4, 2}, {false, 32, 128, 64, 1, 4},  {false, 16, 64, 64, 1, 4},
    {false, 16, 128, 64, 1, 4},  {false, 128, 32, 64, 4, 1},  {false, 128, 16, 64, 4, 1},  {false, 64, 16, 64, 4, 1},
    {false, 128, 96, 64, 4, 2},  {false, 64, 96, 64, 2, 2},   {false, 128, 64, 32, 4, 2},  {false, 128, 32, 32, 4, 1},
    {false, 128, 128, 32, 4, 2}, {false, 64, 64, 32, 2, 2},   {false, 128, 96, 32, 4, 2},  {false, 128, 16, 32, 4, 1},
    {true, 64, 64, 64, 1, 1},    {true, 64, 128, 64, 1, 1},   {true, 64, 256, 64, 1, 1},   {true, 128, 64, 64, 2, 1},
    {true, 128, 128, 64, 2, 1},  {true, 128, 192, 64, 2, 1},  {true, 128, 256, 64, 2, 1},  {true, 256, 128, 64, 2, 1},
    {true, 192, 128, 64, 3, 1},  {true, 256, 64, 64, 4, 1},
};

}  // namespace

std::uint32_t Tile::shared_bytes() const {
  return static_cast<std::uint32_t>(std::max(stages * (bm + bn) * bk * 2, bm * (bn + 4) * 4) + (wgmma ? 1024 : 0));
}

std::string Tile::text() const {
  return fmt::format("{} {}x{}x{} warps {}x{} stages {} split {}", wgmma ? "wgmma" : "mma", bm, bn, bk, warps_m, warps_n, stages, split);
}

std::optional<Tile> parse_tile(const std::string& text) {
  Tile t;
  t.wgmma = text.starts_with("wgmma ");
  const int fields = std::sscanf(text.c_str(), t.wgmma ? "wgmma %dx%dx%d warps %dx%d stages %d split %d" : "mma %dx%dx%d warps %dx%d stages %d split %d",
                                 &t.bm, &t.bn, &t.bk, &t.warps_m, &t.warps_n, &t.stages, &t.split);
  if (fields != 7 || t.text() != text) return std::nullopt;
  const bool known = std::ranges::any_of(kShapes, [&](const Tile& s) {
    return s.wgmma == t.wgmma && s.bm == t.bm && s.bn == t.bn && s.bk == t.bk && s.warps_m == t.warps_m && s.warps_n == t.warps_n;
  });
  if (!known || t.stages < 2 || t.stages > 8 || t.split < 1 || t.split > 8) return std::nullopt;
  return t;
}

bool fits(const Gemm& g, const Tile& t, const target::GpuIsa& gpu) {
  const int rows_pass = t.threads() / (t.bk / 8), rows_b = g.columns_b ? t.bk : t.bn;
  const int rows_pass_b = t.threads() / (g.columns_b ? t.bn / 8 : t.bk / 8);
  const std::int64_t steps = ceil_div(g.k, t.bk), each = ceil_div(steps, t.split);
  if (t.wgmma && (gpu.sm != 90 || g.narrow() || g.columns_b || t.stages < 3)) return false;
  if (g.columns_b && (t.bn < 64 || (t.bn & (t.bn - 1)) != 0)) return false;
  return t.bm % rows_pass == 0 && rows_b % rows_pass_b == 0 && t.bm * t.bn / t.threads() <= 128 &&
         static_cast<int>(t.shared_bytes()) <= gpu.shared_bytes && t.bm * t.bn / 8 % t.split == 0 && each * (t.split - 1) < steps;
}

std::vector<Tile> tiles_of(const Gemm& g, const target::GpuIsa& gpu) {
  std::vector<Tile> all;
  const std::int64_t widest = std::max<std::int64_t>(32, round_up(g.n, 32));
  for (Tile tile : kShapes) {
    if (tile.bn > widest || (tile.bn == 16 && g.n > 48) || (tile.bk == 32 && g.k > 256)) continue;
    for (int stages : {6, 5, 4, 3, 2})  // of equals more are better
      for (int split : {1, 2, 4, 8}) {
        tile.stages = stages, tile.split = split;
        const std::int64_t steps = ceil_div(ceil_div(g.k, tile.bk), split), blocks = blocks_of(g, tile);
        // Before sm_80 copies are not asynchronous: more stages gain nothing.
        if (stages > std::max<std::int64_t>(steps + 1, tile.wgmma ? 3 : 2) || (stages > 2 && gpu.sm < 80)) continue;
        if (stages > 4 && !tile.wgmma) continue;
        if (stages == 2 && steps > 2 && gpu.sm >= 80) continue;
        if (split > 1 && blocks > 2 * gpu.multiprocessors) continue;
        if (blocks > 8 * gpu.multiprocessors && tile.bm * tile.bn < 64 * 64 && g.n > tile.bn) continue;
        if (fits(g, tile, gpu)) all.push_back(tile);
      }
  }
  return all;
}

// The constants were fitted to 6900 tiles of 153 problems on an H100 (contraction_bench tune): the tile that this model
// puts first is 4 % slower than the fastest on average, 37 % at worst.
double estimate(const Gemm& g, const Tile& t, const target::GpuIsa& gpu) {
  const std::int64_t blocks = blocks_of(g, t), at_once = blocks_at_once(t, gpu), multiprocessors = gpu.multiprocessors;
  const double steps = double(ceil_div(ceil_div(g.k, t.bk), t.split)), each = double(blocks) / double(multiprocessors);
  const double rate = gpu.flops16 / gpu.multiprocessors * (t.wgmma ? 0.83 : gpu.sm >= 90 ? 0.3 : 0.7);
  const double arithmetic = 2.0 * t.bm * t.bn * t.bk / rate;
  const double copies = 2.0 * (t.bm + t.bn) * t.bk / 60e3;
  const double latency = 0.31 / (t.wgmma ? t.stages - 2 : t.stages - 1);
  const double output = 2.0 * t.bm * t.bn / t.split / (0.87 * gpu.bandwidth / gpu.multiprocessors);
  // Without clusters all sums go through memory (which mostly holds them in its cache) and a second kernel.
  const double sums = 8.0 * double(g.matrices * g.m * g.n) * t.split / (2 * gpu.bandwidth);
  const double sharing = t.split == 1 ? 0 : has_clusters(gpu) ? 0.56 + 0.26 * t.split + 0.9 * t.bm * t.bn / 4096 : 3 + sums;
  // A block by itself waits for its copies; a multiprocessor full of blocks is bound by what they do together.
  const double alone = 0.68 + steps * (std::hypot(latency, 0.9 * arithmetic) + 0.01) + output + sharing;
  const double together = steps * std::max(arithmetic, copies) + output + 0.09;
  const double waves = double(ceil_div(blocks, multiprocessors * at_once));
  const double full = each < 4 ? std::ceil(each) * together : each * together + 0.3 * alone;
  const double compute = std::max(waves * alone, full), memory = g.bytes / (0.8 * gpu.bandwidth);
  return 0.6 + std::max(compute, memory) + 0.2 * std::min(compute, memory);
}

}  // namespace xinfer::forge::cuda
