// The general convolution: any rank, grouping and weights, in the plain layout (templates/conv_general.inc).
#include <fmt/format.h>

#include <algorithm>

#include "forge/conv_text.h"
#include "forge/cpu/contraction.h"

namespace xinfer::forge::cpu {

KernelChoice general_conv(const ConvProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue) {
  ConvProblem p = problem;
  const std::array<std::int64_t, 3> ones{1, 1, 1}, zeros{0, 0, 0};
  if (p.kernel == ones && p.stride == ones && p.pad == zeros && p.in == p.out && p.is_fixed())
    p.in = p.out = {1, 1, p.in[0] * p.in[1] * p.in[2]};
  const std::int64_t rows = p.batch * p.out_channels * p.out[0] * p.out[1];
  KernelChoice choice;
  KernelSource& kernel = choice.kernel;
  kernel.flops = conv_flops(problem);
  kernel.bytes = conv_bytes(problem);
  kernel.why = "general: loops over the window, for what no faster template takes";
  kernel.num_tasks = std::min(rows, wanted_tasks(4 * kernel.flops, kernel.bytes));
  kernel.scratch_bytes = static_cast<std::uint64_t>(round_up(p.run_out[2] ? p.run_out[2].max : p.out[2], isa.vector_lanes)) * 4;
  kernel.choice =
      fmt::format("conv {}x{}x{}{} general", p.kernel[0], p.kernel[1], p.kernel[2], p.transposed ? " transposed" : "");
  Constants c;
  c.text(fmt::format("constexpr bool kHasBias = {}, kTransposed = {};", p.bias, p.transposed));
  RunTimeSizes sizes;
  RunTimeSize run_rows;
  if (!p.is_fixed())
    run_rows.text = fmt::format("({} * {} * {})", p.batch * p.out_channels, text_of(p.out[0], p.run_out[0]), text_of(p.out[1], p.run_out[1]));
  sizes.add(c, "kRows", rows, run_rows);
  c.add("kTasks", kernel.num_tasks)
      .add("kIC", p.in_channels)
      .add("kOC", p.out_channels)
      .add("kGroups", p.groups);
  add_window(c, p, sizes);
  assemble(kernel, isa, c.str(), epilogue, {kConvGeneralInc}, sizes);
  return choice;
}

}  // namespace xinfer::forge::cpu
