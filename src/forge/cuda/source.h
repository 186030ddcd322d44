// Putting together the text of a contraction's kernel. Internal to src/forge/cuda.
#pragma once
#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "forge/cuda/contraction.h"

namespace xinfer::forge::cuda {

/// "constexpr TYPE NAME = VALUE;" lines.
class Constants {
 public:
  Constants& add(std::string_view name, std::int64_t value) { return line(fmt::format("constexpr int {} = {};", name, value)); }
  Constants& flag(std::string_view name, bool value) { return line(fmt::format("constexpr bool {} = {};", name, value)); }
  Constants& type(std::string_view name, std::string_view type) { return line(fmt::format("typedef {} {};", type, name)); }
  Constants& line(std::string_view text) { return (text_ += text) += '\n', *this; }
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

/// Sizes and steps of the window's spatial dimensions: kID, kOD, kKD, kSD, kDD, kPD and the like for H and W.
template <class Problem>
void add_window(Constants& c, const Problem& p) {
  const std::string_view axes = "DHW";
  for (std::size_t i = 0; i < 3; ++i) {
    const auto add = [&](char what, std::int64_t value) { c.add(fmt::format("k{}{}", what, axes[i]), value); };
    add('I', p.in[i]), add('O', p.out[i]), add('K', p.kernel[i]);
    add('S', p.stride[i]), add('D', p.dilation[i]), add('P', p.pad[i]);
  }
}

/// What a kernel's parameters are, beside input, the epilogue's operands and output.
struct Signature {
  bool weights = true, bias = false, indices = false;
  DType dtype = DType::kFloat32, bias_dtype = DType::kFloat32;
  std::int64_t channels = 1;  // real ones: kChannels
  bool tiled = false;         // input and weights are CUtensorMaps (KernelSource::tiled)
  bool zero_point = false;    // in the bias's place
  std::int64_t column_sums = 0;      // with a zero point: where the weights' sums lie in the packed weights, bytes
  DType output = DType::kUndefined;  // Out, if not output_dtype() of the above
};

/// Whether templates that compute in float32 take the type.
bool is_computed(DType dtype);

/// The whole translation unit; `texts` end with the one that defines run(arguments, shared). Sets symbol, source and
/// overlaps; kernel.threads is set before. `min_blocks`: of a multiprocessor, for the compiler's register budget.
void assemble(KernelSource& kernel, const Constants& constants, const Signature& signature, const Epilogue& epilogue,
              std::initializer_list<std::string_view> texts, int min_blocks = 1);

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }
inline std::int64_t padded_channels(std::int64_t channels) { return round_up(channels, 8); }

/// The elements of a constant as float32, whatever floating type it has.
std::vector<float> floats_of(const tensor::Tensor& constant);
/// Float32 to bytes of `dtype`.
std::vector<std::byte> bytes_of(const std::vector<float>& values, DType dtype);
// The templates, each in a file of its own: every candidate that applies, in no order; a candidate's first word says whose
// it is. solve_… answers kInvalidArgument where the text is none of the candidates'.
using Candidates = std::vector<Candidate>;
void add_tensor_core(const ConvProblem& problem, const target::GpuIsa& gpu, Candidates& to);
void add_tensor_core(const MatMulProblem& problem, const target::GpuIsa& gpu, Candidates& to);
void add_pipeline(const ConvProblem& problem, const target::GpuIsa& gpu, Candidates& to);
void add_pipeline(const MatMulProblem& problem, const target::GpuIsa& gpu, Candidates& to);
void add_small_channels(const ConvProblem& problem, const target::GpuIsa& gpu, Candidates& to);
void add_stem(const ConvProblem& problem, const target::GpuIsa& gpu, Candidates& to);
void add_depthwise(const ConvProblem& problem, const target::GpuIsa& gpu, Candidates& to);
void add_simt(const ConvProblem& problem, const target::GpuIsa& gpu, Candidates& to);
void add_simt(const MatMulProblem& problem, const target::GpuIsa& gpu, Candidates& to);
void add_pool(const PoolProblem& problem, const target::GpuIsa& gpu, Candidates& to);

using Solved = base::Result<Solution>;
Solved solve_tensor_core(const ConvProblem& problem, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu);
Solved solve_tensor_core(const MatMulProblem& problem, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu);
Solved solve_pipeline(const ConvProblem& problem, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu);
Solved solve_pipeline(const MatMulProblem& problem, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu);
Solved solve_small_channels(const ConvProblem& problem, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu);
Solved solve_stem(const ConvProblem& problem, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu);
Solved solve_depthwise(const ConvProblem& problem, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu);
Solved solve_simt(const ConvProblem& problem, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu);
Solved solve_simt(const MatMulProblem& problem, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu);
Solved solve_pool(const PoolProblem& problem, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu);

/// numpy's broadcasting of a matrix product's batch dimensions: how many matrices the output has, and the text that finds the
/// operands of one of them (kMatrices, matrix_arguments).
std::int64_t matrices_of(const MatMulProblem& problem);
std::string matrices_source(const MatMulProblem& problem);
inline constexpr std::string_view kOneMatrix =
    "constexpr int kMatrices = 1;\n"
    "__device__ __forceinline__ const Arguments& matrix_arguments(const Arguments& a, i64) { return a; }\n";
/// Leading batch dimensions of A over one shared B are rows of one larger A.
MatMulProblem fold_batch(MatMulProblem problem);

/// Weights [out][in][taps] to [padded out][taps][padded in] in the dtype of the problem.
std::vector<std::byte> pack_conv(const ConvProblem& problem, const tensor::Tensor& constant);

/// Whether a convolution reads few channels of a plain image on tensor cores (templates small_channels and stem).
bool has_few_channels(const ConvProblem& problem, const target::GpuIsa& gpu);
/// What those templates read: a model's input in float32 is converted on the way.
DType plain_input_dtype(const ConvProblem& problem);

double flops_of(const ConvProblem& problem);
double flops_of(const MatMulProblem& problem);
double bytes_of(const ConvProblem& problem);
double bytes_of(const MatMulProblem& problem);
double bytes_of(const PoolProblem& problem);

}  // namespace xinfer::forge::cuda
