#include "schedule/expr.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

namespace xinfer::schedule {

namespace {

constexpr std::int64_t kUnboundedMin = INT64_MIN, kUnboundedMax = INT64_MAX;

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  std::int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

bool bounded(E e) { return e->min != kUnboundedMin && e->max != kUnboundedMax; }

void mix(std::size_t& hash, std::size_t value) { hash ^= value + 0x9e3779b97f4a7c15ull + (hash << 6) + (hash >> 2); }

std::size_t hash_of(const Expr& e) {
  std::size_t hash = static_cast<std::size_t>(e.op) * 131 + static_cast<std::size_t>(e.function);
  mix(hash, static_cast<std::size_t>(e.dtype));
  mix(hash, static_cast<std::size_t>(e.integer));
  mix(hash, std::bit_cast<std::size_t>(e.real));
  for (E arg : e.args) mix(hash, arg->id);
  auto mix_size = [&](const Size& size) {
    if (size.is_number()) mix(hash, static_cast<std::size_t>(size.number()));
    else mix(hash, std::hash<std::string>()(size.text()));
  };
  mix_size(e.size);
  for (const Size& c : e.coefficients) mix_size(c);
  for (E var : e.vars) mix(hash, var->id);
  return hash;
}

bool equal(const Expr& a, const Expr& b) {
  return a.op == b.op && a.function == b.function && a.dtype == b.dtype && a.integer == b.integer &&
         std::bit_cast<std::uint64_t>(a.real) == std::bit_cast<std::uint64_t>(b.real) && a.args == b.args &&
         a.size == b.size && a.coefficients == b.coefficients && a.vars == b.vars;
}

bool by_id(E a, E b) { return a->id < b->id; }

// Free variables and loads follow from the parts.
void derive_facts(Expr& e) {
  e.has_load = e.op == Op::kLoad || e.op == Op::kRowLoad;
  e.has_size = !e.size.is_number();
  for (const Size& c : e.coefficients) e.has_size |= !c.is_number();
  for (E arg : e.args) {
    e.has_load |= arg->has_load;
    e.has_size |= arg->has_size;
    for (E var : arg->free_vars)
      if (std::find(e.vars.begin(), e.vars.end(), var) == e.vars.end()) e.free_vars.push_back(var);
  }
  std::sort(e.free_vars.begin(), e.free_vars.end(), by_id);
  e.free_vars.erase(std::unique(e.free_vars.begin(), e.free_vars.end()), e.free_vars.end());
}

DType result_type(Fn function, DType argument) {
  switch (function) {
    case Fn::kEq:
    case Fn::kLt:
    case Fn::kLe:
    case Fn::kIsNan:
    case Fn::kNot:
    case Fn::kAnd:
    case Fn::kOr:
    case Fn::kXor: return DType::kBool;
    default: return argument;
  }
}

}  // namespace

std::string_view name(Fn function) {
  static constexpr std::string_view kNames[] = {
      "none",  "neg",    "abs",     "sign",   "floor", "ceil", "round",  "trunc", "sqrt",      "exp",        "log",
      "sin",   "cos",    "tan",     "asin",   "acos",  "atan", "sinh",   "cosh",  "tanh",      "asinh",      "acosh",
      "atanh", "erf",    "sigmoid", "log1p",  "expm1", "not",  "bitnot", "isnan", "round_f16", "round_bf16", "round_f8",
      "add",   "sub",    "mul",     "div",    "pow",   "mod",  "fmod",   "min",   "max",       "and",        "or",
      "xor",   "bitand", "bitor",   "bitxor", "shl",   "shr",  "eq",     "lt",    "le"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(Fn::kLe) + 1);
  return kNames[static_cast<std::size_t>(function)];
}

bool Expr::depends_on(E var) const { return std::binary_search(free_vars.begin(), free_vars.end(), var, by_id); }

E ExprPool::intern(Expr expr) {
  std::size_t hash = hash_of(expr);
  auto [begin, end] = index_.equal_range(hash);
  for (auto it = begin; it != end; ++it)
    if (equal(*it->second, expr)) return it->second;
  expr.id = static_cast<std::uint32_t>(expressions_.size());
  derive_facts(expr);
  expressions_.push_back(std::move(expr));
  E made = &expressions_.back();
  index_.emplace(hash, made);
  return made;
}

E ExprPool::integer(std::int64_t value, DType dtype) {
  return intern({.op = Op::kInt, .dtype = dtype, .integer = value, .min = value, .max = value});
}

E ExprPool::real(double value, DType dtype) {
  if (dtype == DType::kFloat32) value = static_cast<float>(value);
  return intern({.op = Op::kReal, .dtype = dtype, .real = value});
}

E ExprPool::constant(double value, DType dtype) {
  if (dtype == DType::kFloat32 || dtype == DType::kFloat64) return real(value, dtype);
  return integer(static_cast<std::int64_t>(value), dtype);
}

E ExprPool::var(std::int64_t min, std::int64_t max) {
  Expr made{.op = Op::kVar, .integer = static_cast<std::int64_t>(expressions_.size()), .min = min, .max = max};
  if (min == max) return integer(min);  // a loop of one trip
  made.id = static_cast<std::uint32_t>(expressions_.size());
  expressions_.push_back(std::move(made));
  Expr& stored = expressions_.back();
  stored.free_vars = {&stored};
  return &stored;
}

E ExprPool::var(const Size& extent) {
  if (extent.is_number()) return var(0, extent.number() - 1);
  Expr made{.op = Op::kVar, .integer = static_cast<std::int64_t>(expressions_.size()), .size = extent, .min = 0, .max = extent.max() - 1};
  made.id = static_cast<std::uint32_t>(expressions_.size());
  made.has_size = true;
  expressions_.push_back(std::move(made));
  Expr& stored = expressions_.back();
  stored.free_vars = {&stored};
  return &stored;
}

E ExprPool::size(const Size& size) {
  if (size.is_number()) return integer(size.number());
  return intern({.op = Op::kSize, .size = size, .min = size.min(), .max = size.max()});
}

Size extent_of(E var) { return var->op == Op::kVar && !var->size.is_number() ? var->size : Size(var->max - var->min + 1); }

namespace {

Size bound_of(E e, bool upper) {
  const std::int64_t number = upper ? e->max : e->min;
  if (!e->has_size) {
    if (number == kUnboundedMin) return Size(-tensor::kUnbounded);
    return number == kUnboundedMax ? Size(tensor::kUnbounded) : Size(number);
  }
  switch (e->op) {
    case Op::kSize: return e->size;
    case Op::kVar: return upper ? e->size - 1 : Size(0);
    case Op::kLinear: {
      Size sum = e->size;
      for (std::size_t i = 0; i < e->args.size(); ++i) {
        const Size& c = e->coefficients[i];
        if (c.min() < 0 && c.max() > 0) return Size(upper ? e->max : e->min);
        sum += c * bound_of(e->args[i], upper == (c.min() >= 0));
      }
      return sum;
    }
    case Op::kDiv: return floor_div(bound_of(e->args[0], upper), e->size);
    case Op::kMod: return upper ? e->size - 1 : Size(0);
    case Op::kSelect: {
      const Size a = bound_of(e->args[1], upper), b = bound_of(e->args[2], upper);
      return upper ? larger(a, b) : smaller(a, b);
    }
    case Op::kCall:
      if (e->function == Fn::kMin || e->function == Fn::kMax) {
        const Size a = bound_of(e->args[0], upper), b = bound_of(e->args[1], upper);
        return e->function == Fn::kMin ? smaller(a, b) : larger(a, b);
      }
      break;
    case Op::kCast:
      if (e->args[0]->dtype == DType::kInt64 || e->args[0]->dtype == DType::kInt32) return bound_of(e->args[0], upper);
      break;
    default: break;
  }
  if (number == kUnboundedMin) return Size(-tensor::kUnbounded);
  return number == kUnboundedMax ? Size(tensor::kUnbounded) : Size(number);
}

}  // namespace

Size lower_bound(E expr) { return bound_of(expr, false); }
Size upper_bound(E expr) { return bound_of(expr, true); }

LinearForm linear_form(E e) {
  if (e->op == Op::kInt) return {e->integer, {}};
  if (e->op == Op::kSize) return {e->size, {}};
  if (e->op != Op::kLinear) return {0, {{e, 1}}};
  LinearForm form{e->size, {}};
  for (std::size_t i = 0; i < e->args.size(); ++i) form.terms.emplace_back(e->args[i], e->coefficients[i]);
  return form;
}

// c * (x mod b) + c*b * (x div b) is c * x: undoes what flattening and unflattening of indices leaves behind.
bool ExprPool::join_terms(Terms& terms, Size& constant) {
  for (std::size_t i = 0; i < terms.size(); ++i) {
    auto [mod, c] = terms[i];
    if (mod->op != Op::kMod) continue;
    const Size b = mod->size;
    LinearForm quotient = linear_form(div(mod->args[0], b));
    auto find = [&](E term) {
      return std::find_if(terms.begin(), terms.end(), [&](auto& t) { return t.first == term; });
    };
    bool all = !quotient.terms.empty();
    for (auto& [term, k] : quotient.terms) {
      auto it = find(term);
      all = all && it != terms.end() && it->second == c * b * k;
    }
    if (!all) continue;
    for (auto& [term, k] : quotient.terms) find(term)->second = 0;
    terms[i].second = 0;
    constant = constant - c * b * quotient.constant;  // the quotient's constant was not in the sum
    LinearForm whole = linear_form(mod->args[0]);
    constant += c * whole.constant;
    for (auto& [term, k] : whole.terms) terms.emplace_back(term, c * k);
    return true;
  }
  return false;
}

E ExprPool::linear(Size constant, Terms terms) {
  do {
    std::sort(terms.begin(), terms.end(), [](auto& a, auto& b) { return a.first->id < b.first->id; });
    std::size_t kept = 0;
    for (auto& term : terms) {
      if (kept > 0 && terms[kept - 1].first == term.first) terms[kept - 1].second += term.second;
      else terms[kept++] = term;
    }
    terms.resize(kept);
    std::erase_if(terms, [](auto& term) { return term.second == Size(0); });
  } while (join_terms(terms, constant));
  if (terms.empty()) return size(constant);
  if (terms.size() == 1 && constant == Size(0) && terms[0].second == Size(1)) return terms[0].first;
  Expr made{.op = Op::kLinear, .size = constant};
  bool numbers = constant.is_number();
  if (numbers) made.min = made.max = constant.number();
  for (auto& [term, c] : terms) {
    made.args.push_back(term);
    made.coefficients.push_back(c);
    numbers = numbers && c.is_number() && !term->has_size;
    if (!numbers) continue;
    if (!bounded(term) || made.min == kUnboundedMin) {
      made.min = kUnboundedMin, made.max = kUnboundedMax;
      continue;
    }
    const std::int64_t k = c.number();
    made.min += k * (k > 0 ? term->min : term->max);
    made.max += k * (k > 0 ? term->max : term->min);
  }
  if (!numbers) {
    made.has_size = true;
    made.min = -tensor::kUnbounded, made.max = tensor::kUnbounded;
    const Size low = bound_of(&made, false), high = bound_of(&made, true);
    made.min = low.min(), made.max = high.max();
  }
  return intern(std::move(made));
}

E ExprPool::add(E a, E b) {
  LinearForm x = linear_form(a), y = linear_form(b);
  x.terms.insert(x.terms.end(), y.terms.begin(), y.terms.end());
  return linear(x.constant + y.constant, std::move(x.terms));
}

E ExprPool::scale(E a, const Size& factor) {
  LinearForm form = linear_form(a);
  for (auto& term : form.terms) term.second *= factor;
  return linear(form.constant * factor, std::move(form.terms));
}

E ExprPool::quotient(E a, const Size& divisor) {
  Expr made{.op = Op::kDiv, .size = divisor, .args = {a}};
  if (divisor.is_number()) {
    if (bounded(a)) made.min = floor_div(a->min, divisor.number()), made.max = floor_div(a->max, divisor.number());
  } else {
    const Size low = floor_div(lower_bound(a), divisor), high = floor_div(upper_bound(a), divisor);
    made.min = low.min(), made.max = high.max();
  }
  return intern(std::move(made));
}

E ExprPool::remainder(E a, const Size& divisor) {
  Expr made{.op = Op::kMod, .size = divisor, .args = {a}, .min = 0, .max = divisor.max() - 1};
  if (bounded(a) && a->min >= 0) made.max = std::min(made.max, a->max);
  return intern(std::move(made));
}

E ExprPool::div(E a, const Size& divisor) {
  if (divisor == Size(1)) return a;
  const bool number = divisor.is_number();
  const std::int64_t by = divisor.number();  // where it is a number
  if (number && bounded(a) && floor_div(a->min, by) == floor_div(a->max, by)) return integer(floor_div(a->min, by));
  if ((a->has_size || !number) && lower_bound(a).min() >= 0 && tensor::surely_below(upper_bound(a), divisor)) return integer(0);
  if (a->op == Op::kSize) return size(floor_div(a->size, divisor));
  if (a->op == Op::kDiv) return div(a->args[0], a->size * divisor);
  if (a->op == Op::kMod)
    if (auto times = a->size.over(divisor)) return mod(div(a->args[0], divisor), *times);
  if (a->op == Op::kLinear) {
    // Multiples of the divisor come out; the rest stays, divided by what it has in common with the divisor.
    LinearForm form = linear_form(a);
    Terms out, rest;
    std::int64_t common = number ? by : 1;
    for (auto& [term, c] : form.terms) {
      if (auto part = c.over(divisor)) out.emplace_back(term, *part);
      else rest.emplace_back(term, c), common = c.is_number() ? std::gcd(common, c.number()) : 1;
    }
    Size whole = number || form.constant.over(divisor) ? floor_div(form.constant, divisor) : Size(0);
    Size left = form.constant - whole * divisor;
    if (!left.is_number()) common = 1;
    if (!out.empty() || whole != Size(0) || common > 1) {
      for (auto& term : rest) term.second = common > 1 ? Size(term.second.number() / common) : term.second;
      const Size inner_constant = common > 1 ? Size(left.number() / common) : left;
      const Size inner_divisor = common > 1 ? Size(by / common) : divisor;
      E inner = rest.empty() && inner_constant.is_number() && number ? integer(0) : div(linear(inner_constant, std::move(rest)), inner_divisor);
      return add(linear(whole, std::move(out)), inner);
    }
  }
  return quotient(a, divisor);
}

E ExprPool::mod(E a, const Size& divisor) {
  if (divisor == Size(1)) return integer(0);
  const bool number = divisor.is_number();
  const std::int64_t by = divisor.number();
  if (number && bounded(a) && floor_div(a->min, by) == floor_div(a->max, by)) return add(a, -by * floor_div(a->min, by));
  if ((a->has_size || !number) && lower_bound(a).min() >= 0 && tensor::surely_below(upper_bound(a), divisor)) return a;
  if (a->op == Op::kSize) return size(a->size - divisor * floor_div(a->size, divisor));
  if (a->op == Op::kMod && a->size.over(divisor)) return mod(a->args[0], divisor);
  if (a->op == Op::kLinear) {
    LinearForm form = linear_form(a);
    std::size_t before = form.terms.size();
    std::erase_if(form.terms, [&](auto& term) { return term.second.over(divisor).has_value(); });
    Size constant = number || form.constant.over(divisor) ? form.constant - floor_div(form.constant, divisor) * divisor : form.constant;
    if (form.terms.size() != before || constant != form.constant)
      return mod(linear(constant, std::move(form.terms)), divisor);
    std::int64_t common = number && constant.is_number() ? by : 1;
    for (auto& term : form.terms) common = term.second.is_number() ? std::gcd(common, term.second.number()) : 1;
    if (common > 1) {
      std::int64_t left = constant.number() % common;
      for (auto& term : form.terms) term.second = Size(term.second.number() / common);
      return add(scale(mod(linear(constant.number() / common, std::move(form.terms)), by / common), common), left);
    }
  }
  return remainder(a, divisor);
}

E ExprPool::clamp(E a, const Size& min, const Size& max) {
  if (!a->has_size && min.is_number() && max.is_number()) {
    if (a->max < min.number()) return integer(min.number());
    if (a->min > max.number()) return integer(max.number());
  }
  if (!tensor::surely_at_most(min, lower_bound(a))) a = call(Fn::kMax, a, size(min));
  if (!tensor::surely_at_most(upper_bound(a), max)) a = call(Fn::kMin, a, size(max));
  return a;
}

E ExprPool::in_range(E a, const Size& min, const Size& max) {
  const bool no_low = min == Size(INT64_MIN), no_high = max == Size(INT64_MAX);
  const Size low_bound = lower_bound(a), high_bound = upper_bound(a);
  if (!no_low && tensor::surely_below(high_bound, min)) return boolean(false);
  if (!no_high && tensor::surely_below(max, low_bound)) return boolean(false);
  E low = no_low || tensor::surely_at_most(min, low_bound) ? boolean(true) : call(Fn::kLe, size(min), a);
  E high = no_high || tensor::surely_at_most(high_bound, max) ? boolean(true) : call(Fn::kLe, a, size(max));
  return call(Fn::kAnd, low, high);
}

E ExprPool::flatten(std::span<const E> index, const std::vector<Size>& shape) {
  E offset = integer(0);
  for (std::size_t i = 0; i < shape.size(); ++i) offset = add(scale(offset, shape[i]), index[i]);
  return offset;
}

std::vector<E> ExprPool::unflatten(E offset, const std::vector<Size>& shape) {
  std::vector<E> index(shape.size());
  Size stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    const Size extent = shape[i] == Size(0) ? Size(1) : shape[i];
    index[i] = shape[i] == Size(1) ? integer(0) : div(offset, stride);
    // The offset lies inside of the tensor: nothing is left above the outermost dimension.
    const bool outermost = i == 0 && (offset->has_size || !extent.is_number());
    if (shape[i] != Size(1) && !outermost) index[i] = mod(index[i], extent);
    stride *= extent;
  }
  return index;
}

