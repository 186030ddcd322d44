#include "agent/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/subprocess.h"

namespace xinfer::agent {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Result;
using Clock = std::chrono::steady_clock;

constexpr int kPollMs = 100;
constexpr std::size_t kLineLimit = 4 << 20;

// The system's folders as they are here: merged /usr has links, older layouts real folders.
void add_system(std::vector<std::string>& argv) {
  argv.insert(argv.end(), {"--ro-bind", "/usr", "/usr"});
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    std::error_code error;
    const fs::path path(name);
    if (fs::is_symlink(path, error))
      argv.insert(argv.end(), {"--symlink", fs::read_symlink(path, error).string(), name});
    else if (fs::is_directory(path, error)) argv.insert(argv.end(), {"--ro-bind", name, name});
  }
  argv.insert(argv.end(), {"--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--ro-bind-try",
                           "/etc/alternatives", "/etc/alternatives"});
}

std::string replace(std::string text, std::string_view what, const std::string& with) {
  if (const std::size_t at = text.find(what); at != std::string::npos) text.replace(at, what.size(), with);
  return text;
}

// The files that a CUDA program opens.
void add_gpu(std::vector<std::string>& argv) {
  std::error_code error;
  for (fs::directory_iterator entry("/dev", error), end; !error && entry != end; entry.increment(error))
    if (const std::string name = entry->path().filename().string(); name.starts_with("nvidia"))
      argv.insert(argv.end(), {"--dev-bind", entry->path().string(), entry->path().string()});
  argv.insert(argv.end(), {"--ro-bind", "/sys", "/sys"});
}

std::vector<std::string> command(const SandboxJob& job) {
  std::vector<std::string> argv;
  std::string program = job.program.string(), in = job.input.string(), out = job.output.string(),
              cache = job.cache.string();
  if (job.sandboxed) {
    argv = {"bwrap",    "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",  "--clearenv",
            "--setenv", "PATH",          "/usr/bin:/bin",     "--setenv",      "HOME",       "/tmp", "--setenv",
            "TMPDIR",   "/tmp",          "--setenv",          "LANG",          "C.UTF-8"};
    add_system(argv);
    argv.insert(argv.end(), {"--proc", "/proc", "--dev", "/dev"});
    if (job.gpu) add_gpu(argv);
    argv.insert(argv.end(), {
                             "--size",
                             std::to_string(job.limits.temporary_bytes),
                             "--tmpfs",
                             "/tmp",
                             "--ro-bind",
                             program,
                             "/agent/program",
                             "--ro-bind",
                             in,
                             "/job",
                             "--bind",
                             out,
                             "/out",
                             "--bind",
                             cache,
                             "/cache",
                             "--chdir",
                             "/tmp",
                             "--"});
    program = "/agent/program", in = "/job", out = "/out", cache = "/cache";
  }
  argv.push_back(program);
  for (const std::string& argument : job.arguments)
    argv.push_back(replace(replace(replace(argument, "{job}", in), "{out}", out), "{cache}", cache));
  return argv;
}

void limit(int resource, std::int64_t value) {
  const rlimit bound{static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &bound);
}

// After fork, before exec: system calls only.
[[noreturn]] void become_child(char* const* argv, const SandboxLimits& limits, bool bounded_memory, std::int64_t cpu_s,
                               int out, int err, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(125);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null >= 0) ::dup2(null, STDIN_FILENO);
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (bounded_memory) limit(RLIMIT_AS, limits.memory_bytes);
  limit(RLIMIT_CPU, cpu_s);
  limit(RLIMIT_FSIZE, limits.file_bytes);
  limit(RLIMIT_NPROC, limits.processes);
  limit(RLIMIT_NOFILE, 1024);
  limit(RLIMIT_CORE, 0);
  ::execvp(argv[0], argv);
  ::_exit(126);
}

// Kills by the kernel for want of memory, on this machine since it started.
std::int64_t oom_kills() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  std::int64_t value = 0;
  while (file >> name >> value)
    if (name == "oom_kill") return value;
  return 0;
}

// Splits what comes into lines; a line too long is cut, never kept growing.
class Lines {
 public:
  explicit Lines(const std::function<void(std::string_view)>& sink) : sink_(sink) {}
  void feed(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      const std::string_view piece = bytes.substr(0, end);
      if (rest_.size() < kLineLimit) rest_.append(piece.substr(0, kLineLimit - rest_.size()));
      if (end == std::string_view::npos) return;
      emit();
      bytes.remove_prefix(end + 1);
    }
  }
  void emit() {
    if (sink_ && !rest_.empty()) sink_(rest_);
    rest_.clear();
  }

 private:
  const std::function<void(std::string_view)>& sink_;
  std::string rest_;
};

