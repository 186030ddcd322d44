#include "onnx/graph_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "ir/bounds.h"
#include "ir/constraints.h"
#include "ir/elements.h"

namespace xinfer::onnx {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Dim;
using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::Tensor;
using ir::ValueId;
using ir::ValueType;
using tensor::DType;

constexpr int kMaxTypeDepth = 8;

/// Where names are looked up: a graph's own, or a function's formal ones inside the graph that it is inlined in.
struct Scope {
  Graph& graph;
  Names& value_names;  // all in use in `graph`
  const Opsets& opsets;
  Scope* outer = nullptr;  // the graph around a subgraph; null for the main graph and for functions
  std::string prefix;      // of names inside an inlined function
  const std::map<std::string, const proto::AttributeProto*>* arguments = nullptr;  // a function's attributes
  std::unordered_map<std::string, ValueId> names;
  int graph_depth = 0, function_depth = 0;
};

// "?" and the like stand for sizes that have nothing to do with each other.
bool is_name(const std::string& text) {
  return std::ranges::any_of(text, [](unsigned char c) { return std::isalnum(c) != 0; });
}

Result<ValueType> read_type(const proto::TypeProto& message, int depth = 0) {
  if (depth > kMaxTypeDepth) return fail(Code::kLimit, "types nest deeper than {}", kMaxTypeDepth);
  ValueType type;
  if (message.has_sequence_type() || message.has_optional_type()) {
    const bool sequence = message.has_sequence_type();
    XI_TRY(type, read_type(sequence ? message.sequence_type().elem_type() : message.optional_type().elem_type(), depth + 1));
    type.kind = sequence ? ValueType::Kind::kSequence : ValueType::Kind::kOptional;
    return type;
  }
  if (message.has_map_type()) return fail(Code::kUnsupported, "maps as values");
  if (message.has_sparse_tensor_type()) return fail(Code::kUnsupported, "sparse tensors as values");
  if (!message.has_tensor_type()) return type;
  if (message.tensor_type().elem_type() != 0) {
    XI_TRY(type.dtype, dtype_from(message.tensor_type().elem_type()));
  }
  if (!message.tensor_type().has_shape()) return type;
  const auto& dims = message.tensor_type().shape().dim();
  if (dims.size() > kMaxRank) return fail(Code::kLimit, "rank {} exceeds the limit of {}", dims.size(), kMaxRank);
  type.dims.emplace();
  for (const auto& dim : dims) {
    if (dim.has_dim_value() && dim.dim_value() >= 0) type.dims->emplace_back(dim.dim_value());
    else type.dims->push_back(is_name(dim.dim_param()) ? Dim(dim.dim_param()) : Dim());
  }
  return type;
}

class Builder {
 public:
  explicit Builder(ImportState& state) : state_(state) {}

  Result<Graph> main_graph(const proto::GraphProto& message, const Opsets& opsets) {
    Graph graph;
    Names names;
    Scope scope{graph, names, opsets};
    if (state_.options.survey != nullptr)
      for (const auto& value : message.value_info()) declared_.emplace(value.name(), &value.type());
    XI_CHECK(fill(message, scope));
    return graph;
  }

 private:
  // --- names -------------------------------------------------------------------------------------------------------

  Result<void> bind(Scope& scope, const std::string& name, ValueId id) {
    if (!scope.names.emplace(name, id).second) return fail(Code::kCorrupt, "the name '{}' is given to two values", name);
    return {};
  }

  Result<ValueId> define(Scope& scope, const std::string& name, ValueType type) {
    if (name.empty()) return fail(Code::kCorrupt, "a value without a name");
    const ValueId id = scope.graph.add_value(make_unique(scope.value_names, scope.prefix + name), std::move(type));
    XI_CHECK(bind(scope, name, id));
    return id;
  }

  Result<ValueId> define_constant(Scope& scope, const std::string& name, Tensor tensor) {
    state_.constant_bytes += tensor.size_bytes();
    for (const std::string& text : tensor.strings()) state_.constant_bytes += text.size();
    if (state_.constant_bytes > state_.options.limits.constant_bytes)
      return fail(Code::kLimit, "the constants exceed the limit of {} bytes (constant_bytes)", state_.options.limits.constant_bytes);
    XI_TRY(const ValueId id, define(scope, name, ValueType::of(tensor.dtype(), tensor.shape())));
    scope.graph.value(id).constant = std::make_shared<const Tensor>(std::move(tensor));
    return id;
  }

