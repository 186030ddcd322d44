// Whose engines may run here: the set of trusted signing keys and where it is kept.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace xinfer::engine {

/// Public keys (raw, 32 bytes each) whose engines are trusted. Default: nobody's, and nothing unsigned.
struct Trust {
  std::vector<std::string> public_keys;
  bool allow_unsigned = false;  // for engines that the caller has just built

  bool trusts(std::string_view public_key) const;
};

/// $XDG_CONFIG_HOME/xinfer/trusted_keys, else ~/.config/xinfer/trusted_keys.
std::filesystem::path trusted_keys_folder();
/// Reads every *.pub of the folder (hexadecimal, 64 digits; text after '#' is a comment). No folder means no keys.
[[nodiscard]] base::Result<Trust> load_trust(const std::filesystem::path& folder = trusted_keys_folder());
/// Adds a key (raw) to the folder as <key id>.pub with `comment`. Adding it again changes nothing.
[[nodiscard]] base::Result<void> add_trusted_key(std::string_view public_key, std::string_view comment,
                                                 const std::filesystem::path& folder = trusted_keys_folder());

/// Short name of a public key for people: "ed25519:" and the first 16 digits of its SHA-256.
std::string key_id(std::string_view public_key);

/// Key files are hexadecimal text: NAME.pub and NAME.key (mode 0600).
[[nodiscard]] base::Result<std::string> read_public_key(const std::filesystem::path& path);
[[nodiscard]] base::Result<std::string> read_secret_key(const std::filesystem::path& path);
[[nodiscard]] base::Result<void> write_secret_key(const std::filesystem::path& path, std::string_view secret_key);

/// This user's own signing key, own.key beside `folder`: made at first use, and trusted there. Engines that a user builds
/// are signed with it, so that they load without further ado here and nowhere else.
[[nodiscard]] base::Result<std::string> own_secret_key(const std::filesystem::path& folder = trusted_keys_folder());

}  // namespace xinfer::engine
