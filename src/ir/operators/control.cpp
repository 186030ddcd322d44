// Control flow, sequences and optionals.
#include <algorithm>

#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

using Kind = ValueType::Kind;

ValueType sequence_of(DType dtype) { return {Kind::kSequence, dtype, std::nullopt}; }

const Graph* body_of(const ShapeContext& context, std::string_view name) {
  const auto* body = context.node.attributes.get<std::shared_ptr<const Graph>>(name);
  return body ? body->get() : nullptr;
}

ValueType either(const ValueType& a, const ValueType& b) {
  ValueType type = a;
  if (type.dtype == DType::kUndefined) type.dtype = b.dtype;
  if (!a.dims || !b.dims || a.dims->size() != b.dims->size()) {
    type.dims.reset();
    return type;
  }
  for (std::size_t i = 0; i < type.dims->size(); ++i)
    if ((*a.dims)[i] != (*b.dims)[i]) (*type.dims)[i] = Dim{};
  return type;
}

Types if_rule(const ShapeContext& context) {
  const Graph *yes = body_of(context, "then_branch"), *no = body_of(context, "else_branch");
  if (!yes || !no) return fail(Code::kInvalidArgument, "If needs then_branch and else_branch");
  if (yes->outputs.size() != no->outputs.size() || yes->outputs.size() != context.node.outputs.size())
    return fail(Code::kInvalidArgument, "the branches give {} and {} values for {} outputs", yes->outputs.size(),
                no->outputs.size(), context.node.outputs.size());
  std::vector<ValueType> types;
  for (std::size_t i = 0; i < yes->outputs.size(); ++i) {
    const ValueType &one = yes->value(yes->outputs[i]).type, &other = no->value(no->outputs[i]).type;
    if (one.kind == other.kind && one.dtype != other.dtype && one.dtype != DType::kUndefined && other.dtype != DType::kUndefined)
      return fail(Code::kInvalidArgument, "the branches give {} and {} for output {}", tensor::name(one.dtype), tensor::name(other.dtype), i);
    types.push_back(either(one, other));
  }
  return outputs(context, std::move(types));
}

Types loop(const ShapeContext& context) {
  const Graph* body = body_of(context, "body");
  if (!body) return fail(Code::kInvalidArgument, "Loop needs a body");
  const std::size_t states = context.num_inputs() > 2 ? context.num_inputs() - 2 : 0;
  if (body->inputs.size() != states + 2 || body->outputs.size() < states + 1)
    return fail(Code::kInvalidArgument, "the body has {} inputs and {} outputs for {} state variables",
                body->inputs.size(), body->outputs.size(), states);
  std::vector<ValueType> types;
  for (std::size_t i = 1; i < body->outputs.size(); ++i) {
    ValueType type = body->value(body->outputs[i]).type;
    if (i <= states) type = either(type, context.has_input(i + 1) ? context.input(i + 1) : type);
    else if (type.dims) type.dims->insert(type.dims->begin(), Dim{});
    types.push_back(std::move(type));
  }
  return outputs(context, std::move(types));
}

