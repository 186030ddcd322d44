// Ranges of sizes as text.
#include "tensor/range.h"

#include <gtest/gtest.h>

namespace xinfer::tensor {
namespace {

TEST(Range, ReadsWhatItWrites) {
  for (const Symbol& range : {Symbol{{}, 7, 7, 7}, Symbol{{}, 1, 2, 3}, Symbol{"N", 1, 1, 8}, Symbol{"N", 4, 4, 4}}) {
    const auto again = parse_range(format_range(range), 0, 1);
    ASSERT_TRUE(again) << format_range(range);
    EXPECT_EQ(*again, range);
  }
  EXPECT_EQ(format_range({{}, 7, 7, 7}), "7");
  EXPECT_EQ(format_range({"N", 1, 1, 8}), "N:1:1:8");
}

TEST(Range, TwoNumbersAreFastAtTheMaximumAndANameHasADefault) {
  EXPECT_EQ(parse_range("2:9", 1, 2), (Symbol{{}, 2, 9, 9}));
  EXPECT_EQ(parse_range("batch", 0, 4), (Symbol{"batch", 1, 1, 8}));
  EXPECT_EQ(parse_range("H", 2, 4), (Symbol{"H", 64, 224, 640}));
  EXPECT_EQ(parse_range("length", 1, 2), (Symbol{"length", 1, 128, 512}));
}

TEST(Range, OtherTextIsNone) {
  for (const char* text : {"", "-1", "1.5", "1:", ":1", "1:2:3:4", "N:", "N:x", "1 ", "99999999999999999999", "?"})
    EXPECT_FALSE(parse_range(text, 0, 1)) << text;
}

}  // namespace
}  // namespace xinfer::tensor
