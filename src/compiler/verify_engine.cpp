#include "compiler/verify_engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "base/digest.h"
#include "compiler/fixed_inputs.h"
#include "engine/engine.h"
#include "forge/reference/reference.h"
#include "onnx/import.h"
#include "runtime/session.h"
#include "target/registry.h"

namespace xinfer::compiler {
namespace {

using base::Code;
using base::fail;
using base::Result;
using forge::reference::Value;
using ir::DType;
using tensor::Tensor;

constexpr std::uint64_t kSeed = 0x9e3779b97f4a7c15;
// |error| <= kAbsolute * max(1, largest expected) + kRelative * |expected|, for all but kOutliers of the elements:
// a comparison or rounding on the way may fall on the other side of a threshold.
constexpr double kAbsolute = 1e-4, kRelative = 1e-3, kOutliers = 1e-3;
constexpr double kMinCosine = 0.9999, kMinCosineQuantised = 0.995;
// Some models amplify float32 rounding (a variance as the difference of two large sums, a sharp softmax). An error that is
// small in norm and nowhere large beside the largest element is rounding; a wrong kernel is off by far more.
constexpr double kAmplifiedNorm = 5e-3, kAmplifiedLargest = 2e-2;
// More work than this at sizes other than the optimum is left out: the reference functions take seconds for it.
constexpr double kMaxReferenceFlops = 5e9;
constexpr double kMinEqualIntegers = 0.99, kMinEqualQuantised = 0.9;
// An engine that stores 16-bit floats: direction and size must be right; near zero only the size counts.
constexpr double kMinCosineFloat16 = 0.999, kMinCosineBfloat16 = 0.99, kSmallLower = 1e-3;
// Where numbers in [-1, 1] only have their rounding amplified, the direction is still about right; a wrong kernel has another.
constexpr double kMinCosineAmplified = 0.99;

// SplitMix64 (Steele, Lea, Flood 2014).
std::uint64_t next(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

bool is_quantised(const ir::Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const ir::Node& node) {
    return node.op.find("QLinear") != std::string::npos || node.op == "QuantizeLinear" ||
           node.op == "DynamicQuantizeLinear";
  });
}

bool is_random(const ir::Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const ir::Node& node) {
    return node.op.starts_with("Random") || node.op == "Bernoulli" || node.op == "Multinomial";
  });
}

Verification not_run(std::string reason) {
  Verification verification;
  verification.reason = std::move(reason);
  return verification;
}

// Sequences and optionals as an engine gives them: as the tensors in them.
void add_tensors(const Value& value, std::vector<const Tensor*>& tensors) {
  if (value.kind == Value::Kind::kTensor) tensors.push_back(value.tensor.get());
  for (const Value& element : value.elements) add_tensors(element, tensors);
}

// Grey, red green blue, or with a fourth channel; channels first or last.
bool is_image(const ir::ValueType& type) {
  if (!tensor::is_float(type.dtype) || !type.dims || type.dims->size() != 4) return false;
  const auto are_channels = [](const ir::Dim& dim) { return dim.is_static() && (dim.value == 1 || dim.value == 3 || dim.value == 4); };
  return are_channels((*type.dims)[1]) || are_channels((*type.dims)[3]);
}

// Words that mean something to the model, and numbers, which are always valid.
std::vector<std::string> words_of(const ir::Graph& graph) {
  std::vector<std::string> words{"0", "1", "2"};
  if (std::ranges::any_of(graph.nodes, [](const ir::Node& node) { return node.op == "Cast"; })) return words;
  auto add = [&](const std::vector<std::string>& more) { words.insert(words.end(), more.begin(), more.end()); };
  for (const ir::Node& node : graph.nodes)
    for (const auto& [name, attribute] : node.attributes) {
      if (const auto* list = std::get_if<std::vector<std::string>>(&attribute)) add(*list);
      if (const auto* tensor = std::get_if<std::shared_ptr<const Tensor>>(&attribute)) add((*tensor)->strings());
    }
  for (const ir::Value& value : graph.values)
    if (value.constant) add(value.constant->strings());
  return words;
}

}  // namespace

