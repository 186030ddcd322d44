#include "forge/cuda/prelude.h"

#include "base/digest.h"
#include "forge/cpu/irregular/builder.h"
#include "forge/cuda_prelude_text.h"

namespace xinfer::forge::cuda {

std::string prelude() {
  return std::string(kTypesCuh) + std::string(kMathCuh) + std::string(kSmallFloatsInc);
}

void finish_source(KernelSource& kernel, std::string_view text) {
  std::string unit = prelude() + std::string(text) + "}  // namespace xi\n";
  kernel.symbol = "k_" + base::sha256(unit).substr(0, 24);
  kernel.source = fmt::format("#define {} {}\n{}", kSymbolMark, kernel.symbol, unit);
}

std::string_view element_type(tensor::DType dtype) {
  if (dtype == tensor::DType::kFloat16) return "float16";
  if (dtype == tensor::DType::kBfloat16) return "bfloat16";
  return cpu::irregular::element_type(dtype);  // the rest is spelt the same on both kinds of hardware
}

}  // namespace xinfer::forge::cuda
