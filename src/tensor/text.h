// Strings in an engine's memory: views of text that lies elsewhere, in the caller's memory, the engine's code or the session's.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tensor/tensor.h"

namespace xinfer::tensor {

/// One element of a string tensor. Kernels and the C API (xi_string) know this layout.
struct Text {
  const char* data = nullptr;
  std::int64_t size = 0;
  std::string_view view() const { return {data, static_cast<std::size_t>(size)}; }
};

/// Bytes of one element in an engine's memory: size_of(), and those of a Text for strings.
std::size_t stored_bytes(DType dtype);

/// Views of a string tensor's elements, which must outlive them, and back.
std::vector<Text> texts_of(const Tensor& strings);
Tensor from_texts(Shape shape, const Text* texts);
/// kInvalidArgument where a text has a negative size, or none to point at.
[[nodiscard]] base::Result<void> check_texts(std::span<const Text> texts);

/// The shortest text that reads back as the same number, as Cast writes it: "1.0", "-2.5e-07", "NaN", "INF". `single`: of float32.
/// `to` has room for kMaxNumberBytes; returns how many it took.
inline constexpr std::int64_t kMaxNumberBytes = 32;
std::int64_t format_real(double value, bool single, char* to);
/// The whole text as a number; false where it is none.
bool parse_real(std::string_view text, double& value);

}  // namespace xinfer::tensor
