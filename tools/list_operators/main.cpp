// list_operators: prints the operators of the table as the rows of docs/operators.md (tests/style holds the page to it).
#include <cstdio>

#include "ir/operator.h"

namespace {

const char* describe(xinfer::ir::Lowering lowering) {
  using xinfer::ir::Lowering;
  switch (lowering) {
    case Lowering::kPointwise: return "pointwise";
    case Lowering::kMovement: return "movement";
    case Lowering::kReduction: return "reduction";
    case Lowering::kContraction: return "contraction";
    case Lowering::kComposite: return "composite";
    case Lowering::kIrregular: return "irregular";
    case Lowering::kFoldOnly: return "folded";
    case Lowering::kControl: return "control";
  }
  return "";
}

}  // namespace

int main() {
  for (const auto& row : xinfer::ir::operators()) {
    std::printf("| %.*s | %s |\n", static_cast<int>(row.name.size()), row.name.data(), describe(row.lowering));
  }
}
