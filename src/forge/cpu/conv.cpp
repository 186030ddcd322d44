#include "forge/cpu/conv.h"

#include "forge/cpu/contraction.h"

namespace xinfer::forge::cpu {

KernelChoice choose_conv(const ConvProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue) {
  // The more special a template, the faster it is: the first that applies and thinks itself worth it. What the others
  // said stays as the reason.
  std::string why;
  for (auto* choose : {depthwise_conv, winograd_conv, direct_conv, general_conv}) {
    KernelChoice choice = choose(problem, isa, epilogue);
    why += (why.empty() ? "" : " | ") + choice.kernel.why;
    choice.kernel.why = why;
    if (!choice.kernel.symbol.empty()) return choice;
  }
  return {};  // general_conv takes everything
}

}  // namespace xinfer::forge::cpu
