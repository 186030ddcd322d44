// xinfer-cli test-onnx: runs folders of ONNX backend tests. Cases run in processes of their own, so that a crash is one failed
// case.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/files.h"
#include "command.h"
#include "onnx_case.h"
#include "runtime/cuda/device.h"
#include "target/registry.h"

namespace xinfer::cli {

using base::Code;
using base::fail;
using Clock = std::chrono::steady_clock;

namespace {

struct Options {
  std::vector<std::filesystem::path> folders;
  CaseOptions cases;
  double rtol = -1, atol = -1;
  std::string cache;
  int jobs = 0, timeout_s = 300;
  bool verbose = false;
};

// A process that runs cases one after the other and writes each one's outcome to a pipe: a character for the kind, the reason,
// a zero byte.
struct Child {
  std::vector<std::size_t> cases;  // not finished yet; the first is running
  pid_t pid = -1;
  int pipe = -1;
  std::string text;
  Clock::time_point deadline;  // of the running case
};

constexpr char kKinds[] = {'P', 'F', 'S'};
// Opening a GPU takes longer than most cases, so that a process does more of them there.
constexpr std::size_t kCasesOfGpuProcess = 12;

bool is_gpu(const CaseOptions& options) {
  auto target = target::parse(options.target);
  return target && !target->is_cpu();
}

void write_all(int file, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    ssize_t count = ::write(file, text.data() + done, text.size() - done);
    if (count <= 0) return;
    done += static_cast<std::size_t>(count);
  }
}

base::Result<Child> start(std::vector<std::size_t> indices, const std::vector<std::filesystem::path>& folders,
                          const Options& options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(Code::kIo, "cannot make a pipe");
  std::fflush(nullptr);
  pid_t pid = ::fork();
  if (pid < 0) return fail(Code::kIo, "cannot start a process");
  if (pid == 0) {
    ::close(ends[0]);
    std::shared_ptr<const runtime::cuda::Device> device;  // held open from case to case
    if (is_gpu(options.cases)) device = runtime::cuda::Device::open().value_or(nullptr);
    for (std::size_t index : indices) {
      CaseOutcome outcome = run_case(folders[index], options.cases);
      std::ranges::replace(outcome.reason, '\0', ' ');
      write_all(ends[1], kKinds[static_cast<int>(outcome.kind)] + outcome.reason + '\0');
    }
    ::_exit(0);  // nothing of the parent's is to be flushed or destroyed here
  }
  ::close(ends[1]);
  return Child{std::move(indices), pid, ends[0], {}, Clock::now() + std::chrono::seconds(options.timeout_s)};
}

// Takes the outcomes that the child has written; `done` is called for each.
template <class Done>
void take_outcomes(Child& child, const Options& options, Done&& done) {
  for (std::size_t end; (end = child.text.find('\0')) != std::string::npos && !child.cases.empty();) {
    auto kind = std::ranges::find(kKinds, child.text[0]) - std::begin(kKinds);
    done(child.cases.front(), CaseOutcome{static_cast<CaseOutcome::Kind>(kind), child.text.substr(1, end - 1)});
    child.text.erase(0, end + 1);
    child.cases.erase(child.cases.begin());
    child.deadline = Clock::now() + std::chrono::seconds(options.timeout_s);
  }
}

// How the running case of a child that has ended before its time failed.
CaseOutcome failure(const Child& child, bool timed_out, int timeout_s) {
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  ::close(child.pipe);
  if (timed_out) return {CaseOutcome::Kind::kFailed, fmt::format("did not finish within {} s", timeout_s)};
  if (WIFSIGNALED(status))
    return {CaseOutcome::Kind::kFailed, fmt::format("crashed: {}", ::strsignal(WTERMSIG(status)))};
  return {CaseOutcome::Kind::kFailed, fmt::format("ended with status {}", WEXITSTATUS(status))};
}

// Runs all cases in `jobs` processes; `done` is called in the order in which they finish.
template <class Done>
base::Result<void> run_all(const std::vector<std::filesystem::path>& cases, Options options, Done&& done) {
  auto cores = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  std::size_t jobs = std::min(options.jobs > 0 ? static_cast<std::size_t>(options.jobs) : cores, cases.size());
  options.cases.compilers = static_cast<int>(std::max<std::size_t>(1, cores / jobs));
  const std::size_t batch = is_gpu(options.cases) ? kCasesOfGpuProcess : 1;
  std::deque<std::size_t> waiting;
  for (std::size_t i = 0; i < cases.size(); ++i) waiting.push_back(i);
  std::vector<Child> running;
  while (!waiting.empty() || !running.empty()) {
    while (!waiting.empty() && running.size() < jobs) {
      std::vector<std::size_t> indices;
      for (; !waiting.empty() && indices.size() < batch; waiting.pop_front()) indices.push_back(waiting.front());
      XI_TRY(Child child, start(std::move(indices), cases, options));
      running.push_back(std::move(child));
    }
    std::vector<pollfd> polls;
    for (const auto& child : running) polls.push_back({child.pipe, POLLIN, 0});
    ::poll(polls.data(), polls.size(), 200);
    for (std::size_t i = running.size(); i-- > 0;) {
      Child& child = running[i];
      bool timed_out = Clock::now() > child.deadline;
      if (timed_out) ::kill(child.pid, SIGKILL);
      if (!timed_out && !(polls[i].revents & (POLLIN | POLLHUP))) continue;
      char buffer[4096];
      ssize_t count = timed_out ? 0 : ::read(child.pipe, buffer, sizeof buffer);
      if (count > 0) {
        child.text.append(buffer, static_cast<std::size_t>(count));
        take_outcomes(child, options, done);
        continue;
      }
      CaseOutcome last = failure(child, timed_out, options.timeout_s);
      if (!child.cases.empty()) {
        done(child.cases.front(), std::move(last));
        waiting.insert(waiting.begin(), child.cases.begin() + 1, child.cases.end());
      }
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return {};
}

std::string one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

base::Result<int> test_onnx(const Options& options, bool json) {
  XI_TRY(auto cases, find_cases(options.folders));
  if (cases.empty())
    return fail(Code::kNotFound,
                "no case found: a case is a folder with model.onnx and test_data_set_0, test_data_set_1, …");
  std::size_t counts[3] = {};
  std::vector<CaseOutcome> outcomes(cases.size());
  XI_CHECK(run_all(cases, options, [&](std::size_t index, CaseOutcome outcome) {
    ++counts[static_cast<int>(outcome.kind)];
    static constexpr std::string_view kWords[] = {"PASS", "FAIL", "SKIP"};
    bool print = options.verbose || outcome.kind != CaseOutcome::Kind::kPassed;
    if (!json && print) {
      fmt::print("{} {}{}{}\n", kWords[static_cast<int>(outcome.kind)], cases[index].string(),
                 outcome.reason.empty() ? "" : ": ", one_line(outcome.reason));
      std::fflush(stdout);
    }
    outcomes[index] = std::move(outcome);
  }));
  if (json) {
    nlohmann::ordered_json document = {{"passed", counts[0]}, {"failed", counts[1]}, {"skipped", counts[2]}};
    for (std::size_t i = 0; i < cases.size(); ++i) {
      static constexpr std::string_view kNames[] = {"passed", "failed", "skipped"};
      document["cases"].push_back({{"case", cases[i].string()},
                                   {"outcome", kNames[static_cast<int>(outcomes[i].kind)]},
                                   {"reason", outcomes[i].reason}});
    }
    fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{} passed, {} failed, {} skipped\n", counts[0], counts[1], counts[2]);
  }
  return counts[1] == 0 ? 0 : 1;
}

}  // namespace

void add_test_onnx_command(CLI::App& app, Invocation& invocation) {
  auto options = std::make_shared<Options>();
  auto* command = add_command(app, invocation, "test-onnx", "Runs cases in the layout of the ONNX backend tests",
                              "xinfer-cli test-onnx cases/node\n"
                              "xinfer-cli test-onnx --target x86-64-v3 --rtol 1e-3 --atol 1e-4 models\n"
                              "xinfer-cli test-onnx --target reference cases/node/test_add");
  command
      ->add_option("folders", options->folders, "Folders, searched recursively for model.onnx beside test_data_set_N")
      ->required();
  command
      ->add_option("--target", options->cases.target,
                   "What to build for and run; 'reference' evaluates the reference functions without building")
      ->capture_default_str();
  command->add_option("--rtol", options->rtol, "Relative tolerance (default: the case's own, else 1e-3)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--atol", options->atol, "Absolute tolerance (default: the case's own, else 1e-7)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--jobs", options->jobs, "Cases at once (default: one per core)")->check(CLI::Range(1, 1024));
  command->add_option("--threads", options->cases.num_threads, "Threads of each engine")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->add_option("--timeout", options->timeout_s, "Seconds that a case may take")
      ->capture_default_str()
      ->check(CLI::Range(1, 86400));
  command->add_option("--cache", options->cache, "Folder of compiled kernels (default: the user's cache)");
  command->add_flag("-v,--verbose", options->verbose, "Print passed cases as well");
  command->callback([options, &invocation] {
    invocation.action = [options, &invocation]() -> base::Result<int> {
      if (options->cases.target != "reference") {
        XI_TRY(auto target, target::parse(options->cases.target));
        XI_CHECK(target::check_buildable(target));
      }
      if (options->rtol >= 0) options->cases.rtol = options->rtol;
      if (options->atol >= 0) options->cases.atol = options->atol;
      options->cases.cache_folder =
          options->cache.empty() ? base::cache_folder() / "kernels" : std::filesystem::path(options->cache);
      return test_onnx(*options, invocation.json);
    };
  });
}

}  // namespace xinfer::cli
