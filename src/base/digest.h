// SHA-256 digests as lower-case hexadecimal, and Ed25519 signatures (libsodium).
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace xinfer::base {

/// SHA-256 of the bytes, as 64 lower-case hexadecimal digits.
std::string sha256(std::span<const std::byte> bytes);
std::string sha256(std::string_view text);
/// Streams the file; errors: kNotFound, kIo.
[[nodiscard]] Result<std::string> sha256_file(const std::filesystem::path& path);

/// Incremental SHA-256. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  std::string finish();  // hexadecimal; the object must not be used afterwards

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string to_hex(std::span<const std::byte> bytes);
[[nodiscard]] Result<std::string> from_hex(std::string_view hex);  // raw bytes
bool is_sha256(std::string_view text);                             // exactly 64 lower-case hexadecimal digits

/// Cryptographically secure random bytes, hexadecimal (2 * count digits).
std::string random_hex(std::size_t count);

/// Comparison in constant time, for secrets.
bool equal_secret(std::string_view a, std::string_view b);

/// Ed25519 (RFC 8032). Keys and signatures are raw bytes: 32 public, 64 secret, 64 signature.
struct KeyPair {
  std::string public_key, secret_key;
};
KeyPair make_key_pair();
std::string sign(std::string_view message, std::string_view secret_key);
bool verify_signature(std::string_view message, std::string_view signature, std::string_view public_key);

}  // namespace xinfer::base
