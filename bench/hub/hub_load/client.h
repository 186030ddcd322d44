// What the load tests share: addresses, non-blocking connections with or without TLS, heads of HTTP answers, latencies.
#pragma once
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace xinfer::bench_hub {

/// A target of requests on an IPv4 address: http://127.0.0.1:8080/v1/models.
struct Target {
  bool tls = false;
  std::string host, path, token;                                       // host with port
  std::string certificate, cipher_suite = "TLS_AES_256_GCM_SHA384";  // what to trust, a PEM file; with TLS
  std::uint32_t address = 0;      // network order
  std::uint16_t port = 0;
  std::string get() const;  // the request's bytes
};
/// Throws std::runtime_error for what is no such address.
void parse_address(const std::string& url, Target& target);

std::int64_t now_ns();
/// Lets this process open as many files as it may.
void raise_file_limit();

class Epoll {
 public:
  Epoll();
  ~Epoll();
  void add(int fd, std::uint32_t events, void* data);
  void change(int fd, std::uint32_t events, void* data);
  /// Pointers given to add() and change() of what became ready, at latest after `timeout_ns`.
  std::vector<void*> wait(std::int64_t timeout_ns);

 private:
  int fd_;
};

/// The client's side of TLS 1.3: one cipher suite, one certificate that is trusted.
class Tls {
 public:
  /// `read_ahead`: bytes that a connection takes from its socket at once; 0: one record.
  Tls(const Target& target, std::size_t read_ahead);
  ~Tls();
  SSL* connect(int fd) const;

 private:
  SSL_CTX* context_;
};

class Connection {
 public:
  /// Starts to connect; throws std::runtime_error when that fails at once. `tls`: null for plain HTTP.
  Connection(const Target& target, const Tls* tls);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  enum class Outcome { kDone, kBlocked, kClosed };
  /// Of TLS, where there is any; the socket blocks until then and never after. Throws std::runtime_error.
  void shake_hands();
  /// Requests are small: a send buffer that cannot take one is an error.
  bool send(std::string_view bytes);
  /// Reads what there is; `got` is how much.
  Outcome read(std::span<char> into, std::size_t& got);
  /// Whether bytes were taken from the socket that read() has not given out: epoll does not know of them.
  bool holds_bytes() const { return ssl_ && SSL_has_pending(ssl_); }

 private:
  int fd_ = -1;
  SSL* ssl_ = nullptr;
};

/// The head of an answer at the beginning of `bytes`. `size` 0: not there yet.
struct Head {
  std::size_t size = 0;
  int status = 0;
  std::int64_t content_length = -1;
};
Head parse_head(std::string_view bytes);

/// Sorts `values`; 0 when there are none.
double percentile(std::vector<double>& values, double percent);

}  // namespace xinfer::bench_hub
