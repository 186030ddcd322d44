#include "base/trace.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace xinfer::base {
namespace {

TEST(Trace, HeaderAndBack) {
  const Trace trace = new_trace();
  const auto parsed = parse_trace(trace.header());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->id, trace.id);
  EXPECT_EQ(parsed->span, trace.span);
  EXPECT_EQ(trace.next().id, trace.id);
  EXPECT_NE(trace.next().span, trace.span);
}

TEST(Trace, MalformedHeadersAreNone) {
  const std::string good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_TRUE(parse_trace(good));
  for (const std::string& bad : std::vector<std::string>{"", good.substr(1), good + "0", "01" + good.substr(2),
                          "00-" + std::string(32, '0') + good.substr(35), good.substr(0, 36) + std::string(16, '0') + "-01",
                          "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"})
    EXPECT_FALSE(parse_trace(bad)) << bad;
}

}  // namespace
}  // namespace xinfer::base
