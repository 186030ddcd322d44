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

// An engine of one launch whose arguments are its inputs; the kernel writes its output into one of them.
engine::Contents one_launch(const Solution& solution, const std::string& cubin, const std::vector<std::uint64_t>& bytes,
                            const target::GpuIsa& gpu) {
  const forge::KernelSource& kernel = solution.kernel;
  engine::Contents contents;
  contents.manifest.architecture = gpu.name;
  contents.plan.kernels = {{kernel.symbol, 0, cubin.size()}};
  engine::Launch launch;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint64_t size = bytes[i] * kSlack + kSlackBytes;
    contents.plan.inputs.push_back({fmt::format("argument {}", i), tensor::DType::kUint8, {static_cast<std::int64_t>(size)}, {""}});
    launch.arguments.push_back({engine::BufferRef::Space::kInput, static_cast<std::uint32_t>(i), 0, size});
  }
  if (kernel.scratch_bytes > 0) {
    contents.plan.arena_bytes = (kernel.scratch_bytes + 63) / 64 * 64;
    launch.arguments.push_back({engine::BufferRef::Space::kArena, 0, 0, kernel.scratch_bytes});
  }
  launch.grid = {kernel.grid, kernel.threads, kernel.cluster, kernel.shared_bytes, kernel.overlaps};
  for (const forge::TiledMatrix& m : kernel.tiled)
    launch.tiled.push_back({m.argument, static_cast<std::uint64_t>(m.rows), static_cast<std::uint64_t>(m.columns), m.tile_rows});
  launch.name = kernel.choice;
  contents.plan.launches = {std::move(launch)};
  contents.code = cubin;
  return contents;
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
  };
  std::vector<Try> tries;
  std::vector<forge::KernelSource> kernels;
  for (std::size_t i = 0; i < contractions.size(); ++i) {
    auto candidates = forge::cuda::candidates(contractions[i].problem, gpu);
    if (candidates.size() > options.max_candidates) candidates.resize(options.max_candidates);
    for (const auto& candidate : candidates) {
      XI_TRY(auto solution, forge::cuda::solve(contractions[i].problem, candidate.text, contractions[i].epilogue, gpu));
      kernels.push_back(solution.kernel);
      tries.push_back({i, candidate.text, std::move(solution)});
    }
  }
  XI_TRY(const auto cubins, codegen::cuda::compile_kernels(nvrtc, kernels, gpu.name, options.compile));
  forge::cuda::Records records;
  records.architecture = gpu.name;
  XI_TRY(records.device, runtime::machine_name(gpu.name));
  records.toolchain = nvrtc.version();
  std::vector<double> best(contractions.size(), 0);
  for (std::size_t k = 0; k < tries.size(); ++k) {
    const Try& attempt = tries[k];
    const std::string cubin = cubins.code.substr(cubins.places[k].offset, cubins.places[k].bytes);
    XI_TRY(const double time,
           time_of(one_launch(attempt.solution, cubin, contractions[attempt.contraction].argument_bytes, gpu)));
    double& fastest = best[attempt.contraction];
    if (fastest != 0 && time >= fastest) continue;
    fastest = time;
    records.choices[forge::cuda::text_of(contractions[attempt.contraction].problem)] = attempt.candidate;
  }
  return records;
}

}  // namespace xinfer::compiler
