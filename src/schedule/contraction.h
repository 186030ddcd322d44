// Nodes that become templates of forge: their problem's sizes and the values they read.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "forge/cpu/conv.h"
#include "forge/cpu/matmul.h"
#include "forge/cpu/pool.h"
#include "ir/graph.h"

namespace xinfer::schedule {

/// A contraction as its template wants it.
struct Contraction {
  std::variant<forge::cpu::ConvProblem, forge::cpu::MatMulProblem, forge::cpu::PoolProblem> problem;
  ir::ValueId input = ir::kNoValue;    // the data input, whose layout the template chooses
  ir::ValueId weights = ir::kNoValue;  // of a convolution, or the matrix product's B
  ir::ValueId bias = ir::kNoValue;     // or the zero point of an input of 8-bit integers
  bool fuses = true;  // takes an epilogue
  tensor::Size entries = 1;  // how often the kernel's tasks are to be run: a batch that is known only while running

  forge::cpu::KernelChoice choose(const target::CpuIsa& isa, const forge::cpu::Epilogue& epilogue) const;
  bool packs_weights() const;
};

bool is_contraction(std::string_view op);
/// Of 8-bit integers, on GPUs.
bool is_integer_product(std::string_view op);
/// A convolution or pool.
bool is_windowed(std::string_view op);

using forge::SymbolPlace;

/// Reads the node's attributes and shapes. kUnsupported: dtypes or ranks without a template.
[[nodiscard]] base::Result<Contraction> make_contraction(const ir::Graph& graph, const ir::Node& node,
                                                       const SymbolPlace& place = {});

}  // namespace xinfer::schedule
