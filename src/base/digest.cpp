#include "base/digest.h"

#include <sodium.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <vector>

#include "base/sha256_blocks.h"

namespace xinfer::base {

namespace {
// libsodium asks for sodium_init before first use; it is idempotent and thread-safe.
void ready() {
  [[maybe_unused]] static const int done = sodium_init();
}
const unsigned char* raw(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
}  // namespace

// libsodium's SHA-256 uses no SHA instructions; with them it is five times faster, which counts for engines and uploads of
// hundreds of megabytes. Padding and buffering are then done here.
struct Sha256::State {
  crypto_hash_sha256_state portable;
  std::uint32_t words[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::uint8_t block[64];
  std::uint64_t bytes = 0;

  void update(const unsigned char* data, std::size_t size) {
    std::size_t held = bytes % 64;
    bytes += size;
    if (held > 0) {
      std::size_t taken = std::min(size, 64 - held);
      std::memcpy(block + held, data, taken);
      if (held + taken < 64) return;
      sha256_blocks(words, block, 1);
      data += taken;
      size -= taken;
    }
    sha256_blocks(words, data, size / 64);
    if (size % 64) std::memcpy(block, data + size / 64 * 64, size % 64);
  }
  void finish(unsigned char* out) {
    std::uint64_t bits = bytes * 8;
    unsigned char padding[72] = {0x80};
    std::size_t zeros = (bytes % 64 < 56 ? 56 : 120) - bytes % 64;
    for (int i = 0; i < 8; ++i) padding[zeros + static_cast<std::size_t>(i)] = static_cast<unsigned char>(bits >> (56 - 8 * i));
    update(padding, zeros + 8);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<unsigned char>(words[i / 4] >> (24 - 8 * (i % 4)));
  }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  ready();
  if (!has_sha256_instructions()) crypto_hash_sha256_init(&state_->portable);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  if (bytes.empty()) return;
  if (has_sha256_instructions())
    state_->update(data, bytes.size());
  else
    crypto_hash_sha256_update(&state_->portable, data, bytes.size());
}
void Sha256::update(std::string_view text) { update(std::as_bytes(std::span(text.data(), text.size()))); }
std::string Sha256::finish() {
  unsigned char out[crypto_hash_sha256_BYTES];
  if (has_sha256_instructions())
    state_->finish(out);
  else
    crypto_hash_sha256_final(&state_->portable, out);
  return to_hex(std::as_bytes(std::span(out)));
}

std::string sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}
std::string sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text.data(), text.size()))); }

Result<std::string> sha256_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::kNotFound, "cannot open {}", path.string());
  Sha256 hash;
  std::vector<char> buffer(1 << 20);
  while (file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    hash.update(std::string_view(buffer.data(), static_cast<std::size_t>(file.gcount())));
  }
  if (file.bad()) return fail(Code::kIo, "cannot read {}", path.string());
  return hash.finish();
}

std::string to_hex(std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::byte b : bytes) {
    text += kDigits[std::to_integer<int>(b) >> 4];
    text += kDigits[std::to_integer<int>(b) & 15];
  }
  return text;
}

Result<std::string> from_hex(std::string_view hex) {
  auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (hex.size() % 2) return fail(Code::kInvalidArgument, "hexadecimal text has an odd number of digits");
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    int high = digit(hex[i]), low = digit(hex[i + 1]);
    if (high < 0 || low < 0) return fail(Code::kInvalidArgument, "'{}' is not lower-case hexadecimal", hex.substr(i, 2));
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string random_hex(std::size_t count) {
  ready();
  std::vector<std::byte> bytes(count);
  randombytes_buf(bytes.data(), bytes.size());
  return to_hex(bytes);
}

bool equal_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

KeyPair make_key_pair() {
  ready();
  KeyPair pair{std::string(crypto_sign_PUBLICKEYBYTES, '\0'), std::string(crypto_sign_SECRETKEYBYTES, '\0')};
  crypto_sign_keypair(reinterpret_cast<unsigned char*>(pair.public_key.data()),
                      reinterpret_cast<unsigned char*>(pair.secret_key.data()));
  return pair;
}

std::string sign(std::string_view message, std::string_view secret_key) {
  ready();
  std::string signature(crypto_sign_BYTES, '\0');
  crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr, raw(message), message.size(),
                       raw(secret_key));
  return signature;
}

bool verify_signature(std::string_view message, std::string_view signature, std::string_view public_key) {
  ready();
  return signature.size() == crypto_sign_BYTES && public_key.size() == crypto_sign_PUBLICKEYBYTES &&
         crypto_sign_verify_detached(raw(signature), raw(message), message.size(), raw(public_key)) == 0;
}

}  // namespace xinfer::base
