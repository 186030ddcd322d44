// HTTP as the hub's clients need it: JSON requests, resumable downloads, server-sent events; retries with backoff.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace xinfer::hub {

struct HttpOptions {
  std::string token;  // sent as bearer token; never over plain HTTP to another machine unless the next says so
  bool allow_plain_http = false;  // the network between here and the hub is trusted (a cluster's, for example)
  std::string ca_file;  // PEM file of certificate authorities; empty: the system's
  int connect_timeout_ms = 10'000;
  int stall_timeout_ms = 60'000;    // no byte for this long ends a request (kTimeout)
  int attempts = 5;                 // of requests that may be repeated, with growing pauses between
  std::function<bool()> cancelled;  // asked several times a second; true ends the request (kCancelled)
};

struct Request {
  std::string method = "GET";
  std::string path;  // with query, "/v1/models?search=yolo"
  std::string_view body = {};
  std::string content_type = "application/json";
  std::map<std::string, std::string> headers = {};
  /// Whether sending it twice does no harm. Others are repeated only where the hub cannot have seen them.
  bool repeatable = true;
};

struct Response {
  int status = 0;
  std::string body;
  std::map<std::string, std::string> headers;  // names in lower case
};

struct ServerEvent {
  std::string id, event, data;
};

/// A connection to one server, kept open between requests. Not thread-safe: one per thread.
class Http {
 public:
  /// `base_url`: "https://hub.example.org", "http://127.0.0.1:8080". kInvalidArgument for anything else.
  [[nodiscard]] static base::Result<Http> open(std::string base_url, HttpOptions options);
  Http(Http&&) noexcept;
  Http& operator=(Http&&) noexcept;
  ~Http();

  const std::string& base_url() const;
  /// The header `traceparent` of what is sent from now on; empty: none.
  void set_traceparent(std::string header);

  /// The answer of status 200 to 399; others as the error that the server names. `where` is method and path.
  [[nodiscard]] base::Result<Response> send(const Request& request);

  /// Fetches `path` into `file`, going on after the bytes that the file has already (Range). `on_bytes(have, total)` is
  /// called as bytes come (total 0 when unknown). The caller checks the digest.
  [[nodiscard]] base::Result<void> download(const std::string& path, const std::filesystem::path& file,
                                            const std::function<void(std::int64_t, std::int64_t)>& on_bytes = {});

  /// Reads server-sent events until the server ends the stream, or `on_event` answers false. After a broken connection
  /// it goes on with Last-Event-ID.
  [[nodiscard]] base::Result<void> events(const std::string& path,
                                          const std::function<bool(const ServerEvent&)>& on_event);

 private:
  struct State;
  explicit Http(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// "a b/c" -> "a%20b%2Fc": one segment or query value of a path.
std::string escape(std::string_view text);

/// Splits a byte stream into server-sent events (HTML standard, 9.2.6). Bytes come in pieces of any size.
class EventParser {
 public:
  /// Calls `on_event` for each event that is complete. False once `on_event` said so.
  bool feed(std::string_view bytes, const std::function<bool(const ServerEvent&)>& on_event);

 private:
  bool take_line(std::string_view line, const std::function<bool(const ServerEvent&)>& on_event);
  std::string rest_;
  ServerEvent event_;
  std::string last_id_;
  bool has_data_ = false;
};

}  // namespace xinfer::hub