bool read_some(int& fd, Lines& lines) {
  char buffer[1 << 16];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got < 0 && errno == EINTR) return true;
  if (got <= 0) {
    lines.emit();
    ::close(std::exchange(fd, -1));
    return false;
  }
  lines.feed({buffer, static_cast<std::size_t>(got)});
  return true;
}

}  // namespace

Result<void> check_sandbox() {
  std::vector<std::string> argv = {"bwrap", "--unshare-all", "--cap-drop", "ALL"};
  add_system(argv);
  argv.insert(argv.end(), {"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--", "/usr/bin/true"});
  base::CommandOptions options;
  options.timeout_ms = 10'000;
  const auto result = base::run_command(argv, options);
  if (result && result->exit_code == 0) return {};
  const std::string why = result ? result->err.substr(0, 300) : result.error().message;
  return base::fail(Code::kUnavailable,
                    "no sandbox: bubblewrap does not work here ({}). Install the package bubblewrap and allow user "
                    "namespaces, or switch the sandbox off "
                    "(--sandbox off, agents.sandbox: off) where every model is trusted",
                    why);
}

Result<Ending> run_sandboxed(const SandboxJob& job) {
  const std::vector<std::string> arguments = command(job);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  int out[2], err[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return base::fail(Code::kIo, "no pipe: {}", ::strerror(errno));
  if (::pipe2(err, O_CLOEXEC) != 0) {
    ::close(out[0]), ::close(out[1]);
    return base::fail(Code::kIo, "no pipe: {}", ::strerror(errno));
  }
  const std::int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  const std::int64_t cpu_s = std::max<std::int64_t>(1, job.limits.time_ms / 1000 * cores);
  const std::int64_t kills_before = oom_kills();
  const pid_t parent = ::getpid(), pid = ::fork();
  if (pid == 0) become_child(argv.data(), job.limits, !job.gpu, cpu_s, out[1], err[1], parent);
  ::close(out[1]), ::close(err[1]);
  if (pid < 0) {
    ::close(out[0]), ::close(err[0]);
    return base::fail(Code::kIo, "cannot start a process: {}", ::strerror(errno));
  }

  Ending ending;
  Lines lines(job.on_line), error_lines(job.on_error_line);
  const auto deadline = Clock::now() + std::chrono::milliseconds(job.limits.time_ms);
  bool killed = false;
  while (out[0] >= 0 || err[0] >= 0) {
    pollfd polled[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
    const int ready = ::poll(polled, 2, kPollMs);
    if (ready > 0 && out[0] >= 0 && polled[0].revents) read_some(out[0], lines);
    if (ready > 0 && err[0] >= 0 && polled[1].revents) read_some(err[0], error_lines);
    if (killed) continue;
    ending.timed_out = Clock::now() > deadline;
    ending.cancelled = job.cancelled && job.cancelled();
    if (ending.timed_out || ending.cancelled) {
      ::kill(-pid, SIGKILL);  // bwrap's --die-with-parent ends the rest
      killed = true;
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    ending.signal = WTERMSIG(status);
  } else {
    ending.exit_code = WEXITSTATUS(status);
    if (job.sandboxed && ending.exit_code > 128) ending.signal = ending.exit_code - 128;  // as bwrap passes signals on
  }
  ending.out_of_memory = ending.signal == SIGKILL && !killed && oom_kills() > kills_before;
  return ending;
}

api::BuildError describe(const Ending& ending, const SandboxLimits& limits) {
  if (ending.timed_out || ending.signal == SIGXCPU)
    return {"time_out", "timeout",
            fmt::format("the build took longer than its agent allows, {:.1f} s: build for fewer sizes or split the model, or have the "
                        "agent's operator raise --time-ms (agents.build_time_ms)", static_cast<double>(limits.time_ms) / 1000), ""};
  if (ending.out_of_memory)
    return {"out_of_memory", "out_of_memory",
            "the agent's machine ran out of memory during the build: build for smaller sizes, or on an agent with more memory", ""};
  if (ending.signal == SIGXFSZ) return {"compiler_error", "limit", "the build wrote a file larger than it may", ""};
  if (ending.signal != 0)
    return {"crash", "internal",
            fmt::format("the compiler crashed (signal {}, {}): this is a bug of ours; report it with the model and `xinfer-cli hub logs BUILD`",
                        ending.signal, ::strsignal(ending.signal)), ""};
  return {"crash", "internal",
          fmt::format("the compiler ended with status {} and no message: this is a bug of ours; report it with the model", ending.exit_code), ""};
}

}  // namespace xinfer::agent
