#include "schedule/schedule.h"

#include "schedule/rewrite.h"
#include "schedule/scheduler.h"

namespace xinfer::schedule {

base::Result<Schedule> make_schedule(const ir::Graph& graph, const target::CpuIsa& isa, const Options& options) {
  ir::Graph own = graph;  // constants are shared, so this is cheap
  rewrite_for_templates(own);
  return Scheduler(own, isa, options).run();
}

}  // namespace xinfer::schedule
