// Every way in which an engine file can be wrong is refused with its exact message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/digest.h"
#include "engine/engine.h"
#include "engine/layout.h"

namespace xinfer::engine {
namespace {

using base::Code;
using testing::HasSubstr;
using testing::StartsWith;

class DamagedEngine : public testing::Test {
 protected:
  DamagedEngine() : key_(base::make_key_pair()), trust_{{key_.public_key}} {
    contents_.manifest.architecture = "x86-64-v3";
    contents_.plan.inputs = {{"x", tensor::DType::kFloat32, {4}, {""}}};
    contents_.plan.kernels = {{"k", 0}};
    contents_.plan.arena_bytes = 64;
    contents_.plan.launches = {{0, {{BufferRef::Space::kArena, 0, 0, 64}}, 1, 0, "n", "c", 0, 0}};
    contents_.code = std::string(100, '\x90');
    contents_.weights.assign(9000, std::byte{0x5a});
    file_ = write(contents_, key_.secret_key);
    header_ = *decode(std::as_bytes(std::span(file_)));
  }

  std::string error(const std::string& file, const Trust& trust) {
    auto engine = open_bytes(file, trust);
    return engine ? "accepted" : engine.error().message;
  }
  std::string error(const std::string& file) { return error(file, trust_); }
  std::string flipped(std::size_t at, int bit) {
    std::string copy = file_;
    copy[at] = static_cast<char>(copy[at] ^ (1 << bit));
    return copy;
  }

  base::KeyPair key_;
  Trust trust_;
  Contents contents_;
  std::string file_;
  Header header_;
};

TEST_F(DamagedEngine, WholeFileOpens) { EXPECT_EQ(error(file_), "accepted"); }

TEST_F(DamagedEngine, EveryBitOfTheHeaderCounts) {
  for (std::size_t at = 0; at < kPageBytes; ++at)
    for (int bit = 0; bit < 8; bit += at < 300 ? 1 : 5)
      EXPECT_NE(error(flipped(at, bit)), "accepted") << at << " bit " << bit;
}

TEST_F(DamagedEngine, EveryRegionCounts) {
  for (std::size_t at = kPageBytes; at < file_.size(); at += 3) {
    int bit = static_cast<int>(at % 8);
    std::string message = error(flipped(at, bit));
    std::string part = "digests";
    for (std::size_t i = 0; i < kNumSections; ++i) {
      Extent extent = header_.padded(static_cast<Section>(i));
      if (at >= extent.offset && at < extent.offset + extent.bytes) part = name(static_cast<Section>(i));
    }
    EXPECT_THAT(message, StartsWith("the engine is damaged in its " + part)) << at;
  }
}

TEST_F(DamagedEngine, UnsignedFilesAreCoveredAsWell) {
  Trust own;
  own.allow_unsigned = true;
  file_ = write(contents_, "");
  EXPECT_EQ(error(file_, own), "accepted");
  for (std::size_t at = 0; at < file_.size(); at += at < 300 ? 1 : 11)
    EXPECT_NE(error(flipped(at, static_cast<int>(at % 8)), own), "accepted") << at;
}

TEST_F(DamagedEngine, DamageNamesThePartAndTheBytes) {
  EXPECT_EQ(error(flipped(header_.sections[3].offset + 5000, 0)),
            fmt::format("the engine is damaged in its weights (bytes {} to {}); download or build it again",
                        header_.sections[3].offset, header_.sections[3].offset + 12288));
  EXPECT_EQ(error(flipped(20, 0)), "the engine is damaged in its header; download or build it again");
}

TEST_F(DamagedEngine, TruncationIsRefusedAtEveryBoundary) {
  EXPECT_EQ(error(""), "this is not an engine file");
  EXPECT_EQ(error(file_.substr(0, 7)), "this is not an engine file");
  for (std::size_t size : {8, 100, 4095})
    EXPECT_EQ(
        error(file_.substr(0, size)),
        fmt::format("the engine is truncated: it ends after {} bytes, within its header; download or build it again",
                    size));
  std::vector<std::size_t> sizes = {kPageBytes, file_.size() - 1, file_.size() - 32, header_.tree.offset};
  for (const auto& section : header_.sections) {
    sizes.push_back(section.offset);
    sizes.push_back(section.offset + section.bytes);
  }
  for (std::size_t size : sizes)
    EXPECT_EQ(error(file_.substr(0, size)),
              fmt::format("the engine is truncated: {} of {} bytes are there; download or build it again", size,
                          file_.size()));
}

TEST_F(DamagedEngine, TrailingBytesAreRefused) {
  EXPECT_EQ(error(file_ + "x"), "the engine has 1 bytes behind its end; download or build it again");
}

TEST_F(DamagedEngine, OtherFilesAreNoEngines) {
  EXPECT_EQ(error(std::string(10000, 'a')), "this is not an engine file");
  EXPECT_EQ(open("/nonexistent.engine", trust_).error().code, Code::kNotFound);
}

TEST_F(DamagedEngine, NewerFormatNamesBothVersions) {
  header_.version = 7;
  std::string newer = encode(header_) + file_.substr(kPageBytes);
  auto engine = open_bytes(newer, trust_);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, Code::kIncompatible);
  EXPECT_EQ(engine.error().message, "the engine has format 7, this version reads up to 2: update xinfer");
}

TEST_F(DamagedEngine, UnsignedNeedsTheCallersWord) {
  auto engine = open_bytes(write(contents_, ""), trust_);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, Code::kUntrusted);
  EXPECT_THAT(engine.error().message, StartsWith("the engine is not signed; allow unsigned engines only for files"));
}

TEST_F(DamagedEngine, UnknownSignerIsNamed) {
  auto stranger = base::make_key_pair();
  Trust lenient = trust_;
  lenient.allow_unsigned = true;  // does not extend to strangers' signatures
  auto engine = open_bytes(write(contents_, stranger.secret_key), lenient);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, Code::kUntrusted);
  EXPECT_THAT(engine.error().message,
              StartsWith("the engine is signed by key " + key_id(stranger.public_key) + ", which is not trusted here"));
}

TEST_F(DamagedEngine, RewrittenHeaderNeedsTheKey) {
  // An attacker can redo every digest, but not the signature.
  header_.root = digest_bytes(std::as_bytes(std::span("other", 5)));
  std::string forged = encode(header_) + file_.substr(kPageBytes);
  EXPECT_EQ(error(forged), "the engine's signature does not match: it was changed after key " +
                               key_id(key_.public_key) + " signed it");
  // Nor strip it where unsigned engines are refused.
  header_ = *decode(std::as_bytes(std::span(file_)));
  header_.public_key.assign(kKeyBytes, '\0');
  header_.signature.assign(kSignatureBytes, '\0');
  EXPECT_THAT(error(encode(header_) + file_.substr(kPageBytes)), StartsWith("the engine is not signed"));
}

TEST_F(DamagedEngine, SignedNonsenseIsStillChecked) {
  contents_.plan.launches[0].kernel = 9;
  EXPECT_EQ(error(write(contents_, key_.secret_key)), "calls a kernel that does not exist");
}

}  // namespace
}  // namespace xinfer::engine