  // The value, taken in from the graphs around where necessary; kNoValue when nobody has it.
  ValueId resolve(Scope& scope, const std::string& name) {
    if (auto found = scope.names.find(name); found != scope.names.end()) return found->second;
    if (scope.outer == nullptr) return kNoValue;
    const ValueId outside = resolve(*scope.outer, name);
    if (outside == kNoValue) return kNoValue;
    const ir::Value& value = scope.outer->graph.value(outside);
    for (const auto& [id, outer_name] : scope.graph.captures)
      if (outer_name == value.name) return scope.names[name] = id;
    const ValueId id = scope.graph.add_value(make_unique(scope.value_names, value.name), value.type);
    scope.graph.value(id).constant = value.constant;
    scope.graph.captures.emplace(id, value.name);
    return scope.names[name] = id;
  }

  // --- graphs ------------------------------------------------------------------------------------------------------

  Result<void> fill(const proto::GraphProto& message, Scope& scope) {
    scope.graph.name = message.name();
    for (const auto& tensor : message.initializer()) {
      auto value = from_proto(tensor, state_.folder);
      if (!value) return std::unexpected(std::move(value).error().in("initialiser '" + tensor.name() + "'"));
      XI_TRY(const ValueId id, define_constant(scope, tensor.name(), std::move(*value)));
      static_cast<void>(id);
    }
    for (const auto& tensor : message.sparse_initializer()) {
      auto value = from_proto(tensor, state_.folder);
      if (!value) return std::unexpected(std::move(value).error().in("initialiser '" + tensor.values().name() + "'"));
      XI_TRY(const ValueId id, define_constant(scope, tensor.values().name(), std::move(*value)));
      static_cast<void>(id);
    }
    XI_CHECK(add_inputs(message, scope));
    XI_CHECK(add_nodes(message.node(), scope));
    return add_outputs(message, scope);
  }

  Result<void> add_inputs(const proto::GraphProto& message, Scope& scope) {
    for (const auto& input : message.input()) {
      // Before IR version 4 initialisers had to be listed as inputs too: they are constants, not inputs.
      auto known = scope.names.find(input.name());
      if (known != scope.names.end() && scope.graph.is_constant(known->second)) continue;
      auto type = read_type(input.type());
      if (!type) return std::unexpected(std::move(type).error().in("input '" + input.name() + "'"));
      if (scope.outer == nullptr && type->dtype == DType::kUndefined) return fail(Code::kCorrupt, "input '{}' has no element type", input.name());
      XI_TRY(const ValueId id, define(scope, input.name(), std::move(*type)));
      scope.graph.inputs.push_back(id);
    }
    if (scope.outer == nullptr) {
      XI_CHECK(take_inputs_apart(scope));
      XI_CHECK(apply_input_shapes(scope));
      XI_CHECK(apply_input_values(scope));
    }
    for (ValueId id : scope.graph.inputs) {
      auto fits = ir::check_size(scope.graph.value(id).type);
      if (!fits) return std::unexpected(std::move(fits).error().in("input '" + scope.graph.value(id).name + "'"));
    }
    return {};
  }

  bool is_given(const std::string& name) const {
    const ImportOptions& options = state_.options;
    return options.input_shapes.contains(name) || options.input_ranges.contains(name) || options.input_values.contains(name);
  }

