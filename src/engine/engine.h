// The engine file: a compiled model with its weights, signed. Nothing in it is parsed before its digests and signature
// hold; docs/engine.md describes the bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/plan.h"
#include "engine/trust.h"

namespace xinfer::engine {

/// The format that write() makes, and the newest that open() reads.
inline constexpr std::uint32_t kFormatVersion = 2;

/// What an engine says of itself. Inputs and outputs are in the Plan.
struct Manifest {
  std::string architecture;  // canonical target name, "x86-64-v4"
  std::string precision = "fp32";
  std::string model_name;    // of the graph or the catalogue
  std::string model_digest;  // SHA-256 of the ONNX file
  std::string toolchain;     // "xinfer 0.1.0, clang 19.1.7"
  std::string licence;       // of the model, SPDX; empty when unknown
  std::string metadata;      // JSON: pre- and post-processing, labels; empty or an object
  std::string report;        // JSON: choices, verification, times; empty or an object
};

/// Everything that an engine file holds.
struct Contents {
  Manifest manifest;
  Plan plan;
  std::string code;                // machine code, position-independent, as one image
  std::vector<std::byte> weights;  // as the kernels read them
};

/// The file's bytes; the same contents and key give the same bytes. `secret_key`: raw Ed25519 (64 bytes); empty makes an
/// unsigned file, which opens only with Trust::allow_unsigned. The plan must satisfy check().
std::string write(const Contents& contents, std::string_view secret_key);

/// Whether every index and extent of the plan is inside what it refers to. kCorrupt names the first that is not.
[[nodiscard]] base::Result<void> check(const Plan& plan, std::uint64_t code_bytes, std::uint64_t weights_bytes);

/// Bytes that an input or output may take, with every symbol at its maximum. kCorrupt for an undefined size.
[[nodiscard]] base::Result<std::uint64_t> capacity_bytes(const Plan& plan, const TensorInfo& info);
/// A formula over the plan's symbols; nothing where it is none or names others.
std::optional<tensor::Size> find_size(const Plan& plan, std::string_view formula);

/// A verified engine. Immutable; share it between sessions through shared_ptr. Thread-safe.
class Engine {
 public:
  ~Engine();
  const Manifest& manifest() const { return manifest_; }
  const Plan& plan() const { return plan_; }
  /// Memory-mapped from the file, 64-byte aligned.
  std::span<const std::byte> weights() const { return weights_; }
  /// A private, verified copy in pages of its own: readable, and executable once runtime makes it so.
  std::span<const std::byte> code() const { return code_; }
  /// SHA-256 root over the file's contents.
  const std::string& digest() const { return digest_; }
  /// Raw public key of the signer; empty for an unsigned engine.
  const std::string& signer() const { return signer_; }
  std::uint32_t format_version() const { return format_version_; }
  std::uint64_t file_bytes() const { return file_bytes_; }

  /// Makes code() executable (and no longer anything but readable). Call once the architecture is known to fit.
  [[nodiscard]] base::Result<void> make_code_executable() const;

 private:
  friend struct EngineReader;
  Engine();
  Manifest manifest_;
  Plan plan_;
  std::span<const std::byte> weights_, code_;
  std::string digest_, signer_;
  std::uint32_t format_version_ = 0;
  std::uint64_t file_bytes_ = 0;
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

/// Opens and verifies an engine file. Errors: kNotFound, kCorrupt (no engine, truncated, damaged: which part),
/// kUntrusted (unsigned, unknown key), kIncompatible (newer format).
[[nodiscard]] base::Result<std::shared_ptr<const Engine>> open(const std::filesystem::path& path, const Trust& trust);
/// The same from bytes in memory.
[[nodiscard]] base::Result<std::shared_ptr<const Engine>> open_bytes(std::string_view bytes, const Trust& trust);

}  // namespace xinfer::engine
