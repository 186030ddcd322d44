// Which values are stored and which are computed where they are used: the cut of the graph into kernels.
#pragma once
#include <cstddef>
#include <vector>

#include "ir/graph.h"
#include "schedule/demand.h"

namespace xinfer::schedule {

enum class Role : std::uint8_t {
  kDead,         // nothing needs it
  kInline,       // a loop nest's part: computed in its readers, or stored on demand
  kStored,       // a loop nest of its own
  kContraction,  // a template of forge
  kAbsorbed,     // part of a contraction's epilogue
  kIrregular,    // an irregular template of forge
};

struct Partition {
  std::vector<Role> roles;                          // per node
  std::vector<std::vector<std::size_t>> epilogues;  // per contraction: the node indices of its epilogue, in order
};

/// Pure function of the graph. What is computed in one kernel is needed under the same conditions, or reads nothing that is missing
/// where they do not hold.
Partition make_partition(const ir::Graph& graph, const Demand& demand);

/// Per node the innermost loop that it is in, as 1 + the index of its LoopBegin; 0: none. LoopBegin and LoopEnd are outside.
std::vector<std::size_t> loops_around(const ir::Graph& graph);

/// Whether the value follows from shapes alone, so that kernels compute its elements where they read them.
bool is_formula(const ir::Value& value);

/// Operators that only give elements another index and keep their order: free where memory is contiguous.
bool is_reshape(std::string_view op);

}  // namespace xinfer::schedule
