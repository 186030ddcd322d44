#include "base/error.h"

namespace xinfer::base {

// Exit codes follow sysexits.h where it has one, so that scripts can tell kinds of failure apart.
const CodeFacts& facts(Code code) {
  static constexpr CodeFacts kFacts[] = {
      {"invalid_argument", 400, 64}, {"not_found", 404, 66},     {"unsupported", 422, 65}, {"corrupt", 422, 76},
      {"untrusted", 403, 77},        {"incompatible", 409, 78},  {"unauthorized", 401, 79}, {"forbidden", 403, 80},
      {"conflict", 409, 81},         {"limit", 413, 82},         {"unavailable", 503, 69}, {"timeout", 504, 83},
      {"cancelled", 409, 84},        {"out_of_memory", 507, 71}, {"io", 500, 74},          {"internal", 500, 70},
  };
  return kFacts[static_cast<int>(code)];
}

std::string Error::text() const { return where.empty() ? message : fmt::format("{} (at {})", message, where); }

Error Error::in(std::string_view outer) && {
  where = where.empty() ? std::string(outer) : fmt::format("{}: {}", outer, where);
  return std::move(*this);
}

}  // namespace xinfer::base
