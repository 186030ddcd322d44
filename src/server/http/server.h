// The HTTP/1.1 server: sockets, parsing, time-outs, streaming to and from files. Knows nothing of routes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "server/http/message.h"

namespace xinfer::server::http {

/// What to do with a request's body, decided from its head.
struct BodyPlan {
  std::optional<Response> refuse;  // answer this without reading the body
  std::uint64_t limit_bytes = 0;
  bool to_file = false;  // into a scratch file, hashed on the way
};

/// What the server serves. accept() runs on a network thread and must not block; handle() runs on a worker thread;
/// finished() after the last byte was sent (or the connection broke).
class Service {
 public:
  virtual ~Service() = default;
  virtual BodyPlan accept(Request& head) = 0;
  virtual void handle(std::shared_ptr<Exchange> exchange) = 0;
  virtual void finished(const Request& request, int status, double seconds, std::uint64_t sent_bytes) = 0;
};

struct Options {
  std::string listen = "127.0.0.1:8080";  // ADDRESS:PORT, [ADDRESS]:PORT; port 0 takes a free one
  std::filesystem::path scratch_folder;   // of body files
  std::string tls_certificate, tls_key;   // PEM files; both empty: plain HTTP
  int network_threads = 2, worker_threads = 4;
  std::uint64_t header_bytes = 16 << 10;
  std::uint64_t stream_buffer_bytes = 1 << 20;  // unread bytes of an event stream before it is cut
  std::int64_t connections = 12'000;
  std::int64_t header_timeout_ms = 10'000, body_timeout_ms = 30'000, write_timeout_ms = 30'000,
               idle_timeout_ms = 60'000;
  std::int64_t ping_ms = 15'000;  // comment line on quiet event streams
};

/// Serves from construction by start() to stop() or destruction.
class Server {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<Server>> start(const Options& options, Service& service);
  ~Server();
  /// "127.0.0.1:8080", with the real port.
  const std::string& address() const;
  /// Stops taking connections, lets running exchanges finish for `grace_ms`, then closes everything. Idempotent.
  void stop(std::int64_t grace_ms);
  /// Runs `work` on a worker thread.
  void post(std::function<void()> work);

 private:
  class State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::server::http
