// Sizes that a model leaves open: which they are, what to give for them, and in which multiples they fit together.
#pragma once
#include <cstdint>
#include <string>

#include "ir/graph.h"

namespace xinfer::compiler {

/// The largest multiple that is tried for sizes that only fit together in multiples of a power of two.
inline constexpr std::int64_t kMaxMultiple = 64;

/// A size or range per dimension that the user can start from, as --shape takes it: "1:1:8x3x64:224:640x64:224:640".
std::string example_shape(const ir::ValueType& type);
/// Whether every dimension has a size or a range.
bool is_bounded(const ir::ValueType& type);
/// Whether some size is unknown although those of all inputs are numbers or ranges.
bool has_open_size(const ir::Graph& graph);

}  // namespace xinfer::compiler
