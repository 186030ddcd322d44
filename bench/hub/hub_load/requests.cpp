#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>

#include "loads.h"

namespace xinfer::bench_hub {
namespace {

constexpr double kSecond = 1e9;
constexpr std::int64_t kPatience = 10'000'000'000;  // for the last answers

struct Client {
  std::unique_ptr<Connection> connection;
  std::string in;
  std::int64_t due = 0;  // of the request that waits for its answer
};

class Run {
 public:
  Run(const Target& target, const RequestLoad& load) : target_(target), load_(load), request_(target.get()) {
    for (int i = 0; i < load.connections; ++i) {
      clients_.push_back(std::make_unique<Client>());
      connect(*clients_.back());
    }
  }

  void go() {
    start_ = now_ns();
    counted_from_ = start_ + static_cast<std::int64_t>(load_.warm_up_seconds * kSecond);
    end_ = counted_from_ + static_cast<std::int64_t>(load_.seconds * kSecond);
    for (;;) {
      const std::int64_t now = now_ns();
      issue(now);
      const bool over = now >= end_ && waiting_.empty();
      if ((over && idle_.size() == clients_.size()) || now > end_ + kPatience) break;
      for (void* ready : epoll_.wait(now < end_ ? next_due() - now : kPatience)) on_readable(*static_cast<Client*>(ready));
    }
    unanswered_ = waiting_.size() + clients_.size() - idle_.size();
  }

  void print() {
    const double maximum = percentile(latencies_ms_, 100);
    std::string statuses;
    for (const auto& [status, count] : statuses_) statuses += fmt::format("{}\"{}\":{}", statuses.empty() ? "" : ",", status, count);
    fmt::print(
        "{{\"answers\":{},\"per_second\":{:.1f},\"p50_ms\":{:.3f},\"p90_ms\":{:.3f},\"p99_ms\":{:.3f},\"p999_ms\":{:.3f},"
        "\"max_ms\":{:.3f},\"statuses\":{{{}}},\"unanswered\":{},\"broken\":{}}}\n",
        latencies_ms_.size(), static_cast<double>(in_time_) / load_.seconds, percentile(latencies_ms_, 50),
        percentile(latencies_ms_, 90), percentile(latencies_ms_, 99), percentile(latencies_ms_, 99.9), maximum, statuses,
        unanswered_, broken_);
  }

 private:
  void connect(Client& client) {
    if (client.connection) client.connection.reset();
    client.in.clear();
    client.connection = std::make_unique<Connection>(target_, nullptr);
    epoll_.add(client.connection->fd(), EPOLLIN, &client);
    idle_.push_back(&client);
  }

  std::int64_t next_due() const {
    if (load_.rate == 0) return end_;
    return start_ + static_cast<std::int64_t>(static_cast<double>(issued_) * kSecond / load_.rate);
  }

  void issue(std::int64_t now) {
    if (load_.rate == 0) {
      while (now < end_ && !idle_.empty()) send(now);
      return;
    }
    for (std::int64_t due = next_due(); due <= now && due < end_; ++issued_, due = next_due()) waiting_.push_back(due);
    while (!waiting_.empty() && !idle_.empty()) {
      send(waiting_.front());
      waiting_.pop_front();
    }
  }

  void send(std::int64_t due) {
    Client& client = *idle_.back();
    idle_.pop_back();
    client.due = due;
    if (!client.connection->send(request_)) lose(client);
  }

  // A connection that broke under its request.
  void lose(Client& client) {
    ++broken_;
    connect(client);
  }

  void on_readable(Client& client) {
    char buffer[16 << 10];
    std::size_t got = 0;
    const auto outcome = client.connection->read(buffer, got);
    if (outcome == Connection::Outcome::kBlocked) return;
    if (outcome == Connection::Outcome::kClosed) return lose(client);
    client.in.append(buffer, got);
    const Head head = parse_head(client.in);
    if (head.size == 0 || client.in.size() < head.size + static_cast<std::size_t>(std::max<std::int64_t>(head.content_length, 0)))
      return;
    client.in.clear();
    const std::int64_t now = now_ns();
    if (client.due >= counted_from_) {
      latencies_ms_.push_back(static_cast<double>(now - client.due) / 1e6);
      ++statuses_[head.status];
    }
    in_time_ += now >= counted_from_ && now < end_;
    idle_.push_back(&client);
  }

  const Target& target_;
  const RequestLoad& load_;
  const std::string request_;
  Epoll epoll_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Client*> idle_;
  std::deque<std::int64_t> waiting_;  // when they were due
  std::int64_t start_ = 0, counted_from_ = 0, end_ = 0, issued_ = 0, in_time_ = 0;
  std::vector<double> latencies_ms_;
  std::map<int, std::int64_t> statuses_;
  std::size_t unanswered_ = 0, broken_ = 0;
};

}  // namespace

int run_requests(const Target& target, const RequestLoad& load) {
  Run run(target, load);
  run.go();
  run.print();
  return 0;
}

}  // namespace xinfer::bench_hub