E ExprPool::load(std::int64_t buffer, E offset, DType dtype, std::int64_t min, std::int64_t max) {
  Expr made{.op = Op::kLoad, .dtype = dtype, .integer = buffer, .args = {offset}, .min = min, .max = max};
  if (dtype == DType::kBool || dtype == DType::kUint8) made.min = 0, made.max = dtype == DType::kBool ? 1 : 255;
  return intern(std::move(made));
}

E ExprPool::call(Fn function, E a) {
  if (a->op == Op::kInt && function == Fn::kNot) return boolean(a->integer == 0);
  if (function == Fn::kNot && a->op == Op::kCall && a->function == Fn::kNot) return a->args[0];
  if (a->op == Op::kReal && function == Fn::kNeg) return real(-a->real, a->dtype);
  return intern({.op = Op::kCall, .function = function, .dtype = result_type(function, a->dtype), .args = {a}});
}

// Constants and neutral elements; null where nothing can be said.
E ExprPool::fold(Fn function, E a, E b) {
  bool integers = a->op == Op::kInt && b->op == Op::kInt;
  switch (function) {
    case Fn::kAnd:
      if (a->op == Op::kInt) return a->integer ? b : a;
      if (b->op == Op::kInt) return b->integer ? a : b;
      return a == b ? a : nullptr;
    case Fn::kOr:
      if (a->op == Op::kInt) return a->integer ? a : b;
      if (b->op == Op::kInt) return b->integer ? b : a;
      return a == b ? a : nullptr;
    case Fn::kEq: return integers ? boolean(a->integer == b->integer) : nullptr;
    case Fn::kLt:
      if (a->has_size || b->has_size) {
        if (tensor::surely_below(upper_bound(a), lower_bound(b))) return boolean(true);
        return tensor::surely_at_most(upper_bound(b), lower_bound(a)) ? boolean(false) : nullptr;
      }
      if (bounded(a) && bounded(b) && a->max < b->min) return boolean(true);
      return bounded(a) && bounded(b) && a->min >= b->max ? boolean(false) : nullptr;
    case Fn::kLe:
      if (a->has_size || b->has_size) {
        if (tensor::surely_at_most(upper_bound(a), lower_bound(b))) return boolean(true);
        return tensor::surely_below(upper_bound(b), lower_bound(a)) ? boolean(false) : nullptr;
      }
      if (bounded(a) && bounded(b) && a->max <= b->min) return boolean(true);
      return bounded(a) && bounded(b) && a->min > b->max ? boolean(false) : nullptr;
    case Fn::kMul:
      // Exact for all values, NaN and infinities included; x * 0 is not 0 for them.
      if (b->op == Op::kReal && b->real == 1) return a;
      return a->op == Op::kReal && a->real == 1 ? b : nullptr;
    case Fn::kDiv: return b->op == Op::kReal && b->real == 1 ? a : nullptr;
    case Fn::kSub: return b->op == Op::kReal && b->real == 0 && !std::signbit(b->real) ? a : nullptr;
    case Fn::kPow:
      if (b->op != Op::kReal) return nullptr;
      if (b->real == 1) return a;
      if (b->real == 2) return call(Fn::kMul, a, a);
      if (b->real == 3) return call(Fn::kMul, call(Fn::kMul, a, a), a);
      return b->real == -1 ? call(Fn::kDiv, real(1, a->dtype), a) : nullptr;
    default: return nullptr;
  }
}

