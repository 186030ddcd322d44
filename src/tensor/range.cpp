#include "tensor/range.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <vector>

namespace xinfer::tensor {
namespace {

/// What a dimension gets that is only named: a batch, an image's side, a length.
Symbol default_range(std::string name, std::size_t axis, std::size_t rank) {
  if (axis == 0) return {std::move(name), 1, 1, 8};
  return rank >= 4 ? Symbol{std::move(name), 64, 224, 640} : Symbol{std::move(name), 1, 128, 512};
}

}  // namespace

std::optional<Symbol> parse_range(std::string_view text, std::size_t axis, std::size_t rank) {
  std::string name;
  if (!text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '_')) {
    const std::size_t colon = text.find(':');
    name = symbol_name(text.substr(0, colon));
    if (colon == text.npos) return default_range(std::move(name), axis, rank);
    text.remove_prefix(colon + 1);
  }
  std::vector<std::int64_t> numbers;
  while (true) {
    std::int64_t number = -1;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || number < 0 || number >= kUnbounded || numbers.size() == 3) return std::nullopt;
    numbers.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty()) break;
    if (text.front() != ':') return std::nullopt;
    text.remove_prefix(1);
  }
  return Symbol{std::move(name), numbers.front(), numbers[numbers.size() / 2], numbers.back()};
}

std::string format_range(const Symbol& range) {
  if (range.name.empty() && range.min == range.max) return std::to_string(range.min);
  return fmt::format("{}{}{}:{}:{}", range.name, range.name.empty() ? "" : ":", range.min, range.opt, range.max);
}

}  // namespace xinfer::tensor
