// What is left of a build, by earlier builds.
#include "server/farm/estimate.h"

#include <gtest/gtest.h>

namespace xinfer::server::farm {
namespace {

api::BuildReport report(double import_ms, double compile_ms, std::int64_t kernels, double verify_ms) {
  return {.verification = {}, .stages = {{"import", import_ms}, {"compile", compile_ms}, {"verify", verify_ms}}, .kernels = kernels};
}

TEST(History, SaysNothingBeforeThereAreEnoughBuilds) {
  History history;
  EXPECT_FALSE(history.remaining_ms({"compile", 0, 10, {}}));
  history.add(report(100, 1000, 10, 50));
  history.add(report(100, 1000, 10, 50));
  EXPECT_FALSE(history.remaining_ms({"compile", 0, 10, {}}));
  history.add(report(100, 1000, 10, 50));
  EXPECT_TRUE(history.remaining_ms({"compile", 0, 10, {}}));
}

TEST(History, CountsKernelsAndTheStagesToCome) {
  History history;
  for (const double ms : {900.0, 1000.0, 90'000.0}) history.add(report(100, ms, 10, 50));
  EXPECT_EQ(history.remaining_ms({"compile", 0, 40, {}}), 40 * 100 + 50) << "the median kernel takes 100 ms";
  EXPECT_EQ(history.remaining_ms({"compile", 30, 40, {}}), 10 * 100 + 50);
  EXPECT_EQ(history.remaining_ms({"import", 50, 100, {}}), 50 + 1000 + 50) << "kernels are not counted yet: the median compilation";
  EXPECT_EQ(history.remaining_ms({"download", 0, 0, {}}), 100 + 1000 + 50);
  EXPECT_EQ(history.remaining_ms({"verify", 100, 100, {}}), 0);
}

TEST(History, SaysNothingOfStagesThatItHasNotSeen) {
  History history;
  for (int i = 0; i < 3; ++i) history.add(report(100, 1000, 10, 50));
  EXPECT_FALSE(history.remaining_ms({"upload", 5, 10, {}}));
  EXPECT_FALSE(history.remaining_ms({"", 0, 0, {}}));
  for (int i = 0; i < 3; ++i) history.add({});
  EXPECT_EQ(history.remaining_ms({"verify", 0, 0, {}}), 50) << "a report without stages changes nothing";
}

}  // namespace
}  // namespace xinfer::server::farm
