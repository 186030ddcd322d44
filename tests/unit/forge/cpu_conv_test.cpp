// Every convolution template against plain loops, over sizes that hit borders and tails, on every ISA that runs here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "forge/cpu/conv.h"
#include "run_kernel.h"

namespace xinfer::forge::cpu {
namespace {

using testing::Buffer;

std::vector<float> random_floats(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& v : values) v = uniform(random);
  return values;
}

std::size_t volume(const std::array<std::int64_t, 3>& sizes) {
  return static_cast<std::size_t>(sizes[0] * sizes[1] * sizes[2]);
}

std::vector<float> naive(const ConvProblem& p, const std::vector<float>& x, const std::vector<float>& w,
                         const std::vector<float>& bias) {
  const std::size_t plane = volume(p.out), taps = volume(p.kernel), in_plane = volume(p.in);
  std::vector<double> out(static_cast<std::size_t>(p.batch * p.out_channels) * plane);
  const std::int64_t ig = p.in_channels / p.groups, og = p.out_channels / p.groups;
  for (std::int64_t n = 0; n < p.batch; ++n)
    for (std::int64_t o = 0; o < p.out_channels; ++o)
      for (std::int64_t c = 0; c < ig; ++c) {
        const std::int64_t in_channel = o / og * ig + c;
        const float* in = &x[static_cast<std::size_t>(n * p.in_channels + in_channel) * in_plane];
        double* to = &out[static_cast<std::size_t>(n * p.out_channels + o) * plane];
        const std::size_t at = static_cast<std::size_t>(p.transposed ? in_channel * og + o % og : o * ig + c) * taps;
        const auto& small = p.transposed ? p.in : p.out;  // the side that is walked densely
        const auto& large = p.transposed ? p.out : p.in;
        for (std::int64_t z = 0; z < small[0]; ++z)
          for (std::int64_t y = 0; y < small[1]; ++y)
            for (std::int64_t xx = 0; xx < small[2]; ++xx)
              for (std::int64_t kz = 0; kz < p.kernel[0]; ++kz)
                for (std::int64_t ky = 0; ky < p.kernel[1]; ++ky)
                  for (std::int64_t kx = 0; kx < p.kernel[2]; ++kx) {
                    const std::int64_t lz = z * p.stride[0] + kz * p.dilation[0] - p.pad[0],
                                       ly = y * p.stride[1] + ky * p.dilation[1] - p.pad[1],
                                       lx = xx * p.stride[2] + kx * p.dilation[2] - p.pad[2];
                    if (lz < 0 || ly < 0 || lx < 0 || lz >= large[0] || ly >= large[1] || lx >= large[2]) continue;
                    const auto s = static_cast<std::size_t>((z * small[1] + y) * small[2] + xx),
                               l = static_cast<std::size_t>((lz * large[1] + ly) * large[2] + lx);
                    const double weight = w[at + static_cast<std::size_t>((kz * p.kernel[1] + ky) * p.kernel[2] + kx)];
                    if (p.transposed) to[l] += weight * in[s];
                    else to[s] += weight * in[l];
                  }
      }
  std::vector<float> result(out.begin(), out.end());
  if (p.bias)
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] += bias[i / plane % static_cast<std::size_t>(p.out_channels)];
  return result;
}

// NCHW to NCHWc and back; the lanes past the channels are filled with NaN, which must not spread.
std::vector<float> to_blocked(const std::vector<float>& x, std::int64_t batch, std::int64_t channels, std::size_t plane,
                              int lanes) {
  const std::int64_t blocks = (channels + lanes - 1) / lanes;
  std::vector<float> out(static_cast<std::size_t>(batch * blocks * lanes) * plane, NAN);
  for (std::int64_t n = 0; n < batch; ++n)
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::size_t i = 0; i < plane; ++i)
        out[(static_cast<std::size_t>(n * blocks + c / lanes) * plane + i) * static_cast<std::size_t>(lanes) +
            static_cast<std::size_t>(c % lanes)] = x[static_cast<std::size_t>(n * channels + c) * plane + i];
  return out;
}
std::vector<float> from_blocked(const std::vector<float>& x, std::int64_t batch, std::int64_t channels,
                                std::size_t plane, int lanes) {
  const std::int64_t blocks = (channels + lanes - 1) / lanes;
  std::vector<float> out(static_cast<std::size_t>(batch * channels) * plane);
  for (std::int64_t n = 0; n < batch; ++n)
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::size_t i = 0; i < plane; ++i)
        out[static_cast<std::size_t>(n * channels + c) * plane + i] =
            x[(static_cast<std::size_t>(n * blocks + c / lanes) * plane + i) * static_cast<std::size_t>(lanes) +
              static_cast<std::size_t>(c % lanes)];
  return out;
}

