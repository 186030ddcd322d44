#include "runtime/denormals.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "runtime/thread_pool.h"

namespace xinfer::runtime {
namespace {

// Volatile: computed here and now, not by the compiler.
float half_of(float given) {
  volatile const float value = given, half = 0.5F;
  return value * half;
}

constexpr float kSmallest = std::numeric_limits<float>::min();

TEST(FlushDenormals, HoldsForItsScopeOnly) {
  EXPECT_GT(half_of(kSmallest), 0.0F);
  {
    const FlushDenormals flush;
    EXPECT_EQ(half_of(kSmallest), 0.0F);
    { const FlushDenormals inner; }
    EXPECT_EQ(half_of(kSmallest), 0.0F);
    EXPECT_EQ(half_of(4 * kSmallest), 2 * kSmallest);
  }
  EXPECT_GT(half_of(kSmallest), 0.0F);
}

TEST(FlushDenormals, HoldsOnThreadsOfAPool) {
  ThreadPool pool(3);
  std::vector<float> got(3, -1);
  pool.run([](void* context, ThreadPool::Thread& thread) { (*static_cast<std::vector<float>*>(context))[static_cast<std::size_t>(thread.index)] = half_of(kSmallest); }, &got);
  EXPECT_GT(got[0], 0.0F) << "the caller's thread is the caller's: Session decides";
  EXPECT_EQ(got[1], 0.0F);
  EXPECT_EQ(got[2], 0.0F);
}

}  // namespace
}  // namespace xinfer::runtime
