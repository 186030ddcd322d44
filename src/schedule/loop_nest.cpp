#include "schedule/loop_nest.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "schedule/partition.h"
#include "tensor/text.h"

namespace xinfer::schedule {

namespace {

using base::Code;
using base::fail;
using base::Result;

// A kernel's text grows with its segments, and each costs a few instructions to enter.
constexpr std::size_t kMaxSegments = 16;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

// Visits every expression below once.
template <class Visit>
void walk(E e, std::unordered_set<E>& seen, const Visit& visit) {
  if (!seen.insert(e).second) return;
  visit(e);
  for (E arg : e->args) walk(arg, seen, visit);
}
template <class Visit>
void walk(const Nest& nest, const Visit& visit) {
  std::unordered_set<E> seen;
  walk(nest.value, seen, visit);
  walk(nest.offset, seen, visit);
  if (nest.guard) walk(nest.guard, seen, visit);
}

bool is_division(E e) { return e->op == Op::kDiv || e->op == Op::kMod; }

std::size_t count_divisions(const Nest& nest) {
  std::size_t count = 0;
  walk(nest, [&](E e) { count += is_division(e) && !e->free_vars.empty(); });
  return count;
}

Nest replaced(ExprPool& pool, const Nest& nest, const std::map<E, E>& with, std::vector<E> vars) {
  std::erase_if(vars, [](E var) { return var->op != Op::kVar; });
  return {std::move(vars), pool.substitute(nest.offset, with), pool.substitute(nest.value, with),
          nest.guard ? pool.substitute(nest.guard, with) : nullptr};
}

}  // namespace

std::vector<Size> physical_shape(const std::vector<Size>& shape, Layout layout, Blocking blocking) {
  std::vector<Size> dims = shape;
  if (layout == Layout::kBlocked) {
    const std::int64_t block = blocking.block(dims[1].max());
    dims[1] = ceil_div(dims[1], block);
    dims.push_back(block);
  }
  return dims;
}

std::int64_t NestBuilder::slot_of(Operand operand) {
  for (std::size_t i = 0; i < operands_.size(); ++i)
    if (operands_[i].value == operand.value && operands_[i].table == operand.table &&
        operands_[i].storage.dtype == operand.storage.dtype)
      return static_cast<std::int64_t>(i);
  operands_.push_back(std::move(operand));
  return static_cast<std::int64_t>(operands_.size() - 1);
}

// Bounds of a long product of formulas are looser than the product of their bounds, or the other way round.
std::int64_t max_elements(const std::vector<Size>& shape) {
  Size most = 1;
  for (const Size& size : shape) most *= Size(size.max());
  return std::min(most.number(), tensor::num_elements(shape).max());
}

std::int64_t storage_capacity(const std::vector<Size>& shape, Layout layout, DType dtype, Blocking blocking) {
  auto dims = physical_shape(shape, layout, blocking);
  std::int64_t size = static_cast<std::int64_t>(tensor::stored_bytes(dtype));
  return (max_elements(dims) * size + 63) / 64 * 64 / size;
}

E NestBuilder::load(ir::ValueId value, const Storage& storage, std::span<const E> index) {
  auto shape = graph_.value(value).type.sizes();
  E offset;
  if (storage.layout == Layout::kBlocked) {
    std::vector<E> at(index.begin(), index.end());
    const std::int64_t block = blocking_.block(shape[1].max());
    at[1] = pool_.div(index[1], block);
    at.push_back(pool_.mod(index[1], block));
    offset = pool_.flatten(at, physical_shape(shape, storage.layout, blocking_));
  } else {
    offset = pool_.flatten(index, shape);
  }
  return pool_.load(slot_of({value, {}, storage}), offset, compute_type(storage.dtype));
}

// An element of a value that follows from shapes: a formula where the index is known, else chosen among them.
E NestBuilder::known_element(const std::vector<Size>& elements, DType dtype, const std::vector<Size>& shape, std::span<const E> index) {
  E at = pool_.flatten(index, shape);
  auto exact = [&](const Size& size) { return pool_.cast(pool_.size(size), compute_type(dtype)); };
  if (at->op == Op::kInt && at->integer >= 0 && at->integer < static_cast<std::int64_t>(elements.size()))
    return exact(elements[static_cast<std::size_t>(at->integer)]);
  E made = exact(elements.back());
  for (std::size_t i = elements.size() - 1; i-- > 0;)
    made = pool_.select(pool_.call(Fn::kLe, at, pool_.integer(static_cast<std::int64_t>(i))), exact(elements[i]), made);
  return made;
}

E NestBuilder::constant_element(const tensor::Tensor& tensor, std::span<const E> index) {
  DType dtype = compute_type(tensor.dtype());
  bool real = dtype == DType::kFloat32 || dtype == DType::kFloat64;
  if (tensor.num_elements() == 1)
    return real ? pool_.real(tensor.as_double(0), dtype) : pool_.integer(tensor.as_int64(0), dtype);
  if (dtype != DType::kInt64 || tensor.num_elements() > 65536) return nullptr;
  std::vector<double> values;
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i) values.push_back(static_cast<double>(tensor.as_int64(i)));
  return table(std::move(values), dtype, pool_.flatten(index, {tensor.shape().begin(), tensor.shape().end()}));
}

