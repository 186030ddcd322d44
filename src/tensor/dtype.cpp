#include "tensor/dtype.h"

#include <bit>
#include <cmath>
#include <limits>

namespace xinfer::tensor {

namespace {

struct Facts {
  std::string_view name;
  std::uint8_t bytes;
  char kind;  // 'f' float, 'i' signed, 'u' unsigned, 'b' bool, 's' string, 'c' complex, '-' none
};

constexpr Facts kFacts[] = {
    {"undefined", 0, '-'},  {"float32", 4, 'f'},        {"uint8", 1, 'u'},          {"int8", 1, 'i'},
    {"uint16", 2, 'u'},     {"int16", 2, 'i'},          {"int32", 4, 'i'},          {"int64", 8, 'i'},
    {"string", 0, 's'},     {"bool", 1, 'b'},           {"float16", 2, 'f'},        {"float64", 8, 'f'},
    {"uint32", 4, 'u'},     {"uint64", 8, 'u'},         {"complex64", 8, 'c'},      {"complex128", 16, 'c'},
    {"bfloat16", 2, 'f'},   {"float8e4m3fn", 1, 'f'},   {"float8e4m3fnuz", 1, 'f'}, {"float8e5m2", 1, 'f'},
    {"float8e5m2fnuz", 1, 'f'}, {"uint4", 1, 'u'},      {"int4", 1, 'i'},           {"float4e2m1", 1, 'f'},
    {"float8e8m0", 1, 'f'}, {"uint2", 1, 'u'},          {"int2", 1, 'i'},
};

const Facts& facts_of(DType dtype) {
  auto index = static_cast<std::size_t>(dtype);
  return kFacts[index < std::size(kFacts) ? index : 0];
}

// A small binary floating format: sign, exponent and mantissa bits, and how it spends its highest codes.
struct Format {
  int exponent_bits, mantissa_bits, bias;
  bool has_infinity;       // IEEE style: all-ones exponent is infinity or NaN
  bool negative_zero_nan;  // the code of -0 is the only NaN ("UZ")
  bool has_nan = true;
};

Format format_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat16: return {5, 10, 15, true, false};
    case DType::kFloat8E4M3FN: return {4, 3, 7, false, false};
    case DType::kFloat8E4M3FNUZ: return {4, 3, 8, false, true};
    case DType::kFloat8E5M2: return {5, 2, 15, true, false};
    case DType::kFloat8E5M2FNUZ: return {5, 2, 16, false, true};
    default: return {2, 1, 1, false, false, false};  // float4e2m1
  }
}

float decode(const Format& f, std::uint32_t bits) {
  std::uint32_t sign = bits >> (f.exponent_bits + f.mantissa_bits) & 1;
  std::uint32_t exponent = bits >> f.mantissa_bits & ((1u << f.exponent_bits) - 1);
  std::uint32_t mantissa = bits & ((1u << f.mantissa_bits) - 1);
  const std::uint32_t top = (1u << f.exponent_bits) - 1;
  if (f.negative_zero_nan && sign && !exponent && !mantissa) return std::numeric_limits<float>::quiet_NaN();
  if (f.has_infinity && exponent == top) {
    if (mantissa) return std::numeric_limits<float>::quiet_NaN();
    return sign ? -INFINITY : INFINITY;
  }
  if (f.has_nan && !f.has_infinity && !f.negative_zero_nan && exponent == top && mantissa == (1u << f.mantissa_bits) - 1)
    return std::numeric_limits<float>::quiet_NaN();
  float magnitude = exponent ? std::ldexp(1.0f + std::ldexp(static_cast<float>(mantissa), -f.mantissa_bits), static_cast<int>(exponent) - f.bias)
                             : std::ldexp(static_cast<float>(mantissa), 1 - f.bias - f.mantissa_bits);
  return sign ? -magnitude : magnitude;
}

