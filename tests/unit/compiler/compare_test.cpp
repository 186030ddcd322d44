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
  EXPECT_TRUE(compare("y", actual, expected, false).matches);
}

TEST(Compare, RefusesAFewWrongElements) {
  const Tensor expected = wave();
  Tensor actual = wave();
  for (std::int64_t i = 0; i < 5; ++i) actual.set(i * 100 + 2, -expected.as_double(i * 100 + 2));
  EXPECT_FALSE(compare("y", actual, expected, false).matches);
}

TEST(Compare, RefusesOneElementFarOff) {
  const Tensor expected = wave();
  Tensor actual = wave();
  for (std::int64_t i = 0; i < 3; ++i) actual.set(i, expected.as_double(i) + 0.05);
  EXPECT_FALSE(compare("y", actual, expected, false).matches);
}

TEST(Compare, RefusesWhatIsNotFinite) {
  const Tensor expected = wave();
  Tensor actual = wave();
  for (std::int64_t i = 0; i < 3; ++i) actual.set(i, NAN);
  const auto result = compare("y", actual, expected, false);
  EXPECT_FALSE(result.matches);
  EXPECT_GE(result.max_abs_error, 0.99);
}

}  // namespace
}  // namespace xinfer::compiler
