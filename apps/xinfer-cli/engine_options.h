// Options that several commands share: which engines may be loaded, shapes, inputs from files.
#pragma once
#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/trust.h"
#include "tensor/size.h"
#include "tensor/tensor.h"
#include "xinfer/core/inference_engine.h"

namespace xinfer::cli {

/// --allow-unsigned and --trust-key of commands that load engines.
struct TrustOptions {
  bool allow_unsigned = false;
  std::vector<std::string> keys;  // hexadecimal, or the path of a .pub file

  void add_to(CLI::App& command);
  [[nodiscard]] base::Result<engine::Trust> trust() const;
  [[nodiscard]] base::Result<core::EngineOptions> engine_options(int num_threads) const;
};

/// Takes "x=none" out of the list, for sequences and optionals that hold nothing.
std::set<std::string> take_empty_inputs(std::vector<std::string>& texts);
/// "image=1:4:8x3xHxW" to a range of each dimension by input name: a size, minimum:optimum:maximum, or a letter for the
/// default range under that name. Errors name the `option`.
[[nodiscard]] base::Result<std::map<std::string, std::vector<tensor::Symbol>>> parse_range_options(
    const std::vector<std::string>& texts, std::string_view option = "--shape");
/// "ids=1x128;mask=1x128" each to ranges by input name.
[[nodiscard]] base::Result<std::vector<std::map<std::string, std::vector<tensor::Symbol>>>> parse_profile_options(
    const std::vector<std::string>& texts);
/// --profile of commands that make engines.
void add_profile_option(CLI::App& command, std::vector<std::string>& texts);
/// "image=1x3x224x224" to a shape by name.
[[nodiscard]] base::Result<std::map<std::string, tensor::Shape>> parse_shape_options(
    const std::vector<std::string>& texts);
/// NAME=FILE (.npy, .pb) to tensors by name.
[[nodiscard]] base::Result<std::map<std::string, tensor::Tensor>> read_named_tensors(
    const std::vector<std::string>& arguments);
/// "224x224" or "[1,3,224]" as "1x3x224x224"; "scalar" for a scalar.
std::string format_shape(const std::vector<std::int64_t>& shape);
/// The same with the range of each size that is known only while running, "1:1:8x3x224x224".
std::string format_shape(const core::TensorDescription& tensor);

/// Values for an input: seeded uniform numbers in [-1, 1], 0 or 1 for integers and bool.
/// Of the shape that the engine is made to be fast at, unless `shape` says another.
core::Tensor random_input(const core::TensorDescription& input, unsigned seed, const core::Shape* shape = nullptr);
/// Reads NAME=FILE (.npy, .pb, .jpg, .jpeg, .png; NAME= may be left out for the only input) in the input's type and shape.
[[nodiscard]] base::Result<std::map<std::string, core::Tensor>> read_inputs(const core::InferenceEngine& engine,
                                                                            const std::vector<std::string>& arguments);

}  // namespace xinfer::cli
