// One serialised GraphProto to an ir::Graph: names resolved, nodes ordered, functions inlined. Internal to src/onnx.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "onnx/import.h"
#include "onnx/tensor_proto.h"
#include "onnx/upgrade.h"

namespace xinfer::onnx {

/// Versions of the operator sets by domain; "" is the default domain.
using Opsets = std::map<std::string, std::int64_t, std::less<>>;
using FunctionKey = std::pair<std::string, std::string>;  // domain, name

/// What the whole import shares.
struct ImportState {
  const ImportOptions& options;
  std::filesystem::path folder;                                // for external data
  std::map<FunctionKey, const proto::FunctionProto*> functions;
  std::map<std::string, std::vector<std::string>> unknown;     // unsupported operator -> nodes that use it
  std::size_t nodes = 0, constant_bytes = 0;
  bool typed = true;                                           // whether all values so far have types
};

[[nodiscard]] base::Result<Opsets> read_opsets(const google::protobuf::RepeatedPtrField<proto::OperatorSetIdProto>& imports);

/// Builds the main graph. Operators not in the table are collected in state.unknown; the graph is incomplete then.
[[nodiscard]] base::Result<ir::Graph> build_graph(const proto::GraphProto& message, const Opsets& opsets, ImportState& state);

/// The order in which nodes can run, by index; names that no node produces are left to the caller.
/// kCorrupt: a cycle (its nodes are named).
[[nodiscard]] base::Result<std::vector<int>> order_nodes(const google::protobuf::RepeatedPtrField<proto::NodeProto>& nodes);

/// "Conv 'name'", or "Conv (its first output)" for a node without a name.
std::string describe(const proto::NodeProto& node);

}  // namespace xinfer::onnx