  // Sequences and optionals whose elements are given: these are the inputs then, and nodes put them together again.
  Result<void> take_inputs_apart(Scope& scope) {
    Graph& graph = scope.graph;
    for (const std::string& name : state_.options.empty_inputs)
      if (std::ranges::none_of(graph.inputs, [&](ValueId id) { return graph.value(id).name == name && graph.value(id).type.kind != ValueType::Kind::kTensor; }))
        return fail(Code::kInvalidArgument, "'{}' is no sequence or optional that could be empty; the inputs are {}", name, input_names(graph));
    std::vector<ValueId> inputs;
    for (ValueId whole : graph.inputs) {
      const std::string name = graph.value(whole).name;
      ValueType type = graph.value(whole).type;
      const bool optional = type.kind == ValueType::Kind::kOptional, empty = state_.options.empty_inputs.contains(name);
      std::vector<std::string> elements;
      while (is_given(ir::element_name(name, elements.size()))) elements.push_back(ir::element_name(name, elements.size()));
      const bool content = optional && elements.empty() && is_given(name);
      if (type.kind == ValueType::Kind::kTensor || (elements.empty() && !content && !empty)) {
        inputs.push_back(whole);
        continue;
      }
      if (empty && (content || !elements.empty()))
        return fail(Code::kInvalidArgument, "input '{}' is said to be empty, and shapes or values are given for it", name);
      if (content) {
        elements.push_back(name);
        graph.value(whole).name = make_unique(scope.value_names, name);
      }
      type.kind = ValueType::Kind::kTensor;
      // Each element has sizes of its own: the names of a sequence's dimensions say nothing.
      for (std::size_t i = 0; !content && type.dims && i < type.dims->size(); ++i)
        if (!(*type.dims)[i].is_static()) (*type.dims)[i] = Dim();
      std::vector<ValueId> parts;
      for (const std::string& element : elements) parts.push_back(graph.add_value(content ? element : make_unique(scope.value_names, element), type));
      inputs.insert(inputs.end(), parts.begin(), parts.end());
      XI_CHECK(put_input_together(scope, whole, std::move(parts), optional && !content && !empty));
    }
    graph.inputs = std::move(inputs);
    return {};
  }

  Result<void> put_input_together(Scope& scope, ValueId whole, std::vector<ValueId> parts, bool holds_sequence) {
    Graph& graph = scope.graph;
    const ValueType type = graph.value(whole).type;
    auto sequence = [&](ValueId result) {
      Node node{parts.empty() ? "SequenceEmpty" : "SequenceConstruct", graph.value(whole).name, parts, {result}, {}};
      if (parts.empty()) node.attributes.set("dtype", static_cast<std::int64_t>(type.dtype));
      graph.nodes.push_back(std::move(node));
    };
    if (type.kind == ValueType::Kind::kSequence) {
      sequence(whole);
      return {};
    }
    if (holds_sequence) {
      const ValueId content = graph.add_value(make_unique(scope.value_names, graph.value(whole).name), {ValueType::Kind::kSequence, type.dtype, type.dims});
      sequence(content);
      parts = {content};
    }
    graph.nodes.push_back({"Optional", graph.value(whole).name, std::move(parts), {whole}, {}});
    return {};
  }

  Result<void> apply_input_values(Scope& scope) {
    for (const auto& [name, given] : state_.options.input_values) {
      const auto input = std::find_if(scope.graph.inputs.begin(), scope.graph.inputs.end(),
                                      [&](ValueId id) { return scope.graph.value(id).name == name; });
      if (input == scope.graph.inputs.end())
        return fail(Code::kInvalidArgument, "a value is given for '{}', which is not an input; the inputs are {}", name, input_names(scope.graph));
      ir::Value& value = scope.graph.value(*input);
      XI_TRY(Tensor tensor, as_type(given, value.type, name));
      value.type = ValueType::of(tensor.dtype(), tensor.shape());
      value.constant = std::make_shared<const Tensor>(std::move(tensor));
      scope.graph.inputs.erase(input);
    }
    return {};
  }

  // The given value in the input's element type and rank.
  static Result<Tensor> as_type(const Tensor& given, const ValueType& type, const std::string& name) {
    tensor::Shape shape = given.shape();
    if (type.dims && type.dims->empty() && given.num_elements() == 1) shape.clear();
    bool fits = type.kind == ValueType::Kind::kTensor && (!type.dims || type.dims->size() == shape.size());
    for (std::size_t i = 0; fits && type.dims && i < shape.size(); ++i) fits = !(*type.dims)[i].is_static() || (*type.dims)[i].value == shape[i];
    const bool strings = type.dtype == DType::kString;
    if (!fits || strings != (given.dtype() == DType::kString))
      return fail(Code::kInvalidArgument, "the value given for input '{}', {}{}, does not fit the model's {}", name, tensor::name(given.dtype()),
                  tensor::to_string(given.shape()), ir::to_string(type));
    if (given.dtype() == type.dtype || type.dtype == DType::kUndefined) return Tensor(given).reshaped(std::move(shape));
    Tensor tensor(type.dtype, shape);
    for (std::int64_t i = 0; i < given.num_elements(); ++i) tensor.set(i, given.as_double(i));
    return tensor;
  }

