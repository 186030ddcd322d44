#include "hub_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/files.h"

namespace xinfer::demo {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr int kStartSeconds = 60, kStopSeconds = 15;

std::string yaml_list(const std::vector<std::string>& items) {
  std::string text = "[";
  for (const std::string& item : items) text += (text.size() > 1 ? ", \"" : "\"") + item + "\"";
  return text + "]";
}

std::string after(const std::string& text, const std::string& start) {
  const auto at = text.find(start);
  if (at == text.npos) return "";
  const auto end = text.find('\n', at);
  return end == text.npos ? "" : text.substr(at + start.size(), end - at - start.size());
}

/// In the child: becomes the hub.
[[noreturn]] void become(const HubSettings& settings, const std::string& config, int out, int log) {
  setpgid(0, 0);  // the terminal's Ctrl-C is for the demonstration, which then stops the hub
  if (!settings.outlive) prctl(PR_SET_PDEATHSIG, SIGTERM);
  dup2(out, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  const std::string data = (settings.folder / "data").string();
  execl(settings.program.c_str(), "ignition-hub", "serve", "--data", data.c_str(), "--config", config.c_str(),
        "--listen", settings.listen.c_str(), nullptr);
  _exit(127);
}

}  // namespace

Result<HubProcess> HubProcess::start(const HubSettings& settings) {
  if (access(settings.program.c_str(), X_OK) != 0)
    return fail(Code::kNotFound, "{} is missing: run ./dev build", settings.program.string());
  const std::string config = (settings.folder / "hub.yaml").string(), log_file = (settings.folder / "hub.log").string();
  XI_CHECK(base::write_file(config, fmt::format("sources.node_modules: {}\nsources.mirrors: {}\n",
                                                yaml_list(settings.node_modules), yaml_list(settings.mirrors))));
  // Standard output goes to a file: a pipe would break when the hub outlives the demonstration.
  const std::string out_file = (settings.folder / "hub.out").string();
  const int out = open(out_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const int log = open(log_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  HubProcess hub;
  hub.pid_ = out < 0 || log < 0 ? -1 : fork();
  if (hub.pid_ == 0) become(settings, config, out, log);
  close(out);
  close(log);
  if (hub.pid_ < 0) return fail(Code::kIo, "cannot start {}", settings.program.string());

  for (int waited_ms = 0; waited_ms < kStartSeconds * 1000; waited_ms += 20) {
    const std::string text = base::read_file(out_file).value_or("");
    hub.address_ = after(text, "Ignition Hub at ");
    hub.token_ = after(text, "shown this once: ");
    if (!hub.address_.empty()) return hub;
    int status = 0;
    if (waitpid(hub.pid_, &status, WNOHANG) == hub.pid_) {
      hub.pid_ = -1;
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const std::string said = base::read_file(log_file).value_or("");
  return fail(Code::kUnavailable, "the hub did not start: {}",
              said.substr(said.size() > 2000 ? said.size() - 2000 : 0));
}

HubProcess::HubProcess(HubProcess&& other) noexcept
    : pid_(other.pid_), address_(std::move(other.address_)), token_(std::move(other.token_)) {
  other.pid_ = -1;
}

HubProcess::~HubProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  for (int waited_ms = 0; waited_ms < kStopSeconds * 1000; waited_ms += 20) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) != 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  kill(-pid_, SIGKILL);  // with its agents
  waitpid(pid_, nullptr, 0);
}

}  // namespace xinfer::demo
