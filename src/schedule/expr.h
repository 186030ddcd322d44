// Scalar expressions: what one element of a tensor is, as a function of its index. Built by the lowerings, fused by
// substitution, simplified while they are built, printed as C++.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "tensor/dtype.h"
#include "tensor/size.h"

namespace xinfer::schedule {

using tensor::DType;
using tensor::Size;

enum class Op : std::uint8_t {
  kInt,        // integer or boolean constant (Expr::integer)
  kReal,       // floating constant (Expr::real)
  kSize,       // a whole number that is known only while running: Expr::size
  kVar,        // a loop's index, min..max; where `size` is no number, 0..size - 1
  kLinear,     // index arithmetic: size + sum of coefficients[i] * args[i]
  kDiv,        // index arithmetic: floor(args[0] / size), size > 0
  kMod,        // index arithmetic: args[0] - size * floor(args[0] / size)
  kLoad,       // element args[0] (an offset in the buffer's physical layout) of buffer `integer`
  kCall,       // `function` of the arguments, which have one dtype
  kSelect,     // args[0] ? args[1] : args[2]; only the chosen one is evaluated
  kCast,       // args[0] as dtype by C's rules; integer 1: the same bits
  kReduce,     // fold of args[0] over `vars` by `function` (kAdd, kMul, kMin, kMax, kAnd, kOr, …), from its neutral
               // element
  kArgReduce,  // index (int64) of the extreme of args[0] over vars[0]; `function`: kMin or kMax; integer: 1 takes the
               // last
  kRow,        // a temporary array over vars[0] holding args[0]; only kRowLoad refers to it
  kRowLoad,    // element args[1] of the row args[0]
};

enum class Fn : std::uint8_t {
  kNone,
  // of one argument
  kNeg,
  kAbs,
  kSign,
  kFloor,
  kCeil,
  kRound,
  kTrunc,
  kSqrt,
  kExp,
  kLog,
  kSin,
  kCos,
  kTan,
  kAsin,
  kAcos,
  kAtan,
  kSinh,
  kCosh,
  kTanh,
  kAsinh,
  kAcosh,
  kAtanh,
  kErf,
  kSigmoid,
  kLog1p,
  kExpm1,
  kNot,
  kBitNot,
  kIsNan,
  kRoundF16,
  kRoundBf16,
  kRoundF8,
  // of two
  kAdd,
  kSub,
  kMul,
  kDiv,
  kPow,
  kMod,
  kFmod,
  kMin,
  kMax,
  kAnd,
  kOr,
  kXor,
  kBitAnd,
  kBitOr,
  kBitXor,
  kShl,
  kShr,
  kEq,
  kLt,
  kLe,
};
/// "exp", "add", …; the printer calls xi_<name>.
std::string_view name(Fn function);

struct Expr;
/// Expressions are immutable, shared and unique: equal ones have equal addresses. Their pool owns them.
using E = const Expr*;

struct Expr {
  Op op = Op::kInt;
  Fn function = Fn::kNone;
  DType dtype = DType::kInt64;
  std::uint32_t id = 0;  // order of creation
  std::int64_t integer = 0;
  double real = 0;
  Size size = 0;
  std::vector<E> args;
  std::vector<Size> coefficients;                 // kLinear, one per argument, none 0
  std::vector<E> vars;                            // of kReduce, kArgReduce and kRow: the loops, outermost first
  std::int64_t min = INT64_MIN, max = INT64_MAX;  // of integers: no value lies outside
  std::vector<E> free_vars;                       // variables that the value depends on, by id
  bool has_load = false;
  bool has_size = false;  // some part's value, range or factor depends on a symbol

