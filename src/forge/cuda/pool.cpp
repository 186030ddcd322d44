// Pooling, channels last (templates/pool_blocked.cuh).
#include <algorithm>

#include "forge/cuda/prelude.h"
#include "forge/cuda/source.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {
namespace {

using base::Code;
using base::fail;

constexpr int kThreads = 128;

void add_sizes(Constants& c, const PoolProblem& p) {
  add_window(c, p);
  c.add("kPDEnd", p.pad_end[0]).add("kPHEnd", p.pad_end[1]).add("kPWEnd", p.pad_end[2]).add("kImages", p.batch);
  c.flag("kMaximum", p.kind == PoolProblem::Kind::kMax).flag("kLp", p.kind == PoolProblem::Kind::kLp);
  c.flag("kCountPadding", p.count_include_pad);
}

// Threads that share the window of one output.
int split_of(std::int64_t window) { return window >= 256 ? 16 : window >= 32 ? 8 : 1; }

Solution blocked(const PoolProblem& p, const Epilogue& epilogue) {
  const std::int64_t c8 = padded_channels(p.channels), window = p.kernel[0] * p.kernel[1] * p.kernel[2];
  const std::int64_t items = p.batch * p.out[0] * p.out[1] * p.out[2] * c8 / 8;
  const int split = split_of(window);
  Solution solution;
  solution.kernel.threads = kThreads;
  solution.kernel.grid = static_cast<std::uint32_t>(ceil_div(items, kThreads / split));
  solution.kernel.shared_bytes = split > 1 ? kThreads * 8 * 4 : 0;
  Constants c;
  add_sizes(c, p);
  c.add("kC", c8).add("kSplit", split).add("kUnroll", window <= 32 ? window : 4).line(fmt::format("constexpr float kPower = {}.f;", p.p));
  assemble(solution.kernel, c, {false, false, false, p.dtype, DType::kFloat32, p.channels}, epilogue, {kPoolBlockedCuh});
  solution.input_layout = solution.output_layout = Layout::kBlocked;
  return solution;
}

}  // namespace

void add_pool(const PoolProblem& p, const target::GpuIsa& gpu, Candidates& to) {
  if (p.layout == Layout::kBlocked && is_computed(p.dtype) && !p.indices) to.push_back({"blocked", 1.5 + bytes_of(p) / (0.7 * gpu.bandwidth)});
}

Solved solve_pool(const PoolProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa&) {
  if (text != "blocked" || p.layout != Layout::kBlocked || !is_computed(p.dtype) || p.indices)
    return fail(Code::kInvalidArgument, "'{}' is no way to compute this pooling; tune again", text);
  Solution solution = blocked(p, epilogue);
  solution.kernel.bytes = bytes_of(p);
  solution.kernel.flops = static_cast<double>(p.batch * p.channels * p.out[0] * p.out[1] * p.out[2] * p.kernel[0] * p.kernel[1] * p.kernel[2]);
  solution.kernel.choice = text;
  return solution;
}

}  // namespace xinfer::forge::cuda
