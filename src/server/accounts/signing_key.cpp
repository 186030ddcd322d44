#include "server/accounts/signing_key.h"

#include <sys/stat.h>
#include <unistd.h>

#include <span>

#include "base/digest.h"
#include "base/files.h"

namespace xinfer::server::accounts {

using base::Code;
using base::Result;

namespace {
constexpr std::size_t kSecretBytes = 64, kPublicBytes = 32;
constexpr std::size_t kMessageLimit = 16 << 10;
constexpr std::string_view kPrefix = "xinfer engine, format ";
}  // namespace

Result<SigningKey> SigningKey::open(const std::filesystem::path& file) {
  SigningKey key;
  std::error_code error;
  if (std::filesystem::exists(file, error)) {
    struct stat info{};
    if (::stat(file.c_str(), &info) != 0 || (info.st_mode & 077) != 0)
      return base::fail(Code::kUntrusted,
                        "{} is open to other users: chmod 600 it, and make a new key if they may have read it",
                        file.string());
    XI_TRY(std::string text, base::read_file(file, 1024));
    while (!text.empty() && text.back() == '\n') text.pop_back();
    XI_TRY(key.secret_, base::from_hex(text));
    if (key.secret_.size() != kSecretBytes) return base::fail(Code::kCorrupt, "{} holds no Ed25519 key", file.string());
  } else {
    std::filesystem::create_directories(file.parent_path(), error);
    ::chmod(file.parent_path().c_str(), 0700);
    key.secret_ = base::make_key_pair().secret_key;
    const mode_t before = ::umask(077);
    const auto written = base::write_file(file, base::to_hex(std::as_bytes(std::span(key.secret_))) + "\n");
    ::umask(before);
    XI_CHECK(written);
    ::chmod(file.c_str(), 0600);
  }
  // libsodium's secret key is the seed followed by the public key.
  const std::string public_key = key.secret_.substr(kSecretBytes - kPublicBytes);
  key.public_hex_ = base::to_hex(std::as_bytes(std::span(public_key)));
  return key;
}

Result<std::string> SigningKey::sign_engine(const std::string& message_hex) const {
  if (message_hex.size() > 2 * kMessageLimit)
    return std::unexpected(base::Error{Code::kInvalidArgument, "too long", "message"});
  auto message = base::from_hex(message_hex);
  if (!message || !message->starts_with(kPrefix))
    return std::unexpected(
        base::Error{Code::kInvalidArgument, "not what the engine format signs, in hexadecimal", "message"});
  const std::string signature = base::sign(*message, secret_);
  return base::to_hex(std::as_bytes(std::span(signature)));
}

}  // namespace xinfer::server::accounts
