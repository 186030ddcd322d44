// The depthwise convolution with one output channel for each input channel, blocked (templates/conv_depthwise.inc).
#include <fmt/format.h>

#include <algorithm>

#include "forge/conv_text.h"
#include "forge/cpu/contraction.h"

namespace xinfer::forge::cpu {
namespace {

// Outputs of a row that stay in registers together: whole rows if they fit, else equal parts of them.
std::int64_t row_tile(std::int64_t width, const target::CpuIsa& isa, std::int64_t taps) {
  // Sums, the inputs that neighbouring taps share and a row of weights stay in registers together.
  const std::int64_t limit =
      std::max<std::int64_t>(isa.vector_registers / 2 - std::min<std::int64_t>(taps, 5), isa.vector_registers / 3);
  return ceil_div(width, ceil_div(width, limit));
}

}  // namespace

KernelChoice depthwise_conv(const ConvProblem& p, const target::CpuIsa& isa, const Epilogue& epilogue) {
  KernelChoice choice;
  const std::int64_t lanes = isa.vector_lanes;
  if (!p.constant_weights || p.spatial_rank == 3 || p.transposed || p.groups != p.in_channels ||
      p.out_channels != p.in_channels || p.groups < 2) {
    choice.kernel.why = "depthwise: not one channel a group";
    return choice;
  }
  const std::int64_t blocks = ceil_div(p.in_channels, lanes), mr = row_tile(p.out[2], isa, p.kernel[2]);
  const bool fixed = p.is_fixed();
  if (p.kernel[2] > 16 || (fixed && p.pad[2] > 6 * mr)) {
    choice.kernel.why = "depthwise: the window is too wide";
    return choice;
  }
  KernelSource& kernel = choice.kernel;
  kernel.flops = conv_flops(p);
  kernel.bytes = conv_bytes(p);
  const std::int64_t rows = p.batch * blocks * p.out[1];
  kernel.cycles = static_cast<double>(rows * p.out[2] * p.kernel[1] * p.kernel[2]);
  kernel.num_tasks = std::min(rows, wanted_tasks(2 * kernel.flops, kernel.bytes));
  kernel.choice = fmt::format("conv {}x{} depthwise mr={}{}", p.kernel[1], p.kernel[2], mr, fixed ? "" : " run-time sizes");
  kernel.why = fmt::format("depthwise: one channel a group leaves no sum over channels; rows of {} pixels in registers", mr);
  Constants c;
  RunTimeSizes sizes;
  c.text(fmt::format("constexpr bool kHasBias = {};", p.bias));
  if (fixed) {
    c.text(fmt::format("constexpr int64_t kRows = {}, kTasks = {}, kBlocks = {};", rows, kernel.num_tasks, blocks));
    c.text(fmt::format("constexpr int kIH = {}, kIW = {}, kOH = {}, kOW = {};", p.in[1], p.in[2], p.out[1], p.out[2]));
  } else {
    c.text(fmt::format("constexpr int64_t kTasks = {}, kBlocks = {};", kernel.num_tasks, blocks));
    RunTimeSize run_rows;
    run_rows.text = fmt::format("({} * {})", p.batch * blocks, text_of(p.out[1], p.run_out[1]));
    sizes.add(c, "kRows", rows, run_rows);
    sizes.add(c, "kIH", p.in[1], p.run_in[1]).add(c, "kIW", p.in[2], p.run_in[2]);
    sizes.add(c, "kOH", p.out[1], p.run_out[1]).add(c, "kOW", p.out[2], p.run_out[2]);
  }
  c.text(fmt::format("constexpr int kKH = {}, kKW = {}, kSY = {}, kSX = {}, kDY = {}, kDX = {}, kPY = {}, kPX = {}, kMR = {};",
                     p.kernel[1], p.kernel[2], p.stride[1], p.stride[2], p.dilation[1], p.dilation[2], p.pad[1], p.pad[2], mr));
  c.text(fmt::format("constexpr int kRestTile = {};", rest_tile(mr)));
  assemble(kernel, isa, c.str(), epilogue,
           {kConvDepthwiseInc, fixed ? kConvDepthwiseRowInc : kConvDepthwiseRunTimeInc, kConvDepthwiseMainInc}, sizes);
  choice.input_layout = choice.output_layout = Layout::kBlocked;
  choice.pack_weights = [=, channels = p.in_channels,
                         taps = p.kernel[1] * p.kernel[2]](std::span<const float> weights) {
    std::vector<float> packed(static_cast<std::size_t>(blocks * lanes * taps));
    for (std::int64_t ch = 0; ch < channels; ++ch)
      for (std::int64_t t = 0; t < taps; ++t)
        packed[static_cast<std::size_t>((ch / lanes * taps + t) * lanes + ch % lanes)] =
            weights[static_cast<std::size_t>(ch * taps + t)];
    return packed;
  };
  if (p.bias) choice.pack_bias = pad_to_vectors(p.out_channels, isa.vector_lanes);
  return choice;
}

}  // namespace xinfer::forge::cpu
