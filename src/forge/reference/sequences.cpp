// Sequences and optionals.
#include <algorithm>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

Values construct(const Call& call) {
  std::vector<Value> elements;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) elements.push_back(call.value(i));
  return std::vector<Value>{Value::sequence(std::move(elements), call.types[0].dtype)};
}

Values empty(const Call& call) { return std::vector<Value>{Value::sequence({}, call.types[0].dtype)}; }

// A position in [-count, count); `past` also allows the end.
Result<std::int64_t> position_of(const Call& call, std::size_t input, std::size_t count, bool past) {
  const auto size = static_cast<std::int64_t>(count);
  std::int64_t at = call.has(input) ? call.in(input).as_int64(0) : (past ? size : size - 1);
  if (at < 0) at += size;
  if (at < 0 || at > size || (at == size && !past))
    return fail(Code::kInvalidArgument, "position {} lies outside a sequence of {}", at, size);
  return at;
}

Values at(const Call& call) {
  XI_TRY(auto position, position_of(call, 1, call.value(0).elements.size(), false));
  return std::vector<Value>{call.value(0).elements[index_of(position)]};
}

Values insert(const Call& call) {
  std::vector<Value> elements = call.value(0).elements;
  XI_TRY(auto position, position_of(call, 2, elements.size(), true));
  elements.insert(elements.begin() + position, call.value(1));
  return std::vector<Value>{Value::sequence(std::move(elements), call.types[0].dtype)};
}

Values erase(const Call& call) {
  std::vector<Value> elements = call.value(0).elements;
  XI_TRY(auto position, position_of(call, 1, elements.size(), false));
  elements.erase(elements.begin() + position);
  return std::vector<Value>{Value::sequence(std::move(elements), call.types[0].dtype)};
}

Values length(const Call& call) {
  return result(Tensor::scalar(static_cast<std::int64_t>(call.value(0).elements.size())));
}

Values split_to_sequence(const Call& call) {
  const Tensor& in = call.in(0);
  const std::int64_t axis = positive_axis(call.integer("axis", 0), in.rank());
  if (axis < 0 || axis >= in.rank()) return fail(Code::kInvalidArgument, "axis {} is out of range", axis);
  AxisView view = view_axis(in.shape(), axis);
  std::vector<std::int64_t> sizes;
  bool keep = true;
  if (!call.has(1)) {
    sizes.assign(index_of(view.size), 1);
    keep = call.integer("keepdims", 1) != 0;
  } else if (call.in(1).rank() == 0) {
    const std::int64_t chunk = call.in(1).as_int64(0);
    if (chunk <= 0) return fail(Code::kInvalidArgument, "a part has size {}", chunk);
    for (std::int64_t done = 0; done < view.size; done += chunk) sizes.push_back(std::min(chunk, view.size - done));
  } else {
    sizes = call.in(1).as_int64s();
  }
  std::vector<Value> elements;
  std::int64_t start = 0;
  for (auto size : sizes) {
    if (size < 0 || start + size > view.size)
      return fail(Code::kInvalidArgument, "the parts do not sum to {}", view.size);
    Shape shape = in.shape();
    if (keep) shape[index_of(axis)] = size;
    else shape.erase(shape.begin() + axis);
    Tensor part(in.dtype(), shape);
    for (std::int64_t o = 0; o < view.outer; ++o)
      copy_run(part, o * size * view.inner, in, (o * view.size + start) * view.inner, size * view.inner);
    elements.emplace_back(std::move(part));
    start += size;
  }
  return std::vector<Value>{Value::sequence(std::move(elements), in.dtype())};
}

Values concat_from_sequence(const Call& call) {
  const auto& elements = call.value(0).elements;
  if (elements.empty()) return fail(Code::kInvalidArgument, "cannot join an empty sequence");
  const bool fresh = call.integer("new_axis", 0) != 0;
  Shape shape = elements[0].tensor->shape();
  const std::int64_t rank = static_cast<std::int64_t>(shape.size()) + (fresh ? 1 : 0);
  const std::int64_t axis = positive_axis(call.integer("axis", 0), rank);
  if (axis < 0 || axis >= rank) return fail(Code::kInvalidArgument, "axis {} is out of range", axis);
  auto shape_of = [&](const Value& element) {
    Shape s = element.tensor->shape();
    if (fresh) s.insert(s.begin() + axis, 1);
    return s;
  };
  shape = shape_of(elements[0]);
  std::int64_t total = 0;
  for (const Value& element : elements) {
    Shape s = shape_of(element);
    if (s.size() != shape.size()) return fail(Code::kInvalidArgument, "the elements have different ranks");
    total += s[index_of(axis)];
    s[index_of(axis)] = shape[index_of(axis)];
    if (s != shape) return fail(Code::kInvalidArgument, "the elements have shapes that do not join");
  }
  AxisView view = view_axis(shape, axis);
  shape[index_of(axis)] = total;
  Tensor out(elements[0].tensor->dtype(), shape);
  std::int64_t start = 0;
  for (const Value& element : elements) {
    const std::int64_t size = shape_of(element)[index_of(axis)];
    for (std::int64_t o = 0; o < view.outer; ++o)
      copy_run(out, (o * total + start) * view.inner, *element.tensor, o * size * view.inner, size * view.inner);
    start += size;
  }
  return result(std::move(out));
}

Values optional(const Call& call) {
  std::vector<Value> content;
  if (call.has(0)) content.push_back(call.value(0));
  return std::vector<Value>{Value::optional(std::move(content), call.types[0].dtype)};
}

Values optional_get(const Call& call) {
  const Value& value = call.value(0);
  if (value.kind != Value::Kind::kOptional) return std::vector<Value>{value};
  if (value.elements.empty()) return fail(Code::kInvalidArgument, "the optional is empty");
  return std::vector<Value>{value.elements[0]};
}

Values optional_has(const Call& call) {
  Tensor out(DType::kBool, {});
  out.data<std::uint8_t>()[0] =
      call.has(0) && (call.value(0).kind != Value::Kind::kOptional || !call.value(0).elements.empty());
  return result(std::move(out));
}

}  // namespace

void add_sequences(Entries& e) {
  e.emplace_back("SequenceConstruct", construct);
  e.emplace_back("SequenceEmpty", empty);
  e.emplace_back("SequenceAt", at);
  e.emplace_back("SequenceInsert", insert);
  e.emplace_back("SequenceErase", erase);
  e.emplace_back("SequenceLength", length);
  e.emplace_back("SplitToSequence", split_to_sequence);
  e.emplace_back("ConcatFromSequence", concat_from_sequence);
  e.emplace_back("Optional", optional);
  e.emplace_back("OptionalGetElement", optional_get);
  e.emplace_back("OptionalHasElement", optional_has);
}

}  // namespace xinfer::forge::reference
