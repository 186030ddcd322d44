// ignition-hub: the server.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "admin_commands.h"
#include "base/error.h"
#include "data_commands.h"
#include "server/hub.h"
#include "server/settings.h"

namespace {

using namespace xinfer;

int report(const base::Error& error) {
  std::fprintf(stderr, "ignition-hub: %s\n", error.text().c_str());
  return base::facts(error.code).exit_code;
}

struct ServeArguments {
  std::string data, listen, config;
};

int serve(const ServeArguments& arguments) {
  // Before any thread starts, so that all inherit it: the signals are for sigwait below.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  server::HubOptions options;
  options.data_folder = arguments.data;
  if (!arguments.config.empty()) {
    auto settings = server::load_settings(arguments.config);
    if (!settings) return report(settings.error());
    options.settings = std::move(*settings);
  }
  if (auto applied = server::apply_environment(options.settings); !applied) return report(applied.error());
  server::apply_log_format(options.settings);
  if (!arguments.listen.empty()) options.settings.listen = arguments.listen;
  auto hub = server::Hub::start(std::move(options));
  if (!hub) return report(hub.error());
  if (const std::string& token = (*hub)->new_administrator_token(); !token.empty())
    std::printf("Administrator's token, shown this once: %s\n", token.c_str());
  std::printf("Ignition Hub at %s\n", (*hub)->address().c_str());
  std::fflush(stdout);
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  std::printf("Stopping\n");
  std::fflush(stdout);
  (*hub)->stop();
  return 0;
}

int print_settings() {
  for (const server::SettingInfo& info : server::setting_infos()) {
    std::printf("%-28.*s %-7.*s %.*s", static_cast<int>(info.name.size()), info.name.data(),
                static_cast<int>(info.kind.size()), info.kind.data(), static_cast<int>(info.summary.size()),
                info.summary.data());
    if (info.kind == "number")
      std::printf(" (%lld to %lld)", static_cast<long long>(info.minimum), static_cast<long long>(info.maximum));
    std::printf("\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Ignition Hub: compiles ONNX models into native engines and serves them"};
  app.set_version_flag("--version", "ignition-hub " XI_VERSION);
  app.require_subcommand(1);
  ServeArguments arguments;
  CLI::App* serve_command = app.add_subcommand("serve", "Run the hub");
  serve_command->add_option("--data", arguments.data, "Folder for database, objects and keys; made when missing")
      ->required();
  serve_command->add_option("--listen", arguments.listen, "ADDRESS:PORT (127.0.0.1:8080); port 0 takes a free one");
  serve_command->add_option("--config", arguments.config, "YAML file with settings");
  CLI::App* settings_command = app.add_subcommand("settings", "List every setting and limit");
  int status = 0;
  hub_app::add_data_commands(app, status);
  hub_app::add_admin_commands(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return report({base::Code::kInvalidArgument, std::string(error.what()) + "; try --help", ""});
  }
  if (*settings_command) return print_settings();
  return *serve_command ? serve(arguments) : status;
}
