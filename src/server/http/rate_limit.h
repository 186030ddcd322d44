// How many requests a client may send: a bucket for each, which fills by the second.
#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace xinfer::server::http {

/// Thread-safe.
class RateLimit {
 public:
  /// A client may send `per_second` requests at once, and as many each second; 0: any number.
  explicit RateLimit(std::int64_t per_second) : per_second_(static_cast<double>(per_second)) {}
  /// Takes one request of the client's. 0, or milliseconds until its next one is taken. `now_ms`: of a clock that never
  /// goes back.
  std::int64_t take(const std::string& client, std::int64_t now_ms);
  /// How many clients are remembered: those of the last moments.
  std::size_t clients() const;

 private:
  struct Bucket {
    double left = 0;
    std::int64_t at_ms = 0;
  };
  double left(const Bucket& bucket, std::int64_t now_ms) const;
  const double per_second_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
  std::int64_t swept_ms_ = 0;
};

/// Who shares a limit with an address: itself, and for IPv6 its /64, of which everybody has at least one.
std::string client_network(const std::string& address);

}  // namespace xinfer::server::http
