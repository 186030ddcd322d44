#include "generator.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ir/operator.h"
#include "passes/pass.h"
#include "schedule/schedule.h"
#include "target/registry.h"

namespace xinfer::fuzz {
namespace {

namespace proto = onnx::proto;

constexpr double kWild = 1000;            // values beyond are given out, but not computed with
constexpr std::int64_t kMaxElements = 20000;

bool is_number(double x, double step) { return x * step == std::floor(x * step); }

// Few enough bits that sums and products of such values are exact in the type.
bool is_exact(const Tensor& tensor) {
  if (!tensor::is_float(tensor.dtype())) return true;
  const bool narrow = tensor::size_of(tensor.dtype()) < 4;
  const double step = narrow ? 16 : 4096, largest = narrow ? 8 : 2048;
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i)
    if (const double x = tensor.as_double(i); !std::isfinite(x) || std::abs(x) > largest || !is_number(x, step)) return false;
  return true;
}

bool is_wild(const Tensor& tensor) {
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i)
    if (const double x = tensor.as_double(i); !std::isfinite(x) || std::abs(x) > kWild) return true;
  return false;
}

void set_type(proto::ValueInfoProto& info, const std::string& name, DType dtype, const Dims& dims) {
  info.set_name(name);
  auto* tensor = info.mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(static_cast<int>(dtype));
  auto* shape = tensor->mutable_shape();
  for (const ir::Dim& dim : dims) {
    if (dim.is_static()) shape->add_dim()->set_dim_value(dim.value);
    else shape->add_dim()->set_dim_param(dim.formula.as_symbol()->name);
  }
}

void write_tensor(proto::TensorProto& message, const std::string& name, const Tensor& tensor) {
  message.set_name(name);
  message.set_data_type(static_cast<int>(tensor.dtype()));
  for (std::int64_t size : tensor.shape()) message.add_dims(size);
  message.set_raw_data(tensor.bytes().data(), tensor.size_bytes());
}

const target::CpuIsa& host_isa() {
  static const auto* row = target::find_canonical(target::parse("host")->architecture());
  return *row->isa;
}

}  // namespace

const std::vector<Entry>& recipes() {
  static const std::vector<Entry> kEntries = [] {
    std::vector<Entry> entries;
    add_elementwise(entries);
    add_movement(entries);
    add_contractions(entries);
    add_others(entries);
    return entries;
  }();
  return kEntries;
}

Generator::Generator(std::uint64_t seed, Statistics& statistics) : random_(seed), statistics_(statistics) {
  opset_ = pick({9, 11, 12, 13, 14, 17, 18, 19, 20, 21, 22, 23});
  zero_sizes_ = chance(15);
  model_.proto.set_ir_version(8);
  model_.proto.add_opset_import()->set_version(opset_);
  auto* microsoft = model_.proto.add_opset_import();
  microsoft->set_domain("com.microsoft"), microsoft->set_version(1);
  model_.proto.mutable_graph()->set_name("random_" + std::to_string(seed));
  if (chance(40)) {
    for (const char* name : {"N", "M"}) {
      tensor::Symbol symbol{.name = name, .min = between(1, 3)};
      symbol.opt = symbol.min + below(8), symbol.max = symbol.opt + 1 + below(8);
      model_.symbols.push_back(symbol);
    }
    model_.samples.resize(4);
    for (const auto& s : model_.symbols) {
      const std::int64_t sizes[] = {s.opt, s.min, s.max, between(s.min, s.max)};
      for (std::size_t i = 0; i < 4; ++i) model_.samples[i].sizes[s.name] = sizes[i];
    }
  } else {
    model_.samples.resize(1);
  }
}

DType Generator::real_type() {
  const auto at = below(100);
  return at < 80 ? DType::kFloat32 : at < 88 ? DType::kFloat16 : at < 94 ? DType::kBfloat16 : DType::kFloat64;
}

DType Generator::number_type() {
  if (chance(55)) return real_type();
  return pick({DType::kInt64, DType::kInt64, DType::kInt32, DType::kInt32, DType::kInt8, DType::kUint8, DType::kInt16, DType::kUint16,
               DType::kUint32, DType::kUint64});
}

std::int64_t Generator::random_size() {
  const auto at = below(100);
  if (zero_sizes_ && at < 8) return 0;
  if (at < 25) return 1;
  if (at < 88) return between(2, 6);
  return pick<std::int64_t>({7, 8, 9, 15, 16, 17, 24, 31, 32, 33});
}

Dims Generator::random_dims(std::int64_t rank) {
  Dims dims;
  std::int64_t count = 1;
  for (std::int64_t i = 0; i < rank; ++i) {
    std::int64_t size = random_size();
    if (count * size > 4000) size = 1;
    count *= std::max<std::int64_t>(size, 1);
    if (!model_.symbols.empty() && chance(35)) dims.emplace_back(tensor::Size(model_.symbols[static_cast<std::size_t>(below(2))]));
    else dims.emplace_back(size);
  }
  return dims;
}

