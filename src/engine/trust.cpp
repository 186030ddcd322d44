#include "engine/trust.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/digest.h"
#include "base/files.h"

namespace xinfer::engine {

using base::Code;
using base::fail;

namespace {

constexpr std::size_t kPublicBytes = 32, kSecretBytes = 64;

base::Result<std::string> read_hex(const std::filesystem::path& path, std::size_t bytes, std::string_view kind) {
  auto file = base::read_file(path, 4096);
  if (!file && file.error().code != Code::kLimit) return file;
  std::string text = file ? *std::move(file) : std::string();
  text.resize(std::min(text.find_first_of("# \t\r\n"), text.size()));
  auto key = base::from_hex(text);
  if (!key || key->size() != bytes)
    return std::unexpected(base::Error{
        Code::kInvalidArgument, fmt::format("this is no {} key: {} hexadecimal digits are needed", kind, bytes * 2),
        path.string()});
  return key;
}

}  // namespace

bool Trust::trusts(std::string_view public_key) const {
  return std::ranges::find(public_keys, public_key) != public_keys.end();
}

std::filesystem::path trusted_keys_folder() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config && *config) return std::filesystem::path(config) / "xinfer/trusted_keys";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home && *home ? home : "/") / ".config/xinfer/trusted_keys";
}

base::Result<Trust> load_trust(const std::filesystem::path& folder) {
  Trust trust;
  std::error_code missing;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing))
    if (entry.path().extension() == ".pub") files.push_back(entry.path());
  std::ranges::sort(files);
  for (const auto& file : files) {
    XI_TRY(std::string key, read_public_key(file));
    trust.public_keys.push_back(std::move(key));
  }
  return trust;
}

base::Result<void> add_trusted_key(std::string_view public_key, std::string_view comment,
                                   const std::filesystem::path& folder) {
  if (public_key.size() != kPublicBytes) return fail(Code::kInvalidArgument, "a public key has 64 hexadecimal digits");
  std::string id = key_id(public_key);
  auto path = folder / (id.substr(id.find(':') + 1) + ".pub");
  if (std::filesystem::exists(path)) return {};
  std::string line = base::to_hex(std::as_bytes(std::span(public_key)));
  if (!comment.empty()) line += fmt::format(" # {}", comment);
  std::ranges::replace(line, '\n', ' ');
  return base::write_file(path, line + "\n");
}

std::string key_id(std::string_view public_key) { return "ed25519:" + base::sha256(public_key).substr(0, 16); }

base::Result<std::string> read_public_key(const std::filesystem::path& path) {
  return read_hex(path, kPublicBytes, "public");
}
base::Result<std::string> read_secret_key(const std::filesystem::path& path) {
  return read_hex(path, kSecretBytes, "secret");
}

base::Result<void> write_secret_key(const std::filesystem::path& path, std::string_view secret_key) {
  std::error_code ignored;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  // Written aside, closed to others from the first byte on, and linked into place: readers see all of it or nothing, and
  // an existing key, whose engines would become untrusted, is never replaced.
  std::string temporary = path.string() + ".XXXXXX";
  int file = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (file < 0) return fail(Code::kIo, "cannot create {}: {}", path.string(), std::strerror(errno));
  std::string text = base::to_hex(std::as_bytes(std::span(secret_key))) + "\n";
  bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  ::close(file);
  int linked = written ? ::link(temporary.c_str(), path.c_str()) : -1;
  int number = errno;
  ::unlink(temporary.c_str());
  if (linked == 0) return {};
  if (written && number == EEXIST) return fail(Code::kConflict, "{} exists already", path.string());
  return fail(Code::kIo, "cannot write {}: {}", path.string(), std::strerror(number));
}

base::Result<std::string> own_secret_key(const std::filesystem::path& folder) {
  auto path = folder.parent_path() / "own.key";
  auto key = read_secret_key(path);
  if (!key && key.error().code == Code::kNotFound) {
    auto pair = base::make_key_pair();
    auto written = write_secret_key(path, pair.secret_key);
    // Another process of the same user may have been faster: then its key counts.
    if (!written && written.error().code != Code::kConflict) return std::unexpected(std::move(written).error());
    key = read_secret_key(path);
  }
  if (!key) return key;
  XI_CHECK(add_trusted_key(key->substr(kPublicBytes), "this user's own builds", folder));
  return key;
}

}  // namespace xinfer::engine
