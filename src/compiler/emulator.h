// Runs engines of another CPU architecture under an emulator, to verify and test what this machine cross-compiled.
#pragma once
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "tensor/tensor.h"

namespace xinfer::compiler {

/// Whether this machine can emulate the architecture. kIncompatible says what it lacks: no emulator exists, or which
/// package has it.
[[nodiscard]] base::Result<void> check_emulator(std::string_view architecture);

/// Runs the engine once, as runtime::run_once does on its own architecture. The stand-in for the runtime is compiled at
/// first use and kept in `cache_folder` (empty: compiled each time). Errors: those of check_emulator, kUnavailable (no
/// Clang 19), kInvalidArgument (inputs), kInternal (the engine crashed).
[[nodiscard]] base::Result<std::vector<tensor::Tensor>> run_emulated(const engine::Engine& engine,
                                                                     std::span<const tensor::Tensor* const> inputs,
                                                                     const std::filesystem::path& cache_folder);

}  // namespace xinfer::compiler
