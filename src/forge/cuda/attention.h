// Attention in one kernel on tensor cores: ONNX's operator Attention, as far as the template takes it.
#pragma once
#include <vector>

#include "base/error.h"
#include "forge/cuda/kernel.h"
#include "ir/graph.h"
#include "target/isa.h"

namespace xinfer::forge::cuda {

/// Sizes of one head that the template takes.
bool has_attention_size(std::int64_t size);

/// Whether attention_kernel takes the node (any operator) with its data in `dtype`: no cache, no soft cap, one output.
bool has_attention(const ir::Node& node, const ir::Graph& graph, tensor::DType dtype, const target::GpuIsa& gpu);

/// What the kernel reads, in order: Q, K and V as `dtype`, or the one value that they are the parts of (an even Split along
/// features), which it reads in place; then the mask, if there is one, as float32 or bool.
std::vector<ir::ValueId> attention_inputs(const ir::Node& node, const ir::Graph& graph);

/// Arguments: attention_inputs, then Y as `dtype`; all plain. Only for nodes that has_attention takes. `queries` of a block: 16, 32, 64 or 128; 0: by size.
KernelSource attention_kernel(const ir::Node& node, const ir::Graph& graph, tensor::DType dtype, const target::GpuIsa& gpu, int queries = 0);

}  // namespace xinfer::forge::cuda