struct Case {
  std::int64_t batch, in_channels, out_channels, groups;
  std::array<std::int64_t, 3> in, kernel, stride, dilation, pad, pad_end;
  bool transposed = false, plain = false, dynamic = false;
};

ConvProblem problem_of(const Case& c) {
  ConvProblem p{.spatial_rank = c.in[0] > 1 || c.kernel[0] > 1 ? 3 : 2,
                .batch = c.batch,
                .in_channels = c.in_channels,
                .out_channels = c.out_channels,
                .groups = c.groups,
                .in = c.in,
                .kernel = c.kernel,
                .stride = c.stride,
                .dilation = c.dilation,
                .pad = c.pad};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t reach = (c.kernel[i] - 1) * c.dilation[i] + 1;
    p.out[i] = c.transposed ? (c.in[i] - 1) * c.stride[i] + reach - c.pad[i] - c.pad_end[i]
                            : (c.in[i] + c.pad[i] + c.pad_end[i] - reach) / c.stride[i] + 1;
  }
  p.transposed = c.transposed;
  p.plain_input = c.plain;
  p.constant_weights = !c.dynamic;
  return p;
}

// A residual operand that lies like the output and a channel's scale, then Relu.
const Epilogue kTail{.num_operands = 2, .source = R"(
template <class Access> XI_INLINE vf epilogue(vf x, void* const* operands, int64_t offset, int64_t channel, Access access) {
  return relu(x * access.load_channel((const float*)operands[1] + channel) + access.load((const float*)operands[0] + offset));
})"};

// The same with a function in it that makes the templates put the epilogue into a loop; it adds nothing.
const Epilogue kLongTail{.num_operands = 2, .source = R"(
template <class Access> XI_INLINE vf epilogue(vf x, void* const* operands, int64_t offset, int64_t channel, Access access) {
  return relu(x * access.load_channel((const float*)operands[1] + channel) + access.load((const float*)operands[0] + offset)) + sigmoid(vf(-100.0f));
})"};

