#include "server/http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <cerrno>

namespace xinfer::server::http {

using base::Code;
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kKeptBytes = 4 << 10;  // of the buffer of a connection that waits

// A BIO that appends what is written to the vector that is its data: it is never full.
int append(BIO* bio, const char* data, int size) {
  auto& out = *static_cast<std::vector<char>*>(BIO_get_data(bio));
  out.insert(out.end(), data, data + size);
  return size;
}
long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH; }

const BIO_METHOD* appending() {
  static const BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gathered records");
    BIO_meth_set_write(method, append);
    BIO_meth_set_ctrl(method, control);
    return method;
  }();
  return kMethod;
}

std::string last_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason ? reason : "unusable";
}

}  // namespace

void TlsContextDeleter::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

base::Result<TlsContext> make_tls_context(const std::string& certificate, const std::string& key) {
  const auto bad = [](const char* setting, const std::string& file) {
    return std::unexpected(base::Error{
        Code::kInvalidArgument, fmt::format("{}: {}", file.empty() ? "no file" : file, last_error()), setting});
  };
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_server_method()));
  if (!context) return base::fail(Code::kInternal, "OpenSSL: {}", last_error());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_ALL | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);  // event streams wait for hours
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate.c_str()) != 1) return bad("tls.certificate", certificate);
  // Compares it with the certificate too.
  if (SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) return bad("tls.key", key);
  return context;
}

TlsSession::TlsSession(SSL_CTX& context, int socket) : ssl_(SSL_new(&context)), socket_(socket) {
  if (!ssl_) throw std::bad_alloc();
  BIO* out = BIO_new(appending());
  BIO_set_data(out, &out_);
  BIO_set_init(out, 1);
  SSL_set_bio(ssl_, BIO_new_socket(socket, BIO_NOCLOSE), out);
  SSL_set_accept_state(ssl_);
}
TlsSession::~TlsSession() { SSL_free(ssl_); }

// What an OpenSSL call that did not succeed is waiting for.
Step TlsSession::blocked(int outcome) {
  const int reason = SSL_get_error(ssl_, outcome);
  ERR_clear_error();
  if (reason == SSL_ERROR_WANT_READ) {
    if (flushed() && out_.capacity() > kKeptBytes) std::vector<char>().swap(out_), sent_ = 0;
    return {.want = Step::Want::kRead};
  }
  return {.error = reason == SSL_ERROR_SSL ? error_code(asio::error::connection_aborted) : error_code(asio::error::eof)};
}

Step TlsSession::handshake() {
  if (Step step = flush(); step.error || step.want != Step::Want::kNothing) return step;
  const int outcome = SSL_do_handshake(ssl_);
  const Step step = outcome == 1 ? Step{} : blocked(outcome);
  const Step sent = flush();  // of a failed one the alert
  return step.error || sent.want == Step::Want::kNothing ? step : sent;
}

Step TlsSession::read(void* into, std::size_t size) {
  const int count = SSL_read(ssl_, into, static_cast<int>(std::min<std::size_t>(size, 1 << 20)));
  (void)flush();  // answers to the protocol's own messages
  if (count > 0) return {.bytes = static_cast<std::size_t>(count)};
  return blocked(count);
}

Step TlsSession::write(const void* from, std::size_t size) {
  const int take = static_cast<int>(std::min(size, kWriteBytes));
  if (take > 0 && SSL_write(ssl_, from, take) != take) {
    ERR_clear_error();
    return {.error = asio::error::broken_pipe};
  }
  Step step = flush();
  step.bytes = static_cast<std::size_t>(take);
  return step;
}

Step TlsSession::flush() {
  while (!flushed()) {
    const ssize_t count = ::send(socket_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return {.want = Step::Want::kWrite};
    if (count < 0) return {.error = {errno, boost::system::system_category()}};
    sent_ += static_cast<std::size_t>(count);
  }
  out_.clear();
  sent_ = 0;
  return {};
}

Step TlsSession::shutdown() {
  if (!(SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN)) (void)SSL_shutdown(ssl_);
  ERR_clear_error();
  return flush();
}

}  // namespace xinfer::server::http
