// An engine together with what its metadata says about pictures, outputs and labels.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/error.h"
#include "xinfer/core/inference_engine.h"

namespace xinfer::zoo {

/// Values of one output as floats, whatever type the engine computes in.
struct Values {
  std::vector<float> data;
  core::Shape shape;

  std::int64_t dim(std::size_t axis) const { return axis < shape.size() ? shape[axis] : 1; }
};

using Outputs = std::map<std::string, Values>;  // by role

struct Model {
  core::InferenceEngine engine;
  api::Metadata metadata;

  /// Name of the input that takes the picture: the metadata's, else the only one.
  const std::string& input_name() const;
  const core::TensorDescription& input() const;
};

/// `metadata_json` empty: what the engine carries. `labels_path` empty: the metadata's labels. Throws Error.
Model load_model(const std::string& engine_path, const core::EngineOptions& options, const std::string& metadata_json,
                 const std::string& labels_path);

/// One inference on the picture's values, of a shape that the input takes. Outputs by role; those that the metadata gives no role keep their name. Throws Error.
Outputs infer(const Model& model, const Values& input);

/// The output of that role. kInvalidArgument names the roles that there are.
[[nodiscard]] base::Result<const Values*> find_output(const Outputs& outputs, const std::string& role);

}  // namespace xinfer::zoo