E ExprPool::call(Fn function, E a, E b) {
  if (E folded = fold(function, a, b)) return folded;
  Expr made{.op = Op::kCall, .function = function, .dtype = result_type(function, a->dtype), .args = {a, b}};
  if (function == Fn::kMin || function == Fn::kMax) {
    bool low = function == Fn::kMin;
    made.min = low ? std::min(a->min, b->min) : std::max(a->min, b->min);
    made.max = low ? std::min(a->max, b->max) : std::max(a->max, b->max);
  }
  return intern(std::move(made));
}

E ExprPool::select(E condition, E a, E b) {
  if (condition->op == Op::kInt) return condition->integer ? a : b;
  if (a == b) return a;
  Expr made{.op = Op::kSelect, .dtype = a->dtype, .args = {condition, a, b}};
  if (bounded(a) && bounded(b)) made.min = std::min(a->min, b->min), made.max = std::max(a->max, b->max);
  return intern(std::move(made));
}

E ExprPool::cast(E a, DType dtype) {
  if (a->dtype == dtype) return a;
  bool to_float = dtype == DType::kFloat32 || dtype == DType::kFloat64;
  if (a->op == Op::kInt) {
    if (to_float) return real(static_cast<double>(a->integer), dtype);
    if (dtype == DType::kBool) return boolean(a->integer != 0);
    if (dtype == DType::kInt64) return integer(a->integer, dtype);
  }
  if (a->op == Op::kReal && to_float) return real(a->real, dtype);
  Expr made{.op = Op::kCast, .dtype = dtype, .args = {a}};
  if (!to_float && tensor::size_of(dtype) >= tensor::size_of(a->dtype) && dtype != DType::kBool && bounded(a) &&
      a->min >= 0)
    made.min = a->min, made.max = a->max;
  return intern(std::move(made));
}

