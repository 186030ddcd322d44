// One connection of the HTTP server: reads a request, waits for its handler, writes the answer, again. On the
// thread of its loop.
#pragma once
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "base/digest.h"
#include "server/http/server.h"
#include "server/http/transport.h"

namespace xinfer::server::http {

class Connection;

/// What connections share. Outlives them: they hold it.
struct Shared {
  Options options;
  Service& service;
  std::vector<std::unique_ptr<boost::asio::io_context>> loops;  // one a network thread; a connection stays on its own
  boost::asio::thread_pool workers;
  TlsContext tls;  // null: plain HTTP
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::set<Connection*> connections;

  Shared(const Options& o, Service& s)
      : options(o), service(s), workers(static_cast<std::size_t>(o.worker_threads)) {
    for (int i = 0; i < o.network_threads; ++i) loops.push_back(std::make_unique<boost::asio::io_context>(1));
  }
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using error_code = boost::system::error_code;

  Connection(std::shared_ptr<Shared> shared, boost::asio::ip::tcp::socket socket);
  ~Connection();

  void start();
  /// Idle connections close now, busy ones after their answer.
  void drain();
  void close_now();

  // ---- Called by exchanges, from any thread
  void answer(Response response, bool head_only);
  void open_stream(Response head);
  bool stream_write(std::string bytes);
  void stream_close();
  bool closed() const { return closed_; }

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
  using Clock = std::chrono::steady_clock;

  // ---- connection.cpp: time-outs, requests
  void deadline(std::int64_t ms, void (Connection::*then)() = &Connection::shut);
  void no_deadline() { deadline_ = Clock::time_point::max(); }
  void arm();
  void shut();
  void shake_hands();
  void read_head();
  void on_head(error_code error);
  Response too_large() const;
  void refuse(Response response);
  void send_continue();
  bool open_body_file();
  void drop_body_file();
  void read_body();
  void on_body(error_code error);
  bool keep_chunk(std::string_view bytes);
  void hand_over();
  void watch();

  // ---- answer.cpp: answers, files, event streams
  std::string head_of(const Response& response, std::optional<std::uint64_t> length);
  void write_response(Response response, bool head_only);
  void send_file();
  void finish_exchange();
  void say_goodbye();
  void linger();
  void done(int status);
  void begin_stream(Response head);
  void pump_stream();
  void ping();

  std::shared_ptr<Shared> shared_;
  Transport transport_;
  boost::asio::ip::tcp::socket& socket_;  // below TLS
  boost::asio::steady_timer timer_;
  Clock::time_point deadline_ = Clock::time_point::max(), armed_ = Clock::time_point::max();
  void (Connection::*at_deadline_)() = &Connection::shut;
  std::string peer_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::shared_ptr<Request> request_;
  BodyPlan plan_;
  std::string chunk_, out_;
  std::optional<base::Sha256> hash_;
  int body_fd_ = -1, file_fd_ = -1, status_ = 0, linger_reads_ = 0;
  off_t file_offset_ = 0;
  std::uint64_t file_left_ = 0, sent_bytes_ = 0;
  Clock::time_point started_;
  bool first_ = true, keep_alive_ = false, busy_ = false, answering_ = false, streaming_ = false, stream_busy_ = false,
       stream_ending_ = false;
  std::atomic<bool> closed_{false}, busy_handler_{false};
  std::deque<std::string> stream_queue_;
  std::atomic<std::uint64_t> stream_bytes_{0};
};

}  // namespace xinfer::server::http
