// Requests to an S3 server, signed (AWS Signature Version 4).
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace xinfer::server::store {

struct S3Options {
  std::string endpoint;         // "https://s3.example.org", as the hub reaches it
  std::string public_endpoint;  // as clients do; empty: the same
  std::string region, access_key, secret_key;
  std::int64_t timeout_ms = 30'000;  // without a byte
  int attempts = 4;
};

struct S3Request {
  std::string method = "GET";
  std::string path;                          // "/bucket/key"
  std::map<std::string, std::string> query;  // decoded
  std::string_view body = {};
  std::string body_sha256 = {};  // computed where empty
  std::uint64_t offset = 0;      // GET: from this byte on
  /// GET: takes the body of a good answer. False ends the transfer.
  std::function<bool(std::string_view)> sink = {};
};

struct S3Answer {
  int status = 0;
  std::string body;  // where there is no sink, and of errors
  std::string etag;
  std::uint64_t length = 0;  // Content-Length
};

/// "a b/c" -> "a%20b%2Fc", or with the slash kept.
std::string s3_escape(std::string_view text, bool keep_slash);

/// Keeps connections between requests. Thread-safe.
class S3Connection {
 public:
  explicit S3Connection(S3Options options);
  ~S3Connection();
  /// The answer, whatever its status up to 499. Connections that break and 5xx are tried again; then kUnavailable.
  [[nodiscard]] base::Result<S3Answer> send(const S3Request& request);
  /// A URL that carries its own permission for `valid_s` seconds.
  std::string presign(const std::string& method, const std::string& path, std::map<std::string, std::string> query,
                      std::int64_t valid_s) const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

/// The text of the first element of that name in S3's XML; empty when there is none.
std::string xml_text(std::string_view xml, std::string_view element);

/// The signature of `text` for a day ("20260131") and region, hexadecimal; exposed for its test.
std::string s3_signature(const std::string& secret_key, const std::string& day, const std::string& region,
                         const std::string& text);

}  // namespace xinfer::server::store
