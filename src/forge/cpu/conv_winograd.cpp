// Winograd convolution of 3x3 windows: when it pays, its strips and its transformed weights (templates/conv_winograd.inc).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "forge/conv_text.h"
#include "forge/cpu/contraction.h"

namespace xinfer::forge::cpu {
namespace {

// The weight transform G of F(m x m, 3x3): m + 2 rows of 3.
std::vector<std::array<double, 3>> weight_transform(int m) {
  if (m == 2) return {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  if (m == 4)
    return {{1.0 / 4, 0, 0},
            {-1.0 / 6, -1.0 / 6, -1.0 / 6},
            {-1.0 / 6, 1.0 / 6, -1.0 / 6},
            {1.0 / 24, 1.0 / 12, 1.0 / 6},
            {1.0 / 24, -1.0 / 12, 1.0 / 6},
            {0, 0, 1}};
  return {{1, 0, 0},
          {-2.0 / 9, -2.0 / 9, -2.0 / 9},
          {-2.0 / 9, 2.0 / 9, -2.0 / 9},
          {1.0 / 90, 1.0 / 45, 2.0 / 45},
          {1.0 / 90, -1.0 / 45, 2.0 / 45},
          {32.0 / 45, 16.0 / 45, 8.0 / 45},
          {32.0 / 45, -16.0 / 45, 8.0 / 45},
          {0, 0, 1}};
}

struct Plan {
  int m = 0;
  std::int64_t tiles_y = 0, tiles_x = 0, strip = 0, strips = 0;
  RegisterTile tile;
  double cycles = 0;
  std::int64_t tiles() const { return tiles_y * tiles_x; }
};

// Cycles in which weights too large for the second-level cache come from the third, or from memory.
double far_cycles(double bytes) { return bytes < 800e3 ? 0 : bytes < 12e6 ? bytes / 7 : bytes / 4.5; }

Plan plan_of(const ConvProblem& p, const target::CpuIsa& isa, int m) {
  Plan plan{.m = m, .tiles_y = ceil_div(p.out[1], m), .tiles_x = ceil_div(p.out[2], m)};
  const std::int64_t lanes = isa.vector_lanes, positions = (m + 2) * (m + 2),
                     in_blocks = ceil_div(p.in_channels, lanes), out_blocks = ceil_div(p.out_channels, lanes);
  // As many tiles together as keep the transformed inputs within a good half of the second-level cache.
  const std::int64_t limit = std::clamp<std::int64_t>(600'000 / (positions * in_blocks * lanes * 4), 6, 42);
  plan.strips = ceil_div(plan.tiles(), limit);
  if (plan.strips % 2 == 1 && plan.tiles() >= 24) ++plan.strips;
  plan.strip = ceil_div(plan.tiles(), plan.strips);
  plan.strips = ceil_div(plan.tiles(), plan.strip);
  plan.tile = choose_tile(isa, plan.strips, plan.strip, out_blocks, p.in_channels);
  // A transform touches each element about four times, in arithmetic of half the speed of multiply-adds.
  const double speed = isa.vector_lanes >= 16 ? 1 : 2;
  const double in_transform = static_cast<double>(plan.tiles() * in_blocks * positions) * (m == 6 ? 9.5 : 7.0) / speed;
  const double out_transform =
      static_cast<double>(plan.tiles() * out_blocks * positions) * (m == 6 ? 8.0 : 6.0) / speed;
  const double weight_bytes = static_cast<double>(positions * p.in_channels * out_blocks * lanes * 4);
  const double far = far_cycles(weight_bytes);
  const double products = plan.tile.cycles * static_cast<double>(positions);
  plan.cycles = (std::max(products, far) + 0.3 * std::min(products, far) + in_transform + out_transform) *
                static_cast<double>(p.batch);
  return plan;
}

double direct_cycles(const ConvProblem& p, const target::CpuIsa& isa) {
  const std::int64_t blocks = ceil_div(p.out_channels, isa.vector_lanes);
  const double products = choose_tile(isa, p.out[1], p.out[2], blocks, p.in_channels * 9).cycles;
  const double weight_bytes = static_cast<double>(9 * p.in_channels * blocks * isa.vector_lanes * 4),
               far = far_cycles(weight_bytes);
  return (std::max(products, far) + 0.3 * std::min(products, far)) * static_cast<double>(p.batch);
}

std::vector<float> pack(std::span<const float> weights, std::int64_t in, std::int64_t out, int m, std::int64_t nb,
                        std::int64_t lanes) {
  const auto g = weight_transform(m);
  const std::int64_t a = m + 2, out_blocks = ceil_div(out, lanes), positions = a * a;
  std::vector<float> packed(static_cast<std::size_t>(positions * in * out_blocks * lanes));
  std::vector<std::array<double, 3>> half(static_cast<std::size_t>(a));
  for (std::int64_t o = 0; o < out; ++o) {
    const std::int64_t group = o / (nb * lanes), width = std::min(nb, out_blocks - group * nb) * lanes,
                       column = o % (nb * lanes);
    for (std::int64_t i = 0; i < in; ++i) {
      const float* w = &weights[static_cast<std::size_t>((o * in + i) * 9)];
      for (std::size_t y = 0; y < g.size(); ++y)
        for (std::size_t x = 0; x < 3; ++x) half[y][x] = g[y][0] * w[x] + g[y][1] * w[3 + x] + g[y][2] * w[6 + x];
      float* to = &packed[static_cast<std::size_t>(positions * in * group * nb * lanes + i * width + column)];
      for (std::size_t y = 0; y < g.size(); ++y)
        for (std::size_t x = 0; x < g.size(); ++x)
          to[(y * g.size() + x) * static_cast<std::size_t>(in * width)] =
              static_cast<float>(half[y][0] * g[x][0] + half[y][1] * g[x][1] + half[y][2] * g[x][2]);
    }
  }
  return packed;
}

}  // namespace

KernelChoice winograd_conv(const ConvProblem& p, const target::CpuIsa& isa, const Epilogue& epilogue) {
  KernelChoice choice;
  const std::array<std::int64_t, 3> ones{1, 1, 1}, window{1, 3, 3};
  if (p.exact || !p.is_fixed() || !p.constant_weights || p.transposed || p.spatial_rank == 3 || p.groups != 1 ||
      p.kernel != window || p.stride != ones || p.dilation != ones) {
    choice.kernel.why = "winograd: only for constant weights of 3x3 windows with stride 1 and fixed sizes";
    return choice;
  }
  const std::int64_t lanes = isa.vector_lanes, in_blocks = ceil_div(p.in_channels, lanes);
  if (p.in_channels < 8 || p.out[1] < 3 || p.out[2] < 3) {
    choice.kernel.why = "winograd: too few channels or pixels for its transforms";
    return choice;
  }
  const double conversion = p.plain_input ? static_cast<double>(p.batch * in_blocks * p.in[1] * p.in[2]) * 8 : 0;
  Plan plan{.cycles = 0.92 * direct_cycles(p, isa) - conversion};
  choice.kernel.why = fmt::format("winograd: Mcycles by the cost model: direct {:.3g}", plan.cycles / 1e6);
  for (int m : {4, 6}) {
    const Plan candidate = plan_of(p, isa, m);
    choice.kernel.why += fmt::format(", F({0}x{0}) {1:.3g}", m, candidate.cycles / 1e6);
    // F(6x6) rounds worse and its weights are larger: it must win clearly.
    if (candidate.cycles * (m == 6 && plan.m == 4 ? 1.08 : 1.0) < plan.cycles) plan = candidate;
  }
  if (plan.m == 0) return choice;

  const std::int64_t out_blocks = ceil_div(p.out_channels, lanes), nb = plan.tile.nb,
                     positions = (plan.m + 2) * (plan.m + 2);
  const std::int64_t groups = ceil_div(out_blocks, nb), last_nb = out_blocks - (groups - 1) * nb,
                     last_channels = p.in_channels - (in_blocks - 1) * lanes;
  const std::int64_t last_strip = plan.tiles() - (plan.strips - 1) * plan.strip;
  KernelSource& kernel = choice.kernel;
  kernel.flops = conv_flops(p);
  kernel.bytes = conv_bytes(p);
  kernel.cycles = plan.cycles;
  const std::int64_t wanted = wanted_tasks(kernel.flops / 3, 0);
  // Parts of the output channels repeat the input transform: only where strips do not suffice.
  std::int64_t parts = 1;
  if (wanted > 1 && plan.strips * p.batch < 8 && plan.strips * p.batch % 2 == 1)
    parts = std::min<std::int64_t>(groups, 2);
  kernel.num_tasks = p.batch * plan.strips * parts;
  // The rest of a strip that does not fill a register tile: a tile of the size that both kinds of strip leave, if they agree.
  const std::int64_t rest = plan.strip % plan.tile.mr, last_rest = last_strip % plan.tile.mr;
  std::int64_t small = rest == 0 ? last_rest : last_rest == 0 ? rest : std::gcd(rest, last_rest);
  if (small == 0) small = 1;
  const std::int64_t point_bytes = in_blocks * plan.strip * lanes * 4, pad = point_bytes % 1024 == 0 ? lanes : 0;
  kernel.scratch_bytes = static_cast<std::uint64_t>(positions * (point_bytes + pad * 4) +
                                                    positions * (plan.strip * nb * lanes + lanes) * 4);
  kernel.choice =
      fmt::format("conv 3x3 winograd F({0}x{0}) strip={1} mr={2} nb={3}", plan.m, plan.strip, plan.tile.mr, nb);

  Constants c;
  c.text(fmt::format("constexpr bool kHasBias = {};", p.bias));
  c.text(
      fmt::format("constexpr int kM = {}, kIH = {}, kIW = {}, kOH = {}, kOW = {}, kPY = {}, kPX = {}, kTilesX = {}, "
                  "kTiles = {}, kT = {}, kLastT = {}, kMR = {}, kSmallMR = {}, kNB = {}, kLastNB = {};",
                  plan.m, p.in[1], p.in[2], p.out[1], p.out[2], p.pad[1], p.pad[2], plan.tiles_x, plan.tiles(),
                  plan.strip, last_strip, plan.tile.mr, small, nb, last_nb));
  c.text(
      fmt::format("constexpr int kChannels = {}, kBlocks = {}, kLastChannels = {}, kStep = {}, kOutBlocks = {}, "
                  "kOutputGroups = {}, kStrips = {}, kParts = {}, kPointPad = {};",
                  p.in_channels, in_blocks, last_channels,
                  last_channels % 4 == 0   ? 4
                  : last_channels % 2 == 0 ? 2
                                           : 1,
                  out_blocks, groups, plan.strips, parts, pad));
  assemble(kernel, isa, c.str(), epilogue, {kConvWinogradInc});
  choice.input_layout = choice.output_layout = Layout::kBlocked;
  choice.pack_weights = [in = p.in_channels, out = p.out_channels, m = plan.m, nb,
                         lanes](std::span<const float> weights) { return pack(weights, in, out, m, nb, lanes); };
  if (p.bias) choice.pack_bias = pad_to_vectors(p.out_channels, isa.vector_lanes);
  return choice;
}

}  // namespace xinfer::forge::cpu