  // "1:4:32", or "4".
  static std::string range_text(const tensor::Symbol& range) {
    return range.min == range.max ? std::to_string(range.min) : fmt::format("{}:{}:{}", range.min, range.opt, range.max);
  }
  static std::string shape_text(const std::vector<tensor::Symbol>& dims) {
    std::vector<std::string> texts;
    for (const tensor::Symbol& range : dims) texts.push_back(range_text(range));
    return fmt::format("[{}]", fmt::join(texts, ","));
  }

  Dim ranged(tensor::Symbol range) const {
    const std::int64_t m = state_.options.multiple;
    if (m == 1 || range.min == range.max || range.min % m != 0 || range.opt % m != 0 || range.max % m != 0) return tensor::Size(range);
    range.min /= m, range.opt /= m, range.max /= m;
    return tensor::Size(range) * m;
  }

  // One name has one range in the whole model.
  static Result<void> bind(std::map<std::string, tensor::Symbol>& bound, const std::string& name, const tensor::Symbol& range) {
    auto [entry, fresh] = bound.emplace(name, range);
    if (fresh || range_text(entry->second) == range_text(range)) return {};
    return fail(Code::kInvalidArgument, "the given shapes need '{}' to be both {} and {}", name, range_text(entry->second), range_text(range));
  }

  Result<void> apply_input_shapes(Scope& scope) {
    std::map<std::string, std::vector<tensor::Symbol>> wanted = state_.options.input_ranges;
    for (const auto& [name, shape] : state_.options.input_shapes)
      wanted[name] = tensor::fixed_ranges(shape);
    std::map<std::string, tensor::Symbol> bound, named;  // by the model's names and by the user's
    for (auto& [name, ranges] : wanted) {
      const auto input = std::find_if(scope.graph.inputs.begin(), scope.graph.inputs.end(),
                                      [&](ValueId id) { return scope.graph.value(id).name == name; });
      if (input == scope.graph.inputs.end())
        return fail(Code::kInvalidArgument, "a shape is given for '{}', which is not an input; the inputs are {}", name, input_names(scope.graph));
      ValueType& type = scope.graph.value(*input).type;
      if (std::any_of(ranges.begin(), ranges.end(), [](const tensor::Symbol& range) { return range.min < 0; }))
        return fail(Code::kInvalidArgument, "the shape {} given for input '{}' has a negative size", shape_text(ranges), name);
      bool fits = !type.dims || type.dims->size() == ranges.size();
      std::vector<Dim> dims;
      for (std::size_t i = 0; fits && i < ranges.size(); ++i) {
        const Dim dim = type.dims ? (*type.dims)[i] : Dim();
        tensor::Symbol range = ranges[i];
        if (range.min > range.opt || range.opt > range.max)
          return fail(Code::kInvalidArgument, "the range {} given for input '{}' is not minimum:optimum:maximum", range_text(range), name);
        if (dim.value > 0 && (range.min != dim.value || range.max != dim.value)) fits = false;
        const tensor::Symbol* symbol = dim.formula.as_symbol();
        if (range.name.empty()) range.name = symbol ? symbol->name : tensor::symbol_name(fmt::format("{}_{}", name, i));
        if (symbol) XI_CHECK(bind(bound, symbol->name, range));
        XI_CHECK(bind(named, range.name, range));
        dims.push_back(ranged(range));
      }
      if (!fits)
        return fail(Code::kInvalidArgument, "the shape {} given for input '{}' does not fit the model's {}", shape_text(ranges),
                    name, ir::to_string(type));
      type.dims = std::move(dims);
    }
    for (ValueId id : scope.graph.inputs)
      if (auto& dims = scope.graph.value(id).type.dims)
        for (Dim& dim : *dims)
          if (const tensor::Symbol* symbol = dim.formula.as_symbol())
            if (auto range = bound.find(symbol->name); range != bound.end()) dim = ranged(range->second);
    return {};
  }

