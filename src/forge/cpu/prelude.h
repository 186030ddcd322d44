// The text that every CPU kernel begins with: types, vectors and mathematics for freestanding code (prelude/*.inc).
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "target/isa.h"

namespace xinfer::forge::cpu {

/// Types (`vf`, `vi`, …), loads and stores, vector and scalar mathematics, memcpy and its like, for `isa`.
/// Defines XI_LANES, XI_INLINE, XI_KERNEL. Needs Clang with -ffreestanding; includes nothing.
std::string prelude(const target::CpuIsa& isa);

/// What comes behind it in kernels that touch strings: their views, and the session's memory for texts.
std::string_view text_prelude();
/// A table of words for text_prelude()'s `word` and `find_word`: all of them one after the other, <name>Text, and where each ends,
/// <name>Ends, beginning with 0.
std::string word_table(std::string_view name, std::span<const std::string> words);

/// The symbol of a kernel whose text is `source`: "k_" and the beginning of its digest. The text must not depend on the
/// symbol: write kSymbolMark in its place, then call `with_symbol`.
inline constexpr const char* kSymbolMark = "XI_SYMBOL";
struct NamedSource {
  std::string symbol, source;
};
NamedSource with_symbol(std::string source);

}  // namespace xinfer::forge::cpu
