#include "server/http/connection.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>

namespace xinfer::server::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kReadBytes = 64 << 10;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return result;
}

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

}  // namespace

Connection::Connection(std::shared_ptr<Shared> shared, tcp::socket socket)
    : shared_(std::move(shared)),
      transport_(std::move(socket), shared_->tls.get()),
      socket_(transport_.socket()),
      timer_(socket_.get_executor()) {
  const std::lock_guard lock(shared_->mutex);
  shared_->connections.insert(this);
}

Connection::~Connection() {
  const std::lock_guard lock(shared_->mutex);
  shared_->connections.erase(this);
}

void Connection::start() {
  asio::dispatch(socket_.get_executor(), [self = shared_from_this()] {
    error_code ignored;
    self->socket_.set_option(tcp::no_delay(true), ignored);
    const auto endpoint = self->socket_.remote_endpoint(ignored);
    self->peer_ = endpoint.address().to_string();
    if (self->transport_.encrypted()) self->shake_hands();
    else self->read_head();
  });
}

void Connection::drain() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (!self->busy_ || self->streaming_) self->shut();
  });
}

void Connection::close_now() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->shut(); });
}

void Connection::answer(Response response, bool head_only) {
  asio::post(socket_.get_executor(), [self = shared_from_this(), response = std::move(response),
                                      head_only]() mutable { self->write_response(std::move(response), head_only); });
}

void Connection::open_stream(Response head) {
  asio::post(socket_.get_executor(),
             [self = shared_from_this(), head = std::move(head)]() mutable { self->begin_stream(std::move(head)); });
}

bool Connection::stream_write(std::string bytes) {
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

void Connection::stream_close() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->stream_ending_ = true;
    self->pump_stream();
  });
}

void Connection::deadline(std::int64_t ms, void (Connection::*then)()) {
  deadline_ = Clock::now() + milliseconds(ms);
  at_deadline_ = then;
  if (armed_ > deadline_) arm();
}

// Deadlines move with every piece that is read or written. The timer does not: when it expires too early it is set again.
void Connection::arm() {
  armed_ = deadline_;
  timer_.expires_at(armed_);
  timer_.async_wait([weak = weak_from_this()](error_code error) {
    const auto self = weak.lock();
    if (error || !self || self->closed_) return;
    self->armed_ = Clock::time_point::max();
    if (self->deadline_ == Clock::time_point::max()) return;
    if (self->deadline_ > Clock::now()) return self->arm();
    self->no_deadline();
    ((*self).*(self->at_deadline_))();
  });
}

void Connection::shut() {
  if (closed_.exchange(true)) return;
  error_code ignored;
  timer_.cancel();
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  drop_body_file();
  if (busy_) done(0);
}

void Connection::shake_hands() {
  deadline(shared_->options.header_timeout_ms);
  transport_.async_handshake([self = shared_from_this()](error_code error, std::size_t) {
    if (error || self->closed_) return self->shut();
    self->read_head();
  });
}

void Connection::read_head() {
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

void Connection::on_head(error_code error) {
  no_deadline();
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

Response Connection::too_large() const {
  return Response::error(
      {base::Code::kLimit, fmt::format("the body exceeds {} bytes", plan_.limit_bytes), request_->path});
}

// Answers without reading the body: the connection cannot be used again when there was one.
void Connection::refuse(Response response) {
  if (!parser_->is_done()) keep_alive_ = false;
  drop_body_file();
  write_response(std::move(response), request_->method == "HEAD");
}

void Connection::send_continue() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(transport_, asio::buffer(kContinue), [self = shared_from_this()](error_code error, std::size_t) {
    if (error) return self->shut();
    self->read_body();
  });
}

bool Connection::open_body_file() {
  request_->body_file = shared_->options.scratch_folder / ("body-" + base::random_hex(8));
  body_fd_ = ::open(request_->body_file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  if (body_fd_ < 0) return false;
  hash_.emplace();
  return true;
}

void Connection::drop_body_file() {
  if (body_fd_ >= 0) ::close(std::exchange(body_fd_, -1));
  if (!busy_handler_ && request_ && !request_->body_file.empty()) ::unlink(request_->body_file.c_str());
}

void Connection::read_body() {
  const auto length = parser_->content_length_remaining();
  chunk_.resize(length ? std::clamp<std::uint64_t>(*length, 1, kReadBytes) : kReadBytes);
  parser_->get().body().data = chunk_.data();
  parser_->get().body().size = chunk_.size();
  parser_->get().body().more = true;
  deadline(shared_->options.body_timeout_ms);
  beast::http::async_read_some(transport_, buffer_, *parser_,
                               [self = shared_from_this()](error_code error, std::size_t) { self->on_body(error); });
}

void Connection::on_body(error_code error) {
  no_deadline();
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

bool Connection::keep_chunk(std::string_view bytes) {
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

// While the handler works: does the client hang up?
void Connection::watch() {
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

void Connection::hand_over() {
  busy_handler_ = true;  // from here the exchange deletes the body file
  watch();
  asio::post(shared_->workers, [shared = shared_, exchange = std::make_shared<ConnectionExchange>(shared_from_this(),
                                                                                                  request_)]() mutable {
    shared->service.handle(std::move(exchange));
  });
}

}  // namespace xinfer::server::http
