// The matrix product templates against plain loops.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "forge/cpu/matmul.h"
#include "run_kernel.h"

namespace xinfer::forge::cpu {
namespace {

using testing::Buffer;

template <class T>
std::vector<T> random_numbers(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& v : values) {
    if constexpr (std::is_integral_v<T>) v = static_cast<T>(random() % 200);
    else v = static_cast<T>(std::uniform_real_distribution<double>(-1, 1)(random));
  }
  return values;
}

std::int64_t product(const std::vector<std::int64_t>& dims) {
  std::int64_t count = 1;
  for (std::int64_t d : dims) count *= d;
  return count;
}

// The matrix of operand dims `dims` for entry `entry` of the broadcast batch `all`.
std::int64_t matrix_of(std::int64_t entry, const std::vector<std::int64_t>& all,
                       const std::vector<std::int64_t>& dims) {
  std::int64_t index = 0, step = 1;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::size_t d = all.size() - 1 - i;
    const std::int64_t at = entry % all[d];
    entry /= all[d];
    if (i < dims.size()) {
      const std::int64_t size = dims[dims.size() - 1 - i];
      index += (size == 1 ? 0 : at) * step;
      step *= size;
    }
  }
  return index;
}

const Epilogue kTail{
    .num_operands = 2,
    .source =
        R"(template <class Access> XI_INLINE vf epilogue(vf x, void* const* operands, int64_t offset, int64_t channel, Access access) {
  return x + access.load((const float*)operands[0] + offset) * access.load_channel((const float*)operands[1] + channel);
})"};

// The same as a loop: see cpu_conv_test.
const Epilogue kLongTail{
    .num_operands = 2,
    .source =
        R"(template <class Access> XI_INLINE vf epilogue(vf x, void* const* operands, int64_t offset, int64_t channel, Access access) {
  return x + access.load((const float*)operands[0] + offset) * access.load_channel((const float*)operands[1] + channel) + sigmoid(vf(-100.0f));
})"};

template <class T>
void check(MatMulProblem p, std::string_view isa_name, bool tail) {
  const auto& isa = testing::isa_named(isa_name);
  std::vector<std::int64_t> all(std::max(p.batch_a.size(), p.batch_b.size()), 1);
  for (const auto* dims : {&p.batch_a, &p.batch_b})
    for (std::size_t i = 0; i < dims->size(); ++i)
      if ((*dims)[i] != 1) all[all.size() - dims->size() + i] = (*dims)[i];
  const auto a = random_numbers<T>(product(p.batch_a) * p.m * p.k, 1),
             b = random_numbers<T>(product(p.batch_b) * p.k * p.n, 2), bias = random_numbers<T>(p.n, 3);
  const auto residual = random_numbers<T>(product(all) * p.m * p.n, 4);
  std::vector<T> want(residual.size());
  for (std::int64_t e = 0; e < product(all); ++e) {
    const T* ma = &a[static_cast<std::size_t>(matrix_of(e, all, p.batch_a) * p.m * p.k)];
    const T* mb = &b[static_cast<std::size_t>(matrix_of(e, all, p.batch_b) * p.k * p.n)];
    for (std::int64_t m = 0; m < p.m; ++m)
      for (std::int64_t n = 0; n < p.n; ++n) {
        using Sum = std::conditional_t<std::is_integral_v<T>, T, double>;
        Sum sum = p.bias ? static_cast<Sum>(bias[static_cast<std::size_t>(n)]) : Sum{};
        for (std::int64_t k = 0; k < p.k; ++k)
          sum = static_cast<Sum>(sum + static_cast<Sum>(ma[p.transpose_a ? k * p.m + m : m * p.k + k]) *
                                           static_cast<Sum>(mb[p.transpose_b ? n * p.k + k : k * p.n + n]));
        const auto at = static_cast<std::size_t>((e * p.m + m) * p.n + n);
        want[at] = static_cast<T>(tail ? sum + residual[at] * bias[static_cast<std::size_t>(n)] : sum);
      }
  }
  const KernelChoice choice = choose_matmul(p, isa, tail ? (p.n % 2 ? kLongTail : kTail) : Epilogue{});
  Buffer buffer_a = Buffer::of(a), buffer_b = Buffer::of(b), buffer_bias = Buffer::of(bias),
         buffer_residual = Buffer::of(residual), output = Buffer::of(std::vector<T>(want.size(), T(77)));
  if constexpr (std::is_same_v<T, float>)
    if (choice.pack_weights) buffer_b = Buffer::of(choice.pack_weights(b));
  std::vector<Buffer*> buffers{&buffer_a, &buffer_b};
  if (p.bias) buffers.push_back(&buffer_bias);
  if (tail) buffers.insert(buffers.end(), {&buffer_residual, &buffer_bias});
  buffers.push_back(&output);
  auto ran = testing::run_kernel(choice.kernel, isa, buffers);
  ASSERT_TRUE(ran) << ran.error().text();
  const auto got = output.as<T>();
  const double tolerance =
      std::is_integral_v<T> ? 0 : (sizeof(T) == 8 ? 1e-14 : 2e-6) * (std::sqrt(static_cast<double>(p.k)) + 1);
  for (std::size_t i = 0; i < want.size(); ++i)
    if (!(std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i])) <= tolerance))
      FAIL() << choice.kernel.choice << " on " << isa_name << ": output " << i << " is " << +got[i] << ", not "
             << +want[i];
}

