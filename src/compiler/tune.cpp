#include "compiler/tune.h"

#include <algorithm>

#include "engine/engine.h"
#include "runtime/session.h"

namespace xinfer::compiler {

using base::Code;
using base::fail;
using base::Result;
using forge::cuda::Solution;

namespace {

constexpr int kRuns = 30;
// Other candidates may want other layouts, whose padding is at most this many times larger.
constexpr std::uint64_t kSlack = 4, kSlackBytes = 1 << 16;
// Bytes of float16, bfloat16 and float32 numbers of moderate size alike: zeros would be faster than real data.
constexpr unsigned char kFill[] = {0x11, 0x35, 0x77, 0x3a, 0x35, 0xb8, 0x22, 0x36};

using Ref = engine::BufferRef;

engine::Launch launch_of(const forge::KernelSource& kernel, std::uint32_t index, std::vector<Ref> arguments) {
  engine::Launch launch;
  launch.kernel = index;
  launch.arguments = std::move(arguments);
  launch.grid = {kernel.grid, kernel.threads, kernel.cluster, kernel.shared_bytes, kernel.overlaps};
  for (const forge::TiledMatrix& m : kernel.tiled)
    launch.tiled.push_back({m.argument, static_cast<std::uint64_t>(m.rows), static_cast<std::uint64_t>(m.columns), m.tile_rows});
  launch.name = kernel.choice;
  return launch;
}

// An engine of the contraction alone, whose arguments are its inputs; it writes its output into one of them. `cubins`: of its
// kernel, and of the second one where there is one.
engine::Contents contents_of(const Solution& solution, bool zero_point, const std::vector<std::string>& cubins,
                             const std::vector<std::uint64_t>& bytes, const target::GpuIsa& gpu) {
  engine::Contents contents;
  contents.manifest.architecture = gpu.name;
  std::vector<Ref> all;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint64_t size = bytes[i] * kSlack + kSlackBytes;
    contents.plan.inputs.push_back({fmt::format("argument {}", i), tensor::DType::kUint8, {static_cast<std::int64_t>(size)}, {""}});
    all.push_back({Ref::Space::kInput, static_cast<std::uint32_t>(i), 0, size});
  }
  const std::uint64_t own = solution.finish ? solution.finish->sums_bytes : solution.kernel.scratch_bytes;
  const Ref memory{Ref::Space::kArena, 0, 0, own};
  contents.plan.arena_bytes = (own + 63) / 64 * 64;
  std::vector<Ref> first = all;
  if (solution.finish) first.resize(zero_point ? 3 : 2);
  if (own > 0) first.push_back(memory);
  contents.plan.launches.push_back(launch_of(solution.kernel, 0, std::move(first)));
  contents.plan.kernels = {{solution.kernel.symbol, 0, cubins[0].size()}};
  contents.code = cubins[0];
  if (!solution.finish) return contents;
  all[0] = memory;
  if (!zero_point) all.erase(all.begin() + 1);
  contents.plan.launches.push_back(launch_of(solution.finish->kernel, 1, std::move(all)));
  contents.code.resize((contents.code.size() + 63) / 64 * 64);
  contents.plan.kernels.push_back({solution.finish->kernel.symbol, contents.code.size(), cubins[1].size()});
  contents.code += cubins[1];
  return contents;
}

bool has_zero_point(const forge::cuda::Problem& problem) {
  const auto* conv = std::get_if<forge::ConvProblem>(&problem);
  const auto* product = std::get_if<forge::MatMulProblem>(&problem);
  return conv ? conv->zero_point : product != nullptr && product->zero_point;
}

// Median microseconds of the launch, replayed as a graph.
Result<double> time_of(const engine::Contents& contents) {
  engine::Trust own;
  own.allow_unsigned = true;
  XI_TRY(auto opened, engine::open_bytes(engine::write(contents, {}), own));
  XI_TRY(auto program, runtime::Program::load(std::move(opened)));
  XI_TRY(auto session, runtime::Session::create(program, std::make_shared<runtime::ThreadPool>(1)));
  for (std::size_t i = 0; i < contents.plan.inputs.size(); ++i) {
    const tensor::Shape& shape = contents.plan.inputs[i].shape;
    std::vector<unsigned char> data(static_cast<std::size_t>(shape[0]));
    for (std::size_t k = 0; k < data.size(); ++k) data[k] = kFill[k % std::size(kFill)];
    XI_CHECK(session.copy_input(i, data.data(), shape));
  }
  XI_TRY(auto times, session.on_device()->measure(kRuns));
  std::ranges::sort(times);
  return times[times.size() / 2];
}

}  // namespace

Result<forge::cuda::Records> measure_candidates(const std::vector<TunedContraction>& contractions,
                                                const target::GpuIsa& gpu, const TuneMeasurement& options) {
  XI_CHECK(runtime::check_machine(gpu.name));
  XI_TRY(const auto nvrtc, codegen::cuda::Nvrtc::load());
  struct Try {
    std::size_t contraction;
    std::string candidate;
    Solution solution;
    std::size_t first_kernel;
  };
  std::vector<Try> tries;
  std::vector<forge::KernelSource> kernels;
  for (std::size_t i = 0; i < contractions.size(); ++i) {
    auto candidates = forge::cuda::candidates(contractions[i].problem, gpu);
    if (candidates.size() > options.max_candidates) candidates.resize(options.max_candidates);
    for (const auto& candidate : candidates) {
      XI_TRY(auto solution, forge::cuda::solve(contractions[i].problem, candidate.text, contractions[i].epilogue, gpu));
      const std::size_t first = kernels.size();
      kernels.push_back(solution.kernel);
      if (solution.finish) kernels.push_back(solution.finish->kernel);
      tries.push_back({i, candidate.text, std::move(solution), first});
    }
  }
  XI_TRY(const auto cubins, codegen::cuda::compile_kernels(nvrtc, kernels, gpu.name, options.compile));
  forge::cuda::Records records;
  records.architecture = gpu.name;
  XI_TRY(records.device, runtime::machine_name(gpu.name));
  records.toolchain = nvrtc.version();
  std::vector<double> best(contractions.size(), 0);
  for (const Try& attempt : tries) {
    const TunedContraction& contraction = contractions[attempt.contraction];
    std::vector<std::string> code;
    for (std::size_t k = 0; k < (attempt.solution.finish ? 2u : 1u); ++k) {
      const auto& place = cubins.places[attempt.first_kernel + k];
      code.push_back(cubins.code.substr(place.offset, place.bytes));
    }
    XI_TRY(const double time, time_of(contents_of(attempt.solution, has_zero_point(contraction.problem), code, contraction.argument_bytes, gpu)));
    double& fastest = best[attempt.contraction];
    if (fastest != 0 && time >= fastest) continue;
    fastest = time;
    records.choices[forge::cuda::text_of(contraction.problem)] = attempt.candidate;
  }
  return records;
}

}  // namespace xinfer::compiler
