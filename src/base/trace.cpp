#include "base/trace.h"

#include "base/digest.h"

namespace xinfer::base {
namespace {

constexpr std::size_t kIdDigits = 32, kSpanDigits = 16, kHeaderBytes = 55;

bool is_hex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }
bool is_zero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

}  // namespace

std::string Trace::header() const { return "00-" + id + "-" + span + "-01"; }

Trace Trace::next() const { return {id, random_hex(kSpanDigits / 2)}; }

Trace new_trace() { return {random_hex(kIdDigits / 2), random_hex(kSpanDigits / 2)}; }

std::optional<Trace> parse_trace(std::string_view header) {
  if (header.size() != kHeaderBytes || !header.starts_with("00-") || header[35] != '-' || header[52] != '-') return {};
  const std::string_view id = header.substr(3, kIdDigits), span = header.substr(36, kSpanDigits);
  if (!is_hex(id) || !is_hex(span) || !is_hex(header.substr(53)) || is_zero(id) || is_zero(span)) return {};
  return Trace{std::string(id), std::string(span)};
}

}  // namespace xinfer::base
