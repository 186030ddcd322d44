#include "onnx_case.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "compiler/build.h"
#include "compiler/emulator.h"
#include "engine/engine.h"
#include "ir/elements.h"
#include "onnx/import.h"
#include "onnx/tensor_file.h"
#include "runtime/session.h"
#include "target/registry.h"

namespace xinfer::cli {

using base::Code;
using base::fail;
using forge::reference::Value;

namespace {

constexpr double kDefaultRtol = 1e-3, kDefaultAtol = 1e-7;  // of the ONNX backend test suite

struct Tolerance {
  double rtol = kDefaultRtol, atol = kDefaultAtol;
};

// The flags, else the case's own data.json (as the suite's real models have it), else the suite's default.
Tolerance tolerance_of(const std::filesystem::path& folder, const CaseOptions& options) {
  Tolerance tolerance;
  if (auto text = base::read_file(folder / "data.json", 1 << 20)) {
    auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.value("rtol", nlohmann::json()).is_number()) tolerance.rtol = json["rtol"];
    if (json.is_object() && json.value("atol", nlohmann::json()).is_number()) tolerance.atol = json["atol"];
  }
  return {options.rtol.value_or(tolerance.rtol), options.atol.value_or(tolerance.atol)};
}

onnx::TestValue::Kind file_kind(ir::ValueType::Kind kind) {
  switch (kind) {
    case ir::ValueType::Kind::kSequence: return onnx::TestValue::Kind::kSequence;
    case ir::ValueType::Kind::kOptional: return onnx::TestValue::Kind::kOptional;
    default: return onnx::TestValue::Kind::kTensor;
  }
}

Value to_value(onnx::TestValue value, tensor::DType dtype) {
  if (value.kind == onnx::TestValue::Kind::kTensor) return Value(std::move(value.tensor));
  std::vector<Value> items;
  for (auto& item : value.items) items.push_back(to_value(std::move(item), dtype));
  return value.kind == onnx::TestValue::Kind::kSequence ? Value::sequence(std::move(items), dtype)
                                                        : Value::optional(std::move(items), dtype);
}

// input_0.pb, input_1.pb, … of a data set, as many as there are.
base::Result<std::vector<Value>> read_values(const std::filesystem::path& folder, std::string_view stem, const ir::Graph& graph,
                                             const std::vector<ir::ValueId>& ids) {
  std::vector<Value> values;
  for (std::size_t i = 0;; ++i) {
    auto path = folder / fmt::format("{}_{}.pb", stem, i);
    if (!std::filesystem::exists(path)) break;
    if (i >= ids.size())
      return fail(Code::kInvalidArgument, "{} has more {} files than the model has {}s", folder.filename().string(), stem, stem);
    const ir::ValueType& type = graph.value(ids[i]).type;
    XI_TRY(onnx::TestValue value, onnx::read_value_file(path, file_kind(type.kind)));
    values.push_back(to_value(std::move(value), type.dtype));
  }
  if (values.size() != ids.size())
    return fail(Code::kInvalidArgument, "{} has {} {} files, the model has {}", folder.filename().string(), values.size(), stem,
                ids.size());
  return values;
}

using InputShapes = std::map<std::string, tensor::Shape>;

base::Result<std::vector<Value>> run_reference(const std::filesystem::path& model, const InputShapes& shapes,
                                               const std::vector<Value>& inputs) {
  XI_TRY(ir::Graph graph, onnx::import_model(model, {.input_shapes = shapes}));
  return forge::reference::evaluate(graph, inputs);
}

// A value as the tensors that an engine takes for it, by name.
using Tensors = std::map<std::string, const tensor::Tensor*>;
void take_apart(const std::string& name, const Value& value, Tensors& tensors, std::set<std::string>& empty) {
  if (value.kind == Value::Kind::kTensor) tensors[name] = value.tensor.get();
  else if (value.elements.empty()) empty.insert(name);
  else if (value.kind == Value::Kind::kOptional) take_apart(name, value.elements[0], tensors, empty);
  else
    for (std::size_t i = 0; i < value.elements.size(); ++i) take_apart(ir::element_name(name, i), value.elements[i], tensors, empty);
}

// The other way round: a value of the model's type from the engine's outputs.
base::Result<Value> put_together(const std::string& name, const ir::ValueType& type, std::map<std::string, tensor::Tensor>& tensors) {
  auto whole = tensors.find(name);
  if (type.kind == ir::ValueType::Kind::kTensor && whole == tensors.end()) return fail(Code::kInternal, "the engine has no output '{}'", name);
  if (type.kind == ir::ValueType::Kind::kTensor) return Value(std::move(whole->second));
  std::vector<Value> elements;
  for (auto it = tensors.end(); (it = tensors.find(ir::element_name(name, elements.size()))) != tensors.end();) elements.emplace_back(std::move(it->second));
  if (type.kind == ir::ValueType::Kind::kSequence) return Value::sequence(std::move(elements), type.dtype);
  if (whole != tensors.end()) return Value::optional({Value(std::move(whole->second))}, type.dtype);
  if (elements.empty()) return Value::optional({}, type.dtype);
  return Value::optional({Value::sequence(std::move(elements), type.dtype)}, type.dtype);
}

// Engines of one case: data sets of equal input shapes share one. Where an input decides shapes or branches, an engine of
// static shapes cannot take it: then it is fixed to the data set's value, and the outcome says so. No other input is ever fixed:
// an engine that holds its inputs would show nothing about kernels.
class Engines {
 public:
  using Ptr = std::shared_ptr<const engine::Engine>;
  using Inputs = Tensors;

