// Contractions on NVIDIA GPUs: the one door to the templates. A problem has candidates, the best by the cost model first;
// a candidate makes a kernel.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "forge/cuda/kernel.h"
#include "forge/problem.h"
#include "target/isa.h"
#include "tensor/tensor.h"

namespace xinfer::forge::cuda {

using forge::Layout;
using tensor::DType;

/// What a fused tail reads beside the product. kElement: a tensor that lies like the output; kChannel: one element for
/// each channel (each column of a matrix product), C of them and no padding; kScalar: one element.
struct EpilogueOperand {
  enum class Kind : std::uint8_t { kElement, kChannel, kScalar };
  Kind kind = Kind::kElement;
  DType dtype = DType::kFloat32;  // in memory: float32, float16 or bfloat16
};

/// A pointwise tail, applied to each finished output in float32 before it is stored. `source` defines
///   static __device__ __forceinline__ float epilogue(float x, const float (&operands)[max(1, n)])
/// in terms of the prelude (prelude.h). The template loads the operands as it likes and converts them to float32. Channels
/// past C of a blocked output are stored as zero, whatever the epilogue gives.
struct Epilogue {
  std::vector<EpilogueOperand> operands;
  std::string source;
  /// What the output lies as, if not as the problem's dtype: behind products of 8-bit integers any of float32, float16,
  /// bfloat16, int8 and uint8, the last two from whole numbers that they hold.
  DType output = DType::kUndefined;
  bool empty() const { return source.empty(); }
};
/// The dtype of the output in memory.
DType output_dtype(DType problem, const Epilogue& epilogue);
/// An epilogue that changes nothing, so that templates can call it always.
std::string epilogue_source(const Epilogue& epilogue);

using Problem = std::variant<forge::ConvProblem, forge::MatMulProblem, forge::PoolProblem>;

/// One way to solve a problem. `text` is unique among the candidates of a problem, stable between versions and all that a
/// tuning record stores: "mma 64x64x64 warps 2x2 stages 3 split 4".
struct Candidate {
  std::string text;
  double microseconds = 0;  // by the cost model
};

/// Repacks a constant from the model's layout and dtype into the bytes that the kernel reads. Empty: the constant is used
/// as it is, converted to the problem's dtype (a bias: to float32).
using Pack = std::function<std::vector<std::byte>(const tensor::Tensor& constant)>;

/// A second kernel that adds up what the blocks of the first have summed, in a fixed order, where no cluster can.
struct Finish {
  KernelSource kernel;
  std::uint64_t sums_bytes = 0;
};

/// A candidate made concrete. Arguments of the launch, in order: the input (A), the weights (B; packed when constant), the
/// bias if there is one (float32 when constant, else the problem's dtype) or the zero point, the epilogue's operands, the
/// output, and the indices of a maximum pool that has them. With `finish` the kernel writes sums_bytes of sums instead of the
/// output and has neither bias nor operands; finish->kernel reads the sums instead of the input.
struct Solution {
  KernelSource kernel;
  std::optional<Finish> finish;
  Pack pack_weights, pack_bias;
  Layout input_layout = Layout::kPlain, output_layout = Layout::kPlain;  // of tensors of rank 3 and 4
  DType input_dtype = DType::kUndefined;  // what the kernel reads the input as, if not as the problem's dtype
};

/// Every candidate worth measuring, the best by the cost model first; never empty for a valid problem.
std::vector<Candidate> candidates(const Problem& problem, const target::GpuIsa& gpu);

/// The kernel of a candidate. kInvalidArgument when `candidate` is none of the problem's (a record of another version).
[[nodiscard]] base::Result<Solution> solve(const Problem& problem, const std::string& candidate, const Epilogue& epilogue,
                                           const target::GpuIsa& gpu);

}  // namespace xinfer::forge::cuda
