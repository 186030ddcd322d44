#include "tensor/size.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <map>
#include <numeric>

namespace xinfer::tensor {

namespace {

constexpr int kMaxDepth = 64;  // of parentheses in a text
constexpr std::size_t kMaxText = 4096;

using Wide = __int128;

std::int64_t saturated(Wide value) {
  if (value >= kUnbounded) return kUnbounded;
  return value <= -kUnbounded ? -kUnbounded : static_cast<std::int64_t>(value);
}
// The nearest number that can be negated.
std::int64_t clamped(Wide value) {
  constexpr Wide kLargest = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::clamp(value, -kLargest, kLargest));
}
std::int64_t floor_of(std::int64_t a, std::int64_t b) {
  std::int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

}  // namespace

std::vector<Symbol> fixed_ranges(const std::vector<std::int64_t>& shape) {
  std::vector<Symbol> ranges;
  for (std::int64_t size : shape) ranges.push_back({.name = {}, .min = size, .opt = size, .max = size});
  return ranges;
}

std::string symbol_name(std::string_view name) {
  std::string made;
  for (char c : name) made += std::isalnum(static_cast<unsigned char>(c)) || c == '.' ? c : '_';
  if (made.empty() || std::isdigit(static_cast<unsigned char>(made[0]))) made.insert(made.begin(), '_');
  return made;
}

// What a product is made of. Unique by its text.
struct Size::Atom {
  enum Kind { kSymbol, kQuotient, kSmaller, kLarger } kind = kSymbol;
  Symbol symbol;
  Size a, b;
  std::string text;

  std::int64_t low = 0, high = 0;  // found once: atoms nest, and asking each time would double the work at every level

  void find_range() {
    switch (kind) {
      case kSymbol: low = symbol.min, high = symbol.max; return;
      case kSmaller: low = std::min(a.min(), b.min()), high = std::min(a.max(), b.max()); return;
      case kLarger: low = std::max(a.min(), b.min()), high = std::max(a.max(), b.max()); return;
      case kQuotient: break;
    }
    const std::int64_t least = std::max<std::int64_t>(b.min(), 1), most = std::max<std::int64_t>(b.max(), 1);
    low = a.min() >= 0 ? a.min() / most : floor_of(a.min(), least);
    high = a.max() >= kUnbounded ? kUnbounded : a.max() >= 0 ? a.max() / least : floor_of(a.max(), most);
  }
};

// coefficient * product of the factors, which are sorted by text.
struct Size::Term {
  std::int64_t coefficient = 0;
  std::vector<std::shared_ptr<const Atom>> factors;
  std::string key;  // the factors' texts