bool Generator::is_spellable(const Dims& dims) {
  return std::ranges::all_of(dims, [](const ir::Dim& dim) {
    return dim.is_static() || (dim.is_known() && dim.formula.as_symbol() && dim.formula.as_symbol()->name.size() == 1);
  });
}

bool Generator::is_static(const Dims& dims) {
  return std::ranges::all_of(dims, [](const ir::Dim& dim) { return dim.is_static(); });
}

Tensor Generator::filled(DType dtype, const tensor::Shape& shape, Content content) {
  Tensor tensor(dtype, shape);
  const bool real = tensor::is_float(dtype), sign = real || tensor::is_signed(dtype);
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i) {
    double value = 0;
    switch (content) {
      case Content::kBool: value = static_cast<double>(below(2)); break;
      case Content::kSmall: value = static_cast<double>(below(4)); break;
      case Content::kPositive: value = static_cast<double>(between(1, real ? 32 : 4)) / (real ? 8 : 1); break;
      case Content::kGrid: value = static_cast<double>(between(sign ? -24 : 0, 24)) / (real ? 8 : 4); break;
    }
    tensor.set(i, real ? value : std::trunc(value));
  }
  return tensor;
}

Operand Generator::constant(const Tensor& tensor) {
  Operand made{new_name("c"), ir::ValueType::of(tensor.dtype(), tensor.shape()), true, false};
  write_tensor(*model_.proto.mutable_graph()->add_initializer(), made.name, tensor);
  return made;
}

Operand Generator::fresh(DType dtype, const Dims& dims, Content content) {
  if (dtype == DType::kBool) content = Content::kBool;
  Operand made;
  if (is_static(dims) && chance(40)) {
    tensor::Shape shape;
    for (const ir::Dim& dim : dims) shape.push_back(dim.value);
    made = constant(filled(dtype, shape, content));
  } else {
    made = {new_name("x"), {ir::ValueType::Kind::kTensor, dtype, dims}, true, false};
    set_type(*model_.proto.mutable_graph()->add_input(), made.name, dtype, dims);
    for (Sample& sample : model_.samples) {
      tensor::Shape shape;
      for (const ir::Dim& dim : dims) shape.push_back(dim.is_static() ? dim.value : dim.formula.evaluate(sample.values()));
      sample.inputs[made.name] = filled(dtype, shape, content);
    }
  }
  operands_.push_back(made);
  return made;
}

Operand Generator::operand(DType dtype, std::int64_t min_rank, std::int64_t max_rank) {
  const bool exact = rounding == Rounding::kSteep || rounding == Rounding::kJumps;
  std::vector<const Operand*> fit;
  for (const Operand& o : operands_)
    if (o.dtype() == dtype && o.type.is_known() && !o.wild && (o.exact || !exact) && o.rank() >= min_rank && o.rank() <= max_rank) fit.push_back(&o);
  if (!fit.empty() && chance(70)) return *fit[static_cast<std::size_t>(below(static_cast<std::int64_t>(fit.size())))];
  return fresh(dtype, random_dims(between(min_rank, std::min<std::int64_t>(max_rank, chance(90) ? 4 : 6))));
}

Operand Generator::partner(const Operand& other, Content content) {
  if (chance(25)) {
    std::vector<const Operand*> same;
    for (const Operand& o : operands_)
      if (o.type == other.type && !o.wild && (o.exact || rounding == Rounding::kSmooth || rounding == Rounding::kExact)) same.push_back(&o);
    if (!same.empty() && content == Content::kGrid) return *same[static_cast<std::size_t>(below(static_cast<std::int64_t>(same.size())))];
  }
  Dims dims = other.dims();
  for (ir::Dim& dim : dims) {
    if (chance(25) || !is_spellable({dim})) dim = ir::Dim(1);
    else if (dim.is_static() && dim.value == 1 && chance(30)) dim = ir::Dim(between(2, 5));
  }
  if (chance(25)) dims.erase(dims.begin(), dims.begin() + below(static_cast<std::int64_t>(dims.size()) + 1));
  else if (dims.size() < 5 && chance(15)) dims.insert(dims.begin(), ir::Dim(between(1, 3)));
  return fresh(other.dtype(), dims, content);
}

void Generator::node(const std::string& op, const std::vector<Operand>& inputs, int num_outputs, const std::string& domain) {
  node_ = model_.proto.mutable_graph()->add_node();
  node_->set_op_type(op);
  node_->set_domain(domain);
  for (const Operand& input : inputs) node_->add_input(input.name);
  for (int i = 0; i < num_outputs; ++i) node_->add_output(new_name("v"));
  node_inputs_ = inputs;
}

