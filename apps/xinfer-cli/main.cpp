// xinfer-cli: builds, runs, inspects and benchmarks engines; talks to the hub.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>

#include "command.h"
#include "xinfer/error.h"

namespace {

using xinfer::base::Code;

// Errors go to standard error as text, with --json to standard output as {"error": {"code", "message", "where"}}.
int report(const xinfer::base::Error& error, bool json) {
  const auto& facts = xinfer::base::facts(error.code);
  if (json) {
    nlohmann::ordered_json document;
    document["error"] = {{"code", facts.name}, {"message", error.message}, {"where", error.where}};
    fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print(stderr, "xinfer-cli: {}\n", error.text());
  }
  return facts.exit_code;
}

int run_action(const xinfer::cli::Invocation& invocation) {
  try {
    auto result = invocation.action();
    return result ? *result : report(result.error(), invocation.json);
  } catch (const xinfer::Error& error) {
    // The public API throws; its code's name leads back to the exit code.
    for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i)
      if (xinfer::base::facts(static_cast<Code>(i)).name == error.code())
        return report({static_cast<Code>(i), error.what(), {}}, invocation.json);
    return report({Code::kInternal, error.what(), {}}, invocation.json);
  } catch (const std::bad_alloc&) {
    return report({Code::kOutOfMemory, "out of memory", {}}, invocation.json);
  } catch (const std::exception& error) {
    return report({Code::kInternal, error.what(), {}}, invocation.json);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compiles ONNX models into verified native engines and runs them.", "xinfer-cli");
  app.require_subcommand(1);
  app.set_version_flag("--version", "xinfer-cli " XINFER_VERSION);
  app.footer(
      "Exit status: 0 success, 64 wrong usage, 65 unsupported, 66 not found, 69 unavailable, 70 internal error,\n"
      "74 input or output failed, 76 corrupt, 77 untrusted, 78 incompatible; 1 when a test or verification failed.");
  xinfer::cli::Invocation invocation;
  xinfer::cli::add_commands(app, invocation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& error) {
    return app.exit(error);
  } catch (const CLI::CallForAllHelp& error) {
    return app.exit(error);
  } catch (const CLI::CallForVersion& error) {
    return app.exit(error);
  } catch (const CLI::ParseError& error) {
    // CLI11 would only say that some command is missing.
    const CLI::App& known = app;
    if (argc > 1 && argv[1][0] != '-' &&
        known.get_subcommands([&](const CLI::App* command) { return command->get_name() == argv[1]; }).empty())
      return report({Code::kInvalidArgument, fmt::format("there is no command '{}'; try --help", argv[1]), {}},
                    invocation.json);
    return report({Code::kInvalidArgument, std::string(error.what()) + "; try --help", {}}, invocation.json);
  }
  return run_action(invocation);
}
