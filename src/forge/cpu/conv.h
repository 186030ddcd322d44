// Convolution templates: which one a convolution gets, its kernel, and how its weights are packed.
#pragma once
#include <array>
#include <cstdint>

#include "forge/cpu/kernel.h"
#include "target/isa.h"

namespace xinfer::forge::cpu {

/// One convolution, all sizes resolved (auto_pad, output_shape and the like are the caller's). Spatial arrays are depth,
/// height, width; unused leading ones have size 1, kernel 1, stride 1, dilation 1, no padding. float32.
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
};

/// Chooses template and tunables for `isa`. Rank 3 and 5 tensors are always kPlain; a rank-3 convolution may be given as
/// rank 4 with height 1, which is the faster way. Arguments: input, weights, [bias], operands, output.
KernelChoice choose_conv(const ConvProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue = {});

}  // namespace xinfer::forge::cpu