Types scan(const ShapeContext& context) {
  const Graph* body = body_of(context, "body");
  if (!body) return fail(Code::kInvalidArgument, "Scan needs a body");
  const std::int64_t scans = context.node.attributes.integer("num_scan_inputs", 0);
  if (scans <= 0 || scans > static_cast<std::int64_t>(context.num_inputs()))
    return fail(Code::kInvalidArgument, "num_scan_inputs is {}", scans);
  const std::size_t states = context.num_inputs() - static_cast<std::size_t>(scans);
  if (body->inputs.size() != context.num_inputs() || body->outputs.size() < states)
    return fail(Code::kInvalidArgument, "the body has {} inputs and {} outputs", body->inputs.size(),
                body->outputs.size());
  Dim length;
  auto in_axes = context.node.attributes.integers("scan_input_axes");
  for (std::size_t i = states; i < context.num_inputs(); ++i) {
    const Dims* scanned = dims_of(context, i);
    if (!scanned) continue;
    XI_TRY(auto axis, normalize_axis(i - states < in_axes.size() ? in_axes[i - states] : 0, static_cast<std::int64_t>(scanned->size())));
    XI_TRY(length, merge_dim(length, (*scanned)[static_cast<std::size_t>(axis)], "lengths of what is scanned"));
  }
  auto out_axes = context.node.attributes.integers("scan_output_axes");
  std::vector<ValueType> types;
  for (std::size_t i = 0; i < body->outputs.size(); ++i) {
    ValueType type = body->value(body->outputs[i]).type;
    if (i < states) {
      type = either(type, context.input(i));
    } else if (type.dims) {
      const std::int64_t wanted = i - states < out_axes.size() ? out_axes[i - states] : 0;
      XI_TRY(auto axis, normalize_axis(wanted, static_cast<std::int64_t>(type.dims->size()) + 1));
      type.dims->insert(type.dims->begin() + axis, length);
    }
    types.push_back(std::move(type));
  }
  return outputs(context, std::move(types));
}

Types sequence_map(const ShapeContext& context) {
  const Graph* body = body_of(context, "body");
  if (!body) return fail(Code::kInvalidArgument, "SequenceMap needs a body");
  std::vector<ValueType> types;
  for (ValueId id : body->outputs) types.push_back(sequence_of(body->value(id).type.dtype));
  return outputs(context, std::move(types));
}

Result<void> require_sequence(const ShapeContext& context, std::size_t input) {
  if (context.has_input(input) && context.input(input).kind != Kind::kSequence)
    return fail(Code::kInvalidArgument, "input {} must be a sequence", input);
  return {};
}

Types sequence_construct(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 0, context.num_inputs() - 1));
  return output(context, sequence_of(dtype_of(context, 0)));
}
Types sequence_empty(const ShapeContext& context) {
  XI_TRY(DType dtype, dtype_attribute(context, "dtype", DType::kFloat32));
  return output(context, sequence_of(dtype));
}
Types sequence_at(const ShapeContext& context) {
  XI_CHECK(require_sequence(context, 0));
  return output(context, unknown_rank(dtype_of(context, 0)));
}
Types sequence_same(const ShapeContext& context) {
  XI_CHECK(require_sequence(context, 0));
  DType dtype = dtype_of(context, 0);
  if (dtype == DType::kUndefined) dtype = dtype_of(context, 1);
  return output(context, sequence_of(dtype));
}
Types sequence_erase(const ShapeContext& context) {
  XI_CHECK(require_sequence(context, 0));
  return same_as_first(context);
}
Types sequence_length(const ShapeContext& context) {
  XI_CHECK(require_sequence(context, 0));
  return output(context, scalar(DType::kInt64));
}
Types split_to_sequence(const ShapeContext& context) { return output(context, sequence_of(dtype_of(context, 0))); }
Types concat_from_sequence(const ShapeContext& context) {
  XI_CHECK(require_sequence(context, 0));
  return output(context, unknown_rank(dtype_of(context, 0)));
}

Types optional(const ShapeContext& context) {
  ValueType type;
  if (context.has_input(0)) type = context.input(0);
  type.kind = Kind::kOptional;
  return output(context, std::move(type));
}
// What an optional holds is a tensor, unless a sequence came in directly.
Types optional_get(const ShapeContext& context) {
  ValueType type = context.input(0);
  if (type.kind == Kind::kOptional) type.kind = Kind::kTensor;
  return output(context, std::move(type));
}
Types optional_has(const ShapeContext& context) { return output(context, scalar(DType::kBool)); }

// A loop that repeats while running is its body between two nodes. LoopBegin(states …) gives the iteration's number and the states
// in it; LoopEnd(iteration, trips?, first condition?, next condition?, states …, results …) gives the last states and what
// StoreSlice has collected. The iteration's number tells which two belong together.
Types loop_begin(const ShapeContext& context) {
  std::vector<ValueType> types{scalar(DType::kInt64)};
  for (std::size_t i = 0; i < context.num_inputs(); ++i) types.push_back(context.input(i));
  return outputs(context, std::move(types));
}

