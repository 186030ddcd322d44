#include "tensor/text.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace xinfer::tensor {

std::size_t stored_bytes(DType dtype) { return dtype == DType::kString ? sizeof(Text) : size_of(dtype); }

std::vector<Text> texts_of(const Tensor& strings) {
  std::vector<Text> texts;
  for (const std::string& text : strings.strings()) texts.push_back({text.data(), static_cast<std::int64_t>(text.size())});
  return texts;
}

Tensor from_texts(Shape shape, const Text* texts) {
  Tensor tensor(DType::kString, std::move(shape));
  for (std::string& text : tensor.strings()) text = (texts++)->view();
  return tensor;
}

base::Result<void> check_texts(std::span<const Text> texts) {
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (texts[i].size < 0 || (texts[i].size > 0 && !texts[i].data))
      return base::fail(base::Code::kInvalidArgument, "string {} of {} bytes {}", i, texts[i].size, texts[i].size < 0 ? "has a negative size" : "is null");
  return {};
}

std::int64_t format_real(double value, bool single, char* to) {
  auto put = [&](std::string_view text) {
    std::memcpy(to, text.data(), text.size());
    return static_cast<std::int64_t>(text.size());
  };
  if (std::isnan(value)) return put("NaN");
  if (std::isinf(value)) return put(value < 0 ? "-INF" : "INF");
  char* last = to + kMaxNumberBytes - 2;  // room for ".0"
  char* end = single ? std::to_chars(to, last, static_cast<float>(value)).ptr : std::to_chars(to, last, value).ptr;
  const std::string_view made(to, static_cast<std::size_t>(end - to));
  if (made.find_first_of(".e") == std::string_view::npos) {
    *end++ = '.';
    *end++ = '0';
  }
  return end - to;
}

bool parse_real(std::string_view text, double& value) {
  const std::string copy(text);  // strtod knows INF, NaN and hexadecimal, and wants an end
  char* end = nullptr;
  value = std::strtod(copy.c_str(), &end);
  return !copy.empty() && end == copy.c_str() + copy.size();
}

}  // namespace xinfer::tensor
