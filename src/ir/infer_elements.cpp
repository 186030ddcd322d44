// Arithmetic on shapes inside of a graph: what Shape, Gather, Concat, Mul … make of sizes that are symbols. Exported models
// compute the targets of Reshape, Expand and Slice this way.
#include <algorithm>
#include <functional>
#include <unordered_map>

#include "ir/bounds.h"
#include "ir/operator.h"

namespace xinfer::ir {
namespace {

using tensor::Size;
using Sizes = std::vector<Size>;
using Known = std::optional<Sizes>;

constexpr std::int64_t kMaxElements = 1024;

bool is_small(const ValueType& type) { return type.is_static() && tensor::num_elements(type.shape()) <= kMaxElements; }

// The elements of a value, if all are known whole numbers.
Known elements_of(const Graph& graph, ValueId id) {
  if (id == kNoValue) return std::nullopt;
  const Value& value = graph.value(id);
  if (value.elements) return *value.elements;
  const Tensor* constant = value.constant.get();
  if (!constant || constant->dtype() == DType::kString || constant->num_elements() > kMaxElements) return std::nullopt;
  Sizes sizes;
  const bool real = tensor::is_float(constant->dtype());
  for (std::int64_t i = 0; i < constant->num_elements(); ++i) {
    const double exact = real ? constant->as_double(i) : 0;
    if (real && (!(std::abs(exact) < 1e15) || exact != static_cast<double>(static_cast<std::int64_t>(exact)))) return std::nullopt;
    const std::int64_t number = real ? static_cast<std::int64_t>(exact) : constant->as_int64(i);
    if (number >= tensor::kUnbounded || number <= -tensor::kUnbounded) return std::nullopt;  // arithmetic could overflow
    sizes.emplace_back(number);
  }
  return sizes;
}

class Elements {
 public:
  Elements(const Graph& graph, const Node& node) : graph_(graph), node_(node), out_(graph.value(node.outputs[0]).type) {}

  Known run() const {
    static const std::unordered_map<std::string_view, Known (Elements::*)() const> kRules = {
        {"Shape", &Elements::shape},         {"Size", &Elements::size},
        {"Cast", &Elements::cast},           {"Identity", &Elements::same},
        {"Squeeze", &Elements::same},        {"Unsqueeze", &Elements::same},
        {"Reshape", &Elements::same},        {"Flatten", &Elements::same},
        {"Floor", &Elements::same},          {"Ceil", &Elements::same},
        {"Round", &Elements::same},          {"Gather", &Elements::gather},
        {"Slice", &Elements::slice},         {"Concat", &Elements::concat},
        {"Where", &Elements::where},         {"ReduceProd", &Elements::product},
        {"ReduceSum", &Elements::sum},       {"ConstantOfShape", &Elements::fill},
        {"Expand", &Elements::expand},       {"Not", &Elements::negation},
    };
    if (auto it = kRules.find(node_.op); it != kRules.end()) return (this->*it->second)();
    return pointwise();
  }

 private:
  Known input(std::size_t i) const { return i < node_.inputs.size() ? elements_of(graph_, node_.inputs[i]) : std::nullopt; }
  const ValueType& type(std::size_t i) const { return graph_.value(node_.inputs[i]).type; }

  Known shape() const {
    if (!type(0).dims) return std::nullopt;
    const auto& dims = *type(0).dims;
    const auto rank = static_cast<std::int64_t>(dims.size());
    auto at = [&](std::int64_t i) { return std::clamp<std::int64_t>(i < 0 ? i + rank : i, 0, rank); };
    Sizes sizes;
    for (std::int64_t i = at(node_.attributes.integer("start", 0)); i < at(node_.attributes.integer("end", rank)); ++i) {
      if (!dims[static_cast<std::size_t>(i)].is_known()) return std::nullopt;
      sizes.push_back(dims[static_cast<std::size_t>(i)].size());
    }
    return sizes;
  }
  Known size() const {
    if (!type(0).is_known()) return std::nullopt;
    Size count(1);
    for (const Size& size : type(0).sizes()) {
      count *= size;
      if (!is_short(count)) return std::nullopt;
    }
    return Sizes{count};
  }
  Known same() const { return input(0); }
  Known cast() const {
    auto x = input(0);
    if (!x || out_.dtype == DType::kString) return std::nullopt;
    if (out_.dtype == DType::kBool)
      for (Size& size : *x) {
        if (size.min() <= 0 && !size.is_number()) return std::nullopt;
        size = Size(size.is_number() ? size.number() != 0 : 1);
      }
    return x;
  }

