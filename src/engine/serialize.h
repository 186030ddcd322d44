// Manifest and plan to and from their FlatBuffers sections.
#pragma once
#include <span>
#include <string>

#include "base/error.h"
#include "engine/engine.h"

namespace xinfer::engine {

std::string serialize_manifest(const Manifest& manifest, const Plan& plan);
std::string serialize_plan(const Plan& plan);

/// Fill in what the section holds: the manifest section has the plan's inputs and outputs. kCorrupt when it is no valid
/// FlatBuffer of its schema. `bytes` must be 16-byte aligned.
[[nodiscard]] base::Result<void> parse_manifest(std::span<const std::byte> bytes, Manifest& manifest, Plan& plan);
[[nodiscard]] base::Result<void> parse_plan(std::span<const std::byte> bytes, Plan& plan);

}  // namespace xinfer::engine
