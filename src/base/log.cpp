#include "base/log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

namespace xinfer::base {

namespace {
constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};

LogLevel threshold() {
  static const LogLevel level = [] {
    const char* wanted = std::getenv("XINFER_LOG");
    for (int i = 0; wanted && i < 4; ++i)
      if (kNames[i] == wanted) return static_cast<LogLevel>(i);
    return LogLevel::kInfo;
  }();
  return level;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') (out += '\\') += static_cast<char>(c);
    else if (c == '\n') out += "\\n";
    else if (c < 0x20) out += fmt::format("\\u{:04x}", c);
    else out += static_cast<char>(c);
  }
  return out + '"';
}
}  // namespace

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < threshold()) return;
  static const bool json = std::getenv("XINFER_LOG_JSON") != nullptr;
  auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  std::string time = fmt::format("{:%FT%T}Z", now);
  std::string_view name = kNames[static_cast<int>(level)];
  std::string line;
  if (json) {
    line = fmt::format(R"({{"time":"{}","level":"{}","message":{})", time, name, quoted(message));
    for (const auto& [key, value] : fields) line += fmt::format(",{}:{}", quoted(key), quoted(value));
    line += "}\n";
  } else {
    line = fmt::format("{} {:7} {}", time, name, message);
    for (const auto& [key, value] : fields) line += fmt::format(" {}={}", key, value);
    line += '\n';
  }
  // One write per line keeps lines of several threads and processes apart.
  [[maybe_unused]] auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace xinfer::base
