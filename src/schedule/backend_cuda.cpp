#include "forge/cuda/attention.h"
#include "forge/cuda/contraction.h"
#include "forge/cuda/general.h"
#include "forge/cuda/irregular.h"
#include "forge/cuda/records.h"
#include "schedule/backend.h"
#include "schedule/print_cuda.h"

namespace xinfer::schedule {

namespace {

// Smaller values stay in float32 whatever the precision: nothing is gained by less, and statistics, scales and positions
// live in small tensors.
constexpr std::int64_t kLargeValue = 4096;
constexpr int kChannelUnit = 8;  // of channels-last tensors: 16 bytes of 16-bit floats

class CudaBackend : public Backend {
 public:
  CudaBackend(const target::GpuIsa& gpu, const GpuOptions& options)
      : gpu_(gpu), options_(options), precision_(options.precision), general_(options.general_templates) {}

  Blocking blocking() const override { return {kChannelUnit, true}; }
  NestStyle nest_style() const override { return NestStyle::kWhole; }
  bool leaves_out() const override { return false; }
  DType stored_dtype(const ir::Graph& graph, ir::ValueId value) const override {
    const ir::ValueType& type = graph.value(value).type;
    const DType dtype = compute_type(type.dtype);
    return dtype == DType::kFloat32 && tensor::num_elements(type.max_shape()) >= kLargeValue ? precision_ : dtype;
  }
  DType contraction_dtype(DType dtype) const override {
    return compute_type(dtype) == DType::kFloat32 ? precision_ : dtype;
  }
  DType bias_dtype(DType dtype) const override {
    return compute_type(dtype) == DType::kFloat32 ? DType::kFloat32 : dtype;
  }
  forge::KernelSource print(NestBuilder& builder, const std::vector<Nest>& nests, const Storage& output) const override {
    return print_cuda_kernel(builder, nests.front(), output, gpu_);
  }
  std::vector<ir::ValueId> irregular_inputs(const ir::Graph& graph, const ir::Node& node) const override {
    return attends(graph, node) ? forge::cuda::attention_inputs(node, graph) : Backend::irregular_inputs(graph, node);
  }
  DType irregular_dtype(const ir::Graph& graph, const ir::Node& node, ir::ValueId value) const override {
    const bool is_mask = node.inputs.size() > 3 && value == node.inputs[3];
    return attends(graph, node) && !is_mask ? precision_ : compute_type(graph.value(value).type.dtype);
  }
  base::Result<std::optional<forge::KernelSource>> irregular(const ir::Node& node, const ir::Graph& graph,
                                                             const SymbolPlace&) const override {
    if (attends(graph, node)) return forge::cuda::attention_kernel(node, graph, precision_, gpu_);
    return forge::cuda::irregular_kernel(node, graph, gpu_);
  }
  base::Result<ContractionKernel> contract(const Contraction& contraction, const FusedEpilogue* tail) const override {
    forge::cuda::Problem problem;
    std::visit(
        [&](auto given) {
          given.dtype = contraction_dtype(given.dtype);
          problem = given;
        },
        contraction.problem);
    forge::cuda::Epilogue epilogue;
    if (tail) {
      epilogue.source = tail->source;
      epilogue.output = tail->stored;
      for (std::size_t i = 0; i < tail->reads.size(); ++i)
        epilogue.operands.push_back({tail->reads[i], tail->operands[i].storage.dtype});
    }
    const std::string chosen = general_ ? std::string(forge::cuda::kGeneral)
                                        : forge::cuda::choose(problem, gpu_, {options_.records, &forge::cuda::Records::builtin(gpu_)});
    XI_TRY(auto solution, forge::cuda::solve(problem, chosen, epilogue, gpu_));
    if (options_.on_contraction) options_.on_contraction(problem, epilogue, solution);
    return ContractionKernel{std::move(solution.kernel), std::move(solution.finish), std::move(solution.pack_weights), std::move(solution.pack_bias),
                             solution.input_layout, solution.output_layout, solution.input_dtype};
  }
  std::optional<FusedEpilogue> fuse(const ir::Graph& graph, const Surroundings& surroundings, ir::ValueId anchor,
                                    ir::ValueId result, Layout layout, std::size_t channel_axis) const override {
    const bool whole = graph.value(anchor).type.dtype == DType::kInt32;
    return make_scalar_epilogue(graph, surroundings, blocking(), whole ? stored_dtype(graph, result) : precision_, anchor, result, layout, channel_axis);
  }
  bool scratch_is_argument() const override { return true; }

 private:
  bool attends(const ir::Graph& graph, const ir::Node& node) const {
    return !general_ && forge::cuda::has_attention(node, graph, precision_, gpu_);
  }

  const target::GpuIsa& gpu_;
  GpuOptions options_;
  DType precision_;
  bool general_;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const target::GpuIsa& gpu, const GpuOptions& options) {
  return std::make_unique<CudaBackend>(gpu, options);
}

}  // namespace xinfer::schedule
