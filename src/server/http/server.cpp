#include "server/http/server.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <chrono>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include "base/digest.h"
#include "base/log.h"
#include "server/http/transport.h"

namespace xinfer::server::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kReadBytes = 64 << 10, kFileBytes = 256 << 10;
constexpr std::int64_t kLingerMs = 2'000;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return result;
}

// Header values come from file names and ids too: a line break would let one forge headers.
std::string one_line(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return result;
}

class Connection;

// What connections share. Outlives them: they hold it.
struct Shared {
  Options options;
  Service& service;
  asio::io_context io;
  asio::thread_pool workers;
  std::optional<asio::ssl::context> tls;
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::set<Connection*> connections;

  Shared(const Options& o, Service& s)
      : options(o), service(s), io(o.network_threads), workers(static_cast<std::size_t>(o.worker_threads)) {}
};

}  // namespace

// One connection: reads a request, waits for the handler, writes the answer, again. All on its strand.
namespace {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Shared> shared, tcp::socket socket)
      : shared_(std::move(shared)),
        transport_(std::move(socket), shared_->tls ? &*shared_->tls : nullptr),
        socket_(transport_.socket()),
        timer_(socket_.get_executor()) {
    const std::lock_guard lock(shared_->mutex);
    shared_->connections.insert(this);
  }
  ~Connection() {
    const std::lock_guard lock(shared_->mutex);
    shared_->connections.erase(this);
  }

  void start() {
    asio::dispatch(socket_.get_executor(), [self = shared_from_this()] {
      error_code ignored;
      self->socket_.set_option(tcp::no_delay(true), ignored);
      const auto endpoint = self->socket_.remote_endpoint(ignored);
      self->peer_ = endpoint.address().to_string();
      if (self->transport_.encrypted()) self->shake_hands();
      else self->read_head();
    });
  }

  // Idle connections close now, busy ones after their answer.
  void drain() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      if (!self->busy_ || self->streaming_) self->shut();
    });
  }
  void close_now() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->shut(); });
  }

  // ---- Called by exchanges, from any thread
  void answer(Response response, bool head_only) {
    asio::post(socket_.get_executor(), [self = shared_from_this(), response = std::move(response),
                                        head_only]() mutable { self->write_response(std::move(response), head_only); });
  }
  void open_stream(Response head) {
    asio::post(socket_.get_executor(),
               [self = shared_from_this(), head = std::move(head)]() mutable { self->begin_stream(std::move(head)); });
  }
  bool stream_write(std::string bytes) {
    if (closed_) return false;
    const std::size_t size = bytes.size();
    if (stream_bytes_.fetch_add(size) + size > shared_->options.stream_buffer_bytes) {
      close_now();
      return false;
    }
    asio::post(socket_.get_executor(), [self = shared_from_this(), bytes = std::move(bytes)]() mutable {
      self->stream_queue_.push_back(std::move(bytes));
      self->pump_stream();
    });
    return true;
  }
  void stream_close() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->stream_ending_ = true;
      self->pump_stream();
    });
  }
  bool closed() const { return closed_; }

 private:
  using Parser = beast::http::request_parser<beast::http::buffer_body>;

  void deadline(std::int64_t ms) {
    timer_.expires_after(milliseconds(ms));
    timer_.async_wait([weak = weak_from_this()](error_code error) {
      if (error) return;
      if (auto self = weak.lock()) self->shut();
    });
  }

  void shut() {
    if (closed_.exchange(true)) return;
    error_code ignored;
    timer_.cancel();
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
    drop_body_file();
    if (busy_) done(0);
  }

  void shake_hands() {
    deadline(shared_->options.header_timeout_ms);
    transport_.async_handshake([self = shared_from_this()](error_code error) {
      if (error || self->closed_) return self->shut();
      self->read_head();
    });
  }

  void read_head() {
    if (shared_->stopping) return shut();
    busy_handler_ = false;
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_->options.header_bytes));
    parser_->body_limit(boost::none);  // our own limit, with a JSON answer
    request_ = std::make_shared<Request>();
    deadline(first_ ? shared_->options.header_timeout_ms : shared_->options.idle_timeout_ms);
    first_ = false;
    beast::http::async_read_header(
        transport_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, std::size_t) { self->on_head(error); });
  }

  void on_head(error_code error) {
    timer_.cancel();
    if (closed_) return;
    if (error == beast::http::error::end_of_stream || error == asio::error::operation_aborted ||
        error == asio::error::eof || error == asio::error::connection_reset)
      return shut();
    started_ = Clock::now();
    busy_ = true;
    keep_alive_ = false;
    request_->peer = peer_;
    request_->id = base::random_hex(8);
    if (error) {
      if (error.category() != beast::http::make_error_code(beast::http::error::bad_method).category()) return shut();
      const bool large = error == beast::http::error::header_limit || error == beast::http::error::buffer_overflow;
      Response response = Response::error(
          large ? base::Error{base::Code::kLimit, "request headers exceed http.header_bytes", ""}
                : base::Error{base::Code::kInvalidArgument, "malformed HTTP request: " + error.message(), ""});
      response.status = large ? 431 : 400;
      return write_response(std::move(response), false);
    }
    const auto& head = parser_->get();
    request_->method = std::string(head.method_string());
    for (const auto& field : head) request_->headers[lower(field.name_string())] = std::string(field.value());
    if (!parse_target(head.target(), *request_))
      return write_response(Response::error({base::Code::kInvalidArgument, "malformed request target", ""}), false);
    keep_alive_ = parser_->keep_alive();
    plan_ = shared_->service.accept(*request_);
    if (plan_.refuse) return refuse(std::move(*plan_.refuse));
    const auto length = parser_->content_length();
    if (length && *length > plan_.limit_bytes) return refuse(too_large());
    if (parser_->is_done()) return hand_over();
    if (plan_.to_file && !open_body_file())
      return refuse(Response::error({base::Code::kUnavailable, "cannot store the body", ""}));
    if (lower(request_->header("expect")) == "100-continue") return send_continue();
    read_body();
  }

  Response too_large() const {
    return Response::error(
        {base::Code::kLimit, fmt::format("the body exceeds {} bytes", plan_.limit_bytes), request_->path});
  }

  // Answers without reading the body: the connection cannot be used again when there was one.
  void refuse(Response response) {
    if (!parser_->is_done()) keep_alive_ = false;
    drop_body_file();
    write_response(std::move(response), request_->method == "HEAD");
  }

  void send_continue() {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(transport_, asio::buffer(kContinue), [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return self->shut();
      self->read_body();
    });
  }

  bool open_body_file() {
    request_->body_file = shared_->options.scratch_folder / ("body-" + base::random_hex(8));
    body_fd_ = ::open(request_->body_file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (body_fd_ < 0) return false;
    hash_.emplace();
    return true;
  }
  void drop_body_file() {
    if (body_fd_ >= 0) ::close(std::exchange(body_fd_, -1));
    if (!busy_handler_ && request_ && !request_->body_file.empty()) ::unlink(request_->body_file.c_str());
  }

  void read_body() {
    chunk_.resize(kReadBytes);
    parser_->get().body().data = chunk_.data();
    parser_->get().body().size = chunk_.size();
    parser_->get().body().more = true;
    deadline(shared_->options.body_timeout_ms);
    beast::http::async_read_some(transport_, buffer_, *parser_,
                                 [self = shared_from_this()](error_code error, std::size_t) { self->on_body(error); });
  }

  void on_body(error_code error) {
    timer_.cancel();
    if (closed_) return;
    if (error && error != beast::http::error::need_buffer) return shut();
    const std::size_t size = chunk_.size() - parser_->get().body().size;
    request_->body_bytes += size;
    if (request_->body_bytes > plan_.limit_bytes) return refuse(too_large());
    if (!keep_chunk(std::string_view(chunk_.data(), size)))
      return refuse(Response::error({base::Code::kUnavailable, "cannot store the body: is the disk full?", ""}));
    if (!parser_->is_done()) return read_body();
    if (body_fd_ >= 0) {
      ::close(std::exchange(body_fd_, -1));
      request_->body_sha256 = hash_->finish();
    }
    hand_over();
  }

  bool keep_chunk(std::string_view bytes) {
    if (body_fd_ < 0) {
      request_->body.append(bytes);
      return true;
    }
    hash_->update(bytes);
    while (!bytes.empty()) {
      const ssize_t written = ::write(body_fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }

  void hand_over();  // needs ConnectionExchange, below

  // While the handler works: does the client hang up?
  void watch() {
    socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
      if (error || self->closed_ || !self->busy_ || self->answering_) return;
      char byte;
      const ssize_t got = ::recv(self->socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return self->shut();
      if (self->streaming_ && got > 0) {  // nobody may talk on an event stream
        char sink[256];
        (void)::recv(self->socket_.native_handle(), sink, sizeof sink, MSG_DONTWAIT);
        self->watch();
      }
    });
  }

  std::string head_of(const Response& response, std::optional<std::uint64_t> length) {
    std::string head = fmt::format("HTTP/1.1 {} {}\r\nX-Request-Id: {}\r\nX-Content-Type-Options: nosniff\r\n",
                                   response.status, reason(response.status), request_->id);
    for (const auto& [name, value] : response.headers) head += fmt::format("{}: {}\r\n", name, one_line(value));
    if (length && response.status != 204 && response.status != 304)
      head += fmt::format("Content-Length: {}\r\n", *length);
    head += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
    return head;
  }

  void write_response(Response response, bool head_only) {
    if (closed_) return;
    answering_ = true;
    socket_.cancel();
    if (shared_->stopping) keep_alive_ = false;
    status_ = response.status;
    if (response.file && !head_only) {
      file_fd_ = ::open(response.file->path.c_str(), O_RDONLY | O_CLOEXEC);
      if (file_fd_ < 0) {
        response = Response::error({base::Code::kIo, "the stored file cannot be read", ""});
        status_ = response.status;
      }
    }
    const std::uint64_t length = response.file ? response.file->length : response.body.size();
    out_ = head_of(response, length);
    if (!response.file && !head_only) out_ += response.body;
    file_left_ = response.file && !head_only ? response.file->length : 0;
    file_offset_ = response.file ? static_cast<off_t>(response.file->offset) : 0;
    sent_bytes_ = out_.size();
    deadline(shared_->options.write_timeout_ms);
    asio::async_write(transport_, asio::buffer(out_), [self = shared_from_this()](error_code error, std::size_t) {
      if (error || self->closed_) return self->shut();
      if (self->transport_.encrypted()) self->send_encrypted_file();
      else self->send_file();
    });
  }

  void send_encrypted_file() {
    if (closed_) return;
    if (file_left_ == 0) return file_sent();
    out_.resize(std::min<std::uint64_t>(file_left_, kFileBytes));
    const ssize_t got = ::pread(file_fd_, out_.data(), out_.size(), file_offset_);
    if (got <= 0) return shut();  // the file shrank
    deadline(shared_->options.write_timeout_ms);
    asio::async_write(transport_, asio::buffer(out_.data(), static_cast<std::size_t>(got)),
                      [self = shared_from_this()](error_code error, std::size_t sent) {
                        if (error || self->closed_) return self->shut();
                        self->file_left_ -= sent;
                        self->file_offset_ += static_cast<off_t>(sent);
                        self->sent_bytes_ += sent;
                        self->send_encrypted_file();
                      });
  }

  // sendfile when the socket takes bytes: several times as fast as reading and writing.
  void send_file() {
    if (closed_) return;
    while (file_left_ > 0) {
      const ssize_t sent =
          ::sendfile(socket_.native_handle(), file_fd_, &file_offset_, std::min<std::uint64_t>(file_left_, 1 << 20));
      if (sent > 0) {
        file_left_ -= static_cast<std::uint64_t>(sent);
        sent_bytes_ += static_cast<std::uint64_t>(sent);
        continue;
      }
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) {
        deadline(shared_->options.write_timeout_ms);
        if (!socket_.native_non_blocking()) socket_.native_non_blocking(true);
        socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](error_code error) {
          if (error) return self->shut();
          self->send_file();
        });
        return;
      }
      return shut();  // the file shrank, or the client left
    }
    file_sent();
  }

  void file_sent() {
    if (file_fd_ >= 0) ::close(std::exchange(file_fd_, -1));
    finish_exchange();
  }

  void finish_exchange() {
    timer_.cancel();
    done(status_);
    if (!keep_alive_ || shared_->stopping) {
      if (transport_.encrypted()) return say_goodbye();
      error_code ignored;
      socket_.shutdown(tcp::socket::shutdown_send, ignored);
      return linger();
    }
    read_head();
  }

  void say_goodbye() {
    deadline(kLingerMs);
    transport_.async_shutdown([self = shared_from_this()](error_code) { self->shut(); });
  }

  // Reads what the client still sends, for a moment: closing with unread bytes would reset the connection and lose our answer.
  void linger() {
    deadline(kLingerMs);
    chunk_.resize(kReadBytes);
    transport_.async_read_some(asio::buffer(chunk_), [self = shared_from_this()](error_code error, std::size_t) {
      if (error || ++self->linger_reads_ > 256) return self->shut();
      self->linger();
    });
  }

  void done(int status) {
    if (!busy_) return;
    busy_ = answering_ = streaming_ = false;
    if (file_fd_ >= 0) ::close(std::exchange(file_fd_, -1));
    const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    shared_->service.finished(*request_, status, seconds, sent_bytes_);
  }

  void begin_stream(Response head) {
    if (closed_) return;
    keep_alive_ = false;
    status_ = head.status;
    streaming_ = true;
    stream_queue_.push_front(head_of(head, std::nullopt));
    stream_bytes_ += stream_queue_.front().size();
    watch();
    pump_stream();
  }

  void pump_stream() {
    if (closed_ || !streaming_ || stream_busy_) return;
    if (stream_queue_.empty()) {
      if (stream_ending_) {
        timer_.cancel();
        return finish_exchange();
      }
      timer_.expires_after(milliseconds(shared_->options.ping_ms));
      timer_.async_wait([self = shared_from_this()](error_code error) {
        if (!error) self->stream_write(": still here\n\n");
      });
      return;
    }
    stream_busy_ = true;
    out_.clear();
    for (const std::string& piece : stream_queue_) out_ += piece;
    stream_queue_.clear();
    deadline(shared_->options.write_timeout_ms);
    asio::async_write(transport_, asio::buffer(out_), [self = shared_from_this()](error_code error, std::size_t size) {
      if (error) return self->shut();
      self->timer_.cancel();
      self->sent_bytes_ += size;
      self->stream_bytes_ -= size;
      self->stream_busy_ = false;
      self->pump_stream();
    });
  }

  std::shared_ptr<Shared> shared_;
  Transport transport_;
  tcp::socket& socket_;  // below TLS
  asio::steady_timer timer_;
  std::string peer_;
  beast::flat_buffer buffer_;
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

