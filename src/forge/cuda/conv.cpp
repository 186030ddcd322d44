#include "forge/cuda/conv.h"

#include <algorithm>
#include <array>

#include "base/digest.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {

std::uint32_t ConvChoice::shared_bytes() const {
  return static_cast<std::uint32_t>(std::max(stages * (bm + bn) * bk * 2, bm * (bn + 4) * 4));
}

std::string ConvChoice::text() const {
  return fmt::format("{}x{}x{} warps {}x{} stages {} split {}", bm, bn, bk, warps_m, warps_n, stages, split_k);
}

namespace {

constexpr std::uint32_t kSharedBytes90 = 227 * 1024, kSharedBytes80 = 99 * 1024, kSharedBytes75 = 64 * 1024;

std::int64_t steps_of(const ConvProblem& p, const ConvChoice& c) {
  return (p.kh * p.kw * p.c + c.bk - 1) / c.bk;
}
std::int64_t tiles_of(const ConvProblem& p, const ConvChoice& c) {
  return (p.n * p.oh * p.ow + c.bm - 1) / c.bm * ((p.oc + c.bn - 1) / c.bn);
}

// What the template's static_asserts and its register budget ask for.
bool fits(const ConvProblem& p, const ConvChoice& c, std::uint32_t shared_limit) {
  const int rows_pass = c.threads() / (c.bk / 8), accumulators = c.bm * c.bn / c.threads();
  const std::int64_t steps = steps_of(p, c), each = (steps + c.split_k - 1) / c.split_k;
  return c.bm % rows_pass == 0 && c.bn % rows_pass == 0 && c.bm / c.warps_m % 16 == 0 && c.bn / c.warps_n % 16 == 0 &&
         accumulators <= 128 && c.shared_bytes() <= shared_limit && c.bm * c.bn / 8 % c.split_k == 0 &&
         each * (c.split_k - 1) < steps;
}

}  // namespace

std::vector<ConvChoice> conv_candidates(const ConvProblem& problem, int sm, int multiprocessors) {
  static constexpr std::array<std::array<int, 4>, 13> kTiles = {{{64, 64, 2, 2},
                                                                 {128, 64, 4, 2},
                                                                 {32, 32, 2, 2},
                                                                 {32, 64, 2, 2},
                                                                 {64, 32, 4, 1},
                                                                 {64, 128, 2, 4},
                                                                 {128, 128, 4, 2},
                                                                 {128, 128, 2, 2},
                                                                 {128, 256, 2, 4},
                                                                 {256, 128, 4, 2},
                                                                 {32, 128, 1, 4},
                                                                 {16, 64, 1, 4},
                                                                 {16, 128, 1, 4}}};
  const std::uint32_t shared_limit = sm >= 90 ? kSharedBytes90 : sm >= 80 ? kSharedBytes80 : kSharedBytes75;
  std::vector<ConvChoice> all;
  for (const auto& [bm, bn, warps_m, warps_n] : kTiles)
    for (int stages : {3, 4})
      for (int split : {1, 2, 4, 8}) {
        ConvChoice choice{bm, bn, 64, warps_m, warps_n, stages, split};
        // Sharing the depth needs clusters; before sm_80 copies are not asynchronous, so two stages are all there is to
        // gain.
        if (!fits(problem, choice, shared_limit) || (split > 1 && sm < 90) || (stages > 3 && sm < 80)) continue;
        const std::int64_t tiles = tiles_of(problem, choice);
        if (split > 1 && tiles * split > 4 * multiprocessors) continue;
        if (bn > problem.oc && bn > 32) continue;
        if (tiles > 8 * multiprocessors && bm * bn < 64 * 64) continue;
        all.push_back(choice);
      }
  if (all.empty()) all.push_back({32, 32, 64, 2, 2, 3, 1});
  return all;
}

base::Result<KernelSource> conv_kernel(const ConvProblem& p, const ConvChoice& c) {
  if (p.c % 8 != 0 || p.oc % 8 != 0)
    return base::fail(base::Code::kInvalidArgument,
                      "tensor-core convolution takes channels in multiples of 8, not {} to {}", p.c, p.oc);
  if (!fits(p, c, kSharedBytes90))
    return base::fail(base::Code::kInvalidArgument, "the tile {} does not fit the convolution", c.text());
  const std::string constants = fmt::format(
      "struct P {{\n  static constexpr int N={}, IH={}, IW={}, C={}, OC={}, OH={}, OW={}, KH={}, KW={}, SH={}, SW={}, "
      "PH={}, PW={}, DH={}, DW={},\n"
      "      BM={}, BN={}, BK={}, WARPS_M={}, WARPS_N={}, STAGES={}, SPLIT_K={};\n  static constexpr bool "
      "RESIDUAL={};\n"
      "  static __device__ __forceinline__ float activation(float x) {{ return {}; }}\n}};\n",
      p.n, p.ih, p.iw, p.c, p.oc, p.oh, p.ow, p.kh, p.kw, p.sh, p.sw, p.ph, p.pw, p.dh, p.dw, c.bm, c.bn, c.bk,
      c.warps_m, c.warps_n, c.stages, c.split_k, p.residual, p.activation);
  KernelSource kernel;
  kernel.symbol = "conv_" + base::sha256(std::string(kConvCuh) + constants).substr(0, 16);
  kernel.source = fmt::format(
      "{}{}extern \"C\" __global__ void __launch_bounds__({})\n{}(const char* input, const char* weights, const float* "
      "bias, const char* "
      "residual, char* output) {{\n  extern __shared__ __align__(128) char shared[];\n  xi::Conv<P>::run(input, "
      "weights, bias, residual, "
      "output, shared);\n}}\n",
      kConvCuh, constants, c.threads(), kernel.symbol);
  kernel.grid = static_cast<std::uint32_t>(tiles_of(p, c) * c.split_k);
  kernel.threads = static_cast<std::uint32_t>(c.threads());
  kernel.cluster = static_cast<std::uint32_t>(c.split_k);
  kernel.shared_bytes = c.shared_bytes();
  kernel.flops = p.flops();
  const std::int64_t outputs = p.n * p.oh * p.ow * p.oc;
  kernel.bytes = 2.0 * double(p.n * p.ih * p.iw * p.c + p.oc * p.kh * p.kw * p.c + outputs * (p.residual ? 2 : 1));
  kernel.choice = fmt::format("conv {}x{} mma {}", p.kh, p.kw, c.text());
  return kernel;
}

}  // namespace xinfer::forge::cuda
