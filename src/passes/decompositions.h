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

// decompose_attention.cpp
base::Result<bool> decompose_attention(Rewriter& rewriter, ir::Node& node);
base::Result<bool> decompose_rotary_embedding(Rewriter& rewriter, ir::Node& node);
base::Result<bool> decompose_causal_convolution(Rewriter& rewriter, ir::Node& node);

// decompose_loss.cpp
base::Result<bool> decompose_likelihood_loss(Rewriter& rewriter, ir::Node& node);
base::Result<bool> decompose_cross_entropy_loss(Rewriter& rewriter, ir::Node& node);

// decompose_einsum.cpp
base::Result<bool> decompose_einsum(Rewriter& rewriter, ir::Node& node);

}  // namespace xinfer::passes
