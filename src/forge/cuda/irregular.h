// Operators that are neither loop nests nor contractions, on GPUs: the CPU's templates, a thread or
// a block of them for a share of the items.
#pragma once
#include <optional>

#include "base/error.h"
#include "forge/cuda/kernel.h"
#include "ir/graph.h"
#include "target/isa.h"

namespace xinfer::forge::cuda {

/// The kernel of one node, or nothing when there is no template for its operator: cpu/irregular.h, with the launch's
/// arguments as the kernel's parameters.
[[nodiscard]] base::Result<std::optional<KernelSource>> irregular_kernel(const ir::Node& node, const ir::Graph& graph,
                                                                         const target::GpuIsa& gpu);

}  // namespace xinfer::forge::cuda
