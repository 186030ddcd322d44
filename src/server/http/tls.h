// The server's side of TLS on a non-blocking socket. Encrypted bytes gather in memory and leave in large pieces: a system
// call for each record of 16 KB would cost more than its encryption.
#pragma once
#include <sys/types.h>

#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace xinfer::server::http {

struct TlsContextDeleter {
  void operator()(SSL_CTX* context) const;
};
using TlsContext = std::unique_ptr<SSL_CTX, TlsContextDeleter>;

/// A server's context: TLS 1.2 and newer, the certificate chain and key of two PEM files. kInvalidArgument names the
/// setting whose file does not serve.
[[nodiscard]] base::Result<TlsContext> make_tls_context(const std::string& certificate, const std::string& key);

/// What an operation came to without waiting: it is done, it failed, or it goes on once the socket is ready.
struct Step {
  enum class Want { kNothing, kRead, kWrite };
  Want want = Want::kNothing;
  boost::system::error_code error;
  std::size_t bytes = 0;  // read, or taken to be sent
};

/// One connection's TLS. Nothing here waits; an operation that wants something is called again when the socket is ready.
class TlsSession {
 public:
  /// Bytes that write() takes at most: a few records.
  static constexpr std::size_t kWriteBytes = 64 << 10;

  TlsSession(SSL_CTX& context, int socket);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  Step handshake();
  Step read(void* into, std::size_t size);
  /// Takes up to kWriteBytes of `size`. When it wants to write, they are taken all the same: go on with flush().
  Step write(const void* from, std::size_t size);
  /// Sends what was taken and not sent yet.
  Step flush();
  /// Tells the other side that nothing follows, so that an answer cut off cannot pass for a whole one.
  Step shutdown();
  bool flushed() const { return sent_ == out_.size(); }

 private:
  Step blocked(int outcome);
  SSL* ssl_;
  int socket_;
  std::vector<char> out_;  // encrypted
  std::size_t sent_ = 0;   // of it
};

}  // namespace xinfer::server::http