std::vector<Tensor> random_inputs(const ir::Graph& graph, std::uint64_t seed, const tensor::Size::Values& sizes, Numbers numbers) {
  std::vector<Tensor> inputs;
  std::uint64_t state = seed;
  const std::vector<std::string> words = words_of(graph);
  for (ir::ValueId id : graph.inputs) {
    const ir::ValueType& type = graph.value(id).type;
    tensor::Shape shape;
    for (const ir::Dim& dim : *type.dims) shape.push_back(dim.is_static() ? dim.value : dim.formula.evaluate(sizes));
    Tensor tensor(type.dtype, shape);
    // Integers are mostly positions or token numbers, where only small ones are sure to be valid.
    const bool wide = type.dtype == DType::kUint8 || type.dtype == DType::kInt8;
    const bool real = tensor::is_float(type.dtype), pixels = numbers == Numbers::kPixels && is_image(type);
    for (std::string& text : tensor.strings()) text = words[next(state) % words.size()];
    for (std::int64_t i = 0; i < tensor.num_elements() && type.dtype != DType::kString; ++i) {
      const std::uint64_t bits = next(state);
      if (pixels) tensor.set(i, static_cast<double>(bits & 255));
      else if (real) tensor.set(i, static_cast<double>(bits >> 40) / (1 << 23) - 1);
      else tensor.set(i, static_cast<double>(wide ? bits & 127 : bits & 1));
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

Verification::Output compare(std::string name, const Tensor& actual, const Tensor& expected, Exactness exactness) {
  const bool quantised = exactness == Exactness::kQuantised;
  const bool lower = exactness == Exactness::kFloat16 || exactness == Exactness::kBfloat16;
  Verification::Output result{std::move(name), 0, 0, 1, true};
  if (actual.dtype() != expected.dtype() || actual.shape() != expected.shape() || actual.dtype() == DType::kString) {
    result.matches = actual.dtype() == expected.dtype() && actual.shape() == expected.shape() &&
                     actual.strings() == expected.strings();
    return result;
  }
  const std::int64_t count = actual.num_elements();
  const bool real = tensor::is_float(actual.dtype());
  // In 16 bits the reference rounds after each operator and the engine only at the end: they differ by a few steps of the type.
  const double slack = real && tensor::size_of(actual.dtype()) < 4 ? 10 : 1;
  double largest = 0, dot = 0, norm_a = 0, norm_b = 0, norm_error = 0;
  for (std::int64_t i = 0; i < count; ++i)
    if (const double b = expected.as_double(i); std::isfinite(b)) largest = std::max(largest, std::abs(b));
  std::int64_t outliers = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double a = actual.as_double(i), b = expected.as_double(i);
    if (a == b || (std::isnan(a) && std::isnan(b))) {
      dot += std::isfinite(a) ? a * b : 0, norm_a += std::isfinite(a) ? a * a : 0,
          norm_b += std::isfinite(b) ? b * b : 0;
      continue;
    }
    const double error = std::abs(a - b);
    if (!std::isfinite(error)) {
      ++outliers;
      norm_error = INFINITY;
      result.max_abs_error = std::max(result.max_abs_error, largest);
      continue;
    }
    norm_error += error * error;
    dot += a * b, norm_a += a * a, norm_b += b * b;
    result.max_abs_error = std::max(result.max_abs_error, error);
    result.max_rel_error =
        std::max(result.max_rel_error, error / std::max(std::abs(b), 1e-3 * std::max(largest, 1e-30)));
    outliers += !real || error > slack * (kAbsolute * std::max(1.0, largest) + kRelative * std::abs(b));
  }
  if (norm_a > 0 && norm_b > 0) result.cosine = dot / std::sqrt(norm_a * norm_b);
  const double share = count == 0 ? 0 : static_cast<double>(outliers) / static_cast<double>(count);
  if (!real) result.matches = share <= 1 - (quantised || lower ? kMinEqualQuantised : kMinEqualIntegers);
  else if (lower) {
    const double least = exactness == Exactness::kFloat16 ? kMinCosineFloat16 : kMinCosineBfloat16;
    const bool finite = std::isfinite(norm_error);
    result.matches = finite && (result.cosine >= least || result.max_abs_error <= kSmallLower * std::max(1.0, largest));
  }
  else if (quantised) result.matches = result.cosine >= kMinCosineQuantised || share <= kOutliers;
  else {
    const bool amplified =
        norm_error <= kAmplifiedNorm * kAmplifiedNorm * norm_b && result.max_abs_error <= kAmplifiedLargest * largest;
    result.matches = amplified || (share <= kOutliers && (result.cosine >= kMinCosine || outliers == 0));
  }
  return result;
}

namespace {

// A value for each symbol, and what to call it in messages.
struct Point {
  std::string name;
  std::map<std::string, std::int64_t> sizes;
  double growth = 1;  // elements of the inputs, over those at the optimum
};

std::vector<Point> points_of(const ir::Graph& graph) {
  std::map<std::string, tensor::Symbol> symbols;
  for (ir::ValueId id : graph.inputs)
    for (const ir::Dim& dim : *graph.value(id).type.dims)
      for (const tensor::Symbol& symbol : dim.formula.symbols()) symbols.emplace(symbol.name, symbol);
  using Choose = std::int64_t (*)(const tensor::Symbol&);
  const Choose choices[] = {[](const tensor::Symbol& s) { return s.opt; }, [](const tensor::Symbol& s) { return s.min; },
                            [](const tensor::Symbol& s) { return std::clamp((s.min + s.opt) / 2 | 1, s.min, s.max); },
                            [](const tensor::Symbol& s) { return s.max; }};
  std::vector<Point> points;
  for (Choose choose : choices) {
    Point point;
    for (const auto& [name, symbol] : symbols) {
      point.sizes[name] = choose(symbol);
      point.name += fmt::format("{}{}={}", point.name.empty() ? " at " : ", ", name, choose(symbol));
    }
    double now = 0, then = 0;
    for (ir::ValueId id : graph.inputs) {
      const tensor::Size count = tensor::num_elements(graph.value(id).type.sizes());
      now += static_cast<double>(count.evaluate([&](const std::string& name) { return point.sizes.at(name); }));
      then += static_cast<double>(count.opt());
    }
    point.growth = now / std::max(then, 1.0);
    if (std::ranges::none_of(points, [&](const Point& known) { return known.sizes == point.sizes; })) points.push_back(std::move(point));
  }
  return points;
}

// Those at which the reference is evaluated, the optimum first.
std::vector<Point> chosen_points(const ir::Graph& graph, double flops) {
  std::vector<Point> points = points_of(graph);
  const auto too_much = [&](const Point& point) { return flops * point.growth * point.growth > kMaxReferenceFlops; };
  if (!points.empty()) points.erase(std::remove_if(points.begin() + 1, points.end(), too_much), points.end());
  return points;
}

}  // namespace

double verification_share(const ir::Graph& original, double flops) {
  double share = 0;
  for (const Point& point : chosen_points(original, flops)) share += point.growth;
  return share;
}

void merge(Verification::Output& into, const Verification::Output& other) {
  if (into.matches && !other.matches) into.name = other.name;
  into.matches = into.matches && other.matches;
  into.max_abs_error = std::max(into.max_abs_error, other.max_abs_error);
  into.max_rel_error = std::max(into.max_rel_error, other.max_rel_error);
  into.cosine = std::min(into.cosine, other.cosine);
}

namespace {

// What the engine is compared with at one point.
struct Trial {
  Point point;
  std::vector<Tensor> inputs;
  std::string key;  // of the reference's outputs
};

std::vector<Trial> trials_of(const ir::Graph& original, double flops, Numbers numbers, const ReferenceCache& references) {
  std::vector<Trial> trials;
  std::vector<std::string> keys;
  for (Point& point : chosen_points(original, flops)) {
    Trial& trial = trials.emplace_back();
    trial.inputs = random_inputs(original, kSeed, [&](const std::string& name) { return point.sizes.at(name); }, numbers);
    trial.point = std::move(point);
    keys.push_back(trial.key = references.key(original, trial.inputs));
  }
  references.prepare(keys);
  return trials;
}

Result<std::vector<Tensor>> reference_outputs(const ir::Graph& original, const Trial& trial, const ReferenceCache& references,
                                              Verification& verification) {
  ++verification.references;
  if (auto known = references.find(trial.key)) {
    ++verification.references_known;
    return *std::move(known);
  }
  const auto started = std::chrono::steady_clock::now();
  std::vector<Value> values;
  for (const Tensor& input : trial.inputs) values.emplace_back(input);
  XI_TRY(const std::vector<Value> outputs, forge::reference::evaluate(original, values));
  std::vector<const Tensor*> tensors;
  for (const Value& value : outputs) add_tensors(value, tensors);
  verification.reference_ms += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started).count();
  references.keep(trial.key, tensors);
  std::vector<Tensor> expected;
  for (const Tensor* tensor : tensors) expected.push_back(*tensor);
  return expected;
}

Result<Verification> verify_with(const ir::Graph& original, const std::shared_ptr<const engine::Engine>& engine, const std::string& machine,
                                 Exactness exactness, Numbers numbers, const ReferenceCache& references) {
  double flops = 0;
  for (const engine::Launch& launch : engine->plan().launches) flops += launch.flops;
  Verification verification;
  for (const Trial& trial : trials_of(original, flops, numbers, references)) {
    const auto expected = reference_outputs(original, trial, references, verification);
    if (!expected) return not_run("not verified: the reference cannot be evaluated: " + expected.error().text());
    std::vector<const Tensor*> pointers;
    for (const Tensor& input : trial.inputs) pointers.push_back(&input);
    XI_TRY(const std::vector<Tensor> actual, runtime::run_once(engine, pointers));
    if (actual.size() != expected->size())
      return fail(Code::kInternal, "the engine has {} outputs, the model {}", actual.size(), expected->size());
    verification.ran = true;
    verification.device = machine;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      const std::string& name = engine->plan().outputs[i].name;
      Verification::Output output = compare(name, actual[i], (*expected)[i], exactness);
      if (!output.matches) output.name = name + trial.point.name;
      if (verification.outputs.size() <= i) verification.outputs.push_back(std::move(output));
      else merge(verification.outputs[i], output);
    }
  }
  return verification;
}

}  // namespace

