#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <stdexcept>

#include "loads.h"

namespace xinfer::bench_hub {
namespace {

constexpr std::int64_t kPatience = 120'000'000'000;  // until all are open
constexpr int kOpening = 200;                         // at once

struct Reader {
  std::unique_ptr<Connection> connection;
  std::string in;  // up to the end of the line
  bool open = false;
};

double wall_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::system_clock::now().time_since_epoch()).count();
}

class Run {
 public:
  Run(const Target& target, const StreamLoad& load) : target_(target), request_(target.get()), readers_(static_cast<std::size_t>(load.count)) {
    if (target.tls) tls_.emplace(target, 0);
  }

  void go() {
    const std::int64_t start = now_ns();
    std::size_t begun = 0;
    while (open_ < readers_.size()) {
      for (; begun < readers_.size() && begun - open_ < kOpening; ++begun) begin(readers_[begun]);
      if (now_ns() - start > kPatience) throw std::runtime_error(fmt::format("{} of {} streams were opened", open_, readers_.size()));
      turn();
    }
    fmt::print("{{\"open\":{},\"seconds\":{:.2f}}}\n", open_, static_cast<double>(now_ns() - start) / 1e9);
    std::fflush(stdout);
    epoll_.add(STDIN_FILENO, EPOLLIN, nullptr);
    while (turn()) {
    }
  }

  void print() {
    std::string marks;
    for (auto& [mark, latencies] : marks_)
      marks += fmt::format("{}{{\"delivered\":{},\"p50_ms\":{:.1f},\"p99_ms\":{:.1f},\"max_ms\":{:.1f}}}", marks.empty() ? "" : ",",
                           latencies.size(), percentile(latencies, 50), percentile(latencies, 99), percentile(latencies, 100));
    fmt::print("{{\"streams\":{},\"lost\":{},\"marks\":[{}]}}\n", readers_.size(), lost_, marks);
  }

 private:
  void begin(Reader& reader) {
    reader.connection = std::make_unique<Connection>(target_, tls_ ? &*tls_ : nullptr);
    reader.connection->shake_hands();
    if (!reader.connection->send(request_)) throw std::runtime_error("a request could not be sent");
    epoll_.add(reader.connection->fd(), EPOLLIN, &reader);
  }

  // False when standard input has ended.
  bool turn() {
    for (void* ready : epoll_.wait(1'000'000'000)) {
      char buffer[64 << 10];
      if (!ready) {
        if (::read(STDIN_FILENO, buffer, sizeof buffer) <= 0) return false;
        continue;
      }
      Reader& reader = *static_cast<Reader*>(ready);
      do {
        std::size_t got = 0;
        const auto outcome = reader.connection->read(buffer, got);
        if (outcome == Connection::Outcome::kClosed) lose(reader);
        else on_bytes(reader, std::string_view(buffer, got));
      } while (reader.connection && reader.connection->holds_bytes());
    }
    return true;
  }

  void lose(Reader& reader) {
    if (!reader.open) throw std::runtime_error("a stream was refused");
    ++lost_;
    reader.connection.reset();
  }

  void on_bytes(Reader& reader, std::string_view bytes) {
    reader.in += bytes;
    if (!reader.open) {
      const Head head = parse_head(reader.in);
      if (head.size == 0) return;
      if (head.status != 200) throw std::runtime_error(fmt::format("a stream was answered with {}", head.status));
      reader.open = true;
      ++open_;
      reader.in.erase(0, head.size);
    }
    constexpr std::string_view kMark = "\"mark ";
    std::string_view rest = reader.in;
    for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end + 1);
      const std::size_t at = line.find(kMark);
      if (at == std::string_view::npos) continue;
      std::int64_t sent = 0;
      std::from_chars(line.data() + at + kMark.size(), line.data() + line.size(), sent);
      marks_[sent].push_back(wall_ms() - static_cast<double>(sent));
    }
    if (rest.empty()) std::string().swap(reader.in);
    else reader.in = std::string(rest);
  }

  const Target& target_;
  const std::string request_;
  Epoll epoll_;
  std::optional<Tls> tls_;
  std::vector<Reader> readers_;
  std::size_t open_ = 0, lost_ = 0;
  std::map<std::int64_t, std::vector<double>> marks_;  // latencies by when the event was sent
};

}  // namespace

int run_streams(const Target& target, const StreamLoad& load) {
  Run run(target, load);
  run.go();
  run.print();
  return 0;
}

}  // namespace xinfer::bench_hub
