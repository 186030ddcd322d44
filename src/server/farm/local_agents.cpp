#include "server/farm/local_agents.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace xinfer::server::farm {

using base::Code;
using base::Result;
using std::chrono::milliseconds;

namespace {

constexpr int kFirstPauseMs = 100, kLongestPauseMs = 10'000, kHealthyMs = 10'000;

pid_t spawn(const std::filesystem::path& program, const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  std::string path = program.string();
  argv.push_back(path.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  // Only async-signal-safe calls until exec. A group of its own: Ctrl-C in a terminal is the hub's to handle.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

}  // namespace

class LocalAgents::State {
 public:
  explicit State(LocalAgentOptions options)
      : options_(std::move(options)), pids_(static_cast<std::size_t>(options_.count), 0) {}

  // Each agent has a thread: PR_SET_PDEATHSIG is about the thread that forked.
  void run() {
    for (int i = 0; i < options_.count; ++i) threads_.emplace_back([this, i] { keep_alive(i); });
  }

  void stop(int grace_ms) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      stopping_ = true;
      for (pid_t pid : pids_)
        if (pid > 0) ::kill(pid, SIGINT);
    }
    changed_.notify_all();
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, milliseconds(grace_ms),
                        [&] { return std::ranges::all_of(pids_, [](pid_t pid) { return pid == 0; }); });
      for (pid_t pid : pids_)
        if (pid > 0) ::kill(pid, SIGKILL);
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void keep_alive(int index) {
    const std::string name = fmt::format("{}-{}", options_.prefix, index);
    int pause_ms = kFirstPauseMs;
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      std::vector<std::string> arguments = options_.arguments;
      arguments.insert(arguments.end(), {"--name", name});
      const pid_t pid = spawn(options_.program, arguments);
      const auto started = std::chrono::steady_clock::now();
      if (pid < 0) {
        base::log(base::LogLevel::kError, "cannot start an agent", {{"agent", name}});
      } else {
        pids_[static_cast<std::size_t>(index)] = pid;
        lock.unlock();
        int status = 0;
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        lock.lock();
        pids_[static_cast<std::size_t>(index)] = 0;
        changed_.notify_all();
        lock.unlock();
        options_.on_death(name);
        lock.lock();
        if (stopping_) return;
        base::log(base::LogLevel::kWarning, "agent ended; starting it again",
                  {{"agent", name},
                   {"status", WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                                  : fmt::format("exit {}", WEXITSTATUS(status))}});
      }
      if (std::chrono::steady_clock::now() - started > milliseconds(kHealthyMs)) pause_ms = kFirstPauseMs;
      changed_.wait_for(lock, milliseconds(pause_ms), [&] { return stopping_; });
      pause_ms = std::min(pause_ms * 2, kLongestPauseMs);
    }
  }

  LocalAgentOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<pid_t> pids_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

LocalAgents::LocalAgents(std::unique_ptr<State> state) : state_(std::move(state)) {}
LocalAgents::~LocalAgents() { stop(0); }
void LocalAgents::stop(int grace_ms) { state_->stop(grace_ms); }

Result<std::unique_ptr<LocalAgents>> LocalAgents::start(LocalAgentOptions options) {
  if (::access(options.program.c_str(), X_OK) != 0)
    return base::fail(Code::kNotFound,
                      "no program {}: set agents.program, or agents.local: 0 to run without local agents",
                      options.program.string());
  auto state = std::make_unique<State>(std::move(options));
  state->run();
  return std::unique_ptr<LocalAgents>(new LocalAgents(std::move(state)));
}

}  // namespace xinfer::server::farm
