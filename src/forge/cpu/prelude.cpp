#include "forge/cpu/prelude.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "forge/prelude_text.h"

namespace xinfer::forge::cpu {

std::string prelude(const target::CpuIsa& isa) {
  return fmt::format("#define XI_LANES {}\n#define XI_REGISTERS {}\n{}{}{}", isa.vector_lanes,
                     isa.vector_registers, kTypesInc, kMathInc, kSmallFloatsInc);
}

std::string_view text_prelude() { return kTextInc; }

std::string word_table(std::string_view name, std::span<const std::string> words) {
  std::string text, ends = "0";
  std::size_t end = 0;
  for (const std::string& word : words) {
    text += "\n  \"";
    for (const char c : word) {
      const bool plain = c >= ' ' && c <= '~' && c != '"' && c != '\\' && c != '?';
      text += plain ? std::string(1, c) : fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    }
    text += '"';
    ends += fmt::format(", {}", end += word.size());
  }
  return fmt::format("static const char {0}Text[] = \"\"{1};\nconstexpr int64_t {0}Ends[] = {{{2}}};\n", name, text, ends);
}

NamedSource with_symbol(std::string source) {
  std::string symbol = "k_" + base::sha256(source).substr(0, 24);
  std::string definition = fmt::format("#define {} {}\n", kSymbolMark, symbol);
  return {symbol, definition + source};
}

}  // namespace xinfer::forge::cpu
