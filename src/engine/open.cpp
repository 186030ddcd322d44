#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "base/digest.h"
#include "base/files.h"
#include "engine/engine.h"
#include "engine/layout.h"
#include "engine/serialize.h"

namespace xinfer::engine {

using base::Code;
using base::fail;

namespace {

// Anonymous pages of our own: nobody else can change them after their digests were checked.
class Pages {
 public:
  Pages() = default;
  Pages(const Pages&) = delete;
  ~Pages() {
    if (data_) ::munmap(data_, size_);
  }
  base::Result<void> assign(std::span<const std::byte> bytes) {
    if (bytes.empty()) return {};
    void* memory = ::mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return fail(Code::kOutOfMemory, "no memory for {} bytes of engine", bytes.size());
    data_ = static_cast<std::byte*>(memory);
    size_ = bytes.size();
    std::memcpy(data_, bytes.data(), size_);
    return {};
  }
  base::Result<void> protect(int protection) const {
    if (data_ && ::mprotect(data_, size_, protection) != 0)
      return fail(Code::kUnsupported, "this system refuses executable memory: {}", std::strerror(errno));
    return {};
  }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

base::Result<void> check_signature(const Header& header, const Trust& trust) {
  if (!header.is_signed()) {
    if (header.signature.find_first_not_of('\0') != std::string::npos)
      return fail(Code::kCorrupt, "the engine is damaged in its signature; download or build it again");
    if (!trust.allow_unsigned)
      return fail(Code::kUntrusted,
                  "the engine is not signed; allow unsigned engines only for files that you have built yourself "
                  "(--allow-unsigned, EngineOptions::allow_unsigned)");
    return {};
  }
  // The signature first: only then is the key that the message names really the signer's.
  if (!base::verify_signature(signed_message(header), header.signature, header.public_key))
    return fail(Code::kUntrusted, "the engine's signature does not match: it was changed after key {} signed it",
                key_id(header.public_key));
  if (!trust.trusts(header.public_key))
    return fail(Code::kUntrusted,
                "the engine is signed by key {}, which is not trusted here; if you trust its owner, add the "
                "key with 'xinfer-cli keys trust {}'",
                key_id(header.public_key), base::to_hex(std::as_bytes(std::span(header.public_key))));
  return {};
}

base::Result<void> check_section(const Header& header, Section section, std::span<const std::byte> bytes,
                                 std::string_view tree) {
  std::size_t first = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(section); ++i)
    first += (header.padded(static_cast<Section>(i)).bytes + kChunkBytes - 1) / kChunkBytes;
  std::string digests = chunk_digests(bytes);
  std::string_view expected = tree.substr(first * kDigestBytes, digests.size());
  for (std::size_t at = 0; at < digests.size(); at += kDigestBytes)
    if (digests.compare(at, kDigestBytes, expected.substr(at, kDigestBytes)) != 0) {
      std::uint64_t begin = header.padded(section).offset + at / kDigestBytes * kChunkBytes;
      std::uint64_t end = std::min<std::uint64_t>(begin + kChunkBytes, header.padded(section).offset + bytes.size());
      return fail(Code::kCorrupt, "the engine is damaged in its {} (bytes {} to {}); download or build it again",
                  name(section), begin, end);
    }
  return {};
}

}  // namespace

struct Engine::Memory {
  base::MappedFile file;
  Pages copy;  // of the whole file, when it was given in memory
  Pages code;
};

Engine::Engine() : memory_(std::make_unique<Memory>()) {}
Engine::~Engine() = default;

base::Result<void> Engine::make_code_executable() const { return memory_->code.protect(PROT_READ | PROT_EXEC); }

struct EngineReader {
  static base::Result<std::shared_ptr<const Engine>> from_file(const std::filesystem::path& path, const Trust& trust) {
    std::shared_ptr<Engine> engine(new Engine);
    XI_TRY(engine->memory_->file, base::MappedFile::open(path));
    XI_CHECK(read(*engine, engine->memory_->file.bytes(), trust));
    return engine;
  }
  static base::Result<std::shared_ptr<const Engine>> from_bytes(std::string_view bytes, const Trust& trust) {
    std::shared_ptr<Engine> engine(new Engine);
    XI_CHECK(engine->memory_->copy.assign(std::as_bytes(std::span(bytes))));
    XI_CHECK(read(*engine, engine->memory_->copy.bytes(), trust));
    return engine;
  }

 private:
  static base::Result<void> read(Engine& engine, std::span<const std::byte> file, const Trust& trust) {
    XI_TRY(Header header, decode(file));
    XI_CHECK(check_signature(header, trust));
    // The tree is copied before it is checked: the file below may be written to by others.
    auto tree_bytes = file.subspan(header.tree.offset, header.tree.bytes);
    std::string tree(reinterpret_cast<const char*>(tree_bytes.data()), tree_bytes.size());
    if (digest_bytes(std::as_bytes(std::span(tree))) != header.root)
      return fail(Code::kCorrupt, "the engine is damaged in its digests; download or build it again");

    auto padded = [&](Section section) {
      Extent extent = header.padded(section);
      return file.subspan(extent.offset, extent.bytes);
    };
    auto used = [&](Section section, std::span<const std::byte> bytes) {
      return bytes.first(header.sections[static_cast<std::size_t>(section)].bytes);
    };
    Pages manifest, plan;
    XI_CHECK(manifest.assign(padded(Section::kManifest)));
    XI_CHECK(plan.assign(padded(Section::kPlan)));
    XI_CHECK(engine.memory_->code.assign(padded(Section::kCode)));
    XI_CHECK(check_section(header, Section::kManifest, manifest.bytes(), tree));
    XI_CHECK(check_section(header, Section::kPlan, plan.bytes(), tree));
    XI_CHECK(check_section(header, Section::kCode, engine.memory_->code.bytes(), tree));
    XI_CHECK(check_section(header, Section::kWeights, padded(Section::kWeights), tree));
    XI_CHECK(engine.memory_->code.protect(PROT_READ));

    XI_CHECK(parse_manifest(used(Section::kManifest, manifest.bytes()), engine.manifest_, engine.plan_));
    XI_CHECK(parse_plan(used(Section::kPlan, plan.bytes()), engine.plan_));
    engine.code_ = used(Section::kCode, engine.memory_->code.bytes());
    engine.weights_ = used(Section::kWeights, padded(Section::kWeights));
    XI_CHECK(check(engine.plan_, engine.code_.size(), engine.weights_.size()));
    engine.digest_ = base::to_hex(std::as_bytes(std::span(header.root)));
    if (header.is_signed()) engine.signer_ = header.public_key;
    engine.format_version_ = header.version;
    engine.file_bytes_ = header.file_bytes;
    return {};
  }
};

base::Result<std::shared_ptr<const Engine>> open(const std::filesystem::path& path, const Trust& trust) {
  auto engine = EngineReader::from_file(path, trust);
  if (!engine && engine.error().code != Code::kNotFound)
    return std::unexpected(std::move(engine).error().in(path.string()));
  return engine;
}

base::Result<std::shared_ptr<const Engine>> open_bytes(std::string_view bytes, const Trust& trust) {
  return EngineReader::from_bytes(bytes, trust);
}

}  // namespace xinfer::engine