E ExprPool::bit_cast(E a, DType dtype) {
  if (a->dtype == dtype) return a;
  return intern({.op = Op::kCast, .dtype = dtype, .integer = 1, .args = {a}});
}

E ExprPool::round_small(E a, DType dtype, bool saturate, int mode) {
  std::int64_t code = static_cast<std::int64_t>(dtype) + (saturate ? 256 : 0) + 512 * mode;
  return intern({.op = Op::kCall, .function = Fn::kRoundF8, .dtype = DType::kFloat32, .integer = code, .args = {a}});
}

E ExprPool::reduce(Fn function, std::vector<E> vars, E body) {
  std::erase_if(vars, [](E var) { return var->op == Op::kInt; });  // loops of one trip
  if (vars.empty()) return body;
  return intern(
      {.op = Op::kReduce, .function = function, .dtype = body->dtype, .args = {body}, .vars = std::move(vars)});
}

E ExprPool::arg_reduce(Fn function, E var, E body, bool last) {
  if (var->op == Op::kInt) return var;
  return intern({.op = Op::kArgReduce,
                 .function = function,
                 .integer = last,
                 .args = {body},
                 .vars = {var},
                 .min = var->min,
                 .max = var->max});
}

E ExprPool::row(E var, E body) { return intern({.op = Op::kRow, .dtype = body->dtype, .args = {body}, .vars = {var}}); }

