#include "schedule/schedule.h"

#include "schedule/backend.h"
#include "schedule/rewrite.h"
#include "schedule/scheduler.h"

namespace xinfer::schedule {

namespace {

base::Result<Schedule> run(const ir::Graph& graph, const Backend& backend) {
  ir::Graph own = graph;  // constants are shared, so this is cheap
  rewrite_for_templates(own);
  return Scheduler(own, backend).run();
}

}  // namespace

base::Result<Schedule> make_schedule(const ir::Graph& graph, const target::CpuIsa& isa, const Options& options) {
  return run(graph, *make_cpu_backend(isa, options.max_threads));
}

base::Result<Schedule> make_schedule(const ir::Graph& graph, const target::GpuIsa& gpu, const GpuOptions& options) {
  return run(graph, *make_cuda_backend(gpu, options));
}

}  // namespace xinfer::schedule