class ConnectionStream final : public Stream {
 public:
  explicit ConnectionStream(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  ~ConnectionStream() override { connection_->stream_close(); }
  bool write(std::string bytes) override { return connection_->stream_write(std::move(bytes)); }
  void close() override { connection_->stream_close(); }
  bool closed() const override { return connection_->closed(); }

 private:
  std::shared_ptr<Connection> connection_;
};

class ConnectionExchange final : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<Connection> connection, std::shared_ptr<Request> request)
      : connection_(std::move(connection)), request_(std::move(request)) {}
  ~ConnectionExchange() override {
    if (!answered_)
      connection_->answer(Response::error({base::Code::kInternal, "the request was dropped", request_->path}), false);
    if (!request_->body_file.empty()) ::unlink(request_->body_file.c_str());
  }
  Request& request() override { return *request_; }
  void respond(Response response) override {
    if (!answered_.exchange(true)) connection_->answer(std::move(response), request_->method == "HEAD");
  }
  std::shared_ptr<Stream> stream(Response head) override {
    if (!answered_.exchange(true)) connection_->open_stream(std::move(head));
    return std::make_shared<ConnectionStream>(connection_);
  }
  bool closed() const override { return connection_->closed(); }

 private:
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<Request> request_;
  std::atomic<bool> answered_{false};
};

