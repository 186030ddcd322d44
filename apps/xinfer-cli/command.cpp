#include "command.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace xinfer::cli {

CLI::App* add_command(CLI::App& app, Invocation& invocation, std::string name, std::string description,
                      std::string examples) {
  auto* command = app.add_subcommand(std::move(name), std::move(description));
  command->add_flag("--json", invocation.json, "Print one JSON document instead of text");
  if (!examples.empty())
    command->footer("Examples:\n  " + CLI::detail::find_and_replace(std::move(examples), "\n", "\n  "));
  return command;
}

ProgressPrinter::ProgressPrinter() : terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressPrinter::~ProgressPrinter() {
  if (drawn_) std::fputc('\n', stderr);
}

void ProgressPrinter::show(std::string_view stage, double fraction, std::string_view note) {
  if (!terminal_) {
    if (stage == last_stage_) return;
    fmt::print(stderr, "{}{}{}\n", stage, note.empty() ? "" : "  ", note);
    last_stage_ = stage;
    return;
  }
  int percent = fraction < 0 ? -1 : static_cast<int>(std::lround(std::fmin(fraction, 1) * 100));
  if (stage == last_stage_ && percent == last_percent_ && note == last_note_) return;
  last_stage_ = stage;
  last_note_ = note;
  last_percent_ = percent;
  drawn_ = true;
  constexpr int kWidth = 30;
  if (percent < 0) {
    fmt::print(stderr, "\r\033[K{}{}{}", stage, note.empty() ? "" : "  ", note);
  } else {
    int filled = percent * kWidth / 100;
    fmt::print(stderr, "\r\033[K[{:=<{}}{: <{}}] {:3}% {}{}{}", "", filled, "", kWidth - filled, percent, stage, note.empty() ? "" : "  ", note);
  }
  std::fflush(stderr);
}

}  // namespace xinfer::cli