Types loop_end(const ShapeContext& context) {
  std::vector<ValueType> types;
  for (std::size_t i = kLoopEndStates; i < context.num_inputs(); ++i) types.push_back(context.input(i));
  return outputs(context, std::move(types));
}

// (slice, position, trips): writes the slice beside those of other iterations. `count` names the symbol that says how many there
// are in the end, where that may be fewer than `trips`.
Types store_slice(const ShapeContext& context) {
  ValueType type = context.input(0);
  const auto most = known_sizes(context, 2);
  if (!type.dims || !most || most->size() != 1) return fail(Code::kUnsupported, "how many results the loop may have is not known");
  const std::string count = context.node.attributes.string("count", "");
  Dim length((*most)[0]);
  if (!count.empty()) length = Dim(tensor::Size(tensor::Symbol{count, 0, (*most)[0].opt(), (*most)[0].max()}));
  type.dims->insert(type.dims->begin(), length);
  return output(context, std::move(type));
}

}  // namespace

void add_control(Rows& rows) {
  constexpr auto kControl = Lowering::kControl;
  rows.push_back(
      {"If", 1, 1, 1, kVariadic, {graph("then_branch", true), graph("else_branch", true)}, if_rule, kControl});
  rows.push_back({"Loop", 2, kVariadic, 1, kVariadic, {graph("body", true)}, loop, kControl});
  rows.push_back({"Scan",
                  1,
                  kVariadic,
                  1,
                  kVariadic,
                  {graph("body", true), integer("num_scan_inputs", true), integers("scan_input_axes"),
                   integers("scan_input_directions"), integers("scan_output_axes"), integers("scan_output_directions")},
                  scan,
                  kControl});
  rows.push_back({"SequenceMap", 1, kVariadic, 1, kVariadic, {graph("body", true)}, sequence_map, kControl});
  rows.push_back({"SequenceConstruct", 1, kVariadic, 1, 1, {}, sequence_construct, kControl});
  rows.push_back({"SequenceEmpty", 0, 0, 1, 1, {integer("dtype")}, sequence_empty, kControl});
  rows.push_back({"SequenceAt", 2, 2, 1, 1, {}, sequence_at, kControl});
  rows.push_back({"SequenceInsert", 2, 3, 1, 1, {}, sequence_same, kControl});
  rows.push_back({"SequenceErase", 1, 2, 1, 1, {}, sequence_erase, kControl});
  rows.push_back({"SequenceLength", 1, 1, 1, 1, {}, sequence_length, kControl});
  rows.push_back({"SplitToSequence", 1, 2, 1, 1, {integer("axis"), integer("keepdims")}, split_to_sequence, kControl});
  rows.push_back(
      {"ConcatFromSequence", 1, 1, 1, 1, {integer("axis", true), integer("new_axis")}, concat_from_sequence, kControl});
  rows.push_back({"Optional", 0, 1, 1, 1, {integer("type")}, optional, kControl});
  rows.push_back({"OptionalGetElement", 1, 1, 1, 1, {}, optional_get, kControl});
  rows.push_back({"OptionalHasElement", 0, 1, 1, 1, {}, optional_has, kControl});
  // `loop` keeps two loops that begin alike apart.
  rows.push_back({kLoopBegin, 0, kVariadic, 1, kVariadic, {integer("loop", true)}, loop_begin, kControl});
  rows.push_back({kLoopEnd, 5, kVariadic, 1, kVariadic, {integer("states", true)}, loop_end, kControl});
  rows.push_back({"xinfer.StoreSlice", 3, 3, 1, 1, {text("count")}, store_slice, Lowering::kIrregular});
}

}  // namespace xinfer::ir::rules
