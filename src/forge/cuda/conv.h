// Tensor-core convolution for NVIDIA GPUs: NHWC float16, float32 accumulation, implicit matrix product.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "forge/cuda/kernel.h"

namespace xinfer::forge::cuda {

/// out[n, oh, ow, o] = epilogue(bias[o] + sum over kh, kw, c of in[n, oh*sh-ph+kh*dh, ow*sw-pw+kw*dw, c] * w[o, kh, kw,
/// c]). c and oc are multiples of 8 (the schedule pads the first layer's channels with zeros).
struct ConvProblem {
  std::int64_t n = 1, ih = 1, iw = 1, c = 8, oc = 8, oh = 1, ow = 1;
  std::int64_t kh = 1, kw = 1, sh = 1, sw = 1, ph = 0, pw = 0, dh = 1, dw = 1;
  bool residual = false;         // adds a tensor of the output's shape before the activation
  std::string activation = "x";  // C++ expression of `float x`

  double flops() const {
    return 2.0 * double(n) * double(oh) * double(ow) * double(oc) * double(kh) * double(kw) * double(c);
  }
};

/// The template's tunables: the tile of a block, its warps, the copies in flight, and how many blocks (one cluster)
/// share the depth of one tile.
struct ConvChoice {
  int bm = 64, bn = 64, bk = 64, warps_m = 2, warps_n = 2, stages = 3, split_k = 1;
  int threads() const { return warps_m * warps_n * 32; }
  std::uint32_t shared_bytes() const;
  std::string text() const;
};

/// All choices worth measuring for the problem on `multiprocessors` of architecture number `sm` (90 for sm_90a), by the
/// template's rules and simple occupancy bounds. Never empty for a valid problem.
std::vector<ConvChoice> conv_candidates(const ConvProblem& problem, int sm, int multiprocessors);

/// The kernel `(const void* input, const void* weights, const float* bias, const void* residual, void* output)`.
/// kInvalidArgument: sizes that the template does not take.
[[nodiscard]] base::Result<KernelSource> conv_kernel(const ConvProblem& problem, const ConvChoice& choice);

}  // namespace xinfer::forge::cuda
