// SHA-256 against FIPS 180-4's examples and against libsodium, in one piece and in all kinds of pieces.
#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>

#include "base/digest.h"

namespace xinfer::base {
namespace {

std::string portable(std::string_view text) {
  unsigned char out[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(out, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  return to_hex(std::as_bytes(std::span(out)));
}

TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, EveryLengthAgreesWithThePortableOne) {
  std::string text;
  for (int length = 0; length < 400; ++length) {
    EXPECT_EQ(sha256(text), portable(text)) << length;
    text += static_cast<char>(length * 37 + 11);
  }
}

TEST(Sha256, PiecesMakeNoDifference) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * i + 3);
  const std::string expected = portable(text);
  for (std::size_t piece : {1, 3, 55, 56, 63, 64, 65, 127, 128, 1000}) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += piece) hash.update(std::string_view(text).substr(at, piece));
    EXPECT_EQ(hash.finish(), expected) << piece;
  }
}

}  // namespace
}  // namespace xinfer::base
