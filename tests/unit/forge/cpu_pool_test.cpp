// The pooling templates against plain loops.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "forge/cpu/pool.h"
#include "run_kernel.h"

namespace xinfer::forge::cpu {
namespace {

using testing::Buffer;
using Kind = PoolProblem::Kind;

struct Pooled {
  std::vector<float> values;
  std::vector<std::int64_t> indices;
};

Pooled naive(const PoolProblem& p, const std::vector<float>& x) {
  Pooled out;
  const std::int64_t plane = p.in[0] * p.in[1] * p.in[2];
  for (std::int64_t nc = 0; nc < p.batch * p.channels; ++nc)
    for (std::int64_t z = 0; z < p.out[0]; ++z)
      for (std::int64_t y = 0; y < p.out[1]; ++y)
        for (std::int64_t xx = 0; xx < p.out[2]; ++xx) {
          double sum = p.kind == Kind::kMax ? -INFINITY : 0;
          std::int64_t count = 0, best = -1;
          for (std::int64_t kz = 0; kz < p.kernel[0]; ++kz)
            for (std::int64_t ky = 0; ky < p.kernel[1]; ++ky)
              for (std::int64_t kx = 0; kx < p.kernel[2]; ++kx) {
                const std::int64_t at[3] = {z * p.stride[0] + kz * p.dilation[0] - p.pad[0],
                                            y * p.stride[1] + ky * p.dilation[1] - p.pad[1],
                                            xx * p.stride[2] + kx * p.dilation[2] - p.pad[2]};
                bool inside = true, padded = true;
                for (std::size_t i = 0; i < 3; ++i) {
                  inside &= at[i] >= 0 && at[i] < p.in[i];
                  padded &= at[i] < p.in[i] + p.pad_end[i];
                }
                if (inside || (p.count_include_pad && padded)) ++count;
                if (!inside) continue;
                const std::int64_t index = (at[0] * p.in[1] + at[1]) * p.in[2] + at[2];
                const double value = x[static_cast<std::size_t>(nc * plane + index)];
                if (p.kind == Kind::kLp) sum += std::pow(std::abs(value), p.p);
                if (p.kind == Kind::kAverage) sum += value;
                if (p.kind == Kind::kMax && value > sum) {
                  sum = value;
                  best = nc * plane + (p.column_major_indices ? at[1] + at[2] * p.in[1] : index);
                }
              }
          out.values.push_back(static_cast<float>(p.kind == Kind::kAverage ? sum / static_cast<double>(count)
                                                  : p.kind == Kind::kLp    ? std::pow(sum, 1 / p.p)
                                                                           : sum));
          out.indices.push_back(best);
        }
  return out;
}

const PoolProblem kProblems[] = {
    {.kind = Kind::kMax,
     .batch = 2,
     .channels = 20,
     .in = {1, 9, 11},
     .out = {1, 5, 6},
     .kernel = {1, 3, 3},
     .stride = {1, 2, 2},
     .pad = {0, 1, 1},
     .pad_end = {0, 1, 1}},
    {.kind = Kind::kMax,
     .channels = 16,
     .in = {1, 8, 8},
     .out = {1, 8, 8},
     .kernel = {1, 5, 5},
     .pad = {0, 2, 2},
     .pad_end = {0, 2, 2}},
    {.kind = Kind::kAverage,
     .channels = 7,
     .in = {1, 7, 7},
     .out = {1, 4, 4},
     .kernel = {1, 2, 2},
     .stride = {1, 2, 2},
     .pad_end = {0, 1, 1}},
    {.kind = Kind::kAverage,
     .channels = 33,
     .in = {1, 6, 5},
     .out = {1, 6, 5},
     .kernel = {1, 3, 3},
     .pad = {0, 1, 1},
     .pad_end = {0, 1, 1},
     .count_include_pad = true},
    {.kind = Kind::kAverage, .channels = 9, .in = {1, 13, 17}, .out = {1, 1, 1}, .kernel = {1, 13, 17}},
    {.kind = Kind::kMax, .channels = 9, .in = {1, 13, 17}, .out = {1, 1, 1}, .kernel = {1, 13, 17}},
    {.kind = Kind::kMax,
     .channels = 5,
     .in = {1, 12, 13},
     .out = {1, 4, 5},
     .kernel = {1, 3, 3},
     .stride = {1, 2, 2},
     .dilation = {1, 2, 2}},
    {.kind = Kind::kLp, .channels = 5, .in = {1, 6, 7}, .out = {1, 5, 6}, .kernel = {1, 2, 2}, .p = 2},
    {.kind = Kind::kLp, .channels = 5, .in = {1, 6, 7}, .out = {1, 5, 6}, .kernel = {1, 2, 2}, .p = 3},
    {.kind = Kind::kMax,
     .batch = 2,
     .channels = 3,
     .in = {1, 5, 6},
     .out = {1, 4, 5},
     .kernel = {1, 2, 2},
     .indices = true},
    {.kind = Kind::kMax,
     .batch = 2,
     .channels = 3,
     .in = {1, 5, 6},
     .out = {1, 2, 3},
     .kernel = {1, 2, 2},
     .stride = {1, 2, 2},
     .indices = true,
     .column_major_indices = true},
    {.kind = Kind::kAverage, .spatial_rank = 3, .channels = 3, .in = {4, 5, 6}, .out = {3, 4, 5}, .kernel = {2, 2, 2}},
};

class Pool : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(Pool, AgreesWithPlainLoops) {
  const auto& [isa_name, index] = GetParam();
  if (auto missing = testing::missing_for(isa_name); !missing.empty()) GTEST_SKIP() << missing;
  const auto& isa = testing::isa_named(isa_name);
  const auto lanes = static_cast<std::size_t>(isa.vector_lanes);
  for (const Layout layout : {Layout::kPlain, Layout::kBlocked}) {
    PoolProblem p = kProblems[index];
    if (layout == Layout::kBlocked && (p.indices || p.spatial_rank != 2)) continue;
    p.layout = layout;
    const auto in_plane = static_cast<std::size_t>(p.in[0] * p.in[1] * p.in[2]),
               out_plane = static_cast<std::size_t>(p.out[0] * p.out[1] * p.out[2]);
    const auto channels = static_cast<std::size_t>(p.channels), batch = static_cast<std::size_t>(p.batch);
    std::mt19937 random(7);
    std::vector<float> x(batch * channels * in_plane);
    for (float& v : x) v = std::uniform_real_distribution<float>(-1, 1)(random);
    const Pooled want = naive(p, x);
    const bool blocked = layout == Layout::kBlocked, tail = !p.indices && index % 2 == 0;
    const std::size_t blocks = blocked ? (channels + lanes - 1) / lanes : channels, width = blocked ? lanes : 1;
    const auto at = [&](std::size_t i, std::size_t plane) {  // of plain element i
      const std::size_t c = i / plane % channels, n = i / plane / channels;
      return ((n * blocks + c / width) * plane + i % plane) * width + c % width;
    };
    std::vector<float> in(batch * blocks * width * in_plane, NAN);
    for (std::size_t i = 0; i < x.size(); ++i) in[at(i, in_plane)] = x[i];
    const Epilogue epilogue{
        .num_operands = 1,
        .source =
            R"(template <class Access> XI_INLINE vf epilogue(vf x, void* const* operands, int64_t, int64_t channel, Access access) {
  return x + access.load_channel((const float*)operands[0] + channel);
})"};
    std::vector<float> shift(channels + lanes);
    for (std::size_t i = 0; i < channels; ++i) shift[i] = static_cast<float>(i);
    const KernelChoice choice = choose_pool(p, isa, tail ? epilogue : Epilogue{});
    Buffer input = Buffer::of(in), operand = Buffer::of(shift),
           output = Buffer::of(std::vector<float>(batch * blocks * width * out_plane, NAN));
    Buffer indices = Buffer::of(std::vector<std::int64_t>(want.values.size()));
    std::vector<Buffer*> buffers{&input};
    if (tail) buffers.push_back(&operand);
    buffers.push_back(&output);
    if (p.indices) buffers.push_back(&indices);
    auto ran = testing::run_kernel(choice.kernel, isa, buffers);
    ASSERT_TRUE(ran) << ran.error().text();
    const auto got = output.as<float>();
    for (std::size_t i = 0; i < want.values.size(); ++i)
      ASSERT_NEAR(got[at(i, out_plane)], want.values[i] + (tail ? shift[i / out_plane % channels] : 0), 2e-5)
          << choice.kernel.choice << " on " << isa_name << ", output " << i;
    if (p.indices) {
      EXPECT_EQ(indices.as<std::int64_t>(), want.indices);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(X86, Pool,
                         ::testing::Combine(::testing::Values("x86-64-v4", "x86-64-v3"),
                                            ::testing::Range(0, static_cast<int>(std::size(kProblems)))),
                         testing::case_name);
INSTANTIATE_TEST_SUITE_P(Arm, Pool, ::testing::Combine(::testing::Values("armv8-a"), ::testing::Values(0, 3)),
                         testing::case_name);

}  // namespace
}  // namespace xinfer::forge::cpu
