// A connection's answers: heads, bodies, files, event streams.
#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/write.hpp>

#include "server/http/connection.h"

namespace xinfer::server::http {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::size_t kReadBytes = 64 << 10;
constexpr std::uint64_t kTurnBytes = 2 << 20;  // of a file before the thread turns to other connections
constexpr std::int64_t kLingerMs = 2'000;

// Header values come from file names and ids too: a line break would let one forge headers.
std::string one_line(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return result;
}

}  // namespace

std::string Connection::head_of(const Response& response, std::optional<std::uint64_t> length) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nX-Request-Id: {}\r\nX-Content-Type-Options: nosniff\r\n",
                                 response.status, reason(response.status), request_->id);
  for (const auto& [name, value] : response.headers) head += fmt::format("{}: {}\r\n", name, one_line(value));
  if (length && response.status != 204 && response.status != 304)
    head += fmt::format("Content-Length: {}\r\n", *length);
  head += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

void Connection::write_response(Response response, bool head_only) {
  if (closed_) return;
  answering_ = true;
  socket_.cancel();
  if (shared_->stopping) keep_alive_ = false;
  status_ = response.status;
  if (response.file && !head_only) {
    file_fd_ = ::open(response.file->path.c_str(), O_RDONLY | O_CLOEXEC);
    if (response.file->length > kTurnBytes) ::posix_fadvise(file_fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
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
  if (file_left_ > 0) transport_.cork(true);
  deadline(shared_->options.write_timeout_ms);
  asio::async_write(transport_, asio::buffer(out_), [self = shared_from_this()](error_code error, std::size_t) {
    if (error || self->closed_) return self->shut();
    self->send_file();
  });
}

// Goes on while the socket takes bytes, but not for ever: other connections wait for this thread.
void Connection::send_file() {
  if (closed_) return;
  for (std::uint64_t turn = 0; file_left_ > 0 || !transport_.flushed();) {
    const Step step = transport_.send_file(file_fd_, file_offset_, std::min(file_left_, kTurnBytes));
    if (step.error) return shut();  // the file shrank, or the client left
    file_left_ -= step.bytes;
    file_offset_ += static_cast<off_t>(step.bytes);
    sent_bytes_ += step.bytes;
    turn += step.bytes;
    if (step.want == Step::Want::kWrite) {
      deadline(shared_->options.write_timeout_ms);
      return socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](error_code error) {
        if (error) return self->shut();
        self->send_file();
      });
    }
    if (turn >= kTurnBytes)
      return asio::post(socket_.get_executor(), [self = shared_from_this()] { self->send_file(); });
  }
  if (file_fd_ >= 0) transport_.cork(false);
  finish_exchange();
}

void Connection::finish_exchange() {
  no_deadline();
  done(status_);
  if (!keep_alive_ || shared_->stopping) {
    if (transport_.encrypted()) return say_goodbye();
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    return linger();
  }
  read_head();
}

void Connection::say_goodbye() {
  deadline(kLingerMs);
  transport_.async_shutdown([self = shared_from_this()](error_code error, std::size_t) {
    if (error || self->closed_) return self->shut();
    self->socket_.shutdown(tcp::socket::shutdown_send, error);
    self->linger();
  });
}

// Reads what the client still sends, for a moment: closing with unread bytes would reset the connection and lose our answer.
void Connection::linger() {
  deadline(kLingerMs);
  chunk_.resize(kReadBytes);
  transport_.async_read_some(asio::buffer(chunk_), [self = shared_from_this()](error_code error, std::size_t) {
    if (error || ++self->linger_reads_ > 256) return self->shut();
    self->linger();
  });
}

void Connection::done(int status) {
  if (!busy_) return;
  busy_ = answering_ = streaming_ = false;
  if (file_fd_ >= 0) ::close(std::exchange(file_fd_, -1));
  const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
  shared_->service.finished(*request_, status, seconds, sent_bytes_);
}

void Connection::begin_stream(Response head) {
  if (closed_) return;
  keep_alive_ = false;
  status_ = head.status;
  streaming_ = true;
  stream_queue_.push_front(head_of(head, std::nullopt));
  stream_bytes_ += stream_queue_.front().size();
  // Streams stay open for hours, and there may be thousands.
  parser_.reset();
  buffer_ = {};
  std::string().swap(chunk_);
  watch();
  pump_stream();
}

void Connection::pump_stream() {
  if (closed_ || !streaming_ || stream_busy_) return;
  if (stream_queue_.empty()) {
    if (stream_ending_) return finish_exchange();
    return deadline(shared_->options.ping_ms, &Connection::ping);
  }
  stream_busy_ = true;
  out_.clear();
  for (const std::string& piece : stream_queue_) out_ += piece;
  stream_queue_.clear();
  deadline(shared_->options.write_timeout_ms);
  asio::async_write(transport_, asio::buffer(out_), [self = shared_from_this()](error_code error, std::size_t size) {
    if (error) return self->shut();
    self->sent_bytes_ += size;
    self->stream_bytes_ -= size;
    self->stream_busy_ = false;
    std::string().swap(self->out_);
    self->pump_stream();
  });
}

void Connection::ping() { stream_write(": still here\n\n"); }

}  // namespace xinfer::server::http
