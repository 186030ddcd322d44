#include "check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "compiler/build.h"
#include "compiler/verify_engine.h"
#include "runtime/session.h"

namespace xinfer::fuzz {
namespace {

namespace proto = onnx::proto;
using base::Code;

std::string shape_of(const Tensor& tensor) { return std::string(tensor::name(tensor.dtype())) + tensor::to_string(tensor.shape()); }

// The first elements that differ, for people.
std::string differences(const Tensor& actual, const Tensor& expected) {
  std::string text;
  int shown = 0;
  for (std::int64_t i = 0; i < expected.num_elements() && shown < 4; ++i) {
    const double a = actual.as_double(i), e = expected.as_double(i);
    if (a == e || (a != a && e != e)) continue;
    text += fmt::format("{}element {} is {:.9g}, not {:.9g}", shown++ ? "; " : "", i, a, e);
  }
  return text;
}

// Values that float32 and more hold exactly must be equal; a 16-bit reference rounds where the engine does not.
bool equal(const std::string& name, const Tensor& actual, const Tensor& expected, bool exact) {
  if (actual.dtype() != expected.dtype() || actual.shape() != expected.shape()) return false;
  const bool narrow = tensor::is_float(expected.dtype()) && tensor::size_of(expected.dtype()) < 4;
  return exact && !narrow ? differences(actual, expected).empty() : compiler::compare(name, actual, expected).matches;
}

base::Result<std::string> build(const Model& model) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / fmt::format("random_graph_{}.onnx", ::getpid());
  XI_CHECK(base::write_file(path, model.proto.SerializeAsString()));
  compiler::BuildOptions options;
  options.input_ranges = input_ranges(model);
  options.verify = false;
  options.jobs = 1;
  options.max_threads = 2;
  auto output = compiler::build(path, options);
  std::filesystem::remove(path);
  if (!output) return std::unexpected(output.error());
  return std::move(output->engine);
}

Outcome run(const Model& model, const ir::Graph& graph, const std::shared_ptr<const engine::Engine>& engine, const Sample& sample) {
  std::string at;
  for (const auto& [symbol, size] : sample.sizes) at += fmt::format(" {}={}", symbol, size);
  const auto expected = evaluate(graph, sample);
  if (!expected) return {Outcome::kFailed, "reference" + at + ": " + expected.error().text()};
  std::vector<const Tensor*> inputs;
  for (const auto& input : engine->plan().inputs) inputs.push_back(&sample.inputs.at(input.name));
  for (int threads : {1, 2}) {
    const auto actual = runtime::run_once(engine, inputs, threads);
    if (!actual) return {Outcome::kFailed, "run" + at + ": " + actual.error().text()};
    for (std::size_t i = 0; i < actual->size(); ++i) {
      const std::string& name = engine->plan().outputs[i].name;
      const Tensor &have = (*actual)[i], &want = *expected->at(name).tensor;
      if (!equal(name, have, want, model.exact.contains(name)))
        return {Outcome::kFailed, fmt::format("output '{}'{} on {} threads: {} instead of {}; {}", name, at, threads, shape_of(have), shape_of(want),
                                              have.shape() == want.shape() ? differences(have, want) : "")};
    }
  }
  return {};
}

// Drops nodes, inputs and constants that no output needs.
void prune(proto::GraphProto& graph) {
  std::set<std::string> needed;
  for (const auto& output : graph.output()) needed.insert(output.name());
  for (int i = graph.node_size() - 1; i >= 0; --i) {
    const auto& node = graph.node(i);
    if (std::ranges::any_of(node.output(), [&](const std::string& name) { return needed.contains(name); })) needed.insert(node.input().begin(), node.input().end());
    else graph.mutable_node()->DeleteSubrange(i, 1);
  }
  for (int i = graph.input_size() - 1; i >= 0; --i)
    if (!needed.contains(graph.input(i).name())) graph.mutable_input()->DeleteSubrange(i, 1);
  for (int i = graph.initializer_size() - 1; i >= 0; --i)
    if (!needed.contains(graph.initializer(i).name())) graph.mutable_initializer()->DeleteSubrange(i, 1);
}

// What node `index` gives becomes an input with the values that the reference finds; nothing where its sizes have no names.
std::optional<Model> cut(const Model& model, int index) {
  Model cut = model;
  auto& graph = *cut.proto.mutable_graph();
  Model probe = model;
  probe.proto.mutable_graph()->clear_output();
  std::set<std::string> outputs;
  for (const auto& output : graph.output()) outputs.insert(output.name());
  for (const std::string& name : graph.node(index).output()) {
    if (outputs.contains(name)) return std::nullopt;
    probe.proto.mutable_graph()->add_output()->set_name(name);
  }
  const auto imported = import(probe);
  if (!imported) return std::nullopt;
  for (ir::ValueId id : imported->outputs) {
    const ir::Value& value = imported->value(id);
    if (!value.type.is_static()) return std::nullopt;
    auto& input = *graph.add_input();
    input.set_name(value.name);
    auto* type = input.mutable_type()->mutable_tensor_type();
    type->set_elem_type(static_cast<int>(value.type.dtype));
    type->mutable_shape();
    for (std::int64_t size : value.type.shape()) type->mutable_shape()->add_dim()->set_dim_value(size);
  }
  for (Sample& sample : cut.samples) {
    const auto values = evaluate(*imported, sample);
    if (!values) return std::nullopt;
    for (const auto& [name, value] : *values) sample.inputs[name] = *value.tensor;
  }
  graph.mutable_node()->DeleteSubrange(index, 1);
  prune(graph);
  return cut;
}

bool fails(const Model& model) { return check(model).kind == Outcome::kFailed; }

}  // namespace

Outcome check(const Model& model) {
  const auto graph = import(model);
  if (!graph) return {Outcome::kFailed, "import: " + graph.error().text()};
  const auto bytes = build(model);
  if (!bytes) {
    const bool refused = bytes.error().code == Code::kUnsupported || bytes.error().code == Code::kInvalidArgument;
    return {refused ? Outcome::kRefused : Outcome::kFailed, "build: " + bytes.error().text()};
  }
  engine::Trust trust;
  trust.allow_unsigned = true;
  const auto engine = engine::open_bytes(*bytes, trust);
  if (!engine) return {Outcome::kFailed, "open: " + engine.error().text()};
  for (const Sample& sample : model.samples)
    if (Outcome outcome = run(model, *graph, *engine, sample); outcome.kind != Outcome::kEqual) return outcome;
  return {};
}

Model reduce(Model model) {
  // One output is enough in most cases: the halves are tried before single ones.
  for (int part = std::max(1, model.proto.graph().output_size() / 2); part >= 1; part /= 2)
    for (int at = 0; at < model.proto.graph().output_size() && model.proto.graph().output_size() > 1;) {
      Model less = model;
      auto& outputs = *less.proto.mutable_graph()->mutable_output();
      outputs.DeleteSubrange(at, std::min({part, outputs.size() - at, outputs.size() - 1}));
      prune(*less.proto.mutable_graph());
      if (fails(less)) model = std::move(less);
      else at += part;
    }
  for (int i = model.proto.graph().node_size() - 1; i >= 0; --i) {
    if (i >= model.proto.graph().node_size()) continue;
    if (auto less = cut(model, i); less && fails(*less)) model = std::move(*less);
  }
  return model;
}

}  // namespace xinfer::fuzz
