#include "base/digest.h"
#include "engine/engine.h"
#include "engine/layout.h"
#include "engine/serialize.h"

namespace xinfer::engine {

std::string write(const Contents& contents, std::string_view secret_key) {
  const std::string manifest = serialize_manifest(contents.manifest, contents.plan), plan = serialize_plan(contents.plan);
  return compose({std::as_bytes(std::span(manifest)), std::as_bytes(std::span(plan)), std::as_bytes(std::span(contents.code)),
                  std::span(contents.weights)},
                 secret_key);
}

std::string compose(const std::array<std::span<const std::byte>, kNumSections>& sections, std::string_view secret_key) {
  Header header;
  header.version = kFormatVersion;
  std::uint64_t offset = kPageBytes;
  for (std::size_t i = 0; i < kNumSections; ++i) {
    header.sections[i] = {offset, sections[i].size()};
    offset = align_page(offset + sections[i].size());
  }
  std::string file(offset, '\0');
  for (std::size_t i = 0; i < kNumSections; ++i)
    if (!sections[i].empty())
      std::memcpy(file.data() + header.sections[i].offset, sections[i].data(), sections[i].size());
  std::string tree;
  for (std::size_t i = 0; i < kNumSections; ++i) {
    Extent extent = header.padded(static_cast<Section>(i));
    tree += chunk_digests(std::as_bytes(std::span(file)).subspan(extent.offset, extent.bytes));
  }
  file += tree;
  header.tree = {offset, tree.size()};
  header.file_bytes = file.size();
  header.root = digest_bytes(std::as_bytes(std::span(tree)));
  header.public_key.assign(kKeyBytes, '\0');
  header.signature.assign(kSignatureBytes, '\0');
  if (!secret_key.empty()) {
    header.public_key = secret_key.substr(kKeyBytes);  // libsodium's secret key is seed and public key
    header.signature = base::sign(signed_message(header), secret_key);
  }
  encode(header).copy(file.data(), kPageBytes);
  return file;
}

}  // namespace xinfer::engine
