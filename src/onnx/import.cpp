#include "onnx/import.h"

#include <fmt/format.h>

#include <unordered_map>

#include "base/files.h"
#include "ir/operator.h"
#include "onnx/graph_builder.h"

namespace xinfer::onnx {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::int64_t kNewestFormat = 13;  // ir_version

Result<proto::ModelProto> parse_model(std::string_view bytes, const ImportLimits& limits) {
  if (bytes.size() > limits.file_bytes || bytes.size() > std::size_t{0x7fffffff})
    return fail(Code::kLimit, "the model has {} bytes, the limit is {} (file_bytes): keep weights in external data", bytes.size(),
                limits.file_bytes);
  if (bytes.empty()) return fail(Code::kCorrupt, "the file is empty, not an ONNX model");
  proto::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return fail(Code::kCorrupt, "not an ONNX model, or cut off: the bytes are not a serialised ModelProto");
  if (!model.has_graph()) return fail(Code::kCorrupt, "not an ONNX model: it holds no graph");
  return model;
}

// One line per operator, with the first nodes that use it.
base::Error unknown_operators(const std::map<std::string, std::vector<std::string>>& unknown) {
  constexpr std::size_t kMaxNamed = 5;
  std::string text = unknown.size() == 1 ? "1 operator is not supported:" : fmt::format("{} operators are not supported:", unknown.size());
  for (const auto& [op, nodes] : unknown) {
    text += fmt::format("\n  {} ({} {}: ", op, nodes.size(), nodes.size() == 1 ? "node" : "nodes");
    for (std::size_t i = 0; i < nodes.size() && i < kMaxNamed; ++i) text += (i == 0 ? "'" : ", '") + nodes[i] + "'";
    text += nodes.size() > kMaxNamed ? ", …)" : ")";
  }
  return {Code::kUnsupported, std::move(text), {}};
}

// Element types that the file says of values must be those that its operators give.
Result<void> check_declared(const proto::GraphProto& message, const ir::Graph& graph) {
  std::unordered_map<std::string_view, const ir::ValueType*> types;
  for (const ir::Value& value : graph.values) types.emplace(value.name, &value.type);
  for (const auto* declared : {&message.output(), &message.value_info()})
    for (const auto& info : *declared) {
      const auto found = types.find(info.name());
      if (found == types.end() || found->second->kind != ir::ValueType::Kind::kTensor || !info.type().has_tensor_type()) continue;
      const auto said = dtype_from(info.type().tensor_type().elem_type());
      const tensor::DType is = found->second->dtype;
      if (said && *said != tensor::DType::kUndefined && is != tensor::DType::kUndefined && *said != is)
        return fail(Code::kInvalidArgument, "'{}' is declared as {}, and what makes it gives {}", info.name(), tensor::name(*said), tensor::name(is));
    }
  return {};
}

Result<ir::Graph> import(std::string_view bytes, const std::filesystem::path& folder, const ImportOptions& options) {
  XI_TRY(const proto::ModelProto model, parse_model(bytes, options.limits));
  if (model.ir_version() > kNewestFormat)
    return fail(Code::kUnsupported, "the file is of IR version {}, newer than {}, the newest known: export with an older version of onnx", model.ir_version(), kNewestFormat);
  // Models of IR version 1 and 2 import nothing.
  if (model.ir_version() >= 3 && model.opset_import().empty()) return fail(Code::kCorrupt, "the model does not say which operator set it is of (opset_import)");
  if (model.graph().output().empty()) return fail(Code::kCorrupt, "the graph has no outputs");
  XI_TRY(const Opsets opsets, read_opsets(model.opset_import()));
  ImportState state{options, folder, {}, {}};
  for (const auto& function : model.functions()) {
    const std::string domain = function.domain() == "ai.onnx" ? "" : function.domain();
    if (!state.functions.emplace(FunctionKey{domain, function.name()}, &function).second)
      return fail(Code::kCorrupt, "the function '{}.{}' is defined twice", function.domain(), function.name());
  }
  XI_TRY(ir::Graph graph, build_graph(model.graph(), opsets, state));
  if (!state.unknown.empty() && (options.survey == nullptr || !state.typed)) return std::unexpected(unknown_operators(state.unknown));
  for (const auto& entry : model.metadata_props()) graph.metadata[entry.key()] = entry.value();
  graph.compact();
  XI_CHECK(ir::verify(graph));
  XI_CHECK(ir::infer_types(graph));
  XI_CHECK(check_declared(model.graph(), graph));
  return graph;
}

}  // namespace

Result<ir::Graph> import_model(const std::filesystem::path& path, const ImportOptions& options) {
  XI_TRY(const std::string bytes, base::read_file(path, options.limits.file_bytes));
  std::filesystem::path folder = path.parent_path();
  if (folder.empty()) folder = ".";
  auto graph = import(bytes, folder, options);
  if (!graph) return std::unexpected(std::move(graph).error().in(path.filename().string()));
  return graph;
}

Result<ir::Graph> import_model_bytes(std::string_view bytes, const ImportOptions& options) { return import(bytes, {}, options); }

}  // namespace xinfer::onnx
