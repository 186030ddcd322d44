// The hub's Ed25519 key: engines that its agents build are signed with it. The secret never leaves the data folder.
#pragma once
#include <filesystem>
#include <string>

#include "base/error.h"

namespace xinfer::server::accounts {

/// Immutable; thread-safe.
class SigningKey {
 public:
  /// Reads FILE (hexadecimal, mode 0600), or makes it. kUntrusted when others may read it.
  [[nodiscard]] static base::Result<SigningKey> open(const std::filesystem::path& file);
  const std::string& public_key_hex() const { return public_hex_; }
  /// Signs what the engine format signs, and nothing else: the message must begin with the format's prefix, so that the
  /// key cannot be made to sign anything of another meaning. Both hexadecimal. kInvalidArgument.
  [[nodiscard]] base::Result<std::string> sign_engine(const std::string& message_hex) const;

 private:
  std::string secret_, public_hex_;
};

}  // namespace xinfer::server::accounts
