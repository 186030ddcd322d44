// What com.microsoft's reference functions share with the passes.
#pragma once
#include <string>
#include <vector>

#include "forge/reference/reference.h"

namespace xinfer::forge::reference {

/// The weights of a MatMulNBits node as float32 [K, N]. `zeros` may be null. Errors: attributes or sizes that do not fit.
[[nodiscard]] base::Result<Tensor> nbits_weights(const ir::Node& node, const Tensor& b, const Tensor& scales, const Tensor* zeros);
/// Those of a MatMulBnb4 node: numbers of 4 bits that stand for others, times the largest of their block.
[[nodiscard]] base::Result<Tensor> bnb4_weights(const ir::Node& node, const Tensor& b, const Tensor& largest);

/// Calls a standard operator's function with other inputs (null: omitted) and attributes; the first result.
[[nodiscard]] base::Result<Tensor> standard(std::string op, const std::vector<const Tensor*>& inputs, const ir::Attributes& attributes);
[[nodiscard]] base::Result<std::vector<Value>> standard_all(std::string op, const std::vector<const Tensor*>& inputs, const ir::Attributes& attributes, std::size_t outputs);

}  // namespace xinfer::forge::reference
