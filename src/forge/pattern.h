// A regular expression as a tree. Internal to compile_pattern().
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace xinfer::forge {

/// Code points, as ranges with both ends in them.
using CodeRanges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

struct Pattern {
  enum class Kind : std::uint8_t { kEmpty, kCharacters, kSequence, kAlternatives, kRepeat, kBegin, kEnd };
  Kind kind = Kind::kEmpty;
  CodeRanges characters;       // of kCharacters: one of them
  std::vector<Pattern> parts;  // of the rest; one of kRepeat
  int min = 0, max = -1;       // of kRepeat; -1: no limit
};

[[nodiscard]] base::Result<Pattern> parse_pattern(std::string_view text);

}  // namespace xinfer::forge
