#include "server/store/s3_request.h"

#include <gtest/gtest.h>

namespace xinfer::server::store {
namespace {

// The example "GET Object" of AWS's "Signature Calculations for the Authorization Header".
TEST(S3Request, SignsAsInTheSpecificationsExample) {
  const std::string text =
      "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"
      "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972";
  EXPECT_EQ(s3_signature("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", text),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(S3Request, EscapesAsTheSignatureWantsIt) {
  EXPECT_EQ(s3_escape("a b/ü~", false), "a%20b%2F%C3%BC~");
  EXPECT_EQ(s3_escape("a b/c", true), "a%20b/c");
}

TEST(S3Request, ReadsTextsOfXml) {
  const char* xml = "<R><Key>ab/abc</Key><Size>17</Size><Key>second</Key></R>";
  EXPECT_EQ(xml_text(xml, "Key"), "ab/abc");
  EXPECT_EQ(xml_text(xml, "Size"), "17");
  EXPECT_EQ(xml_text(xml, "ETag"), "");
  EXPECT_EQ(xml_text("<Key>cut", "Key"), "");
}

}  // namespace
}  // namespace xinfer::server::store
