#include "server/http/rate_limit.h"

#include <gtest/gtest.h>

namespace xinfer::server::http {
namespace {

TEST(RateLimit, AFullBucketThenTheRate) {
  RateLimit limit(10);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(limit.take("a", 5'000), 0) << i;
  EXPECT_EQ(limit.take("a", 5'000), 100);
  EXPECT_EQ(limit.take("a", 5'060), 40);
  EXPECT_EQ(limit.take("a", 5'100), 0);
  EXPECT_EQ(limit.take("a", 5'100), 100);
  EXPECT_EQ(limit.take("b", 5'100), 0);  // others are not touched
}

TEST(RateLimit, ABucketHoldsNoMoreThanASecondOfIt) {
  RateLimit limit(3);
  EXPECT_EQ(limit.take("a", 0), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.take("a", 3'600'000), 0) << i;
  EXPECT_GT(limit.take("a", 3'600'000), 0);
}

TEST(RateLimit, ZeroIsNoLimit) {
  RateLimit limit(0);
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(limit.take("a", 0), 0);
}

TEST(RateLimit, ClientsThatAreSilentAreForgotten) {
  RateLimit limit(5);
  for (int i = 0; i < 1'000; ++i) limit.take(std::to_string(i), 1'000);
  EXPECT_EQ(limit.clients(), 1'000u);
  limit.take("late", 3'000);
  EXPECT_EQ(limit.clients(), 1u);
}

TEST(RateLimit, NetworksOfAddresses) {
  EXPECT_EQ(client_network("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(client_network("::ffff:192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(client_network("2001:db8:1:2:3:4:5:6"), client_network("2001:db8:1:2::9"));
  EXPECT_NE(client_network("2001:db8:1:2::9"), client_network("2001:db8:1:3::9"));
}

}  // namespace
}  // namespace xinfer::server::http