  bool is_int(std::int64_t value) const { return op == Op::kInt && integer == value; }
  bool is_constant() const { return op == Op::kInt || op == Op::kReal; }
  bool depends_on(E var) const;
};

/// Makes expressions. Not thread-safe. Arguments of one call must come from this pool.
class ExprPool {
 public:
  E integer(std::int64_t value, DType dtype = DType::kInt64);
  E real(double value, DType dtype = DType::kFloat32);
  E boolean(bool value) { return integer(value, DType::kBool); }
  /// A constant of any numeric dtype.
  E constant(double value, DType dtype);
  /// A fresh loop index that runs from min to max inclusive.
  E var(std::int64_t min, std::int64_t max);
  E var(std::int64_t extent) { return var(0, extent - 1); }
  /// From 0 to extent - 1.
  E var(const Size& extent);
  /// The number or formula as a value.
  E size(const Size& size);

  // Index arithmetic on int64, simplified with the ranges of the variables.
  E add(E a, E b);
  E sub(E a, E b) { return add(a, scale(b, -1)); }
  E scale(E a, const Size& factor);
  E add(E a, std::int64_t b) { return add(a, integer(b)); }
  E add(E a, const Size& b) { return add(a, size(b)); }
  E div(E a, const Size& divisor);  // floor; divisor > 0
  E mod(E a, const Size& divisor);  // in [0, divisor)
  E clamp(E a, const Size& min, const Size& max);
  E in_range(E a, const Size& min, const Size& max);  // min <= a && a <= max; INT64_MIN and INT64_MAX: no bound
  /// Row-major offset of an index in a tensor of this shape, and back.
  E flatten(std::span<const E> index, const std::vector<Size>& shape);
  std::vector<E> unflatten(E offset, const std::vector<Size>& shape);

  // Values.
  /// `min`, `max`: what is known of an integer element.
  E load(std::int64_t buffer, E offset, DType dtype, std::int64_t min = INT64_MIN, std::int64_t max = INT64_MAX);
  E call(Fn function, E a);
  E call(Fn function, E a, E b);
  E select(E condition, E a, E b);
  E cast(E a, DType dtype);
  /// The bits of `a` as another dtype of the same size.
  E bit_cast(E a, DType dtype);
  /// float32 rounded to what the 8- or 4-bit `dtype` holds. `mode`: of float8e8m0, 0 up, 1 down, 2 nearest.
  E round_small(E a, DType dtype, bool saturate, int mode = 0);
  E reduce(Fn function, std::vector<E> vars, E body);
  E arg_reduce(Fn function, E var, E body, bool last);
  E row(E var, E body);
  E row_load(E row, E index);
  /// From now on a row's element is computed again wherever it is read.
  void forget_rows() { keeps_rows_ = false; }
  /// `expr` with variables replaced, simplified again.
  E substitute(E expr, const std::map<E, E>& replacements);

 private:
  E intern(Expr expr);
  using Terms = std::vector<std::pair<E, Size>>;
  E linear(Size constant, Terms terms);
  bool join_terms(Terms& terms, Size& constant);
  E quotient(E a, const Size& divisor);
  E remainder(E a, const Size& divisor);
  E fold(Fn function, E a, E b);
  E rebuilt(E expr, const std::map<E, E>& replacements, std::unordered_map<E, E>& done);

  bool keeps_rows_ = true;
  std::deque<Expr> expressions_;
  std::unordered_multimap<std::size_t, E> index_;
};

/// An expression as constant + sum of coefficient * term, whatever its op.
struct LinearForm {
  Size constant = 0;
  std::vector<std::pair<E, Size>> terms;
};
LinearForm linear_form(E expr);
/// The coefficient of `var` where the expression is linear in it; no value where it is not, or where it is no number.
std::optional<std::int64_t> stride_of(E expr, E var);

/// Trips of a loop.
Size extent_of(E var);
/// Bounds of an integer for all values of its variables; formulas where its parts are.
Size lower_bound(E expr);
Size upper_bound(E expr);

/// The text form, for tests and dumps: "load(0, 4*i0 + i1)".
std::string to_string(E expr);

}  // namespace xinfer::schedule
