#include "schedule/expression_text.h"

#include <fmt/format.h>

#include <cmath>

#include "schedule/lowering.h"

namespace xinfer::schedule {

std::string_view c_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return "float";
    case DType::kFloat64: return "double";
    case DType::kInt8: return "int8_t";
    case DType::kUint8: return "uint8_t";
    case DType::kInt16: return "int16_t";
    case DType::kUint16: return "uint16_t";
    case DType::kInt32: return "int32_t";
    case DType::kUint32: return "uint32_t";
    case DType::kUint64: return "uint64_t";
    case DType::kBool: return "bool";
    case DType::kString: return "Text";
    default: return "int64_t";
  }
}

// Stored values were rounded to their type before (ExprPool::round_small), so encoding need not saturate.
SmallFloat small_float(DType dtype) {
  switch (dtype) {
    case DType::kFloat16: return {"uint16_t", "from_float16({})", "to_float16({})"};
    case DType::kBfloat16: return {"uint16_t", "from_bfloat16({})", "to_bfloat16({})"};
    case DType::kFloat8E4M3FN: return {"uint8_t", "Float8E4M3FN::decode({})", "Float8E4M3FN::encode({}, false)"};
    case DType::kFloat8E4M3FNUZ: return {"uint8_t", "Float8E4M3FNUZ::decode({})", "Float8E4M3FNUZ::encode({}, false)"};
    case DType::kFloat8E5M2: return {"uint8_t", "Float8E5M2::decode({})", "Float8E5M2::encode({}, false)"};
    case DType::kFloat8E5M2FNUZ: return {"uint8_t", "Float8E5M2FNUZ::decode({})", "Float8E5M2FNUZ::encode({}, false)"};
    case DType::kFloat4E2M1: return {"uint8_t", "Float4E2M1::decode({})", "x_to_float4({})"};
    case DType::kFloat8E8M0: return {"uint8_t", "x_from_e8m0({})", "x_to_e8m0({}, false, 1)"};
    default: return {};
  }
}
std::string rounded(std::int64_t code, const std::string& x) {
  DType dtype = static_cast<DType>(code & 255);
  bool saturate = (code & 256) != 0;
  SmallFloat small = small_float(dtype);
  std::string bits = dtype == DType::kFloat8E8M0 ? fmt::format("x_to_e8m0({}, {}, {})", x, saturate, code >> 9)
                                                 : fmt::format(fmt::runtime(small.to), x);
  constexpr std::string_view kPlain = ", false)", kSaturating = ", true)";
  if (saturate && dtype != DType::kFloat8E8M0 && bits.ends_with(kPlain))
    bits.replace(bits.size() - kPlain.size(), kPlain.size(), kSaturating);
  return fmt::format(fmt::runtime(small.from), bits);
}
std::string_view memory_type(DType dtype) {
  if (auto small = small_float(dtype); !small.bits.empty()) return small.bits;
  if (dtype == DType::kBool) return "uint8_t";
  return c_type(compute_type(dtype));
}

