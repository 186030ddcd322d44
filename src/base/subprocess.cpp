#include "base/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

extern char** environ;

namespace xinfer::base {

namespace {

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == 0) read = ends[0], write = ends[1];
  }
  ~Pipe() { close_read(), close_write(); }
  void close_read() { close_end(read); }
  void close_write() { close_end(write); }

 private:
  static void close_end(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
};

int remaining_ms(std::chrono::steady_clock::time_point deadline, int timeout_ms) {
  if (timeout_ms <= 0) return -1;
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(left);
}

// Passes complete lines on and keeps the unfinished rest in `pending`.
void emit_lines(std::string& pending, std::string_view chunk, const std::function<void(std::string_view)>& sink) {
  if (!sink) return;
  pending.append(chunk);
  std::size_t start = 0;
  for (std::size_t end; (end = pending.find('\n', start)) != std::string::npos; start = end + 1)
    sink(std::string_view(pending).substr(start, end - start));
  pending.erase(0, start);
}

}  // namespace

Result<CommandResult> run_command(const std::vector<std::string>& argv, const CommandOptions& options) {
  if (argv.empty()) return fail(Code::kInvalidArgument, "no program was named");
  Pipe in, out, err;
  if (in.read < 0 || out.read < 0 || err.read < 0) return fail(Code::kIo, "cannot make pipes: {}", std::strerror(errno));

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write, 1);
  posix_spawn_file_actions_adddup2(&actions, err.write, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;  // the child must not inherit an ignored SIGPIPE
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> arguments;
  for (const auto& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = -1;
  int status = ::posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (status == ENOENT) return fail(Code::kNotFound, "the program '{}' is not installed", argv[0]);
  if (status != 0) return fail(Code::kIo, "cannot start '{}': {}", argv[0], std::strerror(status));

  in.close_read(), out.close_write(), err.close_write();
  ::fcntl(in.write, F_SETFL, O_NONBLOCK);
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(options.timeout_ms);
  CommandResult result;
  std::string pending;
  std::size_t written = 0;
  bool timed_out = false;
  if (options.input.empty()) in.close_write();
  while (out.read >= 0 || err.read >= 0) {
    pollfd polled[3] = {{out.read, POLLIN, 0}, {err.read, POLLIN, 0}, {in.write, POLLOUT, 0}};
    int ready = ::poll(polled, 3, remaining_ms(deadline, options.timeout_ms));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      timed_out = true;
      ::kill(-pid, SIGKILL);
      break;
    }
    auto drain = [&](Pipe& pipe, const pollfd& entry, std::string& kept, bool lines) {
      if (pipe.read < 0 || !(entry.revents & (POLLIN | POLLHUP | POLLERR))) return;
      char buffer[1 << 16];
      ssize_t count = ::read(pipe.read, buffer, sizeof buffer);
      if (count <= 0) {
        if (count == 0 || errno != EINTR) pipe.close_read();
        return;
      }
      std::string_view chunk(buffer, static_cast<std::size_t>(count));
      kept.append(chunk.substr(0, options.output_limit_bytes - std::min(options.output_limit_bytes, kept.size())));
      if (lines) emit_lines(pending, chunk, options.on_error_line);
    };
    drain(out, polled[0], result.out, false);
    drain(err, polled[1], result.err, true);
    if (in.write >= 0 && polled[2].revents) {
      ssize_t count = ::write(in.write, options.input.data() + written, options.input.size() - written);
      if (count > 0) written += static_cast<std::size_t>(count);
      if ((count < 0 && errno != EAGAIN && errno != EINTR) || written == options.input.size()) in.close_write();
    }
  }
  if (options.on_error_line && !pending.empty()) options.on_error_line(pending);
  int wait_status = 0;
  while (::waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  if (timed_out) return fail(Code::kTimeout, "'{}' did not finish within {} ms", argv[0], options.timeout_ms);
  if (WIFEXITED(wait_status)) result.exit_code = WEXITSTATUS(wait_status);
  if (WIFSIGNALED(wait_status)) result.signal = WTERMSIG(wait_status);
  return result;
}

}  // namespace xinfer::base
