// xinfer-cli hub trust, tuning, login.
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "base/files.h"
#include "hub/trust.h"
#include "hub_command.h"
#include "target/registry.h"

namespace xinfer::cli {
namespace {

using base::Code;
using base::fail;
using base::Result;

struct TrustArguments : HubArguments {
  bool yes = false;
};

Result<bool> ask(const std::string& question) {
  if (!isatty(STDIN_FILENO))
    return fail(Code::kInvalidArgument, "this needs your consent: compare the key, then run it again with --yes");
  fmt::print(stderr, "{} [y/N] ", question);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

Result<int> trust(const TrustArguments& arguments, bool json) {
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  XI_TRY(const hub::HubKey key, hub::hub_key(client));
  const std::string id = engine::key_id(key.public_key);
  bool added = false;
  if (!key.trusted || key.other) {
    if (!json) {
      fmt::print("{} signs its engines with\n  {}\n", client.url(), id);
      if (key.other)
        fmt::print("So far you trust {} for this address; it will be replaced.\n", engine::key_id(*key.other));
      fmt::print(
          "Engines signed with it will run here as native code. Compare it with what the hub's administrator told "
          "you.\n");
      std::fflush(stdout);
    }
    if (!arguments.yes) {
      XI_TRY(const bool agreed, ask("Trust this key?"));
      if (!agreed) return fail(Code::kCancelled, "the key was not added");
    }
    XI_CHECK(hub::trust_hub(client.url(), key, true));
    added = true;
  }
  if (json)
    fmt::print("{}\n",
               nlohmann::ordered_json{{"hub", client.url()}, {"key", id}, {"trusted", true}, {"added", added}}.dump(2));
  else fmt::print("{} {}\n", id, added ? "is trusted now" : "was trusted already");
  return 0;
}

struct TuningArguments : HubArguments {
  std::string target, push, output;
  bool for_all = false;
};

Result<int> tuning(const TuningArguments& arguments, bool json) {
  XI_TRY(hub::Client client, hub::Client::open(arguments.options()));
  api::TuningRecords records;
  if (arguments.push.empty()) {
    XI_TRY(const HardwareTarget target, target::parse(arguments.target));
    XI_TRY(records, client.tuning(target.architecture()));
  } else {
    XI_TRY(const std::string text, base::read_file(arguments.push));
    auto measured = api::decode<api::TuningRecords>(text, api::Unknown::kIgnore);  // what measured them stays in the file
    if (!measured) return std::unexpected(std::move(measured).error().in(arguments.push));
    XI_TRY(const HardwareTarget target, target::parse(arguments.target));
    if (target.architecture() != measured->architecture)
      return fail(Code::kInvalidArgument, "{} holds records for {}, not {}", arguments.push, measured->architecture, target.architecture());
    XI_TRY(records, client.add_tuning(*measured, arguments.for_all));
  }
  if (!arguments.output.empty()) XI_CHECK(base::write_file(arguments.output, api::encode(records) + "\n"));
  if (json) print_json(api::encode(records));
  else fmt::print("{}: {} records on {}{}\n", records.architecture, records.records.size(), client.url(),
                  arguments.output.empty() ? "" : ", written to " + arguments.output);
  return 0;
}

struct LoginArguments : HubArguments {
  std::string token;
  bool logout = false;
};

Result<int> login(const LoginArguments& arguments, bool json) {
  const std::string url = hub::hub_url(arguments.url);
  std::string token = arguments.token;
  if (!arguments.logout) {
    if (token.empty()) {  // from a pipe or the keyboard, so that it stands in no shell history
      if (isatty(STDIN_FILENO)) fmt::print(stderr, "Token for {}: ", url);
      std::getline(std::cin, token);
    }
    if (token.empty()) return fail(Code::kInvalidArgument, "no token given");
    hub::HubOptions options = arguments.options();
    options.token = token;
    XI_TRY(hub::Client client, hub::Client::open(options));
    XI_CHECK(client.builds("", 0, 1));  // whether the hub takes it
  }
  XI_CHECK(hub::store_token(url, arguments.logout ? "" : token));
  if (json) fmt::print("{}\n", nlohmann::ordered_json{{"hub", url}, {"logged_in", !arguments.logout}}.dump(2));
  else fmt::print("{} {}\n", arguments.logout ? "logged out of" : "logged in to", url);
  return 0;
}

}  // namespace

void add_hub_access_commands(CLI::App& hub, Invocation& invocation) {
  {
    auto arguments = std::make_shared<TrustArguments>();
    auto* command =
        add_hub_command(hub, invocation, *arguments, "trust", "Trusts the key that the hub signs its engines with",
                        "xinfer-cli hub trust --hub https://hub.example.org");
    command->add_flag("--yes", arguments->yes, "Do not ask");
    command->callback(
        [=, &invocation] { invocation.action = [=, &invocation] { return trust(*arguments, invocation.json); }; });
  }
  {
    auto arguments = std::make_shared<TuningArguments>();
    auto* command = add_hub_command(hub, invocation, *arguments, "tuning",
                                    "Fetches or adds the tuning records that the hub's agents build with",
                                    "xinfer-cli hub tuning h100 --push h100.json\nxinfer-cli hub tuning h100 -o h100.json");
    command->add_option("target", arguments->target, "A GPU target")->required();
    command->add_option("--push", arguments->push, "File of `xinfer-cli tune` to add to the organisation's records");
    command->add_flag("--public", arguments->for_all, "Add to everybody's records (administrators)");
    command->add_option("-o,--output", arguments->output, "Write the hub's records to this file");
    command->callback(
        [=, &invocation] { invocation.action = [=, &invocation] { return tuning(*arguments, invocation.json); }; });
  }
  auto arguments = std::make_shared<LoginArguments>();
  auto* command = add_hub_command(hub, invocation, *arguments, "login", "Stores an access token for the hub",
                                  "xinfer-cli hub login < token.txt\nxinfer-cli hub login --logout");
  command->add_option("--token", arguments->token, "The token; without it, read from standard input");
  command->add_flag("--logout", arguments->logout, "Forget the hub's token");
  command->callback(
      [=, &invocation] { invocation.action = [=, &invocation] { return login(*arguments, invocation.json); }; });
}

}  // namespace xinfer::cli
