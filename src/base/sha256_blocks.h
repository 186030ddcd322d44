// SHA-256's compression function on the CPU's own instructions.
#pragma once
#include <cstddef>
#include <cstdint>

namespace xinfer::base {

/// Whether this CPU has them (x86-64 SHA extensions).
bool has_sha256_instructions();

/// Runs FIPS 180-4's compression over `count` blocks of 64 bytes. Only where has_sha256_instructions().
void sha256_blocks(std::uint32_t state[8], const std::uint8_t* data, std::size_t count);

}  // namespace xinfer::base
