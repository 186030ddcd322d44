// How large what is inferred may become, so that rules that compute with sizes need not think of overflow or endless formulas.
#pragma once
#include "base/error.h"
#include "ir/graph.h"

namespace xinfer::ir {

/// kLimit for a type with more elements than any machine holds.
[[nodiscard]] base::Result<void> check_size(const ValueType& type);
/// Whether a formula is worth going on with: products of sums grow without end.
bool is_short(const tensor::Size& size);

}  // namespace xinfer::ir
