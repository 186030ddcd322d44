// CPU kernels as C++ text: what a template of forge hands to codegen.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "forge/kernel.h"
#include "forge/problem.h"
#include "target/isa.h"

namespace xinfer::forge::cpu {

/// `source` is a whole freestanding translation unit (prelude included) that defines `extern "C" void <symbol>(void* const*
/// buffers, int64_t* symbols, void* scratch, int64_t task_begin, int64_t task_end)`, engine/plan.h's CpuKernel.
using forge::KernelSource;
using forge::Layout;
using forge::SymbolPlace;

/// A pointwise tail fused into a contraction, applied to each vector of finished outputs before it is stored.
/// `source` defines, with the types and functions of the prelude,
///   template <class Access> static inline vf epilogue(vf x, void* const* operands, int64_t offset, int64_t channel, Access access)
/// where `offset` is the element offset of lane 0 in the output's physical layout and `channel` its index along the channel
/// (bias) axis. access.load(pointer) reads the float32 elements of an operand that lies like the output, at
/// (const float*)operand + offset; access.load_channel(pointer) those of an operand with one element a channel, at
/// (const float*)operand + channel, whichever way the lanes run (along channels in kBlocked outputs and matrix products,
/// along a row in kPlain ones). Both cut to the valid lanes at a tail; but operands that go with a kBlocked output are
/// read up to the next whole vector, so a channel operand must be padded to it.
/// `operands` are the launch's arguments after the template's own inputs and before the output.
struct Epilogue {
  int num_operands = 0;
  std::string source;
  bool empty() const { return source.empty(); }
};

/// Repacks a constant from the model's layout into the one that the kernel reads. Empty: used as it is.
using PackWeights = std::function<std::vector<float>(std::span<const float> weights)>;

/// What choosing a template gives. Arguments of the launch, in order: the inputs, the weights (packed if constant), the bias
/// if there is one, the epilogue's operands, the output.
struct KernelChoice {
  KernelSource kernel;
  PackWeights pack_weights;               // of constant weights
  PackWeights pack_bias;                  // of a constant bias
  Layout input_layout = Layout::kPlain;   // of the rank-4 data input
  Layout output_layout = Layout::kPlain;  // of the rank-4 output
};

}  // namespace xinfer::forge::cpu