// Tables of indices are often simple functions: an arithmetic sequence, or each value repeated.
E NestBuilder::table(std::vector<double> values, DType dtype, E index) {
  bool real = dtype == DType::kFloat32 || dtype == DType::kFloat64;
  std::int64_t count = static_cast<std::int64_t>(values.size());
  auto exact = [&](double v) {
    return real ? pool_.real(v, dtype) : pool_.integer(static_cast<std::int64_t>(v), dtype);
  };
  auto all = [&](auto&& function) {
    for (std::int64_t i = 0; i < count; ++i)
      if (values[static_cast<std::size_t>(i)] != static_cast<double>(function(i))) return false;
    return true;
  };
  if (index->op == Op::kInt && index->integer >= 0 && index->integer < count)
    return exact(values[static_cast<std::size_t>(index->integer)]);
  if (count > 0 && all([&](std::int64_t) { return values[0]; })) return exact(values[0]);
  if (!real && count > 1) {
    std::int64_t first = static_cast<std::int64_t>(values[0]), step = static_cast<std::int64_t>(values[1]) - first;
    if (all([&](std::int64_t i) { return first + step * i; })) return pool_.add(pool_.scale(index, step), first);
    for (std::int64_t repeat = 2; repeat <= 16; ++repeat)
      if (all([&](std::int64_t i) { return first + i / repeat; })) return pool_.add(pool_.div(index, repeat), first);
  }
  auto [low, high] = std::minmax_element(values.begin(), values.end());
  Operand operand{ir::kNoValue, values, {Layout::kPlain, real ? dtype : DType::kInt32, count}};
  if (real) return pool_.load(slot_of(std::move(operand)), index, dtype);
  std::int64_t min = static_cast<std::int64_t>(*low), max = static_cast<std::int64_t>(*high);
  bool narrow = min >= INT32_MIN && max <= INT32_MAX;
  operand.storage.dtype = narrow ? DType::kInt32 : DType::kInt64;
  E loaded = pool_.load(slot_of(std::move(operand)), index, operand.storage.dtype, min, max);
  return pool_.cast(loaded, dtype);
}

E NestBuilder::element(ir::ValueId value, std::span<const E> index) {
  if (const auto* constant = graph_.constant(value))
    if (E known = constant_element(*constant, index)) return known;
  if (const Storage* storage = surroundings_.storage(value)) return load(value, *storage, index);
  if (is_formula(graph_.value(value)))
    return known_element(*graph_.value(value).elements, graph_.value(value).type.dtype, graph_.value(value).type.sizes(), index);
  auto key = std::pair(value, std::vector<E>(index.begin(), index.end()));
  if (auto it = elements_.find(key); it != elements_.end()) return it->second;
  std::size_t output = 0;
  const ir::Node* node = surroundings_.producer(value, &output);
  const LoweringRow* row = node ? find_lowering(node->op) : nullptr;
  E made = nullptr;
  if (row) {
    nodes_.insert(node);
    LoweringContext context(
        pool_, graph_, *node, output, key.second, [this](ir::ValueId v, std::span<const E> i) { return element(v, i); },
        [this](std::vector<double> v, DType d, E i) { return table(std::move(v), d, i); });
    auto lowered = row->lower(context);
    if (lowered) made = *lowered;
    else if (outcome_)
      outcome_ = std::unexpected(std::move(lowered).error().in(node->name.empty() ? node->op : node->name));
  } else if (outcome_) {
    outcome_ = fail(Code::kInternal, "the value '{}' is neither stored nor computable in a loop nest (our bug)",
                    graph_.value(value).name);
  }
  if (!made) made = pool_.constant(0, compute_type(graph_.value(value).type.dtype));
  elements_.emplace(std::move(key), made);
  return made;
}

