// A small HTTP server on loopback whose answers, and failures, a test scripts.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace xinfer::hub {

struct SeenRequest {
  std::string method, path, body;
  std::map<std::string, std::string> headers;  // names in lower case
};

struct Reply {
  int status = 200;
  std::string body;
  std::map<std::string, std::string> headers;
  std::size_t cut = std::string::npos;  // only so many bytes of the body are sent before the connection breaks
};

/// One connection at a time, closed after each answer.
class TestServer {
 public:
  using Handler = std::function<Reply(const SeenRequest&)>;

  explicit TestServer(Handler handler) : handler_(std::move(handler)) {
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    listen(socket_, 16);
    socklen_t size = sizeof address;
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~TestServer() {
    stopping_ = true;
    shutdown(socket_, SHUT_RDWR);
    close(socket_);
    thread_.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<SeenRequest> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  void serve() {
    while (!stopping_) {
      const int connection = accept(socket_, nullptr, nullptr);
      if (connection < 0) continue;
      answer(connection);
      close(connection);
    }
  }

  void answer(int connection) {
    std::string bytes;
    char buffer[65536];
    std::size_t body_begin, length = 0;
    SeenRequest request;
    for (;;) {
      body_begin = bytes.find("\r\n\r\n");
      if (body_begin != bytes.npos) {
        request = parse(bytes.substr(0, body_begin));
        body_begin += 4;
        length = request.headers.count("content-length") ? std::stoul(request.headers["content-length"]) : 0;
        if (bytes.size() >= body_begin + length) break;
      }
      const ssize_t got = read(connection, buffer, sizeof buffer);
      if (got <= 0) return;
      bytes.append(buffer, static_cast<std::size_t>(got));
    }
    request.body = bytes.substr(body_begin, length);
    {
      const std::lock_guard lock(mutex_);
      seen_.push_back(request);
    }
    const Reply reply = handler_(request);
    std::string out = "HTTP/1.1 " + std::to_string(reply.status) + " X\r\nConnection: close\r\n";
    for (const auto& [name, value] : reply.headers) out += name + ": " + value + "\r\n";
    if (!reply.headers.count("Content-Type")) out += "Content-Type: application/json\r\n";
    out += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n\r\n" + reply.body.substr(0, reply.cut);
    for (std::size_t sent = 0; sent < out.size();) {
      const ssize_t count = send(connection, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return;
      sent += static_cast<std::size_t>(count);
    }
  }

  static SeenRequest parse(const std::string& head) {
    SeenRequest request;
    const auto space = head.find(' '), second = head.find(' ', space + 1);
    request.method = head.substr(0, space);
    request.path = head.substr(space + 1, second - space - 1);
    for (std::size_t start = head.find("\r\n"); start != head.npos;) {
      const std::size_t end = head.find("\r\n", start + 2);
      const std::string line = head.substr(start + 2, end == head.npos ? end : end - start - 2);
      const auto colon = line.find(": ");
      std::string name = line.substr(0, colon);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      request.headers[name] = line.substr(colon + 2);
      start = end;
    }
    return request;
  }

  Handler handler_;
  int socket_ = -1, port_ = 0;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::vector<SeenRequest> seen_;
  std::thread thread_;
};

}  // namespace xinfer::hub