  void finish() {
    std::sort(factors.begin(), factors.end(), [](auto& a, auto& b) { return a->text < b->text; });
    key.clear();
    for (auto& factor : factors) key += (key.empty() ? "" : "*") + factor->text;
  }
};

struct Size::Bounds {
  std::int64_t low, high;
};

Size::Size(Symbol symbol) {
  if (symbol.min == symbol.max) {
    value_ = symbol.min;
    return;
  }
  auto atom = std::make_shared<Atom>();
  atom->text = symbol.name;
  atom->symbol = std::move(symbol);
  atom->find_range();
  *this = of_atom(std::move(atom));
}

Size Size::of_atom(std::shared_ptr<const Atom> atom) {
  Term term{1, {std::move(atom)}, {}};
  term.finish();
  return of_terms({std::move(term)});
}

// Sums equal products up and sorts them: longer products first, the number last.
Size Size::of_terms(Terms terms) {
  std::stable_sort(terms.begin(), terms.end(), [](const Term& a, const Term& b) {
    return a.factors.size() != b.factors.size() ? a.factors.size() > b.factors.size() : a.key < b.key;
  });
  Terms joined;
  for (Term& term : terms) {
    if (!joined.empty() && joined.back().key == term.key && joined.back().factors.size() == term.factors.size())
      joined.back().coefficient = clamped(Wide(joined.back().coefficient) + term.coefficient);
    else joined.push_back(std::move(term));
  }
  std::erase_if(joined, [](const Term& term) { return term.coefficient == 0; });
  if (joined.empty()) return Size(0);
  if (joined.size() == 1 && joined[0].factors.empty()) return Size(joined[0].coefficient);
  Size made;
  made.terms_ = std::make_shared<const Terms>(std::move(joined));
  return made;
}

Size::Terms Size::terms() const {
  if (terms_) return *terms_;
  if (value_ == 0) return {};
  return {Term{clamped(value_), {}, {}}};
}

Size operator+(const Size& a, const Size& b) {
  if (a.is_number() && b.is_number()) return Size(clamped(Wide(a.value_) + b.value_));
  auto terms = a.terms(), more = b.terms();
  terms.insert(terms.end(), more.begin(), more.end());
  return Size::of_terms(std::move(terms));
}

Size operator*(const Size& a, const Size& b) {
  if (a.is_number() && b.is_number()) {
    const Wide product = Wide(a.value_) * b.value_;  // what does not fit is larger than any size
    return Size(product == static_cast<std::int64_t>(product) ? static_cast<std::int64_t>(product) : saturated(product));
  }
  Size::Terms product;
  const auto left = a.terms(), right = b.terms();
  for (const auto& x : left)
    for (const auto& y : right) {
      Size::Term term{clamped(Wide(x.coefficient) * y.coefficient), x.factors, {}};
      term.factors.insert(term.factors.end(), y.factors.begin(), y.factors.end());
      term.finish();
      product.push_back(std::move(term));
    }
  return Size::of_terms(std::move(product));
}

bool Size::operator==(const Size& other) const {
  if (is_number() || other.is_number()) return is_number() && other.is_number() && value_ == other.value_;
  return terms_ == other.terms_ ||
         std::equal(terms_->begin(), terms_->end(), other.terms_->begin(), other.terms_->end(),
                    [](const Term& a, const Term& b) { return a.coefficient == b.coefficient && a.key == b.key; });
}

// Interval arithmetic, made sharper by moving each factor's range to begin at 0: where all coefficients are positive
// then, the constant is the exact bound.
Size::Bounds Size::bounds() const {
  if (is_number()) return {value_, value_};
  Bounds bounds{0, 0};
  for (const Term& term : *terms_) {
    Wide low = term.coefficient, high = term.coefficient;
    for (const auto& factor : term.factors) {
      const Wide f[] = {factor->low, factor->high};
      const Wide all[] = {low * f[0], low * f[1], high * f[0], high * f[1]};
      low = saturated(*std::min_element(all, all + 4)), high = saturated(*std::max_element(all, all + 4));
    }
    bounds.low = saturated(Wide(bounds.low) + low), bounds.high = saturated(Wide(bounds.high) + high);
  }
  // sum of c * product(low_i + x_i), expanded: by the set of factors that are x_i.
  auto shifted = [&](std::int64_t sign) -> std::optional<std::int64_t> {
    std::map<std::string, Wide> expanded;
    for (const Term& term : *terms_) {
      const std::size_t count = term.factors.size();
      if (count > 6) return std::nullopt;
      for (std::size_t set = 0; set < (std::size_t{1} << count); ++set) {
        Wide value = term.coefficient * sign;
        std::string key;
        for (std::size_t i = 0; i < count; ++i) {
          if ((set >> i & 1) != 0) key += term.factors[i]->text + "*";
          else value *= term.factors[i]->low;
          if (value > kUnbounded || value < -kUnbounded) return std::nullopt;
        }
        expanded[key] += value;
      }
    }
    for (const auto& [key, value] : expanded)
      if (!key.empty() && value < 0) return std::nullopt;
    return saturated(expanded[""]);
  };
  if (auto low = shifted(1)) bounds.low = std::max(bounds.low, *low);
  if (auto high = shifted(-1)) bounds.high = std::min(bounds.high, -*high);
  return bounds;
}

std::int64_t Size::min() const { return bounds().low; }
std::int64_t Size::max() const { return bounds().high; }

// Puts one after the other of the quotients, minima and maxima that stand alone by what they are at least (at most, where
// they are taken away).
bool Size::surely_not_negative(int depth) const {
  if (min() >= 0) return true;
  if (is_number() || depth == 0) return false;
  for (const Term& term : *terms_) {
    if (term.factors.size() != 1) continue;
    const Atom& atom = *term.factors[0];
    const bool added = term.coefficient > 0;
    const Size rest = *this - of_terms({term}), times(term.coefficient);
    if (atom.kind == (added ? Atom::kLarger : Atom::kSmaller)) {
      if ((rest + atom.a * times).surely_not_negative(depth - 1) || (rest + atom.b * times).surely_not_negative(depth - 1)) return true;
    } else if (atom.kind == Atom::kQuotient && atom.b.is_number()) {
      const Size numerator = added ? atom.a - atom.b + 1 : atom.a;
      if ((rest * atom.b + numerator * times).surely_not_negative(depth - 1)) return true;
    }
  }
  return false;
}

std::int64_t Size::opt() const {
  if (is_number()) return value_;
  std::map<std::string, std::int64_t> values;
  for (const Symbol& symbol : symbols()) values[symbol.name] = symbol.opt;
  return evaluate([&](const std::string& name) { return values[name]; });
}

std::optional<Size> Size::over(const Size& divisor) const {
  if (divisor == Size(1)) return *this;
  if (divisor == Size(0)) return std::nullopt;
  if (is_number() && divisor.is_number()) return value_ % divisor.value_ == 0 ? std::optional(Size(value_ / divisor.value_)) : std::nullopt;
  if (is_number() && value_ == 0) return Size(0);
  // Polynomial division by the leading term; what is left must be nothing.
  Size rest = *this, quotient(0);
  const Terms by = divisor.terms();
  for (int step = 0; step < 32; ++step) {
    if (rest.is_number() && rest.value_ == 0) return quotient;
    const Terms have = rest.terms();
    Term lead = have.front();
    if (lead.coefficient % by.front().coefficient != 0) return std::nullopt;
    lead.coefficient /= by.front().coefficient;
    for (const auto& factor : by.front().factors) {
      auto it = std::find_if(lead.factors.begin(), lead.factors.end(), [&](auto& f) { return f->text == factor->text; });
      if (it == lead.factors.end()) return std::nullopt;
      lead.factors.erase(it);
    }
    lead.finish();
    const Size part = of_terms({std::move(lead)});
    quotient += part;
    rest = rest - part * divisor;
  }
  return std::nullopt;
}

Size Size::binary(int kind, const Size& a, const Size& b) {
  auto atom = std::make_shared<Atom>();
  atom->kind = static_cast<Atom::Kind>(kind);
  atom->a = a, atom->b = b;
  atom->find_range();
  auto wrapped = [](const Size& size) {
    const bool simple = size.is_number() ? size.value_ >= 0 : size.terms_->size() == 1 && size.terms_->front().coefficient == 1 && size.terms_->front().factors.size() == 1;
    return simple ? size.text() : "(" + size.text() + ")";
  };
  if (atom->kind == Atom::kQuotient) atom->text = wrapped(a) + "/" + (b.is_number() || b.as_symbol() ? b.text() : "(" + b.text() + ")");
  else atom->text = fmt::format("{}({}, {})", atom->kind == Atom::kSmaller ? "min" : "max", a.text(), b.text());
  return of_atom(std::move(atom));
}

Size floor_div(const Size& a, const Size& b) {
  if (a.is_number() && b.is_number()) return Size(b.value_ == 0 ? 0 : floor_of(clamped(a.value_), b.value_));
  if (b == Size(1)) return a;
  if (auto exact = a.over(b)) return *exact;
  // What the divisor goes into comes out; the rest stays, divided by what it has in common with the divisor.
  Size out(0), rest(0);
  for (const auto& term : a.terms()) {
    const Size one = Size::of_terms({term});
    if (auto part = one.over(b)) {
      out += *part;
    } else if (term.factors.empty() && b.is_number()) {
      const std::int64_t whole = floor_of(term.coefficient, b.value_);
      out += Size(whole);
      rest += Size(term.coefficient - whole * b.value_);
    } else if (b.is_number() && std::abs(term.coefficient) > b.value_) {
      Size::Term whole = term, left = term;
      whole.coefficient = floor_of(term.coefficient, b.value_);
      left.coefficient = term.coefficient - whole.coefficient * b.value_;
      out += Size::of_terms({whole});
      rest += Size::of_terms({left});
    } else {
      rest += one;
    }
  }
  if (rest.min() >= 0 && (b - rest).min() > 0) return out;
  if (rest.max() < 0 && (rest + b).min() >= 0) return out - 1;
  if (!b.is_number()) return out + Size::binary(Size::Atom::kQuotient, rest, b);
  if (rest.is_number()) return out + Size(floor_of(rest.value_, b.value_));
  std::int64_t common = b.value_, constant = 0;
  for (const auto& term : rest.terms()) {
    if (term.factors.empty()) constant = term.coefficient;
    else common = std::gcd(common, term.coefficient);
  }
  Size numerator = rest;
  if (common > 1) {
    numerator = *(rest - Size(constant)).over(Size(common)) + Size(floor_of(constant, common));
  }
  const std::int64_t divisor = b.value_ / common;
  if (divisor == 1) return out + numerator;
  // floor(floor(x / p) / q) = floor(x / (p q)), also with a multiple of p added to x.
  const auto terms = numerator.terms();
  for (const auto& term : terms) {
    if (term.factors.size() != 1 || term.coefficient != 1 || term.factors[0]->kind != Size::Atom::kQuotient) continue;
    const auto& inner = *term.factors[0];
    if (!inner.b.is_number()) continue;
    const Size others = numerator - Size::of_atom(term.factors[0]);
    return out + floor_div(inner.a + others * inner.b, Size(clamped(Wide(inner.b.value_) * divisor)));
  }
  return out + Size::binary(Size::Atom::kQuotient, numerator, Size(divisor));
}

Size smaller(const Size& a, const Size& b) {
  if (surely_at_most(a, b)) return a;
  return surely_at_most(b, a) ? b : Size::binary(Size::Atom::kSmaller, a, b);
}
Size larger(const Size& a, const Size& b) {
  if (surely_at_most(a, b)) return b;
  return surely_at_most(b, a) ? a : Size::binary(Size::Atom::kLarger, a, b);
}

std::string Size::text() const {
  if (is_number()) return std::to_string(value_);
  std::string out;
  for (const Term& term : *terms_) {
    const std::int64_t size = std::abs(term.coefficient);
    if (out.empty()) out += term.coefficient < 0 ? "-" : "";
    else out += term.coefficient < 0 ? " - " : " + ";
    if (term.factors.empty()) {
      out += std::to_string(size);
      continue;
    }
    if (size != 1) out += fmt::format("{}*", size);
    const bool alone = size == 1 && term.factors.size() == 1;
    for (std::size_t i = 0; i < term.factors.size(); ++i) {
      const bool wrapped = term.factors[i]->kind == Atom::kQuotient && !alone;
      out += fmt::format("{}{}{}{}", i == 0 ? "" : "*", wrapped ? "(" : "", term.factors[i]->text, wrapped ? ")" : "");
    }
  }
  return out;
}

std::string Size::c_text(const std::function<std::string(const std::string&)>& symbol) const {
  if (is_number()) return fmt::format("{}ll", value_);
  std::string out;
  for (const Term& term : *terms_) {
    out += out.empty() ? "" : " + ";
    std::string product = term.coefficient == 1 && !term.factors.empty() ? "" : fmt::format("{}ll", term.coefficient);
    for (const auto& factor : term.factors) {
      product += product.empty() ? "" : " * ";
      static constexpr std::string_view kCalls[] = {"", "x_quotient", "x_smaller", "x_larger"};
      if (factor->kind == Atom::kSymbol) product += symbol(factor->symbol.name);
      else
        product += fmt::format("{}({}, {})", kCalls[factor->kind], factor->a.c_text(symbol), factor->b.c_text(symbol));
    }
    out += product;
  }
  return "(" + out + ")";
}

std::int64_t Size::evaluate(const Values& value) const {
  if (is_number()) return value_;
  Wide sum = 0;
  for (const Term& term : *terms_) {
    Wide product = term.coefficient;
    for (const auto& factor : term.factors) {
      std::int64_t f = 0;
      if (factor->kind == Atom::kSymbol) {
        f = value(factor->symbol.name);
      } else {
        const std::int64_t a = factor->a.evaluate(value), b = factor->b.evaluate(value);
        f = factor->kind == Atom::kQuotient ? (b == 0 ? 0 : floor_of(a, b)) : factor->kind == Atom::kSmaller ? std::min(a, b) : std::max(a, b);
      }
      product = saturated(product * f);
    }
    sum += product;
  }
  return saturated(sum);
}

std::vector<Symbol> Size::symbols() const {
  std::map<std::string, Symbol> found;
  auto visit = [&](auto& self, const Size& size) -> void {
    if (size.is_number()) return;
    for (const Term& term : *size.terms_)
      for (const auto& factor : term.factors) {
        if (factor->kind == Atom::kSymbol) found.emplace(factor->symbol.name, factor->symbol);
        else self(self, factor->a), self(self, factor->b);
      }
  };
  visit(visit, *this);
  std::vector<Symbol> all;
  for (auto& [name, symbol] : found) all.push_back(symbol);
  return all;
}

const Symbol* Size::as_symbol() const {
  if (is_number() || terms_->size() != 1) return nullptr;
  const Term& term = terms_->front();
  const bool one = term.coefficient == 1 && term.factors.size() == 1 && term.factors[0]->kind == Atom::kSymbol;
  return one ? &term.factors[0]->symbol : nullptr;
}

namespace {

// sum := product (('+' | '-') product)*; product := factor (('*' | '/') factor)*;
// factor := '-' factor | number | name | '(' sum ')' | ('min' | 'max') '(' sum ',' sum ')'
class Parser {
 public:
  Parser(std::string_view text, const Size::Symbols& symbol) : text_(text), symbol_(symbol) {}