const MatMulProblem kProblems[] = {
    {.m = 1, .n = 1000, .k = 130, .constant_b = true, .bias = true},
    {.m = 1, .n = 3, .k = 7, .constant_b = true},
    {.m = 5, .n = 33, .k = 64, .transpose_b = true, .constant_b = true, .bias = true},
    {.m = 128, .n = 100, .k = 96, .constant_b = true, .bias = true},
    {.m = 29, .n = 65, .k = 31, .batch_a = {2, 3}, .constant_b = true},
    {.m = 17, .n = 40, .k = 40, .batch_a = {2, 3}, .batch_b = {2, 3}},
    {.m = 17, .n = 40, .k = 24, .batch_a = {2, 1}, .batch_b = {3}, .transpose_b = true},
    {.m = 30, .n = 19, .k = 300, .batch_b = {4}, .transpose_a = true},
    {.m = 64, .n = 64, .k = 40, .batch_a = {2}, .batch_b = {2}, .transpose_a = true, .transpose_b = true},
    {.m = 200, .n = 33, .k = 260, .bias = true},
    {.m = 3, .n = 1, .k = 50},
    {.m = 1, .n = 1, .k = 1},
    {.m = 60, .n = 5, .k = 1, .batch_a = {3}},
};

class MatMul : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(MatMul, AgreesWithPlainLoops) {
  const auto& [isa, index] = GetParam();
  if (auto missing = testing::missing_for(isa); !missing.empty()) GTEST_SKIP() << missing;
  check<float>(kProblems[index], isa, index % 2 == 1);
}

INSTANTIATE_TEST_SUITE_P(X86, MatMul,
                         ::testing::Combine(::testing::Values("x86-64-v4", "x86-64-v3"),
                                            ::testing::Range(0, static_cast<int>(std::size(kProblems)))),
                         testing::case_name);
INSTANTIATE_TEST_SUITE_P(Arm, MatMul, ::testing::Combine(::testing::Values("armv8-a"), ::testing::Values(2, 6, 9)),
                         testing::case_name);

TEST(MatMulTypes, OtherNumbers) {
  if (auto missing = testing::missing_for("x86-64-v3"); !missing.empty()) GTEST_SKIP() << missing;
  MatMulProblem p{
      .m = 7, .n = 9, .k = 5, .batch_a = {2}, .batch_b = {2}, .transpose_b = true, .dtype = tensor::DType::kFloat64};
  check<double>(p, "x86-64-v3", false);
  p.dtype = tensor::DType::kInt32;
  p.transpose_b = false;
  check<std::int32_t>(p, "x86-64-v3", false);
  p.dtype = tensor::DType::kUint8;
  check<std::uint8_t>(p, "x86-64-v3", false);
}

}  // namespace
}  // namespace xinfer::forge::cpu
