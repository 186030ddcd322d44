// Every pass's function. The order is in pipeline.cpp; each file says what it expects and leaves.
#pragma once
#include "base/error.h"
#include "ir/graph.h"

namespace xinfer::passes {

base::Result<bool> compose_attention(ir::Graph& graph);
base::Result<bool> compose_integer_products(ir::Graph& graph);
base::Result<bool> convert_precision(ir::Graph& graph);
base::Result<bool> decompose_composites(ir::Graph& graph);
base::Result<bool> eliminate_common_subexpressions(ir::Graph& graph);
base::Result<bool> expand_extensions(ir::Graph& graph);
base::Result<bool> extract_scales(ir::Graph& graph);
base::Result<bool> fold_batch_normalization(ir::Graph& graph);
base::Result<bool> fold_constants(ir::Graph& graph);
base::Result<bool> hoist_invariants(ir::Graph& graph);
base::Result<bool> inline_control_flow(ir::Graph& graph);
base::Result<bool> inline_short_control_flow(ir::Graph& graph);  // the same file
base::Result<bool> merge_projections(ir::Graph& graph);
base::Result<bool> remove_dead_code(ir::Graph& graph);
base::Result<bool> remove_identities(ir::Graph& graph);
base::Result<bool> simplify_algebra(ir::Graph& graph);
base::Result<bool> string_constants(ir::Graph& graph);

}  // namespace xinfer::passes