void check(const Case& c, std::string_view isa_name, bool bias, bool tail, bool long_tail) {
  const target::CpuIsa& isa = testing::isa_named(isa_name);
  const int lanes = isa.vector_lanes;
  ConvProblem p = problem_of(c);
  p.bias = bias;
  const std::size_t plane = volume(p.out), in_plane = volume(p.in);
  const auto x = random_floats(static_cast<std::size_t>(p.batch * p.in_channels) * in_plane, 1);
  const auto w =
      random_floats(static_cast<std::size_t>(p.in_channels * p.out_channels / p.groups) * volume(p.kernel), 2);
  const auto b = random_floats(static_cast<std::size_t>(p.out_channels), 3),
             scale = random_floats(static_cast<std::size_t>(p.out_channels + lanes), 4);
  const auto residual = random_floats(static_cast<std::size_t>(p.batch * p.out_channels) * plane, 5);
  auto want = naive(p, x, w, b);
  if (tail)
    for (std::size_t i = 0; i < want.size(); ++i)
      want[i] = std::max(0.0f, want[i] * scale[i / plane % static_cast<std::size_t>(p.out_channels)] + residual[i]);

  const KernelChoice choice = choose_conv(p, isa, long_tail ? kLongTail : tail ? kTail : Epilogue{});
  const bool in_blocked = choice.input_layout == Layout::kBlocked,
             out_blocked = choice.output_layout == Layout::kBlocked;
  Buffer input = Buffer::of(in_blocked ? to_blocked(x, p.batch, p.in_channels, in_plane, lanes) : x);
  Buffer weights = Buffer::of(choice.pack_weights ? choice.pack_weights(w) : w);
  Buffer bias_buffer = Buffer::of(choice.pack_bias ? choice.pack_bias(b) : b);
  Buffer residual_buffer =
      Buffer::of(out_blocked ? to_blocked(residual, p.batch, p.out_channels, plane, lanes) : residual);
  Buffer scale_buffer = Buffer::of(scale);
  const std::int64_t out_channels = out_blocked ? (p.out_channels + lanes - 1) / lanes * lanes : p.out_channels;
  Buffer output = Buffer::of(std::vector<float>(static_cast<std::size_t>(p.batch * out_channels) * plane, NAN));
  std::vector<Buffer*> buffers{&input, &weights};
  if (bias) buffers.push_back(&bias_buffer);
  if (tail) buffers.insert(buffers.end(), {&residual_buffer, &scale_buffer});
  buffers.push_back(&output);
  auto ran = testing::run_kernel(choice.kernel, isa, buffers);
  ASSERT_TRUE(ran) << ran.error().text();
  auto got = output.as<float>();
  if (out_blocked) got = from_blocked(got, p.batch, p.out_channels, plane, lanes);
  const double tolerance =
      (choice.kernel.choice.contains("winograd") ? 1.5e-5 : 2e-6) *
          std::sqrt(static_cast<double>(p.in_channels / p.groups) * static_cast<double>(volume(p.kernel))) +
      2e-6;
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - want[i]);
    if (!(error <= tolerance)) {
      FAIL() << choice.kernel.choice << " on " << isa_name << ": output " << i << " is " << got[i] << ", not "
             << want[i];
    }
    worst = std::max(worst, error);
  }
}

std::string describe(const Case& c) {
  std::string text = "n" + std::to_string(c.batch) + " c" + std::to_string(c.in_channels) + "-" +
                     std::to_string(c.out_channels) + " g" + std::to_string(c.groups);
  for (const auto* a : {&c.in, &c.kernel, &c.stride, &c.dilation, &c.pad})
    text += " " + std::to_string((*a)[0]) + "," + std::to_string((*a)[1]) + "," + std::to_string((*a)[2]);
  return text + (c.transposed ? " transposed" : "") + (c.plain ? " plain" : "") + (c.dynamic ? " dynamic" : "");
}

