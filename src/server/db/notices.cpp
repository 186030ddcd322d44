#include "server/db/notices.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "base/log.h"

namespace xinfer::server::db {
namespace {

constexpr int kRetryMs = 1'000;
constexpr std::size_t kWaitingMost = 10'000;  // beyond it the others find out by polling

struct Closer {
  void operator()(PGconn* connection) const { PQfinish(connection); }
  void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, Closer>;

bool run(PGconn* connection, const char* sql, const char* parameter = nullptr) {
  const char* values[] = {parameter};
  const std::unique_ptr<PGresult, Closer> result(
      PQexecParams(connection, sql, parameter ? 1 : 0, nullptr, values, nullptr, nullptr, 0));
  const ExecStatusType status = PQresultStatus(result.get());
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

}  // namespace

class Notices::State {
 public:
  State(std::string url, std::function<void(const std::string&)> on_notice)
      : url_(std::move(url)), on_notice_(std::move(on_notice)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    thread_ = std::thread([this] { work(); });
  }
  ~State() {
    stopping_ = true;
    wake();
    thread_.join();
    ::close(wake_);
  }

  void send(const std::string& text) {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() >= kWaitingMost) return;
      waiting_.insert(text);
    }
    wake();
  }

 private:
  void wake() { (void)!::eventfd_write(wake_, 1); }

  void work() {
    while (!stopping_) {
      Connection connection(PQconnectdb(url_.c_str()));
      if (PQstatus(connection.get()) == CONNECTION_OK && run(connection.get(), "LISTEN ignition_hub")) {
        on_notice_("");
        while (!stopping_ && turn(connection.get())) {
        }
      }
      connection.reset();
      pollfd event{wake_, POLLIN, 0};
      for (int waited = 0; !stopping_ && waited < kRetryMs; waited += 100) {
        ::poll(&event, 1, 100);
        drain();
      }
    }
  }

  void drain() {
    eventfd_t count = 0;
    (void)!::eventfd_read(wake_, &count);
  }

  // Waits for something to send or to hear, and does it. False when the connection is gone.
  bool turn(PGconn* connection) {
    pollfd events[] = {{PQsocket(connection), POLLIN, 0}, {wake_, POLLIN, 0}};
    ::poll(events, 2, 10'000);
    drain();
    std::set<std::string> texts;
    {
      const std::lock_guard lock(mutex_);
      texts.swap(waiting_);
    }
    for (const std::string& text : texts)
      if (!run(connection, "SELECT pg_notify('ignition_hub', $1)", text.c_str())) return false;
    if (PQconsumeInput(connection) == 0) return false;
    while (PGnotify* notice = PQnotifies(connection)) {
      const bool own = notice->be_pid == PQbackendPID(connection);
      const std::string text = notice->extra;
      PQfreemem(notice);
      if (!own) on_notice_(text);
    }
    return PQstatus(connection) == CONNECTION_OK;
  }

  const std::string url_;
  const std::function<void(const std::string&)> on_notice_;
  const int wake_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::set<std::string> waiting_;
  std::thread thread_;
};

Notices::Notices(const std::string& url, std::function<void(const std::string&)> on_notice)
    : state_(std::make_unique<State>(url, std::move(on_notice))) {}
Notices::~Notices() = default;
void Notices::send(const std::string& text) { state_->send(text); }

}  // namespace xinfer::server::db