std::uint32_t encode(const Format& f, float value, bool saturate) {
  const std::uint32_t sign = std::signbit(value) ? 1u << (f.exponent_bits + f.mantissa_bits) : 0;
  const std::uint32_t top = (1u << f.exponent_bits) - 1, ones = (1u << f.mantissa_bits) - 1;
  const std::uint32_t nan = f.negative_zero_nan ? 1u << (f.exponent_bits + f.mantissa_bits) : sign | top << f.mantissa_bits | ones;
  // The code of the largest finite magnitude.
  const std::uint32_t largest = f.has_infinity ? ((top - 1) << f.mantissa_bits | ones)
                                : f.negative_zero_nan || !f.has_nan ? (top << f.mantissa_bits | ones)
                                                                    : (top << f.mantissa_bits | (ones - 1));
  const std::uint32_t overflow = saturate || !f.has_nan ? sign | largest : f.has_infinity ? sign | top << f.mantissa_bits : nan;
  if (std::isnan(value)) return f.has_nan ? nan : sign | largest;
  if (std::isinf(value)) return f.has_infinity && !saturate ? sign | top << f.mantissa_bits : overflow;
  double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude == 0) return f.negative_zero_nan ? 0 : sign;
  int exponent = std::ilogb(magnitude);
  if (exponent < 1 - f.bias) exponent = 1 - f.bias;  // subnormal range has the spacing of the smallest normal
  double units = std::nearbyint(std::ldexp(magnitude, f.mantissa_bits - exponent));  // ties to even
  auto code = static_cast<std::uint64_t>(units);
  if (code >= 1u << f.mantissa_bits)  // normal; a carry out of the mantissa moves into the exponent by itself
    code += static_cast<std::uint64_t>(exponent + f.bias - 1) << f.mantissa_bits;
  if (code > largest) return overflow;
  if (code == 0 && f.negative_zero_nan) return 0;
  return sign | static_cast<std::uint32_t>(code);
}

}  // namespace

std::string_view name(DType dtype) { return facts_of(dtype).name; }

base::Result<DType> parse_dtype(std::string_view name) {
  for (std::size_t i = 1; i < std::size(kFacts); ++i)
    if (kFacts[i].name == name) return static_cast<DType>(i);
  return base::fail(base::Code::kInvalidArgument, "'{}' is no element type", name);
}

std::size_t size_of(DType dtype) { return facts_of(dtype).bytes; }
bool is_float(DType dtype) { return facts_of(dtype).kind == 'f'; }
bool is_integer(DType dtype) { return facts_of(dtype).kind == 'i' || facts_of(dtype).kind == 'u'; }
bool is_signed(DType dtype) { return facts_of(dtype).kind == 'i' || facts_of(dtype).kind == 'f'; }

float from_float16(std::uint16_t bits) { return decode(format_of(DType::kFloat16), bits); }
std::uint16_t to_float16(float value) { return static_cast<std::uint16_t>(encode(format_of(DType::kFloat16), value, false)); }
float from_bfloat16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
std::uint16_t to_bfloat16(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
float from_float8(DType dtype, std::uint8_t bits) {
  if (dtype == DType::kFloat8E8M0) return bits == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, bits - 127);
  return decode(format_of(dtype), bits);
}
std::uint8_t to_float8(DType dtype, float value, bool saturate) {
  if (dtype == DType::kFloat8E8M0) return to_float8e8m0(value, saturate);
  return static_cast<std::uint8_t>(encode(format_of(dtype), value, saturate));
}
std::uint8_t to_float8e8m0(float value, bool saturate, std::string_view round) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t exponent = bits >> 23 & 255, fraction = bits & 0x7fffff;
  if (exponent == 255) return 255;  // infinity and NaN
  // At half way and above "nearest" rounds up, except for what float32 holds as subnormal, which ties down.
  const bool nearest = fraction > 0x400000 || (fraction == 0x400000 && exponent > 0);
  const bool up = round == "up" ? fraction != 0 : round == "nearest" && nearest;
  return static_cast<std::uint8_t>(up && !(saturate && exponent == 254) ? exponent + 1 : exponent);
}
float from_float4(std::uint8_t bits) { return decode(format_of(DType::kFloat4E2M1), bits); }
std::uint8_t to_float4(float value) {
  if (std::isnan(value)) return 8;  // there is no NaN: the code of -0 stands in
  return static_cast<std::uint8_t>(encode(format_of(DType::kFloat4E2M1), value, true));
}

}  // namespace xinfer::tensor