  Engines(const std::filesystem::path& model, const CaseOptions& options) : model_(model), options_(options) {}

  /// `empty`: sequences and optionals that hold nothing.
  base::Result<Ptr> for_inputs(const Inputs& inputs, const std::set<std::string>& empty) {
    if (empty != empty_) engines_.clear();
    empty_ = empty;
    InputShapes shapes;
    for (const auto& [name, tensor] : inputs) shapes[name] = tensor->shape();
    auto known = engines_.find(shapes);
    if (known != engines_.end()) return known->second;
    auto engine = build(shapes, {});
    if (engine) return engines_[shapes] = *engine;
    if (engine.error().code != Code::kUnsupported) return engine;
    const Fixed values = deciding(shapes, inputs);
    if (values.empty()) return engine;
    auto specialised = build(shapes, values);
    fixed_.clear();
    for (const auto& [name, value] : values) fixed_.push_back(name);
    return specialised;  // not kept: another data set has other values
  }
  /// Inputs that had to be fixed.
  const std::vector<std::string>& fixed() const { return fixed_; }

 private:
  using Fixed = std::map<std::string, tensor::Tensor>;

  // One value can hide another: asked until nothing new comes.
  Fixed deciding(const InputShapes& shapes, const Inputs& inputs) const {
    compiler::BuildOptions build;
    build.input_shapes = shapes;
    build.empty_inputs = empty_;
    for (;;) {
      const auto names = compiler::find_shape_inputs(model_, build);
      const std::size_t before = build.input_values.size();
      if (names)
        for (const std::string& name : *names)
          if (auto given = inputs.find(name); given != inputs.end()) build.input_values.emplace(name, *given->second);
      if (build.input_values.size() == before) return std::move(build.input_values);
    }
  }
  base::Result<Ptr> build(const InputShapes& shapes, Fixed values) {
    compiler::BuildOptions build;
    build.target = options_.target;
    build.input_shapes = shapes;
    build.empty_inputs = empty_;
    build.input_values = std::move(values);
    build.cache_folder = options_.cache_folder;
    build.verify = false;  // the case's own data are the measure
    build.jobs = options_.compilers;
    XI_TRY(compiler::BuildOutput output, compiler::build(model_, build));
    engine::Trust own;
    own.allow_unsigned = true;
    return engine::open_bytes(output.engine, own);
  }