E ExprPool::row_load(E row, E index) {
  if (!keeps_rows_) return substitute(row->args[0], {{row->vars[0], index}});
  return intern({.op = Op::kRowLoad, .dtype = row->dtype, .args = {row, index}});
}

E ExprPool::rebuilt(E e, const std::map<E, E>& replacements, std::unordered_map<E, E>& done) {
  bool touched = std::ranges::any_of(e->free_vars, [&](E var) { return replacements.contains(var); });
  if (!touched) return e;
  if (auto it = done.find(e); it != done.end()) return it->second;
  std::vector<E> args;
  for (E arg : e->args) args.push_back(rebuilt(arg, replacements, done));
  E made = nullptr;
  switch (e->op) {
    case Op::kInt:
    case Op::kSize:
    case Op::kReal: made = e; break;
    case Op::kVar: made = replacements.at(e); break;
    case Op::kLinear:
      made = size(e->size);
      for (std::size_t i = 0; i < args.size(); ++i) made = add(made, scale(args[i], e->coefficients[i]));
      break;
    case Op::kDiv: made = div(args[0], e->size); break;
    case Op::kMod: made = mod(args[0], e->size); break;
    case Op::kLoad: made = load(e->integer, args[0], e->dtype, e->min, e->max); break;
    case Op::kCall:
      made = e->function == Fn::kRoundF8 ? round_small(args[0], static_cast<DType>(e->integer & 255),
                                                       (e->integer & 256) != 0, static_cast<int>(e->integer >> 9))
             : args.size() == 1          ? call(e->function, args[0])
                                         : call(e->function, args[0], args[1]);
      break;
    case Op::kSelect: made = select(args[0], args[1], args[2]); break;
    case Op::kCast: made = e->integer ? bit_cast(args[0], e->dtype) : cast(args[0], e->dtype); break;
    case Op::kReduce: made = reduce(e->function, e->vars, args[0]); break;
    case Op::kArgReduce: made = arg_reduce(e->function, e->vars[0], args[0], e->integer != 0); break;
    case Op::kRow: made = row(e->vars[0], args[0]); break;
    case Op::kRowLoad: made = row_load(args[0], args[1]); break;
  }
  done.emplace(e, made);
  return made;
}

