#include "forge/cpu/prelude.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "forge/prelude_text.h"

namespace xinfer::forge::cpu {

std::string prelude(const target::CpuIsa& isa) {
  return fmt::format("#define XI_LANES {}\n#define XI_REGISTERS {}\n{}{}{}", isa.vector_lanes,
                     isa.vector_registers, kTypesInc, kMathInc, kSmallFloatsInc);
}

NamedSource with_symbol(std::string source) {
  std::string symbol = "k_" + base::sha256(source).substr(0, 24);
  std::string definition = fmt::format("#define {} {}\n", kSymbolMark, symbol);
  return {symbol, definition + source};
}

}  // namespace xinfer::forge::cpu
