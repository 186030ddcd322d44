// A connection's bytes, with or without TLS, as one stream for Asio and Beast.
#pragma once
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/compose.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <optional>

#include "server/http/tls.h"

namespace xinfer::server::http {

class Transport {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using executor_type = Socket::executor_type;
  using error_code = boost::system::error_code;

  /// `tls`: null for plain connections; outlives this.
  Transport(Socket socket, SSL_CTX* tls) : socket_(std::move(socket)) {
    error_code ignored;
    socket_.native_non_blocking(true, ignored);
    if (tls) tls_.emplace(*tls, socket_.native_handle());
  }

  executor_type get_executor() { return socket_.get_executor(); }
  Socket& socket() { return socket_; }
  bool encrypted() const { return tls_.has_value(); }

  // All handlers: void(error_code, std::size_t).
  template <class Handler>
  void async_handshake(Handler&& handler) {
    async_steps([this] { return tls_->handshake(); }, std::forward<Handler>(handler));
  }
  template <class Handler>
  void async_shutdown(Handler&& handler) {
    async_steps([this] { return tls_->shutdown(); }, std::forward<Handler>(handler));
  }

  template <class Buffers, class Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    return boost::asio::async_initiate<Handler, void(error_code, std::size_t)>(
        [this](auto then, const Buffers& into) {
          if (!tls_) return socket_.async_read_some(into, std::move(then));
          const auto first = first_of<boost::asio::mutable_buffer>(into);
          async_steps([this, first] { return tls_->read(first.data(), first.size()); }, std::move(then));
        },
        handler, buffers);
  }
  template <class Buffers, class Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    return boost::asio::async_initiate<Handler, void(error_code, std::size_t)>(
        [this](auto then, const Buffers& from) {
          if (!tls_) return socket_.async_write_some(from, std::move(then));
          const auto first = first_of<boost::asio::const_buffer>(from);
          async_steps(
              [this, first, taken = std::optional<std::size_t>()]() mutable {
                Step step = taken ? tls_->flush() : tls_->write(first.data(), first.size());
                if (!taken) taken = step.bytes;
                step.bytes = *taken;
                return step;
              },
              std::move(then));
        },
        handler, buffers);
  }

  /// Sends a piece of a file, as much as goes at once. `bytes` is how much of the file was taken; one that ends too early
  /// is an error.
  Step send_file(int file, off_t offset, std::size_t size) {
    return tls_ ? send_encrypted(file, offset, size) : send_plain(file, offset, size);
  }
  /// While corked, a head waits for the file that follows it, to leave in one packet. With TLS nothing gains by it.
  void cork(bool on) {
    const int value = on;
    if (!tls_) ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_CORK, &value, sizeof value);
  }
  /// Of what send_file() took, nothing is left to be sent.
  bool flushed() const { return !tls_ || tls_->flushed(); }

 private:
  Step send_plain(int file, off_t offset, std::size_t size) {
    ssize_t sent;
    do sent = ::sendfile(socket_.native_handle(), file, &offset, size);
    while (sent < 0 && errno == EINTR);
    if (sent > 0) return {.bytes = static_cast<std::size_t>(sent)};
    if (sent < 0 && errno == EAGAIN) return {.want = Step::Want::kWrite};
    return {.error = boost::asio::error::broken_pipe};
  }

  Step send_encrypted(int file, off_t offset, std::size_t size) {
    if (Step step = tls_->flush(); size == 0 || step.error || step.want != Step::Want::kNothing) return step;
    char buffer[TlsSession::kWriteBytes];  // not of the connection: there may be many
    const ssize_t got = ::pread(file, buffer, std::min(size, sizeof buffer), offset);
    if (got <= 0) return {.error = boost::asio::error::broken_pipe};
    return tls_->write(buffer, static_cast<std::size_t>(got));
  }

  template <class Buffer, class Buffers>
  static Buffer first_of(const Buffers& buffers) {
    for (auto it = boost::asio::buffer_sequence_begin(buffers); it != boost::asio::buffer_sequence_end(buffers); ++it)
      if (Buffer(*it).size() > 0) return *it;
    return {};
  }

  // Repeats `operation` until it wants nothing more, waiting for the socket in between.
  template <class Operation, class Handler>
  void async_steps(Operation operation, Handler&& handler) {
    boost::asio::async_compose<Handler, void(error_code, std::size_t)>(
        [this, operation = std::move(operation), step = Step(), begun = false, over = false](auto& self,
                                                                                            error_code error = {}) mutable {
          if (over) return self.complete(step.error, step.bytes);
          if (error) return self.complete(error, 0);
          step = operation();
          if (step.want == Step::Want::kNothing || step.error) {
            if (begun) return self.complete(step.error, step.bytes);
            over = true;  // handlers are never called by who asks
            return boost::asio::post(get_executor(), std::move(self));
          }
          begun = true;
          socket_.async_wait(step.want == Step::Want::kRead ? Socket::wait_read : Socket::wait_write, std::move(self));
        },
        handler, socket_);
  }

  Socket socket_;
  std::optional<TlsSession> tls_;
};

}  // namespace xinfer::server::http
