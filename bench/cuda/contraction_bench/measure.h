// Candidates of contractions: compiled on all cores, checked against the general template, timed.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "device.h"
#include "ir/graph.h"
#include "target/isa.h"

namespace xinfer::contraction_bench {

struct Work {
  forge::cuda::Problem problem;
  int times = 1;     // how often a network has it
  std::string also;  // a candidate to measure whatever the cost model says of it
};

struct Measured {
  std::string candidate;
  double microseconds = 0, estimate = 0;
  double error = 0;  // relative, of the whole output against the general template's
  bool right = false;
};

struct Options {
  std::size_t top = 48;  // candidates of each problem, the best by the cost model
  bool time = true;
  bool tail = false;  // with a fused tail of all kinds of operands instead of a ReLU
};

class Measurement {
 public:
  Measurement(const Device& device, const target::GpuIsa& gpu, const Options& options);
  ~Measurement();
  /// Compiles all candidates of all problems in the background; then next() gives the problems' results in order.
  void start(const std::vector<Work>& works);
  std::vector<Measured> next();
  /// The graph's one node, an Attention, in `dtype` against the general kernel in float32; and its time. `queries` of a
  /// block; 0: as engines have it.
  Measured attention(const ir::Graph& graph, tensor::DType dtype, int queries);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::contraction_bench
