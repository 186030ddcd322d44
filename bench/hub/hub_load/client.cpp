#include "client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <stdexcept>

namespace xinfer::bench_hub {

std::string Target::get() const {
  const std::string authorization = token.empty() ? "" : fmt::format("Authorization: Bearer {}\r\n", token);
  return fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n{}\r\n", path, host, authorization);
}

void parse_address(const std::string& url, Target& target) {
  target.tls = url.starts_with("https://");
  if (!target.tls && !url.starts_with("http://")) throw std::runtime_error(url + " is no address");
  const std::string rest = url.substr(target.tls ? 8 : 7);
  const std::size_t slash = rest.find('/');
  target.host = rest.substr(0, slash);
  target.path = slash == std::string::npos ? "/" : rest.substr(slash);
  const std::size_t colon = target.host.find(':');
  in_addr address{};
  if (colon == std::string::npos || ::inet_pton(AF_INET, target.host.substr(0, colon).c_str(), &address) != 1)
    throw std::runtime_error(url + ": expected an IPv4 address and a port");
  target.address = address.s_addr;
  target.port = static_cast<std::uint16_t>(std::stoi(target.host.substr(colon + 1)));
}

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void raise_file_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Epoll::Epoll() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {}
Epoll::~Epoll() { ::close(fd_); }

void Epoll::add(int fd, std::uint32_t events, void* data) {
  epoll_event event{.events = events, .data = {.ptr = data}};
  if (::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) throw std::runtime_error("epoll_ctl failed");
}

void Epoll::change(int fd, std::uint32_t events, void* data) {
  epoll_event event{.events = events, .data = {.ptr = data}};
  if (::epoll_ctl(fd_, EPOLL_CTL_MOD, fd, &event) != 0) throw std::runtime_error("epoll_ctl failed");
}

std::vector<void*> Epoll::wait(std::int64_t timeout_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  epoll_event events[256];
  const std::int64_t left = std::max<std::int64_t>(timeout_ns, 0);
  const timespec timeout{left / kSecond, left % kSecond};
  const int count = ::epoll_pwait2(fd_, events, 256, &timeout, nullptr);
  std::vector<void*> ready;
  for (int i = 0; i < count; ++i) ready.push_back(events[i].data.ptr);
  return ready;
}

Tls::Tls(const Target& target, std::size_t read_ahead) : context_(SSL_CTX_new(TLS_client_method())) {
  SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION);
  if (SSL_CTX_set_ciphersuites(context_, target.cipher_suite.c_str()) != 1)
    throw std::runtime_error("no such cipher suite: " + target.cipher_suite);
  if (SSL_CTX_load_verify_locations(context_, target.certificate.c_str(), nullptr) != 1)
    throw std::runtime_error("no certificate in " + target.certificate);
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_default_read_buffer_len(context_, read_ahead);
  SSL_CTX_set_read_ahead(context_, read_ahead > 0);
}
Tls::~Tls() { SSL_CTX_free(context_); }

SSL* Tls::connect(int fd) const {
  SSL* ssl = SSL_new(context_);
  SSL_set_fd(ssl, fd);
  SSL_set_connect_state(ssl);
  return ssl;
}

Connection::Connection(const Target& target, const Tls* tls) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) throw std::runtime_error("no socket: too few open files allowed?");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = target.address;
  address.sin_port = htons(target.port);
  // On loopback a connection is made at once, or refused.
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd_);
    throw std::runtime_error("cannot connect to " + target.host);
  }
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (tls) ssl_ = tls->connect(fd_);
}

Connection::~Connection() {
  SSL_free(ssl_);
  ::close(fd_);
}

void Connection::shake_hands() {
  if (ssl_ && SSL_do_handshake(ssl_) != 1) throw std::runtime_error("the handshake failed");
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
}

bool Connection::send(std::string_view bytes) {
  const auto size = static_cast<ssize_t>(bytes.size());
  if (ssl_) return SSL_write(ssl_, bytes.data(), static_cast<int>(size)) == size;
  return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) == size;
}

Connection::Outcome Connection::read(std::span<char> into, std::size_t& got) {
  got = 0;
  if (ssl_) {
    const int count = SSL_read(ssl_, into.data(), static_cast<int>(into.size()));
    if (count <= 0) return SSL_get_error(ssl_, count) == SSL_ERROR_WANT_READ ? Outcome::kBlocked : Outcome::kClosed;
    got = static_cast<std::size_t>(count);
    return Outcome::kDone;
  }
  const ssize_t count = ::recv(fd_, into.data(), into.size(), MSG_DONTWAIT);
  if (count < 0) return errno == EAGAIN || errno == EINTR ? Outcome::kBlocked : Outcome::kClosed;
  if (count == 0) return Outcome::kClosed;
  got = static_cast<std::size_t>(count);
  return Outcome::kDone;
}

Head parse_head(std::string_view bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n", kLength = "\r\nContent-Length: ";
  Head head;
  const std::size_t end = bytes.find(kEnd);
  if (end == std::string_view::npos) return head;
  head.size = end + kEnd.size();
  const std::string_view text = bytes.substr(0, head.size);
  if (text.size() > 12) std::from_chars(text.data() + 9, text.data() + 12, head.status);
  if (const std::size_t at = text.find(kLength); at != std::string_view::npos)
    std::from_chars(text.data() + at + kLength.size(), text.data() + text.size(), head.content_length);
  return head;
}

double percentile(std::vector<double>& values, double percent) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const auto index = static_cast<std::size_t>(percent / 100 * static_cast<double>(values.size()));
  return values[std::min(index, values.size() - 1)];
}

}  // namespace xinfer::bench_hub
