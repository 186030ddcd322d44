// The activations of RNN, GRU and LSTM.
#pragma once
#include <array>

#include "ir/operator.h"

namespace xinfer::ir {

/// In the order of the kinds in the recurrent kernels' templates.
inline constexpr std::array<std::string_view, 11> kRecurrentActivations{
    "sigmoid", "tanh", "relu", "affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu", "softsign", "softplus"};

struct RecurrentActivation {
  std::size_t kind = 0;  // in kRecurrentActivations
  float alpha = 0, beta = 0;
};

/// Those of all directions in turn, `defaults` for each where none are given. The numbers of activation_alpha and
/// activation_beta go, in order, to the functions that take one.
[[nodiscard]] base::Result<std::vector<RecurrentActivation>> recurrent_activations(
    const Attributes& attributes, std::size_t directions, const std::vector<std::string>& defaults);

}  // namespace xinfer::ir
