// Regular expressions as automata over bytes, made while building: a kernel only walks the table.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace xinfer::forge {

/// A deterministic automaton. State 0 is the one from which nothing matches any more. Bytes that all states treat alike share a class.
struct Automaton {
  std::array<std::uint8_t, 256> class_of{};
  std::int64_t num_classes = 1;
  std::vector<std::int64_t> next;  // [state * num_classes + class]
  std::vector<bool> accepts;       // per state
  std::int64_t start = 0;

  bool matches(std::string_view text) const;
};

/// The automaton of texts that the pattern matches as a whole. RE2's syntax: alternatives, groups, repetition, classes (also \d, \w,
/// \s, [:alpha:]), escapes, ^ and $ at the ends, (?i) and (?s) in front; characters are Unicode in UTF-8. kInvalidArgument: no pattern;
/// kUnsupported: \b, back references and the like, or an automaton of too many states.
[[nodiscard]] base::Result<Automaton> compile_pattern(std::string_view pattern);

}  // namespace xinfer::forge