E ExprPool::substitute(E expr, const std::map<E, E>& replacements) {
  std::unordered_map<E, E> done;
  return rebuilt(expr, replacements, done);
}

std::optional<std::int64_t> stride_of(E expr, E var) {
  Size stride = 0;
  for (const auto& [term, c] : linear_form(expr).terms) {
    if (term == var) stride = c;
    else if (term->depends_on(var)) return std::nullopt;
  }
  return stride.is_number() ? std::optional(stride.number()) : std::nullopt;
}

std::string to_string(E e) {
  std::string out;
  switch (e->op) {
    case Op::kInt: return std::to_string(e->integer);
    case Op::kReal: return fmt::format("{}", e->real);
    case Op::kVar: return fmt::format("i{}", e->id);
    case Op::kSize: return e->size.text();
    case Op::kLinear: {
      auto factor = [](const Size& size) { return size.is_number() ? size.text() : "(" + size.text() + ")"; };
      for (std::size_t i = 0; i < e->args.size(); ++i)
        out += fmt::format("{}{}{}", i ? " + " : "",
                           e->coefficients[i] == Size(1) ? "" : fmt::format("{}*", factor(e->coefficients[i])),
                           to_string(e->args[i]));
      return e->size != Size(0) ? fmt::format("({} + {})", out, e->size.text()) : e->args.size() > 1 ? "(" + out + ")" : out;
    }
    case Op::kDiv: return fmt::format("{}/{}", to_string(e->args[0]), e->size.text());
    case Op::kMod: return fmt::format("{}%{}", to_string(e->args[0]), e->size.text());
    case Op::kLoad: return fmt::format("load({}, {})", e->integer, to_string(e->args[0]));
    case Op::kCall: out = name(e->function); break;
    case Op::kSelect: out = "select"; break;
    case Op::kCast: out = tensor::name(e->dtype); break;
    case Op::kReduce: out = fmt::format("reduce_{}", name(e->function)); break;
    case Op::kArgReduce: out = fmt::format("arg_{}", name(e->function)); break;
    case Op::kRow: out = "row"; break;
    case Op::kRowLoad: out = "row_load"; break;
  }
  out += "(";
  for (std::size_t i = 0; i < e->vars.size(); ++i) out += to_string(e->vars[i]) + ": ";
  for (std::size_t i = 0; i < e->args.size(); ++i) out += (i ? ", " : "") + to_string(e->args[i]);
  return out + ")";
}

}  // namespace xinfer::schedule
