// A connection's bytes, with or without TLS, as one stream for Asio and Beast. Included by server.cpp only.
#pragma once
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <optional>
#include <string>

#include "base/error.h"

namespace xinfer::server::http {

/// A server's context: TLS 1.2 and newer, the certificate chain and key of two PEM files. kInvalidArgument names the
/// setting whose file does not serve.
[[nodiscard]] base::Result<boost::asio::ssl::context> make_tls_context(const std::string& certificate,
                                                                       const std::string& key);

class Transport {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using executor_type = Socket::executor_type;
  using lowest_layer_type = Socket::lowest_layer_type;

  /// `tls`: null for plain connections; outlives this.
  Transport(Socket socket, boost::asio::ssl::context* tls) : socket_(std::move(socket)) {
    if (tls) tls_.emplace(socket_, *tls);
  }

  executor_type get_executor() { return socket_.get_executor(); }
  Socket& socket() { return socket_; }
  bool encrypted() const { return tls_.has_value(); }

  template <class Handler>
  void async_handshake(Handler&& handler) {
    tls_->async_handshake(boost::asio::ssl::stream_base::server, std::forward<Handler>(handler));
  }
  /// Tells the other side that nothing follows, so that an answer cut off cannot pass for a whole one.
  template <class Handler>
  void async_shutdown(Handler&& handler) {
    tls_->async_shutdown(std::forward<Handler>(handler));
  }

  template <class Buffers, class Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    return boost::asio::async_initiate<Handler, void(boost::system::error_code, std::size_t)>(
        [this](auto then, const Buffers& into) {
          if (tls_) tls_->async_read_some(into, std::move(then));
          else socket_.async_read_some(into, std::move(then));
        },
        handler, buffers);
  }
  template <class Buffers, class Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    return boost::asio::async_initiate<Handler, void(boost::system::error_code, std::size_t)>(
        [this](auto then, const Buffers& from) {
          if (tls_) tls_->async_write_some(from, std::move(then));
          else socket_.async_write_some(from, std::move(then));
        },
        handler, buffers);
  }

 private:
  Socket socket_;
  std::optional<boost::asio::ssl::stream<Socket&>> tls_;
};

}  // namespace xinfer::server::http