  std::filesystem::path model_;
  const CaseOptions& options_;
  std::set<std::string> empty_;
  std::map<InputShapes, Ptr> engines_;
  std::vector<std::string> fixed_;
};

base::Result<std::vector<Value>> run_engine(Engines& engines, const ir::Graph& graph, const std::vector<Value>& inputs,
                                            const CaseOptions& options) {
  Tensors named;
  std::set<std::string> empty;
  for (std::size_t i = 0; i < inputs.size(); ++i) take_apart(graph.value(graph.inputs[i]).name, inputs[i], named, empty);
  XI_TRY(auto engine, engines.for_inputs(named, empty));
  // By name: an engine has only those inputs that were not fixed.
  std::vector<const tensor::Tensor*> tensors;
  for (const auto& info : engine->plan().inputs) tensors.push_back(named.at(info.name));
  const std::string& architecture = engine->manifest().architecture;
  auto here = runtime::check_machine(architecture);
  const auto* row = target::find_canonical(architecture);
  if (!here && row && row->kind == target::Kind::kNvidia)  // compiled, but there is nothing to run it
    return fail(Code::kIncompatible, "built for {}, not run: {}", architecture, here.error().message);
  auto result = here ? runtime::run_once(engine, tensors, options.num_threads)
                     : compiler::run_emulated(*engine, tensors, options.cache_folder);
  XI_TRY(auto outputs, std::move(result));
  std::map<std::string, tensor::Tensor> results;
  for (std::size_t i = 0; i < outputs.size(); ++i) results[engine->plan().outputs[i].name] = std::move(outputs[i]);
  std::vector<Value> values;
  for (ir::ValueId id : graph.outputs) {
    XI_TRY(Value value, put_together(graph.value(id).name, graph.value(id).type, results));
    values.push_back(std::move(value));
  }
  return values;
}

base::Result<void> run_data_set(Engines& engines, const std::filesystem::path& model, const std::filesystem::path& data,
                                const ir::Graph& graph, const CaseOptions& options, const Tolerance& tolerance) {
  XI_TRY(auto inputs, read_values(data, "input", graph, graph.inputs));
  XI_TRY(auto expected, read_values(data, "output", graph, graph.outputs));
  InputShapes shapes;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].kind == Value::Kind::kTensor) shapes[graph.value(graph.inputs[i]).name] = inputs[i].tensor->shape();
  auto actual = options.target == "reference" ? run_reference(model, shapes, inputs)
                                              : run_engine(engines, graph, inputs, options);
  if (!actual) return std::unexpected(std::move(actual).error());
  if (actual->size() != expected.size())
    return fail(Code::kInternal, "{} outputs, {} expected", actual->size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (auto difference = compare((*actual)[i], expected[i], tolerance.rtol, tolerance.atol); !difference.empty())
      return fail(Code::kInternal, "{}, output '{}': {}", data.filename().string(), graph.value(graph.outputs[i]).name, difference);
  return {};
}

std::vector<std::filesystem::path> data_sets(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> sets;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    if (entry.is_directory() && entry.path().filename().string().starts_with("test_data_set_")) sets.push_back(entry.path());
  std::ranges::sort(sets);
  return sets;
}

bool close(double actual, double expected, double rtol, double atol) {
  if (std::isnan(expected) || std::isnan(actual)) return std::isnan(expected) && std::isnan(actual);
  if (std::isinf(expected) || std::isinf(actual)) return actual == expected;
  return std::abs(actual - expected) <= atol + rtol * std::abs(expected);
}