bool is_real(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

std::string real_literal(double value, DType dtype) {
  bool single = dtype == DType::kFloat32;
  if (std::isnan(value)) return single ? "kNaN" : "(double)kNaN";
  if (std::isinf(value)) return fmt::format("({}{}kInfinity)", value < 0 ? "-" : "", single ? "" : "(double)");
  std::string text = fmt::format("{:a}{}", value, single ? "f" : "");
  return value < 0 || std::signbit(value) ? "(" + text + ")" : text;
}

std::string int_literal(std::int64_t value, DType dtype) {
  if (dtype == DType::kBool) return value ? "true" : "false";
  if (dtype == DType::kString) return "Text{}";  // what is filled in around strings
  if (value == INT64_MIN) return "(-9223372036854775807ll - 1)";
  std::string text =
      dtype == DType::kUint64 ? fmt::format("{}ull", static_cast<std::uint64_t>(value)) : fmt::format("{}ll", value);
  return dtype == DType::kInt64 ? text : fmt::format("({})({})", c_type(dtype), text);
}

int cost_of(E e) {
  switch (e->op) {
    case Op::kInt:
    case Op::kReal:
    case Op::kVar:
    case Op::kSize:
    case Op::kLinear: return 0;
    case Op::kDiv:
    case Op::kMod: return 3;
    case Op::kCall: break;
    default: return 1;
  }
  switch (e->function) {
    case Fn::kDiv:
    case Fn::kSqrt: return 4;
    case Fn::kExp:
    case Fn::kSigmoid:
    case Fn::kTanh:
    case Fn::kExpm1:
    case Fn::kLog:
    case Fn::kLog1p: return 15;
    case Fn::kErf:
    case Fn::kSin:
    case Fn::kCos:
    case Fn::kTan:
    case Fn::kPow:
    case Fn::kAsin:
    case Fn::kAcos:
    case Fn::kAtan:
    case Fn::kSinh:
    case Fn::kCosh:
    case Fn::kAsinh:
    case Fn::kAcosh:
    case Fn::kAtanh:
    case Fn::kFmod:
    case Fn::kMod: return 30;
    default: return 1;
  }
}

std::string call_text(Fn f, DType type, const std::vector<std::string>& a) {
  std::string_view t = c_type(type);
  auto infix = [&](std::string_view symbol) {
    // Integers narrower than int are promoted: wrap them back, and let signed ones wrap as two's complement.
    if (is_real(type)) return fmt::format("{} {} {}", a[0], symbol, a[1]);
    return fmt::format("({})((uint64_t){} {} (uint64_t){})", t, a[0], symbol, a[1]);
  };
  auto named = [&](std::string_view function) {
    return a.size() == 1 ? fmt::format("{}<{}>({})", function, t, a[0])
                         : fmt::format("{}<{}>({}, {})", function, t, a[0], a[1]);
  };
  switch (f) {
    case Fn::kAdd: return infix("+");
    case Fn::kSub: return infix("-");
    case Fn::kMul: return infix("*");
    case Fn::kNeg: return is_real(type) ? fmt::format("-{}", a[0]) : fmt::format("({})(0 - (uint64_t){})", t, a[0]);
    case Fn::kAnd: return fmt::format("{} & {}", a[0], a[1]);
    case Fn::kOr: return fmt::format("{} | {}", a[0], a[1]);
    case Fn::kXor: return fmt::format("{} ^ {}", a[0], a[1]);
    case Fn::kBitAnd: return fmt::format("({})({} & {})", t, a[0], a[1]);
    case Fn::kBitOr: return fmt::format("({})({} | {})", t, a[0], a[1]);
    case Fn::kBitXor: return fmt::format("({})({} ^ {})", t, a[0], a[1]);
    case Fn::kEq: return fmt::format("{} == {}", a[0], a[1]);
    case Fn::kLt: return fmt::format("{} < {}", a[0], a[1]);
    case Fn::kLe: return fmt::format("{} <= {}", a[0], a[1]);
    case Fn::kNot: return fmt::format("!{}", a[0]);
    case Fn::kBitNot: return fmt::format("({})~{}", t, a[0]);
    case Fn::kIsNan: return fmt::format("{} != {}", a[0], a[0]);
    case Fn::kRound: return named("round_even");
    case Fn::kDiv: return is_real(type) ? infix("/") : named("x_div");
    case Fn::kMod: return named("x_mod");
    case Fn::kFmod: return named("x_fmod");
    case Fn::kMin: return named("x_min");
    case Fn::kMax: return named("x_max");
    case Fn::kAbs: return named("x_abs");
    case Fn::kSign: return named("x_sign");
    case Fn::kShl: return named("x_shl");
    case Fn::kShr: return named("x_shr");
    case Fn::kRoundF16: return named("x_round_f16");
    case Fn::kRoundBf16: return named("x_round_bf16");
    default: return named(name(f));
  }
}

std::string neutral(Fn function, DType dtype) {
  bool real = is_real(dtype);
  auto extreme = [&](bool high) -> std::string {
    if (real) return real_literal(high ? INFINITY : -INFINITY, dtype);
    switch (dtype) {
      case DType::kBool: return high ? "true" : "false";
      case DType::kInt8: return high ? "127" : "-128";
      case DType::kUint8: return high ? "255" : "0";
      case DType::kInt16: return high ? "32767" : "-32768";
      case DType::kUint16: return high ? "65535" : "0";
      case DType::kInt32: return high ? "2147483647" : "(-2147483647 - 1)";
      case DType::kUint32: return high ? "4294967295u" : "0";
      case DType::kUint64: return high ? "18446744073709551615ull" : "0";
      default: return high ? "9223372036854775807ll" : "(-9223372036854775807ll - 1)";
    }
  };
  switch (function) {
    case Fn::kMul: return real ? real_literal(1, dtype) : "1";
    case Fn::kMin: return extreme(true);
    case Fn::kMax: return extreme(false);
    case Fn::kAnd: return "true";
    default: return real ? real_literal(0, dtype) : "0";
  }
}

std::string combine(Fn function, DType dtype, const std::string& a, const std::string& b) {
  return call_text(function, dtype, {a, b});
}

}  // namespace xinfer::schedule
