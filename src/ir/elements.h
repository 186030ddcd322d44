// Sequences and optionals at an engine's border: engines take and give tensors, so a sequence "x" is "x[0]", "x[1]", … there.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace xinfer::ir {

/// The name of a sequence's element `index` among an engine's inputs or outputs. An optional tensor keeps its own name.
inline std::string element_name(std::string_view name, std::size_t index) {
  return std::string(name) + "[" + std::to_string(index) + "]";
}

}  // namespace xinfer::ir
