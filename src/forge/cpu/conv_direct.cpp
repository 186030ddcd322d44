// The direct blocked convolution: its parameters, tiles, tasks and weight layout (templates/conv_direct.inc).
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "forge/conv_text.h"
#include "forge/cpu/contraction.h"

namespace xinfer::forge::cpu {
namespace {

// One phase of the output: a plain convolution has one; a transposed one with stride s has s * s, each of which reads the
// input densely with its own share of the taps.
struct Phase {
  std::int64_t out_y = 0, out_x = 0;  // first output of the phase
  std::int64_t oh = 0, ow = 0;        // its outputs
  std::int64_t pad_y = 0, pad_x = 0;
  std::vector<std::int64_t> taps_y, taps_x;  // the model's kernel index of each tap, in the order of the window
  std::int64_t taps() const { return static_cast<std::int64_t>(taps_y.size() * taps_x.size()); }
};

struct Axis {
  std::int64_t first = 0, count = 0, pad = 0;
  std::vector<std::int64_t> taps;
};

// Output phase `phase` of a transposed convolution along one axis: out = phase + stride * q reads in = q - pad + j for tap j.
Axis transposed_axis(std::int64_t phase, std::int64_t stride, std::int64_t dilation, std::int64_t kernel,
                     std::int64_t pad, std::int64_t out) {
  Axis axis{.first = phase, .count = phase < out ? ceil_div(out - phase, stride) : 0};
  for (std::int64_t k = kernel; k-- > 0;)
    if ((phase + pad - k * dilation) % stride == 0) axis.taps.push_back(k);
  axis.pad = axis.taps.empty() ? 0 : -((phase + pad - axis.taps.front() * dilation) / stride);
  return axis;
}

std::vector<Phase> phases_of(const ConvProblem& p) {
  std::vector<Phase> phases;
  if (!p.transposed) {
    Phase phase{.oh = p.out[1], .ow = p.out[2], .pad_y = p.pad[1], .pad_x = p.pad[2], .taps_y = {}, .taps_x = {}};
    for (std::int64_t k = 0; k < p.kernel[1]; ++k) phase.taps_y.push_back(k);
    for (std::int64_t k = 0; k < p.kernel[2]; ++k) phase.taps_x.push_back(k);
    phases.push_back(std::move(phase));
    return phases;
  }
  for (std::int64_t y = 0; y < p.stride[1]; ++y)
    for (std::int64_t x = 0; x < p.stride[2]; ++x) {
      Axis ay = transposed_axis(y, p.stride[1], p.dilation[1], p.kernel[1], p.pad[1], p.out[1]);
      Axis ax = transposed_axis(x, p.stride[2], p.dilation[2], p.kernel[2], p.pad[2], p.out[2]);
      if (ay.count && ax.count)
        phases.push_back({ay.first, ax.first, ay.count, ax.count, ay.pad, ax.pad, ay.taps, ax.taps});
    }
  return phases;
}

// Neighbouring groups taken together until they fill whole vectors; the weights between different ones are zero.
std::int64_t groups_to_merge(const ConvProblem& p, int lanes) {
  if (p.groups == 1) return 1;
  const std::int64_t in = p.in_channels / p.groups, out = p.out_channels / p.groups;
  for (std::int64_t f = 1; f <= std::min<std::int64_t>(p.groups, lanes); ++f)
    if (p.groups % f == 0 && in * f % lanes == 0 && out * f % lanes == 0) return f;
  return 0;
}

int unrolled_step(std::int64_t channels, std::int64_t last) {
  for (int step : {4, 3, 5, 2})
    if (channels % step == 0 && last % step == 0) return step;
  return 1;
}

// Tiles of a row that touch padding: each is code of its own.
int edge_tiles(const ConvProblem& p, const Phase& phase, std::int64_t stride, std::int64_t dilation, int mr) {
  int edges = 0;
  for (std::int64_t x = 0; x < phase.ow; x += mr) {
    const std::int64_t last = std::min(phase.ow, x + mr) - 1,
                       reach = (static_cast<std::int64_t>(phase.taps_x.size()) - 1) * dilation;
    if (x * stride < phase.pad_x || last * stride - phase.pad_x + reach >= p.in[2]) ++edges;
  }
  return edges;
}

struct Weights {  // where the model's weight of (output, input channel, ky, kx) goes
  ConvProblem problem;
  std::vector<Phase> phases;
  std::int64_t merged, groups, in, out, blocks, block_channels, nb, lanes;  // in, out: channels of a merged group

