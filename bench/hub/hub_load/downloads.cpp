#include <fmt/format.h>
#include <sys/epoll.h>

#include <cstdio>
#include <optional>
#include <stdexcept>

#include "loads.h"

namespace xinfer::bench_hub {
namespace {

constexpr std::size_t kBufferBytes = 256 << 10;
constexpr int kReadsInTurn = 16;  // of one connection before the next

struct Download {
  std::unique_ptr<Connection> connection;
  std::string head;
  std::int64_t left = -1;  // of the body; -1: the head comes first
};

class Run {
 public:
  Run(const Target& target, const DownloadLoad& load) : load_(load), request_(target.get()), buffer_(kBufferBytes) {
    if (target.tls) tls_.emplace(target, kBufferBytes / 2);
    for (int i = 0; i < load.connections; ++i) {
      auto download = std::make_unique<Download>();
      download->connection = std::make_unique<Connection>(target, tls_ ? &*tls_ : nullptr);
      download->connection->shake_hands();
      epoll_.add(download->connection->fd(), EPOLLIN, download.get());
      downloads_.push_back(std::move(download));
    }
  }

  void go() {
    const auto after = [](double seconds) { return now_ns() + static_cast<std::int64_t>(seconds * 1e9); };
    for (auto& download : downloads_) ask(*download);
    for (const std::int64_t warm = after(load_.warm_up_seconds); now_ns() < warm;) turn();
    bytes_ = files_ = 0;
    const std::int64_t start = now_ns(), end = after(load_.seconds);
    while (now_ns() < end) turn();
    seconds_ = static_cast<double>(now_ns() - start) / 1e9;
  }

  void print() const {
    fmt::print("{{\"bytes\":{},\"files\":{},\"seconds\":{:.4f},\"mb_per_second\":{:.1f}}}\n", bytes_, files_, seconds_,
               static_cast<double>(bytes_) / 1e6 / seconds_);
  }

 private:
  void ask(Download& download) {
    if (!download.connection->send(request_)) throw std::runtime_error("a request could not be sent");
  }

  void turn() {
    for (void* ready : epoll_.wait(100'000'000)) {
      Download& download = *static_cast<Download*>(ready);
      for (int i = 0; (i < kReadsInTurn || download.connection->holds_bytes()) && read(download); ++i) {
      }
    }
  }

  // False when nothing is there to read.
  bool read(Download& download) {
    std::size_t got = 0;
    const auto outcome = download.connection->read(buffer_, got);
    if (outcome == Connection::Outcome::kClosed) throw std::runtime_error("a connection was closed");
    if (outcome == Connection::Outcome::kBlocked) return false;
    std::string_view bytes(buffer_.data(), got);
    if (download.left < 0) {
      download.head += bytes;
      const Head head = parse_head(download.head);
      if (head.size == 0) return true;
      if (head.status != 200 || head.content_length <= 0) throw std::runtime_error(fmt::format("answered with {}", head.status));
      bytes.remove_prefix(bytes.size() - (download.head.size() - head.size));
      download.head.clear();
      download.left = head.content_length;
    }
    bytes_ += bytes.size();
    download.left -= static_cast<std::int64_t>(bytes.size());
    if (download.left == 0) {
      ++files_;
      download.left = -1;
      ask(download);
    }
    return true;
  }

  const DownloadLoad& load_;
  const std::string request_;
  Epoll epoll_;
  std::optional<Tls> tls_;
  std::vector<std::unique_ptr<Download>> downloads_;
  std::vector<char> buffer_;
  std::uint64_t bytes_ = 0, files_ = 0;
  double seconds_ = 0;
};

}  // namespace

int run_downloads(const Target& target, const DownloadLoad& load) {
  Run run(target, load);
  run.go();
  run.print();
  return 0;
}

}  // namespace xinfer::bench_hub
