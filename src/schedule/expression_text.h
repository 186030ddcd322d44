// Expressions as text, as far as C++ for CPUs and for GPUs agree: types, literals, calls of the preludes' functions.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "schedule/expr.h"

namespace xinfer::schedule {

/// "float", "int64_t", … of a value while it is computed.
std::string_view c_type(DType dtype);

/// The type of an element in memory and the prelude's functions from and to float; empty for other dtypes.
struct SmallFloat {
  std::string_view bits, from, to;
};
SmallFloat small_float(DType dtype);
/// The float `x` rounded to a small type; the code is ExprPool::round_small's.
std::string rounded(std::int64_t code, const std::string& x);
/// The type of an element in memory.
std::string_view memory_type(DType dtype);

bool is_real(DType dtype);
std::string real_literal(double value, DType dtype);
std::string int_literal(std::int64_t value, DType dtype);

/// About how many plain operations an expression's own operation takes.
int cost_of(E e);
/// A function of arguments of one type.
std::string call_text(Fn f, DType type, const std::vector<std::string>& a);
/// The neutral element of a fold, and one step of it.
std::string neutral(Fn function, DType dtype);
std::string combine(Fn function, DType dtype, const std::string& a, const std::string& b);

}  // namespace xinfer::schedule
