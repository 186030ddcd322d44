// Sizes that may depend on symbols: exact arithmetic on dimensions that are known only while running.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace xinfer::tensor {

inline constexpr std::int64_t kUnbounded = std::int64_t{1} << 40;  // more than any dimension

/// A named size with the range of values that it may take; `opt` is the value to be fast at.
struct Symbol {
  std::string name;
  std::int64_t min = 1, opt = 1, max = kUnbounded;
  bool operator==(const Symbol&) const = default;
};
/// One range of one value for each size, without names.
std::vector<Symbol> fixed_ranges(const std::vector<std::int64_t>& shape);
/// The name with every character but letters, digits, '_' and '.' replaced by '_': what Size::parse reads back.
std::string symbol_name(std::string_view name);

/// An integer, or a polynomial over symbols and over quotients, minima and maxima of such polynomials. Always in one
/// canonical form, so equal sizes compare equal in most cases (never unequal ones). A value; cheap to copy.
class Size {
 public:
  Size(std::int64_t value = 0) : value_(value) {}
  explicit Size(Symbol symbol);

  bool is_number() const { return terms_ == nullptr; }
  std::int64_t number() const { return value_; }  // of a number
  /// No value lies outside, and where a symbol is unbounded, kUnbounded stands for infinity.
  std::int64_t min() const;
  std::int64_t max() const;
  /// Sharper than min() >= 0: min(N, 100) <= N, N/2 <= N.
  bool surely_not_negative(int depth = 3) const;
  /// The value with all symbols at their optimum.
  std::int64_t opt() const;

  friend Size operator+(const Size& a, const Size& b);
  friend Size operator-(const Size& a, const Size& b) { return a + b * Size(-1); }
  friend Size operator*(const Size& a, const Size& b);
  Size& operator+=(const Size& other) { return *this = *this + other; }
  Size& operator*=(const Size& other) { return *this = *this * other; }
  bool operator==(const Size& other) const;
  /// The quotient where the divisor goes into this for all values of the symbols.
  std::optional<Size> over(const Size& divisor) const;

  /// "2*N*H + (W + 1)/2"; '/' rounds down. parse() reads it; it finds symbols through `symbol`, unknown ones are an error.
  std::string text() const;
  using Symbols = std::function<std::optional<Symbol>(std::string_view name)>;
  static std::optional<Size> parse(std::string_view text, const Symbols& symbol);
  /// As a C expression of type int64_t that calls x_quotient(a, b), x_smaller and x_larger. `symbol` names each.
  std::string c_text(const std::function<std::string(const std::string& name)>& symbol) const;
  using Values = std::function<std::int64_t(const std::string& name)>;
  std::int64_t evaluate(const Values& value) const;
  /// All symbols, sorted by name.
  std::vector<Symbol> symbols() const;
  /// The symbol that this is, if it is just one.
  const Symbol* as_symbol() const;

 private:
  friend Size floor_div(const Size& a, const Size& b);
  friend Size smaller(const Size& a, const Size& b);
  friend Size larger(const Size& a, const Size& b);
  struct Atom;
  struct Term;
  using Terms = std::vector<Term>;

  static Size of_terms(Terms terms);
  static Size of_atom(std::shared_ptr<const Atom> atom);
  static Size binary(int kind, const Size& a, const Size& b);
  Terms terms() const;
  struct Bounds;
  Bounds bounds() const;

  std::int64_t value_ = 0;
  std::shared_ptr<const Terms> terms_;  // null for numbers
};

Size floor_div(const Size& a, const Size& b);  // b > 0
inline Size ceil_div(const Size& a, const Size& b) { return floor_div(a + b - 1, b); }
Size smaller(const Size& a, const Size& b);
Size larger(const Size& a, const Size& b);
/// Whether a <= b (a < b) is sure for all values of the symbols.
inline bool surely_at_most(const Size& a, const Size& b) { return (b - a).surely_not_negative(); }
inline bool surely_below(const Size& a, const Size& b) { return surely_at_most(a + 1, b); }

/// Product of the sizes (1 for a scalar).
Size num_elements(const std::vector<Size>& sizes);

}  // namespace xinfer::tensor
