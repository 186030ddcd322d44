// Pointwise operators after a contraction as the template's epilogue text.
#pragma once
#include <optional>
#include <vector>

#include "forge/cpu/kernel.h"
#include "schedule/loop_nest.h"

namespace xinfer::schedule {

struct FusedEpilogue {
  forge::cpu::Epilogue epilogue;
  std::vector<Operand> operands;
  std::set<const ir::Node*> nodes;
};

/// The epilogue that computes `result` from the contraction's own output `anchor`, which is stored with `layout`.
/// `channel_axis`: of the bias. Nothing when an operand is not read at the output's own element or channel, or an
/// operator has no vector form.
std::optional<FusedEpilogue> make_epilogue(const ir::Graph& graph, const Surroundings& surroundings,
                                           const target::CpuIsa& isa, ir::ValueId anchor, ir::ValueId result,
                                           Layout layout, std::size_t channel_axis);

}  // namespace xinfer::schedule
