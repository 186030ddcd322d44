// The sandbox: what a build cannot do, and how its ends are told apart. The builds here are shell scripts.
#include "agent/sandbox.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>

#include "base/files.h"

namespace xinfer::agent {
namespace {

namespace fs = std::filesystem;

class Sandbox : public testing::Test {
 protected:
  void SetUp() override {
    if (auto works = check_sandbox(); !works) GTEST_SKIP() << works.error().message;
    for (const char* name : {"in", "out", "cache"}) fs::create_directories(folder.path() / name);
    std::ofstream(folder.path() / "in" / "model.onnx") << "model";
  }
  Ending run(const std::string& script) {
    const fs::path program = folder.path() / "program";
    std::ofstream(program) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(program, fs::perms(0755));
    job.program = program;
    job.input = folder.path() / "in";
    job.output = folder.path() / "out";
    job.cache = folder.path() / "cache";
    job.arguments = {"{job}", "{out}", "{cache}"};
    job.on_line = [this](std::string_view line) { lines.emplace_back(line); };
    job.on_error_line = [this](std::string_view line) { errors.emplace_back(line); };
    auto ending = run_sandboxed(job);
    EXPECT_TRUE(ending) << ending.error().text();
    return ending.value_or(Ending{});
  }
  base::TemporaryFolder folder{"sandbox-test"};
  SandboxJob job;
  std::vector<std::string> lines, errors;
};

TEST_F(Sandbox, ReadsItsInputAndWritesItsOutput) {
  const Ending ending = run("cat $1/model.onnx; echo; echo oops >&2; echo engine > $2/engine; echo kernel > $3/kernel");
  EXPECT_EQ(ending.exit_code, 0);
  EXPECT_EQ(lines, (std::vector<std::string>{"model"}));
  EXPECT_EQ(errors, (std::vector<std::string>{"oops"}));
  EXPECT_EQ(base::read_file(folder.path() / "out" / "engine").value_or(""), "engine\n");
  EXPECT_EQ(base::read_file(folder.path() / "cache" / "kernel").value_or(""), "kernel\n");
}

TEST_F(Sandbox, ReachesNothingElse) {
  ::setenv("XINFER_TEST_SECRET", "hunter2", 1);
  run("echo changed 2>/dev/null > $1/model.onnx || echo input-is-read-only\n"
      "echo x 2>/dev/null > /usr/new || echo system-is-read-only\n"
      "[ -e /etc/passwd ] || echo no-etc\n[ -e /root ] || [ -e /home ] || echo no-homes\n"
      "[ -z \"$(ls /tmp)\" ] && echo own-tmp\n"
      "[ -z \"$XINFER_TEST_SECRET\" ] && echo no-environment\n"
      "[ \"$(ls /sys 2>/dev/null)\" = '' ] && echo no-sys\n"
      "[ \"$(tail -n +3 /proc/net/dev | grep -vc lo:)\" = 0 ] && echo no-network\n"
      "[ \"$(ls -d /proc/[0-9]* | wc -l)\" -lt 10 ] && echo own-processes");
  ::unsetenv("XINFER_TEST_SECRET");
  EXPECT_EQ(lines, (std::vector<std::string>{"input-is-read-only", "system-is-read-only", "no-etc", "no-homes",
                                             "own-tmp", "no-environment", "no-sys", "no-network", "own-processes"}));
  EXPECT_EQ(base::read_file(folder.path() / "in" / "model.onnx").value_or(""), "model");
}

TEST_F(Sandbox, TimeOut) {
  job.limits.time_ms = 1'000;
  const auto before = std::chrono::steady_clock::now();
  const Ending ending = run("sleep 60 & sleep 60");
  EXPECT_TRUE(ending.timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
  EXPECT_EQ(describe(ending, job.limits).kind, "time_out");
}

TEST_F(Sandbox, Cancelled) {
  job.cancelled = [this] { return !lines.empty(); };
  const Ending ending = run("echo started; sleep 60");
  EXPECT_TRUE(ending.cancelled);
  EXPECT_FALSE(ending.timed_out);
}

TEST_F(Sandbox, Crash) {
  const Ending ending = run("kill -SEGV $$");
  EXPECT_EQ(ending.signal, SIGSEGV);
  const api::BuildError error = describe(ending, job.limits);
  EXPECT_EQ(error.kind, "crash");
  EXPECT_NE(error.message.find("signal 11"), std::string::npos) << error.message;
}

TEST_F(Sandbox, ExitStatusWithoutAWord) {
  const Ending ending = run("exit 3");
  EXPECT_EQ(ending.exit_code, 3);
  EXPECT_EQ(describe(ending, job.limits).message, "the compiler ended with status 3 and no message: this is a bug of ours; report it with the model");
}

TEST_F(Sandbox, MemoryIsLimited) {
  job.limits.memory_bytes = 256 << 20;
  const Ending ending = run(
      "head -c 1000000000 /dev/zero | tail -c 900000000 > /dev/null || true; tail --version > /dev/null && echo alive");
  EXPECT_EQ(ending.exit_code, 0);
  EXPECT_EQ(lines, (std::vector<std::string>{"alive"}));
  ASSERT_FALSE(errors.empty());
  EXPECT_NE(errors.front().find("memory exhausted"), std::string::npos) << errors.front();
}

TEST_F(Sandbox, FileSizeIsLimited) {
  job.limits.file_bytes = 1 << 20;
  run("head -c 2000000 /dev/zero > $2/big; true");
  EXPECT_LE(fs::file_size(folder.path() / "out" / "big"), 1u << 20);
}

}  // namespace
}  // namespace xinfer::agent