const Case kCases[] = {
    {1, 32, 64, 1, {1, 13, 13}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {2, 19, 35, 1, {1, 9, 17}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {1, 3, 24, 1, {1, 32, 40}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {1, 3, 16, 1, {1, 30, 30}, {1, 7, 7}, {1, 2, 2}, {1, 1, 1}, {0, 3, 3}, {0, 3, 3}},
    {1, 12, 16, 1, {1, 20, 20}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}, false, true},
    {1, 1, 5, 1, {1, 28, 28}, {1, 5, 5}, {1, 1, 1}, {1, 1, 1}, {0, 2, 2}, {0, 2, 2}},
    {2, 40, 72, 1, {1, 13, 11}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}},
    {1, 96, 200, 1, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}},
    {1, 32, 48, 1, {1, 14, 14}, {1, 1, 1}, {1, 2, 2}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}},
    {1, 16, 32, 1, {1, 15, 15}, {1, 3, 3}, {1, 1, 1}, {1, 2, 3}, {0, 2, 3}, {0, 2, 3}},
    {1, 20, 20, 1, {1, 6, 7}, {1, 5, 3}, {1, 1, 2}, {1, 1, 1}, {0, 0, 1}, {0, 4, 0}},
    {1, 16, 16, 1, {1, 1, 33}, {1, 1, 9}, {1, 1, 1}, {1, 1, 1}, {0, 0, 4}, {0, 0, 4}},
    {1, 24, 24, 1, {1, 4, 3}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {1, 8, 8, 1, {1, 4, 4}, {1, 5, 5}, {1, 1, 1}, {1, 1, 1}, {0, 4, 4}, {0, 4, 4}},
    {1, 64, 64, 2, {1, 10, 10}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {2, 64, 64, 16, {1, 8, 9}, {1, 3, 3}, {1, 2, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {1, 24, 36, 3, {1, 8, 9}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {1, 32, 32, 32, {1, 14, 14}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {2, 40, 40, 40, {1, 15, 33}, {1, 5, 5}, {1, 2, 2}, {1, 1, 1}, {0, 2, 2}, {0, 2, 2}},
    {1, 17, 17, 17, {1, 9, 50}, {1, 3, 3}, {1, 1, 1}, {1, 2, 2}, {0, 2, 2}, {0, 2, 2}},
    {1, 12, 24, 12, {1, 9, 10}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {1, 24, 40, 1, {1, 7, 9}, {1, 2, 2}, {1, 2, 2}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, true},
    {1, 16, 16, 1, {1, 5, 6}, {1, 4, 4}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}, true},
    {2, 20, 18, 1, {1, 5, 6}, {1, 3, 3}, {1, 2, 3}, {1, 1, 1}, {0, 1, 0}, {0, 0, 1}, true},
    {1, 16, 20, 1, {1, 5, 6}, {1, 3, 3}, {1, 1, 1}, {1, 1, 2}, {0, 1, 1}, {0, 1, 1}, true},
    {1, 4, 6, 2, {1, 5, 6}, {1, 3, 3}, {1, 2, 2}, {1, 2, 2}, {0, 1, 1}, {0, 1, 1}, true},
    {1, 3, 2, 1, {1, 5, 6}, {1, 1, 1}, {1, 3, 3}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, true},
    {1, 3, 5, 1, {5, 6, 7}, {3, 3, 3}, {1, 2, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 0}},
    {1, 4, 6, 2, {4, 5, 6}, {2, 3, 2}, {2, 2, 1}, {1, 1, 2}, {0, 1, 1}, {0, 1, 1}, true},
    {2, 8, 16, 1, {1, 7, 7}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}, false, false, true},
    {1, 48, 80, 1, {1, 24, 25}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
    {2, 70, 33, 1, {1, 14, 9}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 2, 0}, {0, 0, 1}},
    {1, 64, 64, 1, {1, 36, 36}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
};

class Conv : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(Conv, AgreesWithPlainLoops) {
  const auto& [isa, index] = GetParam();
  if (auto missing = testing::missing_for(isa); !missing.empty()) GTEST_SKIP() << missing;
  const Case& c = kCases[index];
  SCOPED_TRACE(describe(c));
  check(c, isa, index % 2 == 0, index % 3 != 0, index % 3 == 2);
}

INSTANTIATE_TEST_SUITE_P(X86, Conv,
                         ::testing::Combine(::testing::Values("x86-64-v4", "x86-64-v3"),
                                            ::testing::Range(0, static_cast<int>(std::size(kCases)))),
                         testing::case_name);
INSTANTIATE_TEST_SUITE_P(Arm, Conv,
                         ::testing::Combine(::testing::Values("armv8-a"), ::testing::Values(1, 2, 6, 15, 18, 22, 27)),
                         testing::case_name);

TEST(ChooseConv, TakesTheTemplateThatFits) {
  const auto& isa = testing::isa_named("x86-64-v4");
  const auto choice = [&](int index) { return choose_conv(problem_of(kCases[index]), isa).kernel.choice; };
  EXPECT_THAT(choice(1), ::testing::HasSubstr("direct"));
  EXPECT_THAT(choice(30), ::testing::HasSubstr("winograd"));
  ConvProblem exact = problem_of(kCases[30]);
  exact.exact = true;
  EXPECT_THAT(choose_conv(exact, isa).kernel.choice, ::testing::HasSubstr("direct"));
  EXPECT_THAT(choice(17), ::testing::HasSubstr("depthwise"));
  EXPECT_THAT(choice(21), ::testing::HasSubstr("2x2 transposed stride 2x2 direct"));
  EXPECT_THAT(choice(27), ::testing::HasSubstr("general"));
  EXPECT_EQ(choose_conv(problem_of(kCases[0]), isa).kernel.source,
            choose_conv(problem_of(kCases[0]), isa).kernel.source);
}

}  // namespace
}  // namespace xinfer::forge::cpu