void Connection::hand_over() {
  busy_handler_ = true;  // from here the exchange deletes the body file
  watch();
  asio::post(shared_->workers, [shared = shared_, exchange = std::make_shared<ConnectionExchange>(shared_from_this(),
                                                                                                  request_)]() mutable {
    shared->service.handle(std::move(exchange));
  });
}

base::Result<tcp::endpoint> parse_listen(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const auto bad = [&] {
    return base::fail(base::Code::kInvalidArgument,
                      "--listen {}: expected ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080", text);
  };
  if (colon == std::string::npos) return bad();
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  int port = -1;
  const std::string digits = text.substr(colon + 1);
  if (!digits.empty() && digits.size() <= 5 && digits.find_first_not_of("0123456789") == std::string::npos)
    port = std::stoi(digits);
  if (error || port < 0 || port > 65535) return bad();
  return tcp::endpoint(address, static_cast<unsigned short>(port));
}

}  // namespace

class Server::State {
 public:
  State(const Options& options, Service& service)
      : shared_(std::make_shared<Shared>(options, service)), acceptor_(shared_->io) {}

  base::Result<void> open() {
    XI_TRY(const tcp::endpoint endpoint, parse_listen(shared_->options.listen));
    if (!shared_->options.tls_certificate.empty() || !shared_->options.tls_key.empty()) {
      XI_TRY(shared_->tls, make_tls_context(shared_->options.tls_certificate, shared_->options.tls_key));
    }
    error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(1024, error);
    if (error)
      return base::fail(base::Code::kUnavailable, "cannot listen on {}: {}", shared_->options.listen, error.message());
    ::fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC);
    const tcp::endpoint bound = acceptor_.local_endpoint();
    address_ = bound.address().is_v6() ? fmt::format("[{}]:{}", bound.address().to_string(), bound.port())
                                       : fmt::format("{}:{}", bound.address().to_string(), bound.port());
    accept();
    for (int i = 0; i < shared_->options.network_threads; ++i) threads_.emplace_back([this] { shared_->io.run(); });
    return {};
  }

  void stop(std::int64_t grace_ms) {
    if (shared_->stopping.exchange(true)) return;
    asio::post(shared_->io, [this] {
      error_code ignored;
      acceptor_.close(ignored);
    });
    each([](Connection& connection) { connection.drain(); });
    const auto until = Clock::now() + milliseconds(grace_ms);
    while (Clock::now() < until && count() > 0) std::this_thread::sleep_for(milliseconds(10));
    each([](Connection& connection) { connection.close_now(); });
    const auto last = Clock::now() + milliseconds(500);
    while (Clock::now() < last && count() > 0) std::this_thread::sleep_for(milliseconds(5));
    shared_->workers.join();
    shared_->io.stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::shared_ptr<Shared> shared_;
  std::string address_;

 private:
  std::size_t count() {
    const std::lock_guard lock(shared_->mutex);
    return shared_->connections.size();
  }
  template <class F>
  void each(F&& f) {
    const std::lock_guard lock(shared_->mutex);
    for (Connection* connection : shared_->connections)
      if (auto self = connection->weak_from_this().lock()) f(*self), keep_.push_back(std::move(self));
    keep_later();
  }
  // Releasing a connection under the lock would lock again in its destructor.
  void keep_later() {
    asio::post(shared_->io, [kept = std::move(keep_)] {});
    keep_.clear();
  }

  void accept() {
    acceptor_.async_accept(asio::make_strand(shared_->io), [this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || shared_->stopping) return;
      if (!error) {
        ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
        if (static_cast<std::int64_t>(count()) < shared_->options.connections)
          std::make_shared<Connection>(shared_, std::move(socket))->start();
        accept();
        return;
      }
      // Out of descriptors: wait for one instead of spinning.
      base::log(base::LogLevel::kWarning, "accept failed", {{"error", error.message()}});
      retry_.expires_after(milliseconds(100));
      retry_.async_wait([this](error_code) { accept(); });
    });
  }

  tcp::acceptor acceptor_;
  asio::steady_timer retry_{shared_->io};
  std::vector<std::thread> threads_;
  std::vector<std::shared_ptr<Connection>> keep_;
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() { stop(0); }

base::Result<std::unique_ptr<Server>> Server::start(const Options& options, Service& service) {
  auto state = std::make_unique<State>(options, service);
  XI_CHECK(state->open());
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

const std::string& Server::address() const { return state_->address_; }
void Server::stop(std::int64_t grace_ms) { state_->stop(grace_ms); }
void Server::post(std::function<void()> work) { asio::post(state_->shared_->workers, std::move(work)); }

}  // namespace xinfer::server::http