  static std::string input_names(const Graph& graph) {
    std::vector<std::string> names;
    for (ValueId id : graph.inputs) names.push_back("'" + graph.value(id).name + "'");
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
  }

  Result<void> add_nodes(const google::protobuf::RepeatedPtrField<proto::NodeProto>& nodes, Scope& scope) {
    XI_TRY(const std::vector<int> order, order_nodes(nodes));
    for (int index : order) {
      auto added = add_node(nodes.Get(index), scope);
      if (!added) return std::unexpected(std::move(added).error().in(describe(nodes.Get(index))));
    }
    return {};
  }

  Result<void> add_outputs(const proto::GraphProto& message, Scope& scope) {
    for (const auto& output : message.output()) {
      ValueId id = resolve(scope, output.name());
      if (id == kNoValue) return fail(Code::kCorrupt, "graph output '{}' is not produced by any node", output.name());
      // An output of the main graph is known by its name, so it needs a value of its own.
      const bool shared = scope.graph.is_output(id) || scope.graph.value(id).name != output.name();
      if (scope.outer == nullptr && shared) {
        const ValueId copy = scope.graph.add_value(make_unique(scope.value_names, output.name()), scope.graph.value(id).type);
        scope.graph.nodes.push_back({"Identity", output.name(), {id}, {copy}, {}});
        id = copy;
      }
      scope.graph.outputs.push_back(id);
    }
    return {};
  }

  // --- nodes -------------------------------------------------------------------------------------------------------

  Result<void> add_node(const proto::NodeProto& message, Scope& scope) {
    const ImportLimits& limits = state_.options.limits;
    if (++state_.nodes > limits.nodes) return fail(Code::kLimit, "more than {} nodes (nodes)", limits.nodes);
    if (static_cast<std::size_t>(message.input_size()) > limits.inputs_per_node ||
        static_cast<std::size_t>(message.output_size()) > limits.inputs_per_node)
      return fail(Code::kLimit, "more than {} inputs or outputs (inputs_per_node)", limits.inputs_per_node);
    const std::string domain = message.domain() == "ai.onnx" ? "" : message.domain();
    if (auto function = state_.functions.find({domain, message.op_type()}); function != state_.functions.end())
      return inline_function(message, *function->second, scope);
    if (domain.empty() && message.op_type() == "Constant") return add_constant(message, scope);

    Node node;
    node.op = domain.empty() ? message.op_type() : domain + "." + message.op_type();
    node.name = scope.prefix + message.name();
    XI_TRY(node.inputs, resolve_inputs(message, scope));
    XI_CHECK(add_attributes(message, scope, node));
    for (const std::string& name : message.output()) {
      if (name.empty()) {
        node.outputs.push_back(kNoValue);
        continue;
      }
      XI_TRY(const ValueId id, define(scope, name, {}));
      node.outputs.push_back(id);
    }
    while (!node.outputs.empty() && node.outputs.back() == kNoValue) node.outputs.pop_back();
    return finish_node(message, scope, domain, std::move(node));
  }

  Result<void> finish_node(const proto::NodeProto& message, Scope& scope, const std::string& domain, Node node) {
    const std::string stem = node.name.empty() && message.output_size() != 0 ? scope.prefix + message.output(0) : node.name;
    Emitter emitter(scope.graph, scope.value_names, stem, state_.typed);
    const std::vector<ValueId> inputs = node.inputs, outputs = node.outputs;
    XI_CHECK(replace(emitter, node));
    if (domain.empty()) {
      const std::int64_t opset = scope.opsets.find("")->second;
      if (const int since = ir::first_opset(node.op); since > opset)
        return refuse(fmt::format("{}: it came with opset {}, and the model is of opset {}", node.op, since, opset), stem, inputs, outputs, scope);
      auto upgraded = upgrade(emitter, node, static_cast<int>(opset));
      if (!upgraded && upgraded.error().code == Code::kUnsupported) return refuse(node.op + ": " + upgraded.error().message, stem, inputs, outputs, scope);
      XI_CHECK(upgraded);
    }
    const ir::OperatorInfo* info = ir::find_operator(node.op);
    if (info == nullptr) return refuse(node.op, stem, inputs, outputs, scope);
    // Shape rules may rely on the operator's least number of inputs.
    if (static_cast<int>(node.inputs.size()) < info->min_inputs || static_cast<int>(node.inputs.size()) > info->max_inputs)
      return fail(Code::kInvalidArgument, "{} inputs where the operator takes {} to {}", node.inputs.size(), info->min_inputs,
                  std::min(info->max_inputs, 4096));
    XI_CHECK(ir::check_constraints(scope.graph, node));
    if (auto added = emitter.add(std::move(node)); !added) {
      // Behind a cut types may be unknown where a rule needs them.
      if (state_.unknown.empty() || state_.options.survey == nullptr || scope.graph_depth != 0) return added;
      return cut(inputs, outputs, scope);
    }
    for (Node& extra : emitter.after) XI_CHECK(emitter.add(std::move(extra)));
    return {};
  }

