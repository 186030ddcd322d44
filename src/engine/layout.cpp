#include "engine/layout.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "base/digest.h"
#include "engine/engine.h"

namespace xinfer::engine {

using base::Code;
using base::fail;

namespace {

// Offsets in the header page. Magic and version keep their place in all versions of the format.
constexpr std::size_t kVersionAt = 8, kChunkAt = 12, kFileBytesAt = 16, kTreeAt = 24, kSectionsAt = 40, kRootAt = 104,
                      kPublicKeyAt = 136, kHeaderDigestAt = 168, kSignatureAt = 200;
static_assert(kSectionsAt + kNumSections * 16 == kRootAt);

// Little-endian on every machine that engines run on; checked so that a port cannot miss it.
static_assert(std::endian::native == std::endian::little);
template <class T>
void put(std::string& page, std::size_t at, T value) {
  std::memcpy(page.data() + at, &value, sizeof value);
}
template <class T>
T get(std::string_view page, std::size_t at) {
  T value;
  std::memcpy(&value, page.data() + at, sizeof value);
  return value;
}

std::string header_digest(std::string page) {
  std::fill_n(page.begin() + kHeaderDigestAt, kDigestBytes, '\0');
  std::fill_n(page.begin() + kSignatureAt, kSignatureBytes, '\0');
  return digest_bytes(std::as_bytes(std::span(page.data(), page.size())));
}

base::Result<void> check_extents(const Header& header) {
  std::uint64_t next = kPageBytes;
  for (std::size_t i = 0; i < kNumSections; ++i) {
    const Extent& extent = header.sections[i];
    if (extent.offset != next || extent.bytes > header.file_bytes)
      return fail(Code::kCorrupt, "the engine's {} section is out of place", name(static_cast<Section>(i)));
    next = align_page(extent.offset + extent.bytes);
  }
  std::uint64_t chunks = 0;
  for (std::size_t i = 0; i < kNumSections; ++i)
    chunks += (align_page(header.sections[i].bytes) + kChunkBytes - 1) / kChunkBytes;
  if (header.tree.offset != next || header.tree.bytes != chunks * kDigestBytes ||
      header.file_bytes != header.tree.offset + header.tree.bytes)
    return fail(Code::kCorrupt, "the engine's digests are out of place");
  return {};
}

}  // namespace

std::string_view name(Section section) {
  static constexpr std::string_view kNames[] = {"manifest", "plan", "code", "weights"};
  return kNames[static_cast<std::size_t>(section)];
}

bool Header::is_signed() const {
  return std::ranges::any_of(public_key, [](char c) { return c != 0; });
}

Extent Header::padded(Section section) const {
  const Extent& extent = sections[static_cast<std::size_t>(section)];
  return {extent.offset, align_page(extent.bytes)};
}

std::uint64_t align_page(std::uint64_t offset) { return (offset + kPageBytes - 1) / kPageBytes * kPageBytes; }

std::string encode(const Header& header) {
  std::string page(kPageBytes, '\0');
  kMagic.copy(page.data(), kMagic.size());
  put(page, kVersionAt, header.version);
  put(page, kChunkAt, kChunkBytes);
  put(page, kFileBytesAt, header.file_bytes);
  put(page, kTreeAt, header.tree.offset);
  put(page, kTreeAt + 8, header.tree.bytes);
  for (std::size_t i = 0; i < kNumSections; ++i) {
    put(page, kSectionsAt + 16 * i, header.sections[i].offset);
    put(page, kSectionsAt + 16 * i + 8, header.sections[i].bytes);
  }
  header.root.copy(page.data() + kRootAt, kDigestBytes);
  header.public_key.copy(page.data() + kPublicKeyAt, kKeyBytes);
  header.signature.copy(page.data() + kSignatureAt, kSignatureBytes);
  header_digest(page).copy(page.data() + kHeaderDigestAt, kDigestBytes);
  return page;
}

base::Result<Header> decode(std::span<const std::byte> file) {
  std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (!text.starts_with(kMagic)) return fail(Code::kCorrupt, "this is not an engine file");
  if (text.size() < kPageBytes)
    return fail(Code::kCorrupt,
                "the engine is truncated: it ends after {} bytes, within its header; download or build it again",
                text.size());
  std::string page(text.substr(0, kPageBytes));
  Header header;
  header.version = get<std::uint32_t>(page, kVersionAt);
  if (header.version > kFormatVersion)
    return fail(Code::kIncompatible, "the engine has format {}, this version reads up to {}: update xinfer",
                header.version, kFormatVersion);
  header.file_bytes = get<std::uint64_t>(page, kFileBytesAt);
  header.tree = {get<std::uint64_t>(page, kTreeAt), get<std::uint64_t>(page, kTreeAt + 8)};
  for (std::size_t i = 0; i < kNumSections; ++i)
    header.sections[i] = {get<std::uint64_t>(page, kSectionsAt + 16 * i),
                          get<std::uint64_t>(page, kSectionsAt + 16 * i + 8)};
  header.root = page.substr(kRootAt, kDigestBytes);
  header.public_key = page.substr(kPublicKeyAt, kKeyBytes);
  header.signature = page.substr(kSignatureAt, kSignatureBytes);
  if (header.version == 0 || header_digest(page) != page.substr(kHeaderDigestAt, kDigestBytes) ||
      get<std::uint32_t>(page, kChunkAt) != kChunkBytes)
    return fail(Code::kCorrupt, "the engine is damaged in its header; download or build it again");
  if (text.size() < header.file_bytes)
    return fail(Code::kCorrupt, "the engine is truncated: {} of {} bytes are there; download or build it again",
                text.size(), header.file_bytes);
  if (text.size() > header.file_bytes)
    return fail(Code::kCorrupt, "the engine has {} bytes behind its end; download or build it again",
                text.size() - header.file_bytes);
  XI_CHECK(check_extents(header));
  return header;
}

std::string signed_message(const Header& header) {
  Header unsigned_header = header;
  unsigned_header.signature.assign(kSignatureBytes, '\0');
  return "xinfer engine, format 1\n" + encode(unsigned_header);
}

std::string digest_bytes(std::span<const std::byte> bytes) { return *base::from_hex(base::sha256(bytes)); }

std::string chunk_digests(std::span<const std::byte> bytes) {
  std::size_t count = (bytes.size() + kChunkBytes - 1) / kChunkBytes;
  std::string digests(count * kDigestBytes, '\0');
  std::atomic<std::size_t> next{0};
  auto work = [&] {
    for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      auto chunk = bytes.subspan(i * kChunkBytes, std::min<std::size_t>(kChunkBytes, bytes.size() - i * kChunkBytes));
      digest_bytes(chunk).copy(digests.data() + i * kDigestBytes, kDigestBytes);
    }
  };
  // A thread pays for itself from about 2 MiB on.
  std::size_t threads = std::min<std::size_t>(std::max(1U, std::thread::hardware_concurrency()), count / 8 + 1);
  {
    std::vector<std::jthread> helpers;
    for (std::size_t i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
  }
  return digests;
}

}  // namespace xinfer::engine