std::string compare_tensors(const tensor::Tensor& actual, const tensor::Tensor& expected, double rtol, double atol) {
  if (actual.dtype() != expected.dtype())
    return fmt::format("is {}, {} expected", tensor::name(actual.dtype()), tensor::name(expected.dtype()));
  if (actual.shape() != expected.shape())
    return fmt::format("has shape {}, {} expected", tensor::to_string(actual.shape()), tensor::to_string(expected.shape()));
  if (expected.dtype() == tensor::DType::kString) {
    auto [a, e] = std::ranges::mismatch(actual.strings(), expected.strings());
    return e == expected.strings().end() ? "" : fmt::format("holds '{}' where '{}' is expected", *a, *e);
  }
  bool complex = expected.dtype() == tensor::DType::kComplex64 || expected.dtype() == tensor::DType::kComplex128;
  if (!tensor::is_float(expected.dtype()) && !complex) {
    for (std::int64_t i = 0; i < expected.num_elements(); ++i)
      if (actual.as_int64(i) != expected.as_int64(i))
        return fmt::format("element {} is {}, {} expected", i, actual.as_int64(i), expected.as_int64(i));
    return "";
  }
  std::int64_t wrong = 0, first = -1, count = expected.num_elements() * (complex ? 2 : 1);
  double worst = 0;
  auto element = [complex](const tensor::Tensor& tensor, std::int64_t i) -> double {
    if (!complex) return tensor.as_double(i);
    const auto* bytes = tensor.bytes().data();
    return tensor.dtype() == tensor::DType::kComplex64 ? reinterpret_cast<const float*>(bytes)[i] : reinterpret_cast<const double*>(bytes)[i];
  };
  for (std::int64_t i = 0; i < count; ++i) {
    double a = element(actual, i), e = element(expected, i);
    if (close(a, e, rtol, atol)) continue;
    if (first < 0) first = i;
    ++wrong;
    if (std::isfinite(a) && std::isfinite(e)) worst = std::max(worst, std::abs(a - e));
  }
  if (wrong == 0) return "";
  return fmt::format("{} of {} elements differ (rtol {:g}, atol {:g}); largest difference {:.3g}; element {} is {:.9g}, {:.9g} expected",
                     wrong, count, rtol, atol, worst, first, element(actual, first), element(expected, first));
}

}  // namespace

std::string compare(const Value& actual, const Value& expected, double rtol, double atol) {
  if (actual.kind != expected.kind) return "is a value of another kind";
  if (expected.kind == Value::Kind::kTensor) return compare_tensors(*actual.tensor, *expected.tensor, rtol, atol);
  if (actual.elements.size() != expected.elements.size())
    return fmt::format("has {} elements, {} expected", actual.elements.size(), expected.elements.size());
  for (std::size_t i = 0; i < expected.elements.size(); ++i)
    if (auto difference = compare(actual.elements[i], expected.elements[i], rtol, atol); !difference.empty())
      return fmt::format("element {}: {}", i, difference);
  return "";
}

base::Result<std::vector<std::filesystem::path>> find_cases(const std::vector<std::filesystem::path>& roots) {
  namespace fs = std::filesystem;
  std::vector<fs::path> cases;
  auto consider = [&](const fs::path& folder) {
    if (fs::exists(folder / "model.onnx") && !data_sets(folder).empty()) cases.push_back(folder);
  };
  for (const auto& root : roots) {
    if (!fs::is_directory(root)) return fail(Code::kNotFound, "{} is no folder", root.string());
    consider(root);
    std::error_code ignored;
    for (auto it = fs::recursive_directory_iterator(root, fs::directory_options::skip_permission_denied, ignored);
         it != fs::recursive_directory_iterator(); it.increment(ignored))
      if (it->is_directory(ignored)) consider(it->path());
  }
  std::ranges::sort(cases);
  auto [first, last] = std::ranges::unique(cases);
  cases.erase(first, last);
  return cases;
}

CaseOutcome run_case(const std::filesystem::path& folder, const CaseOptions& options) {
  auto failed = [](const base::Error& error) {
    bool told = error.code == Code::kInternal || error.code == Code::kIncompatible;
    return CaseOutcome{CaseOutcome::Kind::kFailed,
                       told ? error.text() : fmt::format("{}: {}", base::facts(error.code).name, error.text())};
  };
  auto model = folder / "model.onnx";
  auto graph = onnx::import_model(model);
  if (!graph) return failed(graph.error());
  Tolerance tolerance = tolerance_of(folder, options);
  Engines engines(model, options);
  for (const auto& data : data_sets(folder)) {
    auto result = run_data_set(engines, model, data, *graph, options, tolerance);
    if (!result && result.error().code == Code::kIncompatible)
      return {CaseOutcome::Kind::kSkipped, result.error().text()};
    if (!result) return failed(result.error());
  }
  if (engines.fixed().empty()) return {};
  return {CaseOutcome::Kind::kPassed, fmt::format("with {} fixed at build time", fmt::join(engines.fixed(), ", "))};
}

}  // namespace xinfer::cli
