#include "forge/cpu/conv.h"

#include "forge/cpu/contraction.h"

namespace xinfer::forge::cpu {

KernelChoice choose_conv(const ConvProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue) {
  for (auto* choose : {depthwise_conv, winograd_conv, direct_conv})
    if (KernelChoice choice = choose(problem, isa, epilogue); !choice.kernel.symbol.empty()) return choice;
  return general_conv(problem, isa, epilogue);
}

}  // namespace xinfer::forge::cpu
