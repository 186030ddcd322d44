#include "forge/cuda/general.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "forge/cpu/contraction.h"
#include "forge/cuda/prelude.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {

using cpu::ceil_div;
using cpu::Constants;
using tensor::Tensor;

namespace {

constexpr std::int64_t kBlock = 256, kMaxGrid = 1 << 22;
constexpr std::int64_t kChannelUnit = 8;  // of Layout::kBlocked

std::int64_t padded(std::int64_t channels) { return std::max<std::int64_t>(1, ceil_div(channels, kChannelUnit)) * kChannelUnit; }

// Elements of `tensor` in the order that `place` gives, as `dtype`.
template <class Place>
Pack packer(DType dtype, std::int64_t count, Place place) {
  return [=](const Tensor& tensor) {
    Tensor packed(dtype, {count});
    for (std::int64_t i = 0; i < tensor.num_elements(); ++i) packed.set(place(i), tensor.as_double(i));
    auto bytes = packed.bytes();
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
}

void set_grid(KernelSource& kernel, std::int64_t items) {
  kernel.threads = static_cast<std::uint32_t>(kBlock);
  kernel.grid = static_cast<std::uint32_t>(std::clamp<std::int64_t>(ceil_div(items, kBlock), 1, kMaxGrid));
}

base::Result<void> check_type(DType dtype, std::string_view what) {
  if (!element_type(dtype).empty()) return {};
  return base::fail(base::Code::kUnsupported, "{} of {} has no kernel for GPUs", what, tensor::name(dtype));
}

}  // namespace

std::string parameters_source(const Parameters& p, const Epilogue& epilogue) {
  std::vector<std::string> list = {"const Element* __restrict__ input"}, values;
  if (p.weights) list.emplace_back("const Weight* __restrict__ weights");
  if (p.zero_point) list.emplace_back("const Element* __restrict__ bias");
  if (p.bias) list.push_back(fmt::format("const {}* __restrict__ bias", p.constant_bias ? "float" : "Element"));
  for (std::size_t i = 0; i < epilogue.operands.size(); ++i) {
    const EpilogueOperand& operand = epilogue.operands[i];
    list.push_back(fmt::format("const {}* __restrict__ e{}", element_type(operand.dtype), i));
    constexpr std::string_view kAt[] = {"offset", "channel", "0"};
    values.push_back(fmt::format("(float)e{}[{}]", i, kAt[static_cast<int>(operand.kind)]));
  }
  if (values.empty()) values.emplace_back("0.0f");
  list.emplace_back("Out* __restrict__ output");
  if (p.indices) list.emplace_back("int64_t* __restrict__ indices");
  const bool fused = !epilogue.empty();
  const std::string_view element = element_type(p.dtype);
  const bool narrow = p.weights && forge::is_narrow(p.dtype);
  return fmt::format(
      "typedef {} Element;\ntypedef {} Weight;\ntypedef {} Sum;\ntypedef {} Out;\n#define XI_PARAMETERS {}\n#define XI_OPERANDS(offset, "
      "channel) const float operands[] = {{{}}};\nconstexpr bool kHasBias = {}, kHasZeroPoint = {}, kFused = {};\n{}{}",
      element, narrow ? "int8_t" : element, narrow ? "int32_t" : cpu::number_type(p.dtype), element_type(p.weights ? output_dtype(p.dtype, epilogue) : p.dtype),
      fmt::join(list, ", "), fmt::join(values, ", "), p.bias, p.zero_point, fused, p.bias || p.zero_point ? "" : "constexpr float* bias = nullptr;\n",
      epilogue_source(epilogue));
}

std::string epilogue_source(const Epilogue& epilogue) {
  if (!epilogue.empty()) return epilogue.source;
  return "XI_INLINE float epilogue(float x, const float (&)[1]) { return x; }\n";
}

base::Result<Solution> general_conv(const forge::ConvProblem& p, const Epilogue& epilogue) {
  XI_CHECK(check_type(p.dtype, "a convolution"));
  Solution solution;
  const bool blocked_in = p.spatial_rank <= 2 && !p.plain_input, blocked_out = p.spatial_rank <= 2 && !p.plain_output;
  solution.input_layout = blocked_in ? Layout::kBlocked : Layout::kPlain;
  solution.output_layout = blocked_out ? Layout::kBlocked : Layout::kPlain;
  const std::int64_t taps = p.kernel[0] * p.kernel[1] * p.kernel[2], pixels_in = p.in[0] * p.in[1] * p.in[2],
                     pixels_out = p.out[0] * p.out[1] * p.out[2], inputs = p.in_channels / p.groups,
                     outputs = p.out_channels / p.groups;
  const std::int64_t items = p.batch * pixels_out * (blocked_out ? padded(p.out_channels) : p.out_channels);
  Constants c;
  cpu::add_window(c, p);
  c.text(fmt::format("constexpr bool kTransposed = {}, kBlockedOut = {};", p.transposed, blocked_out));
  c.text(fmt::format("constexpr int64_t kItems = {}, kInImage = {};", items,
                     pixels_in * (blocked_in ? padded(p.in_channels) : p.in_channels)));
  c.add("kOC", p.out_channels).add("kPaddedOut", padded(p.out_channels)).add("kGroups", p.groups).add("kInputs", inputs);
  c.add("kPixelsOut", pixels_out)
      .add("kInPixel", blocked_in ? padded(p.in_channels) : 1)
      .add("kInChannel", blocked_in ? 1 : pixels_in);
  // Packed: [group][tap][input][output]; as the model has them: [output][input][tap], transposed [input][output][tap].
  const bool packs = p.constant_weights, transposed = p.transposed;
  const std::int64_t group_size = inputs * outputs * taps;
  c.add("kWGroup", group_size)
      .add("kWTap", packs ? inputs * outputs : 1)
      .add("kWIn", packs ? outputs : transposed ? outputs * taps : taps)
      .add("kWOut", packs ? 1 : transposed ? taps : inputs * taps);
  if (packs)
    solution.pack_weights = packer(forge::is_narrow(p.dtype) ? DType::kInt8 : p.dtype, p.groups * group_size, [=](std::int64_t i) {
      const std::int64_t tap = i % taps, inner = i / taps, group = i / group_size;
      const std::int64_t in = transposed ? inner / outputs % inputs : inner % inputs,
                         out = transposed ? inner % outputs : inner / inputs % outputs;
      return group * group_size + (tap * inputs + in) * outputs + out;
    });
  KernelSource& kernel = solution.kernel;
  set_grid(kernel, items);
  kernel.flops = cpu::conv_flops(p);
  kernel.bytes = cpu::conv_bytes(p) * static_cast<double>(tensor::size_of(p.dtype)) / 4;
  kernel.choice = fmt::format("conv {}x{}x{} {}", p.kernel[0], p.kernel[1], p.kernel[2], kGeneral);
  finish_source(kernel, parameters_source({p.dtype, true, p.bias, p.constant_weights, false, p.zero_point}, epilogue) + c.str() +
                            std::string(kGeneralConvCuh));
  return solution;
}

base::Result<Solution> general_matmul(const forge::MatMulProblem& p, const Epilogue& epilogue) {
  XI_CHECK(check_type(p.dtype, "a matrix product"));
  Solution solution;
  const std::size_t rank = std::max(p.batch_a.size(), p.batch_b.size());
  std::vector<std::int64_t> batch(rank, 1), steps_a(rank, 0), steps_b(rank, 0);
  auto spread = [&](const std::vector<std::int64_t>& dims, std::int64_t matrix, std::vector<std::int64_t>& steps) {
    std::int64_t stride = matrix;
    for (std::size_t i = 0; i < dims.size(); ++i) {
      const std::size_t from = dims.size() - 1 - i, to = rank - 1 - i;
      batch[to] = std::max(batch[to], dims[from]);
      if (dims[from] == 0) batch[to] = 0;
      steps[to] = dims[from] == 1 ? 0 : stride;
      stride *= dims[from];
    }
  };
  spread(p.batch_a, p.m * p.k, steps_a);
  spread(p.batch_b, p.k * p.n, steps_b);
  std::int64_t count = 1;
  for (auto size : batch) count *= size;
  Constants c;
  c.add("kM", p.m).add("kN", p.n).add("kK", p.k).add("kBatchRank", static_cast<std::int64_t>(rank));
  c.text(fmt::format("constexpr int64_t kBatch[] = {{{}}}, kBatchA[] = {{{}}}, kBatchB[] = {{{}}};",
                     fmt::join(rank ? batch : std::vector<std::int64_t>{1}, ", "),
                     fmt::join(rank ? steps_a : std::vector<std::int64_t>{0}, ", "),
                     fmt::join(rank ? steps_b : std::vector<std::int64_t>{0}, ", ")));
  c.add("kAM", p.transpose_a ? 1 : p.k).add("kAK", p.transpose_a ? p.m : 1);
  c.add("kBK", p.transpose_b ? 1 : p.n).add("kBN", p.transpose_b ? p.k : 1);
  KernelSource& kernel = solution.kernel;
  kernel.threads = static_cast<std::uint32_t>(kBlock);
  kernel.grid = static_cast<std::uint32_t>(std::max<std::int64_t>(1, count * ceil_div(p.m, 64) * ceil_div(p.n, 64)));
  kernel.flops = 2.0 * static_cast<double>(count * p.m * p.n) * static_cast<double>(p.k);
  kernel.bytes = static_cast<double>(tensor::size_of(p.dtype)) *
                 static_cast<double>(count * (p.m * p.k + p.m * p.n) + (p.batch_b.empty() ? 1 : count) * p.k * p.n);
  kernel.choice = fmt::format("matmul {}x{}x{} {}", p.m, p.n, p.k, kGeneral);
  if (forge::is_narrow(p.dtype))
    solution.pack_weights = [](const Tensor& constant) { return std::vector<std::byte>(constant.bytes().begin(), constant.bytes().end()); };
  finish_source(kernel, parameters_source({p.dtype, true, p.bias, true, false, p.zero_point}, epilogue) + c.str() +
                            std::string(kGeneralMatmulCuh));
  return solution;
}

base::Result<Solution> general_pool(const forge::PoolProblem& p, const Epilogue& epilogue) {
  XI_CHECK(check_type(p.dtype, "a pool"));
  Solution solution;
  const bool blocked = p.layout == Layout::kBlocked;
  solution.input_layout = solution.output_layout = p.layout;
  const std::int64_t pixels_in = p.in[0] * p.in[1] * p.in[2], pixels_out = p.out[0] * p.out[1] * p.out[2],
                     channels = blocked ? padded(p.channels) : p.channels, items = p.batch * channels * pixels_out;
  Constants c;
  cpu::add_window(c, p);
  c.add("kPZEnd", p.pad_end[0]).add("kPYEnd", p.pad_end[1]).add("kPXEnd", p.pad_end[2]);
  c.text(fmt::format("constexpr bool kMaximum = {}, kLp = {}, kCountPadding = {}, kBlocked = {}, kIndices = {}, "
                     "kColumnMajor = {};",
                     p.kind == forge::PoolProblem::Kind::kMax, p.kind == forge::PoolProblem::Kind::kLp,
                     p.count_include_pad, blocked, p.indices, p.column_major_indices));
  c.add("kRank", p.spatial_rank).add("kPower", p.p == 1 ? 1 : p.p == 2 ? 2 : 0);
  c.text(fmt::format("constexpr double kPowerValue = {:.17e};\nconstexpr Sum kLowest = {};", p.p,
                     cpu::lowest_number(p.dtype)));
  c.text(fmt::format("constexpr int64_t kItems = {}, kInImage = {};", items, pixels_in * channels));
  c.add("kChannels", p.channels).add("kPadded", padded(p.channels)).add("kPixelsOut", pixels_out);
  c.add("kInPixel", blocked ? padded(p.channels) : 1).add("kInChannel", blocked ? 1 : pixels_in);
  if (!p.indices) c.text("constexpr int64_t* indices = nullptr;");
  KernelSource& kernel = solution.kernel;
  set_grid(kernel, items);
  kernel.flops = static_cast<double>(p.batch * p.channels * pixels_out) *
                 static_cast<double>(p.kernel[0] * p.kernel[1] * p.kernel[2]);
  kernel.bytes = static_cast<double>(tensor::size_of(p.dtype)) *
                 static_cast<double>(p.batch * p.channels * (pixels_in + pixels_out));
  kernel.choice = fmt::format("pool {}x{}x{} {}", p.kernel[0], p.kernel[1], p.kernel[2], kGeneral);
  finish_source(kernel, parameters_source({p.dtype, false, false, true, p.indices}, epilogue) + c.str() +
                            std::string(kGeneralPoolCuh));
  return solution;
}

}  // namespace xinfer::forge::cuda
