// Convolutions that are no matrix product of their own: depthwise, few input channels, and whatever is left.
#include <algorithm>
#include <cstdio>

#include "forge/cuda/prelude.h"
#include "forge/cuda/source.h"
#include "forge/cuda/tensor_core.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {
namespace {

using base::Code;
using base::fail;

std::unexpected<base::Error> not_a_candidate(const std::string& text) {
  return fail(Code::kInvalidArgument, "'{}' is no way to compute this convolution; tune again", text);
}

KernelSource kernel_of(const ConvProblem& p, std::string choice, std::int64_t blocks, int threads) {
  KernelSource kernel;
  kernel.grid = static_cast<std::uint32_t>(blocks);
  kernel.threads = static_cast<std::uint32_t>(threads);
  kernel.flops = flops_of(p);
  kernel.bytes = bytes_of(p);
  kernel.choice = std::move(choice);
  return kernel;
}

// --- depthwise: a thread makes `tx` outputs of a row in eight channels -----------------------------------------------

constexpr int kDepthwiseThreads = 128;

bool is_depthwise(const ConvProblem& p) {
  return p.groups == p.in_channels && p.groups == p.out_channels && p.groups > 1 && !p.transposed && p.spatial_rank <= 2 &&
         p.constant_weights && is_computed(p.dtype) && p.kernel[2] <= 9 &&
         p.batch * padded_channels(p.in_channels) * p.in[1] * p.in[2] < std::int64_t{1} << 31;
}

std::int64_t depthwise_threads(const ConvProblem& p, int tx) {
  return p.batch * p.out[1] * ceil_div(p.out[2], tx) * padded_channels(p.out_channels) / 8;
}

// [channels][1][taps] to [taps][padded channels].
std::vector<std::byte> pack_depthwise(const ConvProblem& p, const tensor::Tensor& constant) {
  const std::vector<float> from = floats_of(constant);
  const std::int64_t c = padded_channels(p.out_channels), taps = p.kernel[1] * p.kernel[2];
  std::vector<float> to(static_cast<std::size_t>(taps * c));
  for (std::int64_t o = 0; o < p.out_channels; ++o)
    for (std::int64_t tap = 0; tap < taps; ++tap) to[static_cast<std::size_t>(tap * c + o)] = from[static_cast<std::size_t>(o * taps + tap)];
  return bytes_of(to, p.dtype);
}

// --- few input channels, plain: windows gathered into rows -----------------------------------------------------------

struct Gather {
  int bm = 64, bn = 64, threads = 128;
};
std::int64_t gather_depth(const ConvProblem& p) { return round_up(p.in_channels * p.kernel[1] * p.kernel[2], 16); }
std::uint32_t gather_shared(const ConvProblem& p, const Gather& g) {
  const auto row = static_cast<int>(gather_depth(p) * 2 + 16);
  return static_cast<std::uint32_t>(std::max((g.bm + g.bn) * row, g.bm * (g.bn + 4) * 4));
}

std::vector<Gather> gathers(const ConvProblem& p, const target::GpuIsa& gpu) {
  std::vector<Gather> all;
  for (const Gather& g : {Gather{64, 64, 128}, Gather{64, 32, 128}, Gather{128, 64, 256}, Gather{128, 32, 256}, Gather{64, 64, 256}, Gather{128, 64, 128}, Gather{128, 32, 128}})
    if ((g.bn <= 32 || p.out_channels > 32) && static_cast<int>(gather_shared(p, g)) <= gpu.shared_bytes) all.push_back(g);
  return all;
}
std::string text_of(const Gather& g) { return fmt::format("gather {}x{} threads {}", g.bm, g.bn, g.threads); }

// [out][in * taps] to [padded out][depth].
std::vector<std::byte> pack_gather(const ConvProblem& p, const tensor::Tensor& constant) {
  const std::vector<float> from = floats_of(constant);
  const auto depth = static_cast<std::size_t>(gather_depth(p)), each = static_cast<std::size_t>(p.in_channels * p.kernel[1] * p.kernel[2]);
  std::vector<float> to(static_cast<std::size_t>(padded_channels(p.out_channels)) * depth);
  for (std::size_t o = 0; o < static_cast<std::size_t>(p.out_channels); ++o)
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(o * each), each, to.begin() + static_cast<std::ptrdiff_t>(o * depth));
  return bytes_of(to, p.dtype);
}

}  // namespace

bool has_few_channels(const ConvProblem& p, const target::GpuIsa& gpu) {
  const bool sixteen = p.dtype == DType::kFloat16 || (p.dtype == DType::kBfloat16 && gpu.sm >= 80);
  return sixteen && p.in_channels <= 4 && p.groups == 1 && !p.transposed && p.spatial_rank <= 2 && p.constant_weights &&
         gather_depth(p) <= 256 && p.in_channels * p.in[1] * p.in[2] * p.batch < std::int64_t{1} << 31;
}