  std::int64_t index(std::int64_t group, std::int64_t o, std::int64_t i, std::int64_t ky, std::int64_t kx) const {
    const std::int64_t kernel = problem.kernel[1] * problem.kernel[2], small_in = problem.in_channels / problem.groups,
                       small_out = problem.out_channels / problem.groups;
    if (o / small_out != i / small_in) return -1;
    const std::int64_t o_all = group * out + o, i_all = group * in + i;
    if (problem.transposed) return (i_all * small_out + o % small_out) * kernel + ky * problem.kernel[2] + kx;
    return (o_all * small_in + i % small_in) * kernel + ky * problem.kernel[2] + kx;
  }

  // `tile` was chosen for the phase with the most taps.
  double cycles(const RegisterTile& tile) const {
    std::int64_t all = 0, most = 1;
    for (const Phase& phase : phases) all += phase.taps(), most = std::max(most, phase.taps());
    return tile.cycles * static_cast<double>(problem.batch * groups * all) / static_cast<double>(most);
  }

  std::vector<float> pack(std::span<const float> weights) const {
    std::vector<float> packed;
    const std::int64_t out_blocks = ceil_div(out, lanes);
    for (std::int64_t group = 0; group < groups; ++group)
      for (std::int64_t first = 0; first < out_blocks; first += nb) {
        const std::int64_t width = std::min(nb, out_blocks - first) * lanes;
        for (const Phase& phase : phases)
          for (std::int64_t b = 0; b < blocks; ++b)
            for (std::int64_t ky : phase.taps_y)
              for (std::int64_t kx : phase.taps_x)
                for (std::int64_t c = 0; c < block_channels; ++c)
                  for (std::int64_t o = first * lanes; o < first * lanes + width; ++o) {
                    const std::int64_t i = b * block_channels + c,
                                       at = i < in && o < out ? index(group, o, i, ky, kx) : -1;
                    packed.push_back(at < 0 ? 0.0f : weights[static_cast<std::size_t>(at)]);
                  }
      }
    return packed;
  }
};

// Sizes of input and output that are known only while running (templates/conv_run_time.inc).
KernelChoice run_time_conv(const ConvProblem& p, const target::CpuIsa& isa, const Epilogue& epilogue, const Weights& weights,
                           bool plain, bool flat, const RegisterTile& tile) {
  KernelChoice choice;
  const int lanes = isa.vector_lanes;
  const std::int64_t out_blocks = ceil_div(weights.out, lanes), output_groups = ceil_div(out_blocks, tile.nb);
  const std::int64_t last_channels = weights.in - (weights.blocks - 1) * weights.block_channels;
  const std::int64_t tap_floats = weights.blocks * weights.block_channels * lanes;
  const std::string ih = text_of(p.in[1], p.run_in[1]), iw = text_of(p.in[2], p.run_in[2]),
                    oh = text_of(p.out[1], p.run_out[1]), ow = text_of(p.out[2], p.run_out[2]);
  RunTimeSizes sizes;
  if (flat) sizes.member("kIH", "1").member("kIW", ih + " * " + iw).member("kOH", "1").member("kOW", oh + " * " + ow);
  else sizes.member("kIH", ih).member("kIW", iw).member("kOH", oh).member("kOW", ow);

  std::int64_t all_taps = 0, taps_before = 0;
  for (const Phase& phase : weights.phases) all_taps += phase.taps();
  const std::int64_t step_y = p.transposed ? p.stride[1] : 1, step_x = p.transposed ? p.stride[2] : 1;
  std::string phases =
      "struct Conv {\n  int kh, kw, sy, sx, dy, dx, py, px, blocks, block_channels, last_channels, step;\n  int out_y, out_x, "
      "step_y, step_x;\n  int64_t weights, group_weights;\n};\n";
  std::string run;
  for (std::size_t i = 0; i < weights.phases.size(); ++i) {
    const Phase& f = weights.phases[i];
    phases += fmt::format(
        "constexpr Conv kConv{}{{.kh = {}, .kw = {}, .sy = {}, .sx = {}, .dy = {}, .dx = {}, .py = {}, .px = {}, .blocks = {}, "
        ".block_channels = {}, .last_channels = {}, .step = {}, .out_y = {}, .out_x = {}, .step_y = {}, .step_x = {}, "
        ".weights = {}, .group_weights = {}}};\n",
        i, f.taps_y.size(), f.taps_x.size(), p.transposed ? 1 : p.stride[1], p.transposed ? 1 : p.stride[2], p.dilation[1],
        p.dilation[2], f.pad_y, f.pad_x, weights.blocks, weights.block_channels, last_channels,
        unrolled_step(weights.block_channels, last_channels), f.out_y, f.out_x, step_y, step_x, taps_before * tap_floats,
        all_taps * tap_floats * tile.nb);
    run += flat ? fmt::format("  pixels<kConv{}, NB>(place, begin * kMR, min_int(end * kMR, kOW));\n", i)
                : fmt::format("  rows<kConv{0}, NB>(place, begin, min_int(end, ceil_div(kOH - {1}, {2})));\n", i, f.out_y, step_y);
    taps_before += f.taps();
  }
  KernelSource& kernel = choice.kernel;
  kernel.flops = conv_flops(p);
  kernel.bytes = conv_bytes(p);
  kernel.cycles = weights.cycles(tile);
  const std::int64_t units = flat ? ceil_div(p.in[1] * p.in[2], tile.mr) : ceil_div(p.out[1], step_y);
  const std::int64_t image = p.in[1] * p.in[2], out_image = p.out[1] * p.out[2];
  const double weight_bytes = 4.0 * static_cast<double>(all_taps * tap_floats * out_blocks),
               data_bytes = 4.0 * static_cast<double>(image * weights.in + out_image * weights.out);
  const std::int64_t wanted = ceil_div(wanted_tasks(kernel.flops * static_cast<double>(weights.merged), 0), p.batch * weights.groups);
  const Parts parts = cut(units, output_groups, wanted, weight_bytes > data_bytes);
  const double unit_bytes = 4.0 * static_cast<double>(image * weights.in) / static_cast<double>(units);
  const std::int64_t piece = output_groups == 1 ? (1 << 30) : std::max<std::int64_t>(static_cast<std::int64_t>(300e3 / unit_bytes), 1);
  kernel.num_tasks = p.batch * weights.groups * parts.rows * parts.columns;
  kernel.choice = fmt::format("conv {}x{}{}{} direct mr={} nb={} run-time sizes", p.kernel[1], p.kernel[2],
                              p.transposed ? " transposed" : "", plain ? " plain input" : "", tile.mr, tile.nb);
  sizes.member("kRowUnits", flat ? fmt::format("ceil_div({} * {}, {})", oh, ow, tile.mr) : fmt::format("ceil_div({}, {})", oh, step_y));
  Constants c;
  c.text(fmt::format("constexpr bool kHasBias = {}, kPlain = {};", p.bias, plain));
  c.text(fmt::format("constexpr int kMR = {}, kRestTile = {}, kNB = {}, kLastNB = {};", tile.mr, rest_tile(tile.mr), tile.nb,
                     out_blocks - (output_groups - 1) * tile.nb));
  c.add("kRowParts", parts.rows).add("kChannelParts", parts.columns).add("kGroups", weights.groups);
  c.add("kOutputGroups", output_groups).add("kPieceUnits", piece);
  c.add("kInChannels", plain ? p.in_channels : round_up(p.in_channels, lanes)).add("kGroupInputs", weights.in);
  c.add("kWeightsGroup", all_taps * tap_floats * out_blocks).add("kGroupChannels", weights.out);
  c.add("kOutChannels", round_up(p.out_channels, lanes));
  c.text(phases);
  run = "template <int NB> XI_INLINE void run(const Place& place, int64_t begin, int64_t end) {\n" + run + "}\n";
  assemble(kernel, isa, c.str(), epilogue, {kConvRunTimeInc, run, kConvRunTimeMainInc}, sizes);
  choice.input_layout = plain ? Layout::kPlain : Layout::kBlocked;
  choice.output_layout = Layout::kBlocked;
  choice.pack_weights = [weights](std::span<const float> values) { return weights.pack(values); };
  if (p.bias) choice.pack_bias = pad_to_vectors(p.out_channels, lanes);
  return choice;
}

}  // namespace

KernelChoice direct_conv(const ConvProblem& p, const target::CpuIsa& isa, const Epilogue& epilogue) {
  KernelChoice choice;
  const int lanes = isa.vector_lanes;
  const bool strided = p.stride[1] > 1 || p.stride[2] > 1, dilated = p.dilation[1] > 1 || p.dilation[2] > 1;
  choice.kernel.why = "direct: only for constant weights over one or two dimensions";
  if (!p.constant_weights || p.spatial_rank == 3 || (p.transposed && strided && dilated)) return choice;
  const std::int64_t merged = groups_to_merge(p, lanes);
  if (merged == 0) {
    choice.kernel.why = "direct: no number of groups fills whole vectors";
    return choice;
  }

  Weights weights{.problem = p,
                  .phases = phases_of(p),
                  .merged = merged,
                  .groups = p.groups / merged,
                  .in = p.in_channels / p.groups * merged,
                  .out = p.out_channels / p.groups * merged,
                  .blocks = 0,
                  .block_channels = 0,
                  .nb = 0,
                  .lanes = lanes};
  const bool plain = p.in_channels <= 4 || (p.plain_input && weights.in <= 2 * lanes);
  weights.blocks = plain ? 1 : ceil_div(weights.in, lanes);
  weights.block_channels = plain ? weights.in : lanes;
  const std::int64_t last_channels = weights.in - (weights.blocks - 1) * weights.block_channels;
  const std::int64_t stride_y = p.transposed ? 1 : p.stride[1], stride_x = p.transposed ? 1 : p.stride[2];
  const std::int64_t image = p.in[1] * p.in[2], out_image = p.out[1] * p.out[2];
  const bool flat = !p.transposed && p.kernel[1] * p.kernel[2] == 1 && stride_y * stride_x == 1 && p.pad[1] == 0 &&
                    p.pad[2] == 0 && p.in == p.out;

  std::int64_t depth = 0, width = 0, units = 0;
  for (const Phase& phase : weights.phases) {
    depth = std::max(depth, phase.taps() * weights.in);
    width = std::max(width, flat ? image : phase.ow);
    units = std::max(units, flat ? 1 : phase.oh);
  }
  const std::int64_t out_blocks = ceil_div(weights.out, lanes);
  const RegisterTile tile = choose_tile(isa, units, width, out_blocks, depth);
  weights.nb = tile.nb;
  if (!p.is_fixed()) return run_time_conv(p, isa, epilogue, weights, plain, flat, tile);
  for (const Phase& phase : weights.phases)
    if (edge_tiles(p, phase, stride_x, p.dilation[2], tile.mr) > 12 && !flat) {
      choice.kernel.why = "direct: too many tiles touch the padding";
      return choice;
    }

  const std::int64_t output_groups = ceil_div(out_blocks, tile.nb),
                     last_nb = out_blocks - (output_groups - 1) * tile.nb;
  if (flat) units = ceil_div(image, tile.mr);
  Constants constants;
  std::string run;
  std::int64_t taps_before = 0, all_taps = 0;
  for (const Phase& phase : weights.phases) all_taps += phase.taps();
  const std::int64_t tap_floats = weights.blocks * weights.block_channels * lanes;  // per block of output channels
  std::string phases;
  for (std::size_t i = 0; i < weights.phases.size(); ++i) {
    const Phase& f = weights.phases[i];
    phases += fmt::format(
        "constexpr Conv kConv{}{{.kh = {}, .kw = {}, .sy = {}, .sx = {}, .dy = {}, .dx = {}, .py = {}, .px = {}, .ih = "
        "{}, .iw = {}, .oh = {}, .ow = {}, "
        ".in_row = {}, .in_pixel = {}, .in_channel = {}, .in_block = {}, .blocks = {}, .block_channels = {}, "
        ".last_channels = {}, "
        ".out_row = {}, .out_pixel = {}, .out_block = {}, .out_start = {}, .mr = {}, .step = {}, .weights = {}, "
        ".group_weights = {}}};\n",
        i, f.taps_y.size(), f.taps_x.size(), stride_y, stride_x, p.dilation[1], p.dilation[2], f.pad_y, f.pad_x,
        flat ? 1 : p.in[1], flat ? image : p.in[2], flat ? 1 : f.oh, flat ? image : f.ow, (plain ? 1 : lanes) * p.in[2],
        plain ? 1 : lanes, plain ? image : 1, image * lanes, weights.blocks, weights.block_channels, last_channels,
        (p.transposed ? p.stride[1] : 1) * p.out[2] * lanes, (p.transposed ? p.stride[2] : 1) * lanes,
        out_image * lanes, (f.out_y * p.out[2] + f.out_x) * lanes, tile.mr,
        unrolled_step(weights.block_channels, last_channels), taps_before * tap_floats,
        all_taps * tap_floats * tile.nb);
    run +=
        flat ? fmt::format(
                   "  pixels<kConv{0}, NB>(place, begin * kConv{0}.mr, min_int(end * kConv{0}.mr, kConv{0}.ow));\n", i)
             : fmt::format("  rows<kConv{0}, NB>(place, begin, min_int(end, kConv{0}.oh));\n", i);
    taps_before += f.taps();
  }

  KernelSource& kernel = choice.kernel;
  kernel.flops = conv_flops(p);
  kernel.bytes = conv_bytes(p);
  kernel.cycles = weights.cycles(tile);
  kernel.why = "direct: " + explain(tile);
  const double weight_bytes = 4.0 * static_cast<double>(all_taps * tap_floats * out_blocks);
  const double input_bytes = 4.0 * static_cast<double>(image * weights.in),
               output_bytes = 4.0 * static_cast<double>(out_image * weights.out);
  const std::int64_t wanted =
      ceil_div(wanted_tasks(kernel.flops * static_cast<double>(merged), 0), p.batch * weights.groups);
  const Parts parts = cut(units, output_groups, wanted, weight_bytes > input_bytes + output_bytes);
  const double unit_bytes = input_bytes / static_cast<double>(units);
  const std::int64_t piece =
      output_groups == 1 ? units : std::clamp<std::int64_t>(static_cast<std::int64_t>(300e3 / unit_bytes), 1, units);
  kernel.num_tasks = p.batch * weights.groups * parts.rows * parts.columns;
  kernel.choice =
      fmt::format("conv {}x{}{}{}{} direct mr={} nb={}", p.kernel[1], p.kernel[2], p.transposed ? " transposed" : "",
                  strided ? fmt::format(" stride {}x{}", p.stride[1], p.stride[2]) : "", plain ? " plain input" : "",
                  tile.mr, tile.nb);

  constants.text(fmt::format("constexpr bool kHasBias = {};", p.bias));
  constants.add("kRowParts", parts.rows)
      .add("kChannelParts", parts.columns)
      .add("kGroups", weights.groups)
      .add("kOutputGroups", output_groups);
  constants.add("kRowUnits", units)
      .add("kPieceUnits", piece)
      .add("kInImage", image * (plain ? p.in_channels : round_up(p.in_channels, lanes)));
  constants.add("kInGroup", image * weights.in)
      .add("kWeightsGroup", all_taps * tap_floats * out_blocks)
      .add("kGroupChannels", weights.out);
  constants.add("kOutImage", out_image * round_up(p.out_channels, lanes));
  constants.text(fmt::format("constexpr int kNB = {}, kLastNB = {};", tile.nb, last_nb));
  run = "template <int NB> XI_INLINE void run(const Place& place, int64_t begin, int64_t end) {\n" + run + "}\n";
  assemble(kernel, isa, constants.str(), epilogue, {kConvDirectInc, phases, run, kConvDirectMainInc});

  choice.input_layout = plain ? Layout::kPlain : Layout::kBlocked;
  choice.output_layout = Layout::kBlocked;
  choice.pack_weights = [weights](std::span<const float> values) { return weights.pack(values); };
  if (p.bias) choice.pack_bias = pad_to_vectors(p.out_channels, lanes);
  return choice;
}

}  // namespace xinfer::forge::cpu
