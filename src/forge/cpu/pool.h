// Pooling templates: maximum, average and Lp, over windows or whole planes.
#pragma once
#include <array>
#include <cstdint>

#include "forge/cpu/kernel.h"
#include "target/isa.h"
#include "tensor/dtype.h"

namespace xinfer::forge::cpu {

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
  Layout layout =
      Layout::kPlain;  // of input and output: the caller's choice; kBlocked needs rank 4, float32, no indices
  tensor::DType dtype = tensor::DType::kFloat32;  // kMax: any number; kAverage, kLp: float32, float64
};

/// Arguments: input, operands, output, [indices]. Epilogues: float32 without indices.
KernelChoice choose_pool(const PoolProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue = {});

}  // namespace xinfer::forge::cpu
