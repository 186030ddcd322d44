// W3C trace context: one id that follows a request from the command line through the hub to the agent that builds.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace xinfer::base {

struct Trace {
  std::string id;    // 32 hexadecimal digits: the same all the way
  std::string span;  // 16: of the sender

  /// The header `traceparent`: "00-ID-SPAN-01".
  std::string header() const;
  /// The same trace with a span of its own, for what is sent on.
  Trace next() const;
};

/// Random.
Trace new_trace();
/// Of a `traceparent` header (https://www.w3.org/TR/trace-context/, version 00); nothing where it is malformed.
std::optional<Trace> parse_trace(std::string_view header);

}  // namespace xinfer::base
