#include "forge/cuda/prelude.h"

#include "base/digest.h"
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
  using tensor::DType;
  switch (dtype) {
    case DType::kFloat32: return "float";
    case DType::kFloat16: return "float16";
    case DType::kBfloat16: return "bfloat16";
    case DType::kFloat64: return "double";
    case DType::kInt4:
    case DType::kInt8: return "int8_t";
    case DType::kInt16: return "int16_t";
    case DType::kInt32: return "int32_t";
    case DType::kInt64: return "int64_t";
    case DType::kBool:
    case DType::kUint4:
    case DType::kUint8: return "uint8_t";
    case DType::kUint16: return "uint16_t";
    case DType::kUint32: return "uint32_t";
    case DType::kUint64: return "uint64_t";
    default: return {};
  }
}

}  // namespace xinfer::forge::cuda