void Generator::set(const std::string& name, std::int64_t value) {
  auto* attribute = node_->add_attribute();
  attribute->set_name(name), attribute->set_type(proto::AttributeProto::INT), attribute->set_i(value);
}
void Generator::set(const std::string& name, float value) {
  auto* attribute = node_->add_attribute();
  attribute->set_name(name), attribute->set_type(proto::AttributeProto::FLOAT), attribute->set_f(value);
}
void Generator::set(const std::string& name, const std::string& value) {
  auto* attribute = node_->add_attribute();
  attribute->set_name(name), attribute->set_type(proto::AttributeProto::STRING), attribute->set_s(value);
}
void Generator::set(const std::string& name, const std::vector<std::int64_t>& values) {
  auto* attribute = node_->add_attribute();
  attribute->set_name(name), attribute->set_type(proto::AttributeProto::INTS);
  for (std::int64_t value : values) attribute->add_ints(value);
}
void Generator::axes(const std::vector<std::int64_t>& values, int input_since, const std::string& attribute) {
  if (opset_ < input_since) return set(attribute, values);
  node_->add_input(ints(values).name);
}

Model Generator::run(int num_nodes) {
  for (int tries = 0; model_.proto.graph().node_size() < num_nodes && tries < 10 * num_nodes; ++tries) try_recipe();
  choose_outputs();
  return std::move(model_);
}

void Generator::try_recipe() {
  const Mark mark{model_.proto.graph().node_size(), model_.proto.graph().input_size(), model_.proto.graph().initializer_size(),
                  operands_.size(), next_};
  const Entry& entry = recipes()[static_cast<std::size_t>(below(static_cast<std::int64_t>(recipes().size())))];
  rounding = Rounding::kSmooth;
  node_ = nullptr;
  if (entry.make(*this, entry.op) && node_ && accept(entry.op)) ++statistics_.kept[entry.op];
  else roll_back(mark);
}

void Generator::roll_back(const Mark& mark) {
  auto& graph = *model_.proto.mutable_graph();
  for (int i = mark.inputs; i < graph.input_size(); ++i)
    for (Sample& sample : model_.samples) sample.inputs.erase(graph.input(i).name());
  graph.mutable_node()->DeleteSubrange(mark.nodes, graph.node_size() - mark.nodes);
  graph.mutable_input()->DeleteSubrange(mark.inputs, graph.input_size() - mark.inputs);
  graph.mutable_initializer()->DeleteSubrange(mark.initializers, graph.initializer_size() - mark.initializers);
  operands_.resize(mark.operands);
  next_ = mark.next;
}

bool Generator::accept(const std::string& op) {
  auto& graph = *model_.proto.mutable_graph();
  graph.clear_output();
  for (const std::string& name : node_->output()) graph.add_output()->set_name(name);
  auto refuse = [&](const base::Error& error) {
    ++statistics_.refused[op];
    ++statistics_.reasons[op + ": " + error.message.substr(0, 120)];
    return false;
  };
  const bool exact_inputs = std::ranges::all_of(node_inputs_, [](const Operand& o) { return o.exact || o.name.empty(); });
  if ((rounding == Rounding::kSteep || rounding == Rounding::kJumps) && !exact_inputs) return false;
  const auto imported = import(model_);
  if (!imported) return refuse(imported.error());
  std::vector<Operand> made;
  for (ir::ValueId id : imported->outputs) {
    made.push_back({imported->value(id).name, imported->value(id).type, exact_inputs && rounding != Rounding::kSmooth && rounding != Rounding::kSteep, false});
    if (made.back().type.kind != ir::ValueType::Kind::kTensor || made.back().dtype() == DType::kString) return false;
  }
  for (const Sample& sample : model_.samples) {
    const auto values = evaluate(*imported, sample);
    if (!values) return refuse(values.error());
    for (Operand& operand : made) {
      const Tensor& tensor = *values->at(operand.name).tensor;
      if (tensor.num_elements() > kMaxElements) return false;
      operand.exact = operand.exact && is_exact(tensor);
      operand.wild = operand.wild || is_wild(tensor);
    }
  }
  if (!schedules(*imported, op)) return false;
  for (Operand& operand : made) {
    if (operand.exact) model_.exact.insert(operand.name);
    operands_.push_back(std::move(operand));
  }
  return true;
}

// Whether passes and scheduler take the node with all that it is computed from. Errors of their own are found here already.
bool Generator::schedules(const ir::Graph& graph, const std::string& op) {
  ir::Graph changed = graph;
  auto failed = [&](const base::Error& error) {
    if (error.code == base::Code::kInternal) statistics_.broken.push_back(error.text() + "\n" + ir::print(graph));
    ++statistics_.unsupported[op];
    ++statistics_.reasons[op + ": " + error.message.substr(0, 120)];
    return false;
  };
  if (auto ran = passes::run_pipeline(changed); !ran) return failed(ran.error());
  if (auto schedule = schedule::make_schedule(changed, host_isa(), {2}); !schedule) return failed(schedule.error());
  return true;
}

void Generator::choose_outputs() {
  auto& graph = *model_.proto.mutable_graph();
  std::set<std::string> read;
  for (const auto& node : graph.node()) read.insert(node.input().begin(), node.input().end());
  graph.clear_output();
  for (const auto& node : graph.node())
    for (const std::string& name : node.output())
      if (!read.contains(name) || chance(20)) graph.add_output()->set_name(name);
}

}  // namespace xinfer::fuzz
