// What com.microsoft's reference functions share with the passes.
#pragma once
#include "forge/reference/reference.h"

namespace xinfer::forge::reference {

/// The weights of a MatMulNBits node as float32 [K, N]. `zeros` may be null. Errors: attributes or sizes that do not fit.
[[nodiscard]] base::Result<Tensor> nbits_weights(const ir::Node& node, const Tensor& b, const Tensor& scales, const Tensor* zeros);

}  // namespace xinfer::forge::reference
