#include "forge/cpu/pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "forge/cpu/contraction.h"
#include "forge/pool_text.h"

namespace xinfer::forge::cpu {
namespace {

void add_sizes(Constants& c, const PoolProblem& p, RunTimeSizes& sizes) {
  add_window(c, p, sizes);
  c.add("kPZEnd", p.pad_end[0]).add("kPYEnd", p.pad_end[1]).add("kPXEnd", p.pad_end[2]);
  c.text(fmt::format("constexpr bool kMaximum = {}, kLp = {}, kCountPadding = {};", p.kind == PoolProblem::Kind::kMax,
                     p.kind == PoolProblem::Kind::kLp, p.count_include_pad));
  c.text(fmt::format("constexpr int kPower = {};\nconstexpr float kPowerValue = {:.9g};",
                     p.p == 1   ? 1
                     : p.p == 2 ? 2
                                : 0,
                     p.p));
}

}  // namespace

KernelChoice choose_pool(const PoolProblem& p, const target::CpuIsa& isa, const Epilogue& epilogue) {
  KernelChoice choice;
  KernelSource& kernel = choice.kernel;
  const std::int64_t lanes = isa.vector_lanes, window = p.kernel[0] * p.kernel[1] * p.kernel[2];
  const std::int64_t in_plane = p.in[0] * p.in[1] * p.in[2], out_plane = p.out[0] * p.out[1] * p.out[2];
  const bool blocked = p.layout == Layout::kBlocked;
  const std::int64_t planes = p.batch * (blocked ? ceil_div(p.channels, lanes) : p.channels),
                     rows = planes * p.out[0] * p.out[1];
  const auto element = static_cast<double>(tensor::size_of(p.dtype));
  kernel.flops = static_cast<double>(p.batch * p.channels * out_plane) * static_cast<double>(window);
  kernel.bytes = element * static_cast<double>(p.batch * p.channels * (in_plane + out_plane));
  kernel.num_tasks = std::clamp<std::int64_t>(rows, 1, wanted_tasks(kernel.flops * (blocked ? 1 : 8), kernel.bytes));
  constexpr std::string_view kKinds[] = {"max", "average", "lp"};
  kernel.choice = fmt::format("pool {} {}x{}x{} {}", kKinds[static_cast<int>(p.kind)], p.kernel[0], p.kernel[1],
                              p.kernel[2], blocked ? "blocked" : "plain");
  kernel.why = blocked ? "blocked: its input lies in blocks of channels already" : "plain: rows as the model has them";

  Constants c;
  RunTimeSizes sizes;
  add_sizes(c, p, sizes);
  RunTimeSize run_rows;
  if (!p.is_fixed())
    run_rows.text = fmt::format("({} * {} * {})", planes, text_of(p.out[0], p.run_out[0]), text_of(p.out[1], p.run_out[1]));
  sizes.add(c, "kRows", rows, run_rows);
  c.add("kTasks", kernel.num_tasks)
      .add("kBlocks", ceil_div(p.channels, lanes))
      .add("kChannels", p.channels);
  if (blocked) {
    c.text(fmt::format("constexpr bool kUnrolled = {};", window <= 25));
    assemble(kernel, isa, c.str(), epilogue, {kPoolBlockedInc}, sizes);
    choice.input_layout = choice.output_layout = Layout::kBlocked;
    return choice;
  }
  const bool whole =
      p.is_fixed() && p.kernel == p.in && out_plane == 1 && p.pad == std::array<std::int64_t, 3>{0, 0, 0} && p.pad_end == p.pad;
  const bool contiguous = whole && p.dtype == tensor::DType::kFloat32 && !p.indices && p.kind != PoolProblem::Kind::kLp;
  const bool vector_epilogue = !epilogue.empty();
  c.text(fmt::format("typedef {} Number;\nconstexpr Number kLowest = {};", number_type(p.dtype), lowest_number(p.dtype)));
  c.text(
      fmt::format("constexpr bool kContiguous = {}, kIndices = {}, kColumnMajor = {}, kVectorEpilogue = {};\nconstexpr "
                  "int kRank = {};",
                  contiguous, p.indices, p.column_major_indices, vector_epilogue, p.spatial_rank));
  if (vector_epilogue) kernel.scratch_bytes = static_cast<std::uint64_t>(p.run_out[2] ? p.run_out[2].max : p.out[2]) * tensor::size_of(p.dtype);
  assemble(kernel, isa, c.str(), epilogue, {kPoolGeneralInc}, sizes);
  return choice;
}

}  // namespace xinfer::forge::cpu
