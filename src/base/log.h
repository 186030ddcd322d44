// Structured log lines on standard error: text for people, one JSON object a line with XINFER_LOG_JSON=1.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace xinfer::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

using LogField = std::pair<std::string_view, std::string>;

/// Writes one line if `level` reaches XINFER_LOG (debug, info [default], warning, error). Never pass secrets. Thread-safe.
void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace xinfer::base
