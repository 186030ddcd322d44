// ONNX files to Graphs: every operator upgraded to the newest opset, functions inlined, input hostile until proved sane.
#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "ir/graph.h"

namespace xinfer::onnx {

/// What a model may hold at most. Exceeding one is Code::kLimit, named in the message.
struct ImportLimits {
  std::size_t file_bytes = std::size_t{2} << 30;
  std::size_t constant_bytes = std::size_t{8} << 30;  // of all initialisers and Constant nodes together
  std::size_t nodes = 200'000;                        // after inlining functions
  std::size_t inputs_per_node = 4096;
  int graph_depth = 16;     // If, Loop and Scan bodies in one another
  int function_depth = 32;  // functions calling one another
};

/// What of a model the importer does not take.
struct Survey {
  std::map<std::string, std::vector<std::string>> unsupported;  // "Op" or "Op: why this form of it is not taken" -> nodes
  std::set<std::string> cut_inputs, cut_outputs;  // values that are inputs and outputs of the graph only because it was cut
};

struct ImportOptions {
  /// Sizes of graph inputs by name; they override what the model says and must agree with its fixed sizes.
  std::map<std::string, tensor::Shape> input_shapes;
  /// The same with a range for each dimension. A range without a name keeps the model's, which every dimension of that name
  /// follows; dimensions given the same name are one.
  /// A sequence `x` has the elements that shapes or values are given for, "x[0]", "x[1]", … (ir/elements.h): the graph has these
  /// tensors as inputs instead. An optional `x` holds a tensor if `x` is given, a sequence if "x[0]" is.
  std::map<std::string, std::vector<tensor::Symbol>> input_ranges;
  /// Sequences without elements and optionals that hold nothing.
  std::set<std::string> empty_inputs;
  /// Ranges whose three numbers are multiples of this become this times a symbol: models that halve their sizes several times
  /// and join what comes of it only fit together in such sizes.
  std::int64_t multiple = 1;
  ImportLimits limits;
  /// Values of graph inputs by name: such an input becomes a constant. Numbers are converted to the input's type; a list of
  /// one also stands for a scalar.
  std::map<std::string, tensor::Tensor> input_values;
  /// Where given, it is filled in, and unsupported operators of the main graph are not refused: the graph is cut there, so
  /// that the rest can be looked at. Their outputs become inputs, of the types that the model's value_info says.
  Survey* survey = nullptr;
};

/// Reads, checks and upgrades the model (opset 7 to 23; 1 to 6 where the meaning is the same). The result is verified and
/// has types inferred; symbolic dimensions stay where input_shapes gives no size. External data is read only from inside
/// the model's folder. Errors: kNotFound, kIo, kCorrupt (not a model, cyclic, duplicate or missing names), kInvalidArgument
/// (input_shapes), kLimit, kUnsupported (lists all unknown operators at once, with their nodes). Thread-safe.
[[nodiscard]] base::Result<ir::Graph> import_model(const std::filesystem::path& path, const ImportOptions& options = {});

/// The same from bytes in memory; external data is refused.
[[nodiscard]] base::Result<ir::Graph> import_model_bytes(std::string_view bytes, const ImportOptions& options = {});

}  // namespace xinfer::onnx
