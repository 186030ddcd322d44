// Plain HTTP requests and responses, and the exchange that joins the two: what handlers see of the network.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace xinfer::server::http {

struct Request {
  std::string method;                          // "GET"
  std::string path;                            // percent-decoded
  std::map<std::string, std::string> query;    // decoded; the last of equal names
  std::map<std::string, std::string> headers;  // names in lower case
  std::string peer;                            // address of the other side
  std::string id;                              // for logs and the X-Request-Id header
  std::string body;                            // when the plan keeps it in memory
  std::filesystem::path body_file;  // when the plan writes it to a file; deleted after the exchange unless moved
  std::uint64_t body_bytes = 0;
  std::string body_sha256;  // of body_file

  /// The header's value, or empty.
  const std::string& header(const std::string& name) const;
  /// The parameter's value, or nothing.
  std::optional<std::string> parameter(const std::string& name) const;
};

struct Response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  struct File {
    std::filesystem::path path;
    std::uint64_t offset = 0, length = 0;
  };
  std::optional<File> file;  // sent instead of `body`

  static Response json(int status, std::string body);
  static Response text(int status, std::string body, std::string_view type = "text/plain; charset=utf-8");
  /// {"error":{"code","message","where"}} with the status of base::facts.
  static Response error(const base::Error& error);
};

/// An open response whose body is written piece by piece (server-sent events). Thread-safe.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Queues bytes. False once the connection is gone or the reader fell too far behind.
  virtual bool write(std::string bytes) = 0;
  virtual void close() = 0;
  virtual bool closed() const = 0;
};

/// One request and its answer, which may come later and from any thread, but exactly once. An exchange that is dropped
/// without an answer answers 500. Thread-safe but for request().
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual Request& request() = 0;
  virtual void respond(Response response) = 0;
  /// Answers with `head` and leaves the body open.
  virtual std::shared_ptr<Stream> stream(Response head) = 0;
  /// Whether the client hung up while waiting.
  virtual bool closed() const = 0;
};

std::string_view reason(int status);
/// Percent-decoding; nothing for broken escapes and NUL.
std::optional<std::string> decode_percent(std::string_view text, bool plus_is_space);
/// Splits a request target into path and query of `request`; false when it is malformed.
bool parse_target(std::string_view target, Request& request);

}  // namespace xinfer::server::http