  // All unsupported operators are reported together: the graph goes on without this one.
  Result<void> refuse(const std::string& what, const std::string& node, const std::vector<ValueId>& inputs, const std::vector<ValueId>& outputs, Scope& scope) {
    state_.unknown[what].push_back(node);
    Survey* survey = state_.options.survey;
    if (survey != nullptr) survey->unsupported[what].push_back(node);
    state_.typed = state_.typed && survey != nullptr && scope.graph_depth == 0;
    return state_.typed ? cut(inputs, outputs, scope) : Result<void>();
  }

  // Leaves a node out of the main graph.
  Result<void> cut(const std::vector<ValueId>& inputs, const std::vector<ValueId>& outputs, Scope& scope) {
    Survey* survey = state_.options.survey;
    for (ValueId id : outputs) {
      if (id == kNoValue) continue;
      ir::Value& value = scope.graph.value(id);
      if (auto type = declared_.find(value.name); type != declared_.end()) {
        XI_TRY(value.type, read_type(*type->second));
      }
      scope.graph.inputs.push_back(id);
      survey->cut_inputs.insert(value.name);
    }
    for (ValueId id : inputs) {  // what only this node reads must not be taken for dead
      if (id == kNoValue || scope.graph.is_constant(id) || scope.graph.is_output(id)) continue;
      scope.graph.outputs.push_back(id);
      survey->cut_outputs.insert(scope.graph.value(id).name);
    }
    return {};
  }

  Result<std::vector<ValueId>> resolve_inputs(const proto::NodeProto& message, Scope& scope) {
    std::vector<ValueId> inputs;
    for (const std::string& name : message.input()) {
      const ValueId id = name.empty() ? kNoValue : resolve(scope, name);
      if (id == kNoValue && !name.empty())
        return fail(Code::kCorrupt, "input '{}' is neither a graph input, an initialiser nor produced by a node", name);
      inputs.push_back(id);
    }
    while (!inputs.empty() && inputs.back() == kNoValue) inputs.pop_back();
    return inputs;
  }

  // The attribute that a function's node refers to, or the attribute itself; null when the caller gave none.
  static const proto::AttributeProto* argument(const proto::AttributeProto& attribute, const Scope& scope) {
    if (attribute.ref_attr_name().empty()) return &attribute;
    if (scope.arguments == nullptr) return nullptr;
    auto found = scope.arguments->find(attribute.ref_attr_name());
    return found == scope.arguments->end() ? nullptr : found->second;
  }

  Result<void> add_attributes(const proto::NodeProto& message, Scope& scope, Node& node) {
    for (const auto& given : message.attribute()) {
      const proto::AttributeProto* attribute = argument(given, scope);
      if (attribute == nullptr) continue;
      if (node.attributes.has(given.name())) return fail(Code::kCorrupt, "attribute '{}' is given twice", given.name());
      auto value = read_attribute(*attribute, scope);
      if (!value) return std::unexpected(std::move(value).error().in("attribute '" + given.name() + "'"));
      node.attributes.set(given.name(), std::move(*value));
    }
    return {};
  }