  Known gather() const {
    auto data = input(0), indices = input(1);
    if (!data || !indices || type(0).dims->size() > 1) return std::nullopt;
    Sizes sizes;
    const auto count = static_cast<std::int64_t>(data->size());
    for (const Size& index : *indices) {
      if (!index.is_number()) return std::nullopt;
      const std::int64_t i = index.number() < 0 ? index.number() + count : index.number();
      if (i < 0 || i >= count) return std::nullopt;
      sizes.push_back((*data)[static_cast<std::size_t>(i)]);
    }
    return sizes;
  }

  Known slice() const {
    auto data = input(0), starts = input(1), ends = input(2), steps = input(4);
    if (!data || !starts || !ends || type(0).dims->size() != 1 || starts->size() != 1) return std::nullopt;
    if (node_.inputs.size() > 4 && node_.inputs[4] != kNoValue && !steps) return std::nullopt;
    const Size start = starts->front(), step = steps ? steps->front() : Size(1);
    if (!start.is_number() || !step.is_number() || step.number() == 0) return std::nullopt;
    const auto count = tensor::num_elements(out_.shape()), all = static_cast<std::int64_t>(data->size());
    std::int64_t at = start.number() < 0 ? start.number() + all : start.number();
    at = std::clamp<std::int64_t>(at, 0, step.number() > 0 ? all : all - 1);
    Sizes sizes;
    for (std::int64_t i = 0; i < count; ++i, at += step.number()) {
      if (at < 0 || at >= all) return std::nullopt;
      sizes.push_back((*data)[static_cast<std::size_t>(at)]);
    }
    return sizes;
  }

  Known concat() const {
    Sizes all;
    for (std::size_t i = 0; i < node_.inputs.size(); ++i) {
      auto part = input(i);
      if (!part || type(i).dims->size() != 1) return std::nullopt;
      all.insert(all.end(), part->begin(), part->end());
    }
    return all;
  }

  Known product() const { return fold([](const Size& a, const Size& b) { return a * b; }, Size(1)); }
  Known sum() const { return fold([](const Size& a, const Size& b) { return a + b; }, Size(0)); }
  template <class F>
  Known fold(F function, Size start) const {
    auto x = input(0);
    if (!x || type(0).dims->size() > 1 || tensor::num_elements(out_.shape()) != 1) return std::nullopt;
    for (const Size& size : *x) {
      start = function(start, size);
      if (!is_short(start)) return std::nullopt;
    }
    return Sizes{start};
  }

  Known fill() const {
    const auto* value = node_.attributes.get<std::shared_ptr<const Tensor>>("value");
    if (value && (tensor::is_float((*value)->dtype()) || (*value)->dtype() == DType::kString || (*value)->num_elements() != 1))
      return std::nullopt;
    if (!value) return std::nullopt;  // float32
    return Sizes(static_cast<std::size_t>(tensor::num_elements(out_.shape())), Size((*value)->as_int64(0)));
  }
  Known expand() const {
    auto x = input(0);
    if (!x) return std::nullopt;
    return broadcast(*x, type(0).shape());
  }
  Known negation() const {
    auto x = input(0);
    if (!x) return std::nullopt;
    for (Size& size : *x) {
      if (!size.is_number()) return std::nullopt;
      size = Size(size.number() == 0);
    }
    return x;
  }

  // The elements spread to the output's shape, by numpy's rule.
  Known broadcast(const Sizes& from, const Shape& shape) const {
    const Shape out = out_.shape();
    Sizes made;
    const std::int64_t count = tensor::num_elements(out);
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t rest = i, at = 0, stride = 1;
      for (std::size_t d = out.size(), s = shape.size(); d-- > 0;) {
        const std::int64_t index = rest % out[d];
        rest /= out[d];
        if (s == 0) continue;
        --s;
        if (shape[s] != 1) at += index * stride;
        stride *= shape[s];
      }
      if (at >= static_cast<std::int64_t>(from.size())) return std::nullopt;
      made.push_back(from[static_cast<std::size_t>(at)]);
    }
    return made;
  }
  Known spread(std::size_t i) const {
    auto x = input(i);
    if (!x || !type(i).is_static()) return std::nullopt;
    return broadcast(*x, type(i).shape());
  }

