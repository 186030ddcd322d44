// numpy's .npy files (format 1.0 to 3.0; little-endian; C and Fortran order).
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "tensor/tensor.h"

namespace xinfer::tensor {

/// Reads bool, integer and floating arrays (float16 too). kCorrupt says what is wrong, kUnsupported names the dtype.
[[nodiscard]] base::Result<Tensor> read_npy(const std::filesystem::path& path);
[[nodiscard]] base::Result<Tensor> parse_npy(std::string_view bytes);

/// Types that numpy lacks (bfloat16, float8, 4-bit) are written as float32 or int8 values. kUnsupported for strings.
[[nodiscard]] base::Result<void> write_npy(const std::filesystem::path& path, const Tensor& tensor);
[[nodiscard]] base::Result<std::string> format_npy(const Tensor& tensor);

}  // namespace xinfer::tensor
