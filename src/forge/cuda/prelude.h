// The text that CUDA kernels begin with: the CPU prelude's names for one thread of a GPU (prelude/*.cuh).
#pragma once
#include <string>
#include <string_view>

#include "forge/cuda/kernel.h"
#include "tensor/dtype.h"

namespace xinfer::forge::cuda {

/// Types, loads and stores, mathematics, folds over groups of threads. It opens namespace xi, in which the kernel's text
/// follows; finish_source closes it.
std::string prelude();

/// A whole translation unit: prelude, `text`, end. Names the kernel: kSymbolMark in `text` stands for its symbol, a digest
/// of the unit.
inline constexpr std::string_view kSymbolMark = "XI_ENTRY";
void finish_source(KernelSource& kernel, std::string_view text);

/// The C++ type of elements of this dtype in memory, as templates name it: "float", "float16", "int64_t"; empty: none.
std::string_view element_type(tensor::DType dtype);

}  // namespace xinfer::forge::cuda
