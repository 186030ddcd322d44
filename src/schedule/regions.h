// Which launches run only under conditions, as ranges of the plan.
#pragma once
#include <functional>
#include <vector>

#include "engine/plan.h"
#include "schedule/demand.h"
#include "schedule/memory.h"

namespace xinfer::schedule {

/// A range of launches that repeats, with where its words lie.
struct LoopRange {
  std::size_t begin = 0, end = 0, depth = 0;  // depth: loops around it
  Argument condition, limit, iteration;       // without bytes: none
  std::int64_t symbol = -1;
};

/// `guards`: of each launch. `loops`: by where they begin, outer ones first. `place`: where a condition lies.
std::vector<engine::Region> make_regions(const std::vector<Guard>& guards, const std::vector<LoopRange>& loops, const std::vector<Buffer>& buffers,
                                         const std::function<Argument(ir::ValueId)>& place);

}  // namespace xinfer::schedule