DType plain_input_dtype(const ConvProblem& p) {
  return p.plain_input && p.stored_input == DType::kFloat32 ? DType::kFloat32 : p.dtype;
}

void add_depthwise(const ConvProblem& p, const target::GpuIsa& gpu, Candidates& to) {
  if (!is_depthwise(p)) return;
  for (int tx : {1, 2, 4, 7}) {
    if (tx > 1 && tx > p.out[2]) continue;
    // Columns that neighbours in a thread share are loaded once, but a thread takes longer for more outputs. Fitted to an H100.
    const double columns = static_cast<double>((tx - 1) * p.stride[2] + p.kernel[2]), loads = columns * static_cast<double>(p.kernel[1]);
    const double thread = 0.0145 * loads + 0.094 * tx, traffic = bytes_of(p) / (0.88 * gpu.bandwidth);
    const double vector = 8.0 * static_cast<double>(tensor::size_of(p.dtype));
    const double all = static_cast<double>(depthwise_threads(p, tx)) * loads * vector / (57.5e3 * gpu.multiprocessors);
    to.push_back({fmt::format("depthwise {}", tx), 1.48 + std::max({traffic, thread, all})});
  }
}

Solved solve_depthwise(const ConvProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa&) {
  int tx = 0;
  if (!is_depthwise(p) || std::sscanf(text.c_str(), "depthwise %d", &tx) != 1 || tx < 1 || tx > 8 || text != fmt::format("depthwise {}", tx))
    return not_a_candidate(text);
  Constants c;
  add_window(c, p);
  c.add("kImages", p.batch).add("kC", padded_channels(p.in_channels)).add("kTX", tx);
  Solution solution{kernel_of(p, text, ceil_div(depthwise_threads(p, tx), kDepthwiseThreads), kDepthwiseThreads)};
  assemble(solution.kernel, c, {true, p.bias, false, p.dtype, DType::kFloat32, p.out_channels}, epilogue, {kDepthwiseCuh});
  solution.pack_weights = [p](const tensor::Tensor& constant) { return pack_depthwise(p, constant); };
  solution.input_layout = solution.output_layout = Layout::kBlocked;
  return solution;
}

void add_small_channels(const ConvProblem& p, const target::GpuIsa& gpu, Candidates& to) {
  if (!has_few_channels(p, gpu)) return;
  const std::int64_t rows = p.batch * p.out[1] * p.out[2];
  for (const Gather& g : gathers(p, gpu)) {
    const double blocks = static_cast<double>(ceil_div(rows, g.bm) * ceil_div(padded_channels(p.out_channels), g.bn));
    const double each = static_cast<double>(gather_depth(p) * g.bm / g.threads) * 0.012 + 0.7;
    const double waves = std::max(1.0, blocks / (gpu.multiprocessors * 2048.0 / g.threads / 2));
    // Without it a plain input would first be copied into channels last.
    const double copy = p.plain_input ? 0 : 2;
    to.push_back({text_of(g), 1.5 + copy + std::max(waves * each, bytes_of(p) / gpu.bandwidth) + 0.0025 * blocks});
  }
}

Solved solve_small_channels(const ConvProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  if (!has_few_channels(p, gpu)) return not_a_candidate(text);
  const auto all = gathers(p, gpu);
  const auto g = std::ranges::find(all, text, text_of);
  if (g == all.end()) return not_a_candidate(text);
  const std::int64_t n = padded_channels(p.out_channels), rows = p.batch * p.out[1] * p.out[2];
  const int warps = g->threads / 32, warps_m = std::min(warps, g->bm / 16);
  Constants c;
  add_window(c, p);
  c.add("kImages", p.batch).add("kC", p.in_channels).add("kM", rows).add("kN", n).add("kDepth", gather_depth(p));
  c.add("kBM", g->bm).add("kBN", g->bn).add("kWarpsM", warps_m).add("kWarpsN", warps / warps_m).add("kSplitK", 1).flag("kPartial", false).flag("kWgmma", false);
  Solution solution{kernel_of(p, text, ceil_div(rows, g->bm) * ceil_div(n, g->bn), g->threads)};
  solution.input_dtype = plain_input_dtype(p);
  c.type("Input", element_type(solution.input_dtype));
  solution.kernel.shared_bytes = gather_shared(p, *g);
  assemble(solution.kernel, c, {true, p.bias, false, p.dtype, DType::kFloat32, p.out_channels}, epilogue,
           {kMmaCuh, kFinishCuh, kTileCuh, kSmallChannelsCuh});
  solution.pack_weights = [p](const tensor::Tensor& constant) { return pack_gather(p, constant); };
  solution.output_layout = Layout::kBlocked;
  return solution;
}

}  // namespace xinfer::forge::cuda
