// What verification takes for rounding, and what for an error.
#include <gtest/gtest.h>

#include <cmath>

#include "compiler/verify_engine.h"

namespace xinfer::compiler {
namespace {

using tensor::DType;
using tensor::Tensor;

// 1,000 values between -1 and 1, the same in every run.
Tensor wave() {
  Tensor tensor(DType::kFloat32, {1000});
  for (std::int64_t i = 0; i < 1000; ++i) tensor.set(i, std::sin(static_cast<double>(i)));
  return tensor;
}

TEST(Compare, TakesAmplifiedRounding) {
  const Tensor expected = wave();
  Tensor actual = wave();
  for (std::int64_t i = 0; i < 1000; ++i) actual.set(i, expected.as_double(i) * 1.002);
  EXPECT_TRUE(compare("y", actual, expected).matches);
}

TEST(Compare, RefusesAFewWrongElements) {
  const Tensor expected = wave();
  Tensor actual = wave();
  for (std::int64_t i = 0; i < 5; ++i) actual.set(i * 100 + 2, -expected.as_double(i * 100 + 2));
  EXPECT_FALSE(compare("y", actual, expected).matches);
}

TEST(Compare, RefusesOneElementFarOff) {
  const Tensor expected = wave();
  Tensor actual = wave();
  for (std::int64_t i = 0; i < 3; ++i) actual.set(i, expected.as_double(i) + 0.05);
  EXPECT_FALSE(compare("y", actual, expected).matches);
}

TEST(Compare, LowerPrecisionKeepsDirectionAndSize) {
  const Tensor expected = wave();
  Tensor near = wave(), far = wave(), tiny(DType::kFloat32, {1000}), noise(DType::kFloat32, {1000});
  for (std::int64_t i = 0; i < 1000; ++i) {
    near.set(i, expected.as_double(i) + 0.02 * std::cos(7.0 * static_cast<double>(i)));
    far.set(i, expected.as_double(i) + 0.1 * std::cos(7.0 * static_cast<double>(i)));
    tiny.set(i, 1e-6 * expected.as_double(i));
    noise.set(i, 1e-6 * std::cos(7.0 * static_cast<double>(i)));
  }
  EXPECT_FALSE(compare("y", near, expected).matches);
  EXPECT_TRUE(compare("y", near, expected, Exactness::kFloat16).matches);
  EXPECT_FALSE(compare("y", far, expected, Exactness::kFloat16).matches);
  EXPECT_TRUE(compare("y", far, expected, Exactness::kBfloat16).matches);
  EXPECT_TRUE(compare("y", noise, tiny, Exactness::kFloat16).matches);
  near.set(3, NAN);
  EXPECT_FALSE(compare("y", near, expected, Exactness::kFloat16).matches);
}

TEST(Compare, RefusesWhatIsNotFinite) {
  const Tensor expected = wave();
  Tensor actual = wave();
  for (std::int64_t i = 0; i < 3; ++i) actual.set(i, NAN);
  const auto result = compare("y", actual, expected);
  EXPECT_FALSE(result.matches);
  EXPECT_GE(result.max_abs_error, 0.99);
}

}  // namespace
}  // namespace xinfer::compiler
