// The decompositions of composite operators, by family. Each returns false to keep the node.
#pragma once
#include "passes/rewriter.h"

namespace xinfer::passes {

// decompose_quantized.cpp
base::Result<bool> decompose_dynamic_quantize(Rewriter& rewriter, ir::Node& node);
base::Result<bool> decompose_matmul_integer(Rewriter& rewriter, ir::Node& node);
base::Result<bool> decompose_conv_integer(Rewriter& rewriter, ir::Node& node);
base::Result<bool> decompose_qlinear_matmul(Rewriter& rewriter, ir::Node& node);
base::Result<bool> decompose_qlinear_conv(Rewriter& rewriter, ir::Node& node);

// decompose_einsum.cpp
base::Result<bool> decompose_einsum(Rewriter& rewriter, ir::Node& node);

}  // namespace xinfer::passes
