// Where things lie in an engine file: the header page, the sections and the tree of digests (docs/engine.md).
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace xinfer::engine {

inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::string_view kMagic{"\x89XIE\r\n\x1a\n", 8};
inline constexpr std::uint64_t kDigestBytes = 32, kKeyBytes = 32, kSignatureBytes = 64;
/// Digests cover the sections in pieces of this size, so that large weights are verified on all cores.
inline constexpr std::uint32_t kChunkBytes = 256 * 1024;

enum class Section : std::uint8_t { kManifest, kPlan, kCode, kWeights };
inline constexpr std::size_t kNumSections = 4;
std::string_view name(Section section);

struct Extent {
  std::uint64_t offset = 0, bytes = 0;
};

/// The header page, decoded. Strings hold raw bytes.
struct Header {
  std::uint32_t version = 0;
  std::uint64_t file_bytes = 0;
  std::array<Extent, kNumSections> sections;
  Extent tree;
  std::string root;        // SHA-256 of the tree section
  std::string public_key;  // all zero in an unsigned file
  std::string signature;

  bool is_signed() const;
  /// A section with the padding behind it: what its digests cover.
  Extent padded(Section section) const;
};

std::uint64_t align_page(std::uint64_t offset);
/// Header page of 4096 bytes; `header.signature` is taken as it is (zeros while signing).
std::string encode(const Header& header);
/// Checks magic, version, the header's own digest and that all extents are in order, without gaps and inside the file.
[[nodiscard]] base::Result<Header> decode(std::span<const std::byte> file);
/// What Ed25519 signs: a fixed prefix and the header page with zeros in place of the signature.
std::string signed_message(const Header& header);

/// A file of these sections, with its digests; signed where `secret_key` (64 bytes) is not empty.
std::string compose(const std::array<std::span<const std::byte>, kNumSections>& sections, std::string_view secret_key);

/// Raw SHA-256.
std::string digest_bytes(std::span<const std::byte> bytes);
/// Digests of the consecutive chunks of `bytes`, concatenated; on several threads when that pays.
std::string chunk_digests(std::span<const std::byte> bytes);

}  // namespace xinfer::engine