void add_verification(Verification& into, const Verification& of_profile) {
  for (std::size_t i = 0; i < of_profile.outputs.size(); ++i) merge(into.outputs[i], of_profile.outputs[i]);
  into.references += of_profile.references;
  into.references_known += of_profile.references_known;
  into.reference_ms += of_profile.reference_ms;
}

Result<Verification> verify_engine(const ir::Graph& original, std::shared_ptr<const engine::Engine> engine, const ReferenceCache& references) {
  const engine::Manifest manifest = engine->manifest();
  const std::string& architecture = manifest.architecture;
  auto machine = runtime::machine_name(architecture);
  if (!machine) return not_run("not verified on device: this machine does not run " + architecture);
  if (is_random(original)) return not_run("not verified: the model draws random numbers");
  const std::string& precision = manifest.precision;
  const Exactness exactness = is_quantised(original)  ? Exactness::kQuantised
                              : precision == "fp16" ? Exactness::kFloat16
                              : precision == "bf16" ? Exactness::kBfloat16
                                                    : Exactness::kFull;
  XI_TRY(Verification verification, verify_with(original, engine, *machine, exactness, Numbers::kUnit, references));
  const bool images = std::ranges::any_of(original.inputs, [&](ir::ValueId id) { return is_image(original.value(id).type); });
  const bool near = std::ranges::all_of(verification.outputs, [](const Verification::Output& output) { return output.matches || output.cosine >= kMinCosineAmplified; });
  if (!verification.ran || verification.passed() || !images || !near) return verification;
  XI_TRY(Verification pixels, verify_with(original, engine, *machine, exactness, Numbers::kPixels, references));
  if (!pixels.ran || !pixels.passed()) return verification;
  pixels.reason = "on pixels from 0 to 255, since it amplifies the rounding of numbers in [-1, 1]";
  return pixels;
}

