// Pointwise operators after a contraction as the template's epilogue text.
#pragma once
#include <optional>
#include <vector>

#include "forge/cpu/kernel.h"
#include "forge/cuda/contraction.h"
#include "schedule/loop_nest.h"

namespace xinfer::schedule {

using EpilogueRead = forge::cuda::EpilogueOperand::Kind;

struct FusedEpilogue {
  std::string source;                // the function that the templates call
  std::vector<EpilogueRead> reads;   // how each operand is read
  std::vector<Operand> operands;
  std::set<const ir::Node*> nodes;
  DType stored = DType::kFloat32;    // what the result lies as
  double operations = 0;  // about how many plain ones an element takes
};

/// The epilogue that computes `result` from the contraction's own output `anchor`, which is stored with `layout`.
/// `channel_axis`: of the bias. Nothing when an operand is not read at the output's own element or channel, or an
/// operator has no vector form. For CPUs: forge/cpu/kernel.h's function of vectors.
std::optional<FusedEpilogue> make_vector_epilogue(const ir::Graph& graph, const Surroundings& surroundings,
                                                  const target::CpuIsa& isa, ir::ValueId anchor, ir::ValueId result,
                                                  Layout layout, std::size_t channel_axis);
/// For GPUs: forge/cuda/contraction.h's function of one element. The anchor is float32 or, of products of 8-bit integers,
/// int32; the result is stored as `stored`.
std::optional<FusedEpilogue> make_scalar_epilogue(const ir::Graph& graph, const Surroundings& surroundings,
                                                  Blocking blocking, DType stored, ir::ValueId anchor, ir::ValueId result,
                                                  Layout layout, std::size_t channel_axis);

}  // namespace xinfer::schedule