  static proto::AttributeProto::AttributeType kind_of(const proto::AttributeProto& attribute) {
    using A = proto::AttributeProto;
    if (attribute.type() != A::UNDEFINED) return attribute.type();
    // IR version 1 had no type field.
    if (attribute.has_f()) return A::FLOAT;
    if (attribute.has_i()) return A::INT;
    if (attribute.has_s()) return A::STRING;
    if (attribute.has_t()) return A::TENSOR;
    if (attribute.has_g()) return A::GRAPH;
    if (attribute.floats_size() != 0) return A::FLOATS;
    if (attribute.ints_size() != 0) return A::INTS;
    if (attribute.strings_size() != 0) return A::STRINGS;
    return A::UNDEFINED;
  }

  Result<ir::Attribute> read_attribute(const proto::AttributeProto& attribute, Scope& scope) {
    using A = proto::AttributeProto;
    switch (kind_of(attribute)) {
      case A::FLOAT: return attribute.f();
      case A::INT: return static_cast<std::int64_t>(attribute.i());
      case A::STRING: return attribute.s();
      case A::FLOATS: return std::vector<float>(attribute.floats().begin(), attribute.floats().end());
      case A::INTS: return std::vector<std::int64_t>(attribute.ints().begin(), attribute.ints().end());
      case A::STRINGS: return std::vector<std::string>(attribute.strings().begin(), attribute.strings().end());
      case A::TENSOR: {
        XI_TRY(Tensor tensor, from_proto(attribute.t(), state_.folder));
        return std::make_shared<const Tensor>(std::move(tensor));
      }
      case A::SPARSE_TENSOR: {
        XI_TRY(Tensor tensor, from_proto(attribute.sparse_tensor(), state_.folder));
        return std::make_shared<const Tensor>(std::move(tensor));
      }
      case A::TYPE_PROTO: {
        XI_TRY(const ValueType type, read_type(attribute.tp()));
        return ir::to_string(type);
      }
      case A::GRAPH: return subgraph(attribute.g(), scope);
      default: return fail(Code::kUnsupported, "attributes of kind {}", static_cast<int>(attribute.type()));
    }
  }

  Result<ir::Attribute> subgraph(const proto::GraphProto& message, Scope& outer) {
    if (outer.graph_depth + 1 > state_.options.limits.graph_depth)
      return fail(Code::kLimit, "subgraphs nest deeper than {} (graph_depth)", state_.options.limits.graph_depth);
    Graph graph;
    Names names;
    Scope scope{graph, names, outer.opsets, &outer, "", outer.arguments};
    scope.graph_depth = outer.graph_depth + 1;
    scope.function_depth = outer.function_depth;
    XI_CHECK(fill(message, scope));
    return std::make_shared<const Graph>(std::move(graph));
  }

  Result<void> add_constant(const proto::NodeProto& message, Scope& scope) {
    if (message.output_size() != 1 || message.attribute_size() < 1) return fail(Code::kCorrupt, "Constant needs one output and one attribute");
    for (const auto& given : message.attribute()) {
      const proto::AttributeProto* attribute = argument(given, scope);
      if (attribute == nullptr) continue;
      XI_TRY(const ir::Attribute value, read_attribute(*attribute, scope));
      auto tensor = constant_tensor(value);
      if (!tensor) return std::unexpected(std::move(tensor).error().in("attribute '" + given.name() + "'"));
      XI_TRY(const ValueId id, define_constant(scope, message.output(0), std::move(*tensor)));
      static_cast<void>(id);
      return {};
    }
    return fail(Code::kCorrupt, "Constant without a value");
  }

  static Result<Tensor> constant_tensor(const ir::Attribute& value) {
    if (const auto* tensor = std::get_if<std::shared_ptr<const Tensor>>(&value)) return Tensor(**tensor);
    if (const auto* number = std::get_if<std::int64_t>(&value)) return Tensor::scalar(*number);
    if (const auto* number = std::get_if<float>(&value)) return Tensor::scalar(*number);
    if (const auto* numbers = std::get_if<std::vector<std::int64_t>>(&value)) return Tensor::from_int64s(*numbers);
    if (const auto* numbers = std::get_if<std::vector<float>>(&value))
      return Tensor::from<float>(DType::kFloat32, {static_cast<std::int64_t>(numbers->size())}, *numbers);
    Tensor tensor;
    if (const auto* text = std::get_if<std::string>(&value)) {
      tensor = Tensor(DType::kString, {});
      tensor.strings() = {*text};
    } else if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
      tensor = Tensor(DType::kString, {static_cast<std::int64_t>(texts->size())});
      tensor.strings() = *texts;
    } else {
      return fail(Code::kCorrupt, "not a value");
    }
    return tensor;
  }

