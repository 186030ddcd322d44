#include "server/http/transport.h"

namespace xinfer::server::http {

namespace ssl = boost::asio::ssl;
using base::Code;

base::Result<ssl::context> make_tls_context(const std::string& certificate, const std::string& key) {
  const auto bad = [](const char* setting, const std::string& file, const boost::system::error_code& error) {
    return std::unexpected(
        base::Error{Code::kInvalidArgument, fmt::format("{}: {}", file.empty() ? "no file" : file, error.message()), setting});
  };
  ssl::context context(ssl::context::tls_server);
  context.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1 |
                      ssl::context::no_compression);
  boost::system::error_code error;
  context.use_certificate_chain_file(certificate, error);
  if (error) return bad("tls.certificate", certificate, error);
  context.use_private_key_file(key, ssl::context::pem, error);  // compares it with the certificate too
  if (error) return bad("tls.key", key, error);
  return context;
}

}  // namespace xinfer::server::http