namespace {

// Of the inputs that the plan has.
void take_ranges(const engine::Plan& plan, onnx::ImportOptions& options) {
  options.multiple = 1;
  for (const auto& input : plan.inputs) {
    std::vector<tensor::Symbol>& ranges = options.input_ranges[input.name];
    ranges = tensor::fixed_ranges(input.shape);
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const auto size = input.shape[i] < 0 ? engine::find_size(plan, input.symbols[i]) : std::nullopt;
      if (!size || size->symbols().size() != 1) continue;
      const tensor::Symbol symbol = size->symbols()[0];
      ranges[i] = {symbol.name, size->min(), size->opt(), size->max()};
      options.multiple = std::max(options.multiple, size->max() / std::max<std::int64_t>(symbol.max, 1));
    }
  }
}

}  // namespace

Result<Verification> verify(const std::filesystem::path& onnx, std::shared_ptr<const engine::Engine> engine,
                            const std::map<std::string, tensor::Tensor>& input_values, const FileExchange& exchange) {
  XI_TRY(const std::string digest, base::sha256_file(onnx));
  if (digest != engine->manifest().model_digest)
    return fail(Code::kInvalidArgument, "the engine was built from another file than {}: their digests differ", onnx.string());
  XI_TRY(FixedInputs fixed, read_fixed_inputs(engine->manifest().report, input_values));
  const ReferenceCache references(exchange, digest, fixed);
  onnx::ImportOptions import_options;
  import_options.input_values = std::move(fixed.values);
  import_options.empty_inputs = std::move(fixed.empty);
  Verification verification;
  std::vector<const engine::Plan*> plans{&engine->plan()};
  for (const engine::Plan& profile : engine->plan().profiles) plans.push_back(&profile);
  for (const engine::Plan* plan : plans) {
    take_ranges(*plan, import_options);
    XI_TRY(const ir::Graph original, onnx::import_model(onnx, import_options));
    if (original.inputs.size() != plan->inputs.size())
      return fail(Code::kInvalidArgument, "the engine has {} inputs, the model {}", plan->inputs.size(), original.inputs.size());
    XI_TRY(Verification found, verify_engine(original, engine, references));
    if (plan == plans.front()) verification = std::move(found);
    else add_verification(verification, found);
    if (!verification.ran) break;
  }
  return verification;
}

}  // namespace xinfer::compiler
