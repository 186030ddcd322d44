// Kernel templates for operators that are neither loop nests nor contractions: sorting, scattering, recurrence, …
#pragma once
#include <optional>
#include <string_view>

#include "forge/cpu/kernel.h"
#include "ir/graph.h"

namespace xinfer::forge::cpu {

/// Whether an input or output is a string tensor: then irregular and counted kernels take the session's text memory
/// (engine::TextMemory) between inputs and outputs.
bool touches_strings(const ir::Node& node, const ir::Graph& graph);
/// Operators that irregular_kernel knows.
bool is_irregular(std::string_view op);

/// The kernel of one node, or nothing when there is no template for its operator. Sizes may be
/// formulas over symbols, where the template takes them.
/// Arguments: the node's inputs in order, omitted ones skipped (constants too are arguments), then its outputs in order,
/// omitted ones skipped; all dense and row-major in their element type, 16-bit floats as float32. Outputs do not overlap
/// inputs. Errors: kUnsupported names what of the node has no template (a dtype, an attribute, a size that
/// is not a number).
[[nodiscard]] base::Result<std::optional<KernelSource>> irregular_kernel(const ir::Node& node, const ir::Graph& graph,
                                                                         const target::CpuIsa& isa, const SymbolPlace& place = {});

}  // namespace xinfer::forge::cpu