  Known where() const {
    auto condition = spread(0), a = spread(1), b = spread(2);
    if (!condition || !a || !b) return std::nullopt;
    for (std::size_t i = 0; i < a->size(); ++i) {
      if ((*condition)[i].is_number()) (*a)[i] = (*condition)[i].number() != 0 ? (*a)[i] : (*b)[i];
      else if ((*a)[i] != (*b)[i]) return std::nullopt;
    }
    return a;
  }

  using Binary = std::optional<Size> (*)(const Size& a, const Size& b, bool real);
  static std::optional<Size> decided(bool yes, bool no) {
    if (yes) return Size(1);
    return no ? std::optional(Size(0)) : std::nullopt;
  }
  static Binary find_binary(std::string_view op) {
    static const std::unordered_map<std::string_view, Binary> kBinary = {
        {"Add", [](const Size& a, const Size& b, bool) { return std::optional(a + b); }},
        {"Sub", [](const Size& a, const Size& b, bool) { return std::optional(a - b); }},
        {"Mul", [](const Size& a, const Size& b, bool) { return std::optional(a * b); }},
        {"Min", [](const Size& a, const Size& b, bool) { return std::optional(smaller(a, b)); }},
        {"Max", [](const Size& a, const Size& b, bool) { return std::optional(larger(a, b)); }},
        {"Div",
         [](const Size& a, const Size& b, bool real) -> std::optional<Size> {
           if (b.min() <= 0) return std::nullopt;
           if (auto exact = a.over(b)) return exact;  // integers are divided towards zero
           return real || a.min() < 0 ? std::nullopt : std::optional(floor_div(a, b));
         }},
        {"Mod",
         [](const Size& a, const Size& b, bool real) -> std::optional<Size> {
           if (real || b.min() <= 0 || a.min() < 0) return std::nullopt;
           return a - b * floor_div(a, b);
         }},
        {"Equal", [](const Size& a, const Size& b, bool) { return decided(a == b, surely_below(a, b) || surely_below(b, a)); }},
        {"Less", [](const Size& a, const Size& b, bool) { return decided(surely_below(a, b), surely_at_most(b, a)); }},
        {"LessOrEqual", [](const Size& a, const Size& b, bool) { return decided(surely_at_most(a, b), surely_below(b, a)); }},
        {"Greater", [](const Size& a, const Size& b, bool) { return decided(surely_below(b, a), surely_at_most(a, b)); }},
        {"GreaterOrEqual", [](const Size& a, const Size& b, bool) { return decided(surely_at_most(b, a), surely_below(a, b)); }},
        {"And", [](const Size& a, const Size& b, bool) { return decided(a == Size(1) && b == Size(1), a == Size(0) || b == Size(0)); }},
        {"Or", [](const Size& a, const Size& b, bool) { return decided(a == Size(1) || b == Size(1), a == Size(0) && b == Size(0)); }},
    };
    auto it = kBinary.find(op);
    return it == kBinary.end() ? nullptr : it->second;
  }

  Known pointwise() const {
    if (node_.op == "Neg") {
      auto x = input(0);
      if (x)
        for (Size& size : *x) size = Size(0) - size;
      return x;
    }
    const Binary function = find_binary(node_.op);
    if (!function || node_.inputs.size() != 2) return std::nullopt;
    auto a = spread(0), b = spread(1);
    if (!a || !b) return std::nullopt;
    const bool real = tensor::is_float(type(0).dtype);
    for (std::size_t i = 0; i < a->size(); ++i) {
      auto made = function((*a)[i], (*b)[i], real);
      if (!made) return std::nullopt;
      (*a)[i] = *made;
    }
    return a;
  }

  const Graph& graph_;
  const Node& node_;
  const ValueType& out_;
};

}  // namespace

void infer_elements(Graph& graph, const Node& node) {
  for (ValueId id : node.outputs)
    if (id != kNoValue) graph.value(id).elements.reset();
  if (node.outputs.size() != 1 || node.outputs[0] == kNoValue || node.inputs.empty() || node.inputs[0] == kNoValue) return;
  Value& value = graph.value(node.outputs[0]);
  const DType dtype = value.type.dtype;
  const bool whole = dtype == DType::kInt64 || dtype == DType::kInt32 || dtype == DType::kBool || dtype == DType::kFloat32 || dtype == DType::kFloat64;
  if (value.constant || !is_small(value.type) || !whole) return;
  Known known = Elements(graph, node).run();
  if (known && !std::ranges::all_of(*known, is_short)) return;
  if (known && static_cast<std::int64_t>(known->size()) == tensor::num_elements(value.type.shape()))
    value.elements = std::make_shared<const Sizes>(*std::move(known));
}

}  // namespace xinfer::ir
