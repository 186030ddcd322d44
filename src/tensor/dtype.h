// Element types. The numbers are those of ONNX's TensorProto.DataType, so files need no mapping.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace xinfer::tensor {

enum class DType : std::uint8_t {
  kUndefined = 0,
  kFloat32 = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kFloat64 = 11,
  kUint32 = 12,
  kUint64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
  kBfloat16 = 16,
  kFloat8E4M3FN = 17,
  kFloat8E4M3FNUZ = 18,
  kFloat8E5M2 = 19,
  kFloat8E5M2FNUZ = 20,
  kUint4 = 21,
  kInt4 = 22,
  kFloat4E2M1 = 23,
  kFloat8E8M0 = 24,
  kUint2 = 25,
  kInt2 = 26,
};

/// "float32", "int64", …; "undefined" for others.
std::string_view name(DType dtype);
[[nodiscard]] base::Result<DType> parse_dtype(std::string_view name);

/// Bytes of one element in memory. 2- and 4-bit types take one byte in memory and are packed only in files. 0 for strings.
std::size_t size_of(DType dtype);

bool is_float(DType dtype);    // every floating type, 16-, 8- and 4-bit ones too
bool is_integer(DType dtype);  // signed and unsigned, without bool
bool is_signed(DType dtype);

// Conversions of the small floating types; round to nearest even. `saturate` as in ONNX Cast: clamp to the largest
// finite value instead of infinity or NaN.
float from_float16(std::uint16_t bits);
std::uint16_t to_float16(float value);
float from_bfloat16(std::uint16_t bits);
std::uint16_t to_bfloat16(float value);
float from_float8(DType dtype, std::uint8_t bits);
std::uint8_t to_float8(DType dtype, float value, bool saturate = true);
/// A power of two (E8M0, the scales of the OCP MX formats): `round` is Cast's round_mode "up", "down" or "nearest".
std::uint8_t to_float8e8m0(float value, bool saturate, std::string_view round = "up");
float from_float4(std::uint8_t bits);
std::uint8_t to_float4(float value);

}  // namespace xinfer::tensor
