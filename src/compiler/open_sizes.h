// Sizes that a model leaves open: which they are, what to give for them, and in which multiples they fit together.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "compiler/profile.h"
#include "ir/graph.h"

namespace xinfer::compiler {

/// The largest multiple that is tried for sizes that only fit together in multiples of a power of two.
inline constexpr std::int64_t kMaxMultiple = 64;

/// The largest batch of engines for CPUs whose model leaves its batch open and that are built without --shape.
inline constexpr std::int64_t kDefaultBatch = 8;

/// What to try for sizes that a model leaves open: usual ones, the same for the same symbol in every input.
class UsualSizes {
 public:
  explicit UsualSizes(std::int64_t length = 128) : length_(length) {}
  /// Of one dimension: its own size where it has one.
  std::int64_t size(const std::vector<ir::Dim>& dims, std::size_t axis);
  /// A size or range per dimension, as --shape takes it: "1:1:8x3x64:224:640x64:224:640".
  std::string ranges(const ir::ValueType& type);

 private:
  enum class Role { kBatch, kChannels, kPixels, kLength };
  Role role(const std::vector<ir::Dim>& dims, std::size_t axis);

  std::int64_t length_;
  std::map<std::string, Role> roles_;
};

/// Whether every dimension has a size or a range.
bool is_bounded(const ir::ValueType& type);
/// A range, from 1 to `most`, for the batch of every input whose other sizes are numbers; nothing where that leaves sizes open.
Ranges default_batches(const ir::Graph& graph, std::int64_t most);
/// Whether some size is unknown although those of all inputs are numbers or ranges.
bool has_open_size(const ir::Graph& graph);
/// Whether the model's sizes make sense all over the ranges of its inputs, as far as passes have found them out. Errors:
/// kInvalidArgument (a size would be negative), kUnsupported (a model written for one size).
[[nodiscard]] base::Result<void> check_ranges(const ir::Graph& graph);

}  // namespace xinfer::compiler
