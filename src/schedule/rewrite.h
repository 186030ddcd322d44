// Last rewrites before scheduling: operators into the forms that the templates take.
#pragma once
#include "ir/graph.h"

namespace xinfer::schedule {

/// Gemm becomes a plain matrix product (Gemm without C, alpha 1) and pointwise operators for alpha, beta and C, which
/// then fuse as an epilogue like any others.
void rewrite_for_templates(ir::Graph& graph);

}  // namespace xinfer::schedule
