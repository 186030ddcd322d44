// The expansions of other domains' operators into standard ones, by family. Each returns false to keep the node.
#pragma once
#include "passes/formula.h"

namespace xinfer::passes {

struct Expansion {
  std::string_view op;
  base::Result<bool> (*run)(Rewriter& rewriter, ir::Node& node);
};

std::span<const Expansion> attention_expansions();
std::span<const Expansion> classical_expansions();
std::span<const Expansion> fused_expansions();
std::span<const Expansion> quantized_expansions();

}  // namespace xinfer::passes
