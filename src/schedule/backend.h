// What the scheduler asks of a kind of hardware: how values lie, and kernels for what a graph consists of.
#pragma once
#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "forge/cuda/contraction.h"
#include "schedule/contraction.h"
#include "schedule/epilogue.h"
#include "schedule/loop_nest.h"
#include "schedule/schedule.h"

namespace xinfer::schedule {

/// Repacks a constant into the bytes that a kernel reads; empty: it is used as it is.
using Pack = std::function<std::vector<std::byte>(const tensor::Tensor& constant)>;

/// A contraction's kernel. Arguments, in order: input, weights, bias or zero point, the epilogue's operands, output, indices.
struct ContractionKernel {
  forge::KernelSource kernel;
  std::optional<forge::cuda::Finish> finish;  // then `kernel` has neither bias nor operands (forge/cuda/contraction.h)
  Pack pack_weights, pack_bias;
  Layout input_layout = Layout::kPlain, output_layout = Layout::kPlain;
  DType input_dtype = DType::kUndefined;  // what it reads the input as, if not as the contraction's dtype
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual Blocking blocking() const = 0;
  virtual NestStyle nest_style() const = 0;
  /// Whether launches may be left out by a condition. On GPUs a run is one recorded graph: all of it is computed.
  virtual bool leaves_out() const = 0;
  /// The dtype in which a value that is neither input nor output lies in memory.
  virtual DType stored_dtype(const ir::Graph& graph, ir::ValueId value) const = 0;
  /// The dtype of a contraction's data, given its element type in the graph; a constant bias may have another.
  virtual DType contraction_dtype(DType dtype) const = 0;
  virtual DType bias_dtype(DType dtype) const = 0;

  virtual forge::KernelSource print(NestBuilder& builder, const std::vector<Nest>& nests, const Storage& output) const = 0;
  /// The values that the kernel of an irregular node reads, in order.
  virtual std::vector<ir::ValueId> irregular_inputs(const ir::Graph&, const ir::Node& node) const {
    std::vector<ir::ValueId> inputs;
    std::ranges::copy_if(node.inputs, std::back_inserter(inputs), [](ir::ValueId v) { return v != ir::kNoValue; });
    return inputs;
  }
  /// The dtype in which it takes a value.
  virtual DType irregular_dtype(const ir::Graph& graph, const ir::Node&, ir::ValueId value) const {
    return compute_type(graph.value(value).type.dtype);
  }
  virtual base::Result<std::optional<forge::KernelSource>> irregular(const ir::Node& node, const ir::Graph& graph,
                                                                       const SymbolPlace& place) const = 0;
  /// `tail`: what is fused behind it, or null.
  virtual base::Result<ContractionKernel> contract(const Contraction& contraction, const FusedEpilogue* tail) const = 0;
  virtual std::optional<FusedEpilogue> fuse(const ir::Graph& graph, const Surroundings& surroundings, ir::ValueId anchor,
                                            ir::ValueId result, Layout layout, std::size_t channel_axis) const = 0;
  /// GPU kernels take scratch memory as an argument and CPU kernels from their thread.
  virtual bool scratch_is_argument() const = 0;
};

std::unique_ptr<Backend> make_cpu_backend(const target::CpuIsa& isa, int max_threads);
std::unique_ptr<Backend> make_cuda_backend(const target::GpuIsa& gpu, const GpuOptions& options);

}  // namespace xinfer::schedule