bool NestBuilder::is_safe(E load) const {
  const Operand& operand = operands_[static_cast<std::size_t>(load->integer)];
  if (load->args[0]->min < 0 || load->args[0]->max >= operand.storage.capacity) return false;
  if (operand.value == ir::kNoValue || graph_.value(operand.value).type.is_static()) return true;
  // Under its actual sizes the caller's memory may be shorter than its capacity.
  const Size count = tensor::num_elements(
      physical_shape(graph_.value(operand.value).type.sizes(), operand.storage.layout, blocking_));
  return tensor::surely_below(upper_bound(load->args[0]), count);
}

bool NestBuilder::has_unsafe_load(E expr) {
  bool found = false;
  std::unordered_set<E> seen;
  walk(expr, seen, [&](E e) { found |= e->op == Op::kLoad && !is_safe(e); });
  return found;
}

// Joins neighbouring loops into one where no index becomes more complicated by it: pointwise nests end up with one
// loop.
void NestBuilder::collapse(Nest& nest) {
  std::size_t divisions = count_divisions(nest);
  for (std::size_t i = nest.vars.size(); i-- > 1;) {
    E a = nest.vars[i - 1], b = nest.vars[i];
    const Size extent = extent_of(b);
    E joined = pool_.var(extent_of(a) * extent);
    std::map<E, E> with = {{a, pool_.add(pool_.div(joined, extent), a->min)},
                           {b, pool_.add(pool_.mod(joined, extent), b->min)}};
    std::vector<E> vars = nest.vars;
    vars[i - 1] = joined;
    vars.erase(vars.begin() + static_cast<std::ptrdiff_t>(i));
    Nest candidate = replaced(pool_, nest, with, std::move(vars));
    std::size_t now = count_divisions(candidate);
    if (now > divisions) continue;
    divisions = now;
    nest = std::move(candidate);
  }
}

namespace {

// Where a condition on indices starts or stops to hold along `var`, if that decides it for most of the range.
std::vector<std::int64_t> cut_points(E difference, E var) {  // the condition is difference >= 0
  auto stride = stride_of(difference, var);
  if (!stride || *stride == 0 || difference->min == INT64_MIN || difference->has_size) return {};
  std::int64_t k = *stride, low = k * var->min, high = k * var->max;
  std::int64_t rest_min = difference->min - std::min(low, high), rest_max = difference->max - std::max(low, high);
  std::int64_t first, second;  // the condition is undecided in [first, second)
  if (k > 0) first = ceil_div(-rest_max, k), second = ceil_div(-rest_min, k);
  else first = ceil_div(rest_min + 1, -k), second = ceil_div(rest_max + 1, -k);
  std::int64_t from = std::max(first, var->min), to = std::min(second, var->max + 1);
  if (to - from > (var->max - var->min + 1) / 2) return {};
  std::vector<std::int64_t> points;
  for (std::int64_t p : {first, second})
    if (p > var->min && p <= var->max && (points.empty() || points.back() != p)) points.push_back(p);
  return points;
}

// The same for formulas: the one place where `difference` changes its sign along `var`, if it depends on nothing else and the
// place is sure to lie inside.
std::optional<Size> cut_point(E difference, E var) {
  if (!difference->has_size || var->min != 0) return std::nullopt;
  const LinearForm form = linear_form(difference);
  if (form.terms.size() != 1 || form.terms[0].first != var || !form.terms[0].second.is_number()) return std::nullopt;
  const std::int64_t k = form.terms[0].second.number();
  if (k != 1 && k != -1) return std::nullopt;
  const Size at = k == 1 ? Size(0) - form.constant : form.constant + 1;
  const bool inside = tensor::surely_at_most(0, at) && tensor::surely_at_most(at, extent_of(var));
  return inside ? std::optional(at) : std::nullopt;
}

// Conditions that decide which branch is taken, on indices alone.
void collect_conditions(ExprPool& pool, E condition, std::vector<E>& differences) {
  if (condition->op != Op::kCall) return;
  if (condition->function == Fn::kAnd || condition->function == Fn::kOr || condition->function == Fn::kNot) {
    for (E arg : condition->args) collect_conditions(pool, arg, differences);
    return;
  }
  bool order = condition->function == Fn::kLe || condition->function == Fn::kLt;
  if (!order || condition->has_load || condition->args[0]->dtype != DType::kInt64) return;
  E difference = pool.sub(condition->args[1], condition->args[0]);
  differences.push_back(condition->function == Fn::kLe ? difference : pool.add(difference, -1));
}

}  // namespace

