// Contractions as problems: what is to be computed, whatever the hardware. The templates of cpu/ and cuda/ solve them.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace xinfer::forge {

/// How a rank-3 or rank-4 tensor lies in memory. kBlocked is NCHWc, [N][ceil(C / c)][spatial...][c]. On CPUs c is the
/// vector's lanes, and lanes past C hold unspecified finite-or-not values that no kernel may let reach a real lane. On GPUs
/// c is C rounded up to a multiple of 8, so that blocked means channels last; channels past C are zero.
enum class Layout : std::uint8_t { kPlain, kBlocked };

/// A size that is known only while running; the number beside it in the problem is what to be fast at.
struct RunTimeSize {
  std::string text;      // a C expression of type int64_t over `symbols` (tensor::Size::c_text); empty: the number holds
  std::int64_t max = 0;
  explicit operator bool() const { return !text.empty(); }
};

/// Whether a product of this dtype is one of 8-bit integers: the input has the dtype, constant weights are int8 (their zero
/// points taken off), sums are int32 and so is the output unless a fused tail makes something else of them. GPUs only.
inline bool is_narrow(tensor::DType dtype) { return dtype == tensor::DType::kInt8 || dtype == tensor::DType::kUint8; }

/// One convolution, all sizes resolved (auto_pad, output_shape and the like are the caller's). Spatial arrays are depth,
/// height, width; unused leading ones have size 1, kernel 1, stride 1, dilation 1, no padding.
struct ConvProblem {
  int spatial_rank = 2;  // 1, 2 or 3: the tensors' rank is 2 more
  std::int64_t batch = 1, in_channels = 1, out_channels = 1, groups = 1;
  std::array<std::int64_t, 3> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  std::array<std::int64_t, 3> pad{0, 0, 0};  // at the beginning; `out` says what is needed at the end
  bool transposed = false;       // ConvTranspose: weights are [in_channels, out_channels / groups, kernel...]
  bool bias = false;             // [out_channels]
  bool constant_weights = true;  // else the kernel reads them, and the bias, in the model's layout: pack nothing
  bool exact = false;            // no Winograd: rounding as of plain sums
  bool plain_input = false;      // the input comes in kPlain and converting it costs (a model input)
  bool plain_output = false;     // the output is wanted in kPlain and converting it costs (a model output)
  tensor::DType dtype = tensor::DType::kFloat32;  // of input, weights and output; the CPU has float32 only
  /// Of products of 8-bit integers (is_narrow): `bias` is false, and in the bias's place comes the input's zero point, one
  /// element of the input's dtype. Padding counts as zero points.
  bool zero_point = false;
  tensor::DType stored_input = tensor::DType::kUndefined;  // what a plain input lies as, if not as dtype
  /// Of the CPU. A batch that is known only while running is 1 here, and the launch's tasks are repeated.
  std::array<RunTimeSize, 3> run_in, run_out;
  bool is_fixed() const { return !run_in[0] && !run_in[1] && !run_in[2]; }
};

/// C[..., m, n] = A[..., m, k] B[..., k, n] (+ bias[n]), batched with broadcasting.
struct MatMulProblem {
  std::int64_t m = 1, n = 1, k = 1;
  std::vector<std::int64_t> batch_a, batch_b;     // leading dimensions, numpy broadcasting; empty: none
  bool transpose_a = false;                       // A lies as [..., k, m]
  bool transpose_b = false;                       // B lies as [..., n, k]
  bool constant_b = false;                        // B is a constant without batch dimensions (or all 1): it is packed
  bool bias = false;                              // [n], floating dtypes only
  tensor::DType dtype = tensor::DType::kFloat32;  // float64 and wide integers: plain loops, no bias, no epilogue
  bool zero_point = false;                        // as of a convolution
  /// Of the CPU. With batch sizes among them, num_tasks is that of one entry.
  RunTimeSize run_m, run_n, run_k;
  std::vector<RunTimeSize> run_batch_a, run_batch_b;  // as long as the numbers, or empty
  bool has_run_batch() const { return !run_batch_a.empty() || !run_batch_b.empty(); }
  bool is_fixed() const { return !run_m && !run_n && !run_k && !has_run_batch(); }
};

/// All sizes resolved (auto_pad, ceil_mode: `out` says). Spatial arrays as in ConvProblem. Global pools: kernel = in.
struct PoolProblem {
  enum class Kind : std::uint8_t { kMax, kAverage, kLp };
  Kind kind = Kind::kMax;
  int spatial_rank = 2;
  std::int64_t batch = 1, channels = 1;
  std::array<std::int64_t, 3> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  std::array<std::int64_t, 3> pad{0, 0, 0}, pad_end{0, 0, 0};  // the end matters to count_include_pad only
  bool count_include_pad = false;
  double p = 2;                       // of kLp
  bool indices = false;               // kMax: a second output, int64
  bool column_major_indices = false;  // ONNX storage_order = 1
  Layout layout = Layout::kPlain;     // of input and output: the caller's choice; kBlocked takes no indices
  tensor::DType dtype = tensor::DType::kFloat32;  // kMax: any number; kAverage, kLp: floating
  std::array<RunTimeSize, 3> run_in, run_out;     // as in ConvProblem
  bool is_fixed() const { return !run_in[0] && !run_in[1] && !run_in[2]; }
};

}  // namespace xinfer::forge
