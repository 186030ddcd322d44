#include "server/http/server.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <boost/asio/post.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <thread>

#include "base/log.h"
#include "server/http/connection.h"

namespace xinfer::server::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kBacklog = 4'096;

base::Result<tcp::endpoint> parse_listen(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const auto bad = [&] {
    return base::fail(base::Code::kInvalidArgument,
                      "--listen {}: expected ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080", text);
  };
  if (colon == std::string::npos) return bad();
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  int port = -1;
  const std::string digits = text.substr(colon + 1);
  if (!digits.empty() && digits.size() <= 5 && digits.find_first_not_of("0123456789") == std::string::npos)
    port = std::stoi(digits);
  if (error || port < 0 || port > 65535) return bad();
  return tcp::endpoint(address, static_cast<unsigned short>(port));
}

// A connection is an open file, and most systems allow a process 1,024 until it asks for more.
void raise_file_limit(std::int64_t connections) {
  constexpr rlim_t kOthers = 512;  // databases, stored files, agents
  const rlim_t wanted = static_cast<rlim_t>(connections) + kOthers;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted)
    base::log(base::LogLevel::kWarning, "fewer files may be open than http.connections needs (ulimit -n)",
              {{"allowed", std::to_string(limit.rlim_cur)}, {"needed", std::to_string(wanted)}});
}

}  // namespace

class Server::State {
 public:
  State(const Options& options, Service& service)
      : shared_(std::make_shared<Shared>(options, service)), acceptor_(*shared_->loops.front()) {}

  base::Result<void> open() {
    XI_TRY(const tcp::endpoint endpoint, parse_listen(shared_->options.listen));
    if (!shared_->options.tls_certificate.empty() || !shared_->options.tls_key.empty()) {
      XI_TRY(shared_->tls, make_tls_context(shared_->options.tls_certificate, shared_->options.tls_key));
    }
    raise_file_limit(shared_->options.connections);
    error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(kBacklog, error);
    if (error)
      return base::fail(base::Code::kUnavailable, "cannot listen on {}: {}", shared_->options.listen, error.message());
    ::fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC);
    const tcp::endpoint bound = acceptor_.local_endpoint();
    address_ = bound.address().is_v6() ? fmt::format("[{}]:{}", bound.address().to_string(), bound.port())
                                       : fmt::format("{}:{}", bound.address().to_string(), bound.port());
    accept();
    for (const auto& loop : shared_->loops) {
      guards_.emplace_back(loop->get_executor());
      threads_.emplace_back([&loop = *loop] { loop.run(); });
    }
    return {};
  }

  void stop(std::int64_t grace_ms) {
    if (shared_->stopping.exchange(true)) return;
    asio::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
    });
    each([](Connection& connection) { connection.drain(); });
    const auto until = Clock::now() + milliseconds(grace_ms);
    while (Clock::now() < until && count() > 0) std::this_thread::sleep_for(milliseconds(10));
    each([](Connection& connection) { connection.close_now(); });
    const auto last = Clock::now() + milliseconds(500);
    while (Clock::now() < last && count() > 0) std::this_thread::sleep_for(milliseconds(5));
    shared_->workers.join();
    for (const auto& loop : shared_->loops) loop->stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::shared_ptr<Shared> shared_;
  std::string address_;

 private:
  std::size_t count() {
    const std::lock_guard lock(shared_->mutex);
    return shared_->connections.size();
  }
  template <class F>
  void each(F&& f) {
    const std::lock_guard lock(shared_->mutex);
    for (Connection* connection : shared_->connections)
      if (auto self = connection->weak_from_this().lock()) f(*self), keep_.push_back(std::move(self));
    keep_later();
  }
  // Releasing a connection under the lock would lock again in its destructor.
  void keep_later() {
    asio::post(acceptor_.get_executor(), [kept = std::move(keep_)] {});
    keep_.clear();
  }

  void accept() {
    // By turns. Loops that share their connections would wake each other for every event.
    asio::io_context& loop = *shared_->loops[next_loop_++ % shared_->loops.size()];
    acceptor_.async_accept(loop, [this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || shared_->stopping) return;
      if (!error) {
        ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
        if (static_cast<std::int64_t>(count()) < shared_->options.connections)
          std::make_shared<Connection>(shared_, std::move(socket))->start();
        accept();
        return;
      }
      // Out of descriptors: wait for one instead of spinning.
      base::log(base::LogLevel::kWarning, "accept failed", {{"error", error.message()}});
      retry_.expires_after(milliseconds(100));
      retry_.async_wait([this](error_code) { accept(); });
    });
  }

  tcp::acceptor acceptor_;
  asio::steady_timer retry_{*shared_->loops.front()};
  std::size_t next_loop_ = 0;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards_;
  std::vector<std::thread> threads_;
  std::vector<std::shared_ptr<Connection>> keep_;
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() { stop(0); }

base::Result<std::unique_ptr<Server>> Server::start(const Options& options, Service& service) {
  auto state = std::make_unique<State>(options, service);
  XI_CHECK(state->open());
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

const std::string& Server::address() const { return state_->address_; }
void Server::stop(std::int64_t grace_ms) { state_->stop(grace_ms); }
void Server::post(std::function<void()> work) { asio::post(state_->shared_->workers, std::move(work)); }

}  // namespace xinfer::server::http