void NestBuilder::segment(Nest nest, std::vector<Nest>& out, int depth) {
  if (nest.guard && nest.guard->is_int(0)) return;
  if (nest.guard && nest.guard->is_int(1)) nest.guard = nullptr;
  std::vector<E> differences;
  if (depth < 8 && out.size() < kMaxSegments) {
    if (nest.guard) collect_conditions(pool_, nest.guard, differences);
    walk(nest, [&](E e) {
      if (e->op == Op::kSelect) collect_conditions(pool_, e->args[0], differences);
    });
  }
  for (E difference : differences)
    for (std::size_t i = 0; i < nest.vars.size(); ++i) {
      E var = nest.vars[i];
      if (auto at = cut_point(difference, var)) {
        std::vector<E> vars = nest.vars;
        vars[i] = pool_.var(*at);
        segment(replaced(pool_, nest, {{var, vars[i]}}, vars), out, depth + 1);
        vars[i] = pool_.var(extent_of(var) - *at);
        segment(replaced(pool_, nest, {{var, pool_.add(vars[i], *at)}}, vars), out, depth + 1);
        return;
      }
      auto points = cut_points(difference, var);
      if (points.empty()) continue;
      points.push_back(var->max + 1);
      std::int64_t from = var->min;
      for (std::int64_t to : points) {
        std::vector<E> vars = nest.vars;
        vars[i] = pool_.var(from, to - 1);
        segment(replaced(pool_, nest, {{var, vars[i]}}, vars), out, depth + 1);
        from = to;
      }
      return;
    }
  out.push_back(std::move(nest));
}

// Splits loops at the divisors that their indices are divided by, so that the innermost loops are free of divisions.
void NestBuilder::remove_divisions(Nest nest, std::vector<Nest>& out, int depth) {
  std::size_t before = depth < 6 ? count_divisions(nest) : 0;
  E var = nullptr;
  std::int64_t factor = 0;
  const auto whole_of = [](E loop, std::int64_t m) { return loop->size.is_number() ? std::nullopt : loop->size.over(m); };
  if (before > 0)
    walk(nest, [&](E e) {
      if (factor || !is_division(e)) return;
      for (E candidate : nest.vars) {
        auto stride = stride_of(e->args[0], candidate);
        if (!stride || *stride == 0 || !e->size.is_number() || e->size.number() % *stride != 0) continue;
        std::int64_t m = std::abs(e->size.number() / *stride), extent = candidate->max - candidate->min + 1;
        if (!candidate->size.is_number() && !whole_of(candidate, m)) continue;
        if (m > 1 && m < extent && candidate->min % m == 0) var = candidate, factor = m;
      }
    });
  if (!var) return out.push_back(std::move(nest));
  if (auto outer_extent = whole_of(var, factor)) {
    E outer = pool_.var(*outer_extent), inner = pool_.var(factor);
    std::vector<E> vars = nest.vars;
    const auto position = std::find(vars.begin(), vars.end(), var) - vars.begin();
    vars[static_cast<std::size_t>(position)] = outer;
    vars.insert(vars.begin() + position + 1, inner);
    Nest split = replaced(pool_, nest, {{var, pool_.add(pool_.scale(outer, factor), inner)}}, std::move(vars));
    if (count_divisions(split) >= before) return out.push_back(std::move(nest));
    return remove_divisions(std::move(split), out, depth + 1);
  }
  std::int64_t extent = var->max - var->min + 1, whole = extent / factor, rest = extent % factor;
  std::size_t position =
      static_cast<std::size_t>(std::find(nest.vars.begin(), nest.vars.end(), var) - nest.vars.begin());
  auto split = [&](std::int64_t outer_from, std::int64_t outer_count, std::int64_t inner_count) {
    E outer = pool_.var(outer_from, outer_from + outer_count - 1), inner = pool_.var(inner_count);
    std::vector<E> vars = nest.vars;
    vars[position] = outer;
    vars.insert(vars.begin() + static_cast<std::ptrdiff_t>(position) + 1, inner);
    return replaced(pool_, nest, {{var, pool_.add(pool_.scale(outer, factor), inner)}}, std::move(vars));
  };
  Nest main = split(var->min / factor, whole, factor);
  if (count_divisions(main) >= before) return out.push_back(std::move(nest));
  remove_divisions(std::move(main), out, depth + 1);
  if (rest > 0) remove_divisions(split(var->min / factor + whole, 1, rest), out, depth + 1);
}

