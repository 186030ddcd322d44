#include "forge/cpu/counted.h"
#include "forge/cpu/irregular.h"
#include "schedule/backend.h"

namespace xinfer::schedule {

namespace {

// Float tensors as they are packed on CPUs: float32 in, float32 out.
Pack pack_floats(forge::cpu::PackWeights pack) {
  if (!pack) return {};
  return [pack = std::move(pack)](const tensor::Tensor& constant) {
    tensor::Tensor plain(DType::kFloat32, constant.shape());
    for (std::int64_t k = 0; k < plain.num_elements(); ++k) plain.set(k, constant.as_double(k));
    const std::vector<float> packed = pack(plain.data<float>());
    auto bytes = std::as_bytes(std::span(packed));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
}

class CpuBackend : public Backend {
 public:
  CpuBackend(const target::CpuIsa& isa, int max_threads) : isa_(isa), max_threads_(max_threads) {}

  Blocking blocking() const override { return isa_; }
  NestStyle nest_style() const override { return NestStyle::kSegmented; }
  bool leaves_out() const override { return true; }
  // Intermediate values keep the precision they are computed in.
  DType stored_dtype(const ir::Graph& graph, ir::ValueId value) const override {
    return compute_type(graph.value(value).type.dtype);
  }
  DType contraction_dtype(DType dtype) const override {
    return compute_type(dtype) == DType::kFloat32 ? DType::kFloat32 : dtype;
  }
  DType bias_dtype(DType dtype) const override { return contraction_dtype(dtype); }
  forge::KernelSource print(NestBuilder& builder, const std::vector<Nest>& nests, const Storage& output) const override {
    return print_kernel(builder, nests, output, isa_, max_threads_).kernel;
  }
  base::Result<std::optional<forge::KernelSource>> irregular(const ir::Node& node, const ir::Graph& graph,
                                                             const SymbolPlace& place) const override {
    if (forge::cpu::is_counted(node.op)) return forge::cpu::counted_kernel(node, graph, isa_, place);
    return forge::cpu::irregular_kernel(node, graph, isa_, place);
  }
  base::Result<ContractionKernel> contract(const Contraction& contraction, const FusedEpilogue* tail) const override {
    forge::cpu::Epilogue epilogue;
    if (tail) epilogue = {static_cast<int>(tail->reads.size()), tail->source};
    auto choice = contraction.choose(isa_, epilogue);
    return ContractionKernel{std::move(choice.kernel), std::nullopt, pack_floats(std::move(choice.pack_weights)),
                             pack_floats(std::move(choice.pack_bias)), choice.input_layout, choice.output_layout};
  }
  std::optional<FusedEpilogue> fuse(const ir::Graph& graph, const Surroundings& surroundings, ir::ValueId anchor,
                                    ir::ValueId result, Layout layout, std::size_t channel_axis) const override {
    return make_vector_epilogue(graph, surroundings, isa_, anchor, result, layout, channel_axis);
  }
  bool scratch_is_argument() const override { return false; }

 private:
  const target::CpuIsa& isa_;
  int max_threads_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const target::CpuIsa& isa, int max_threads) {
  return std::make_unique<CpuBackend>(isa, max_threads);
}

}  // namespace xinfer::schedule