  // --- functions ---------------------------------------------------------------------------------------------------

  Result<void> inline_function(const proto::NodeProto& call, const proto::FunctionProto& function, Scope& caller) {
    if (caller.function_depth + 1 > state_.options.limits.function_depth)
      return fail(Code::kLimit, "functions call one another deeper than {} (function_depth)", state_.options.limits.function_depth);
    if (call.input_size() > function.input_size() || call.output_size() > function.output_size())
      return fail(Code::kInvalidArgument, "{} inputs and {} outputs, and the function has {} and {}", call.input_size(), call.output_size(), function.input_size(),
                  function.output_size());
    if (std::ranges::find(calls_, &function) != calls_.end()) return fail(Code::kCorrupt, "the function calls itself");
    XI_TRY(const Opsets opsets, read_opsets(function.opset_import()));
    calls_.push_back(&function);
    std::map<std::string, const proto::AttributeProto*> arguments;
    for (const auto& attribute : function.attribute_proto()) arguments[attribute.name()] = &attribute;
    for (const auto& attribute : call.attribute())
      if (const auto* value = argument(attribute, caller)) arguments[attribute.name()] = value;
    const std::string stem = !call.name().empty() ? call.name() : call.output_size() != 0 ? call.output(0) : call.op_type();
    Scope scope{caller.graph, caller.value_names, opsets, nullptr, caller.prefix + stem + "/", &arguments};
    scope.graph_depth = caller.graph_depth;
    scope.function_depth = caller.function_depth + 1;
    for (int i = 0; i < function.input_size(); ++i) {
      const std::string actual = i < call.input_size() ? call.input(i) : "";
      const ValueId id = actual.empty() ? kNoValue : resolve(caller, actual);
      if (id == kNoValue && !actual.empty()) return fail(Code::kCorrupt, "input '{}' is not produced by any node", actual);
      XI_CHECK(bind(scope, function.input(i), id));
    }
    XI_CHECK(add_nodes(without_absent_inputs(function, scope), scope));
    for (int i = 0; i < call.output_size() && i < function.output_size(); ++i) {
      if (call.output(i).empty()) continue;
      const ValueId id = resolve(scope, function.output(i));
      if (id == kNoValue) return fail(Code::kCorrupt, "function output '{}' is not produced", function.output(i));
      XI_CHECK(bind(caller, call.output(i), id));
    }
    calls_.pop_back();
    return {};
  }

  // Inside a function an argument that the caller left out reads as an omitted input.
  static google::protobuf::RepeatedPtrField<proto::NodeProto> without_absent_inputs(const proto::FunctionProto& function, Scope& scope) {
    auto nodes = function.node();
    for (auto& node : nodes)
      for (std::string& name : *node.mutable_input())
        if (auto found = scope.names.find(name); found != scope.names.end() && found->second == kNoValue) name.clear();
    return nodes;
  }

  ImportState& state_;
  std::vector<const proto::FunctionProto*> calls_;  // those that are being inlined
  std::unordered_map<std::string, const proto::TypeProto*> declared_;  // by the main graph's value_info
};

}  // namespace

Result<Opsets> read_opsets(const google::protobuf::RepeatedPtrField<proto::OperatorSetIdProto>& imports) {
  Opsets opsets;
  for (const auto& import : imports) {
    const std::string domain = import.domain() == "ai.onnx" ? "" : import.domain();
    opsets[domain] = import.version();
  }
  // Models of IR version 1 and 2 import nothing, functions over other domains may not either.
  const std::int64_t version = opsets.emplace("", 1).first->second;
  if (version < 1) return fail(Code::kCorrupt, "opset {} does not exist", version);
  if (version > kNewestOpset)
    return fail(Code::kUnsupported, "opset {} is newer than {}, the newest known: export with an older opset", version, kNewestOpset);
  return opsets;
}

Result<Graph> build_graph(const proto::GraphProto& message, const Opsets& opsets, ImportState& state) {
  return Builder(state).main_graph(message, opsets);
}

}  // namespace xinfer::onnx
