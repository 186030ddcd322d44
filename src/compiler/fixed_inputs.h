// What a build was told of inputs that its engine does not have: kept in the engine's report, so that it can be verified later.
#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tensor/tensor.h"

namespace xinfer::compiler {

struct FixedInputs {
  std::map<std::string, tensor::Tensor> values;
  std::set<std::string> empty;  // sequences without elements and optionals that hold nothing
};

/// {"values": {NAME: {"dtype", "shape", "sha256", "bytes" or "strings"}}, "empty": [NAME]}. Large values have their digest alone.
nlohmann::ordered_json to_json(const FixedInputs& fixed);

/// Those of an engine, by its report. Values that the report does not hold come from `given`, and whatever is given must be what
/// the engine was built with. kInvalidArgument: it is not, or a value is missing.
[[nodiscard]] base::Result<FixedInputs> read_fixed_inputs(std::string_view report, const std::map<std::string, tensor::Tensor>& given);

/// "shape = int64[2] 3, 4", a line for each that the report tells of.
std::vector<std::string> describe_fixed_inputs(std::string_view report);

}  // namespace xinfer::compiler