Result<std::vector<Nest>> NestBuilder::build(ir::ValueId value, const Storage& storage, bool copy) {
  auto shape = graph_.value(value).type.sizes();
  auto dims = physical_shape(shape, storage.layout, blocking_);
  std::vector<E> place;
  for (const Size& extent : dims) place.push_back(pool_.var(extent == Size(0) ? Size(1) : extent));
  std::vector<E> index = place;
  E guard = nullptr;
  if (storage.layout == Layout::kBlocked) {
    index.pop_back();
    index[1] = pool_.add(pool_.scale(place[1], dims.back()), place.back());
  }
  Nest nest;
  for (E var : place)
    if (var->op == Op::kVar) nest.vars.push_back(var);
  nest.offset = pool_.flatten(place, dims);
  if (copy) {
    nest.value = load(value, *surroundings_.storage(value), index);
  } else if (is_formula(graph_.value(value))) {
    nest.value = known_element(*graph_.value(value).elements, graph_.value(value).type.dtype, shape, index);
  } else {
    std::size_t output = 0;
    const ir::Node* node = surroundings_.producer(value, &output);
    const LoweringRow* row = node ? find_lowering(node->op) : nullptr;
    if (!row) return fail(Code::kInternal, "the value '{}' has no loop nest (our bug)", graph_.value(value).name);
    nodes_.insert(node);
    LoweringContext context(
        pool_, graph_, *node, output, index, [this](ir::ValueId v, std::span<const E> i) { return element(v, i); },
        [this](std::vector<double> v, DType d, E i) { return table(std::move(v), d, i); });
    auto lowered = row->lower(context);
    if (!lowered) return std::unexpected(std::move(lowered).error().in(node->name.empty() ? node->op : node->name));
    nest.value = *lowered;
  }
  XI_CHECK(outcome_);
  const bool padded = storage.layout == Layout::kBlocked && !shape[1].over(dims.back());
  if (style_ == NestStyle::kWhole) {
    if (padded)
      nest.value = pool_.select(pool_.in_range(index[1], 0, shape[1] - 1), nest.value,
                                pool_.constant(0, nest.value->dtype));
    collapse(nest);
    return std::vector<Nest>{std::move(nest)};
  }
  // Lanes past the last channel may hold anything, so they are computed along unless that would read out of bounds.
  if (padded && has_unsafe_load(nest.value)) guard = pool_.in_range(index[1], 0, shape[1] - 1);
  nest.guard = guard;

  collapse(nest);
  std::vector<Nest> segments, result;
  segment(std::move(nest), segments, 0);
  for (auto& part : segments) {
    collapse(part);
    remove_divisions(std::move(part), result, 0);
  }
  return result;
}

}  // namespace xinfer::schedule