  std::optional<Size> run() {
    auto size = sum(0);
    skip();
    return text_.empty() ? size : std::nullopt;
  }

 private:
  void skip() {
    while (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
  }
  bool accept(char c) {
    skip();
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }

  std::optional<Size> sum(int depth) {
    const bool negative = accept('-');  // of the whole product: -N/2 is -(N/2), and '/' rounds down
    auto left = product(depth);
    if (left && negative) left = Size(0) - *left;
    while (left) {
      const bool plus = accept('+');
      if (!plus && !accept('-')) break;
      auto right = product(depth);
      if (!right) return right;
      left = plus ? *left + *right : *left - *right;
    }
    return left;
  }

  std::optional<Size> product(int depth) {
    auto left = factor(depth);
    while (left) {
      const bool times = accept('*');
      if (!times && !accept('/')) break;
      auto right = factor(depth);
      if (!right || (!times && right->min() <= 0)) return std::nullopt;
      // A product of sums has as many terms as theirs multiplied.
      if (times && left->text().size() * right->text().size() > kMaxText * 64) return std::nullopt;
      left = times ? *left * *right : floor_div(*left, *right);
      if (left->text().size() > kMaxText) return std::nullopt;
    }
    return left;
  }

  std::optional<Size> factor(int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    if (accept('(')) {
      auto inner = sum(depth + 1);
      return accept(')') ? inner : std::nullopt;
    }
    std::size_t length = 0;
    auto in_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; };
    while (length < text_.size() && in_word(text_[length])) ++length;
    const std::string_view word = text_.substr(0, length);
    text_.remove_prefix(length);
    if (word.empty()) return std::nullopt;
    if (std::isdigit(static_cast<unsigned char>(word[0]))) {
      std::int64_t number = 0;
      auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
      const bool whole = error == std::errc{} && end == word.data() + word.size();
      return whole ? std::optional(Size(number)) : std::nullopt;
    }
    if ((word == "min" || word == "max") && accept('(')) {
      auto a = sum(depth + 1);
      if (!a || !accept(',')) return std::nullopt;
      auto b = sum(depth + 1);
      if (!b || !accept(')')) return std::nullopt;
      return word == "min" ? smaller(*a, *b) : larger(*a, *b);
    }
    auto symbol = symbol_(word);
    return symbol ? std::optional(Size(*symbol)) : std::nullopt;
  }

  std::string_view text_;
  const Size::Symbols& symbol_;
};

}  // namespace

std::optional<Size> Size::parse(std::string_view text, const Symbols& symbol) {
  if (text.size() > kMaxText) return std::nullopt;
  return Parser(text, symbol).run();
}

Size num_elements(const std::vector<Size>& sizes) {
  Size product(1);
  for (const Size& size : sizes) product *= size;
  return product;
}

}  // namespace xinfer::tensor
