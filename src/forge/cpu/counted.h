// Kernels of operators that find out how large their outputs are: NonZero, Compress, Unique, NonMaxSuppression, StringSplit,
// StringNormalizer.
#pragma once
#include <string_view>

#include "base/error.h"
#include "forge/cpu/kernel.h"
#include "ir/graph.h"

namespace xinfer::forge::cpu {

bool is_counted(std::string_view op);

/// The kernel of one node. It writes the size that it finds into ir::counted_symbol, before it writes the output, which is
/// dense under it. Arguments as of irregular_kernel; sizes of inputs
/// may be formulas. `place`: of a symbol in the plan. Errors: kUnsupported for dtypes without a template.
[[nodiscard]] base::Result<KernelSource> counted_kernel(const ir::Node& node, const ir::Graph& graph, const target::CpuIsa& isa,
                                                        const SymbolPlace& place);

}  // namespace xinfer::forge::cpu
