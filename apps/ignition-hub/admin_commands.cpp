#include "admin_commands.h"

#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>

#include "place.h"
#include "server/accounts/accounts.h"
#include "server/accounts/organisations.h"

namespace xinfer::hub_app {
namespace {

using base::Code;
using base::Result;
using namespace xinfer::server;

struct Arguments {
  std::string data, config, id, scope, name, expires;
  std::optional<std::int64_t> weight, quota;
};

Result<std::unique_ptr<db::Database>> open(const Arguments& arguments) {
  XI_TRY(const Place place, find_place(arguments.data, arguments.config));
  return db::Database::open(place.database_url);
}

// "90d", "12h", or nothing: since 1970, 0 for never.
Result<std::int64_t> expiry(const std::string& text) {
  if (text.empty()) return 0;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error != std::errc() || number < 1 || number > 36'500 || (unit != "d" && unit != "h"))
    return std::unexpected(base::Error{Code::kInvalidArgument, "expected days or hours, such as 90d or 12h", "--expires"});
  return now_ms() + number * (unit == "d" ? 24 : 1) * 3600'000;
}

Result<void> create_org(const Arguments& arguments) {
  XI_TRY(const auto database, open(arguments));
  XI_CHECK(accounts::create_organisation(
      *database, {arguments.id, arguments.weight.value_or(1), arguments.quota.value_or(0), now_ms()}));
  std::printf("organisation %s made; next: ignition-hub admin create-token --org %s --scope developer\n",
              arguments.id.c_str(), arguments.id.c_str());
  return {};
}

Result<void> set_org(const Arguments& arguments) {
  if (!arguments.weight && !arguments.quota)
    return base::fail(Code::kInvalidArgument, "say what to change: --weight W or --running-quota N");
  XI_TRY(const auto database, open(arguments));
  return accounts::change_organisation(*database, arguments.id, arguments.weight, arguments.quota);
}

Result<void> list_orgs(const Arguments& arguments) {
  XI_TRY(const auto database, open(arguments));
  XI_TRY(const auto all, accounts::organisations(*database));
  std::printf("%-40s %8s %14s\n", "ORGANISATION", "WEIGHT", "RUNNING QUOTA");
  for (const accounts::Organisation& one : all)
    std::printf("%-40s %8lld %14s\n", one.id.c_str(), static_cast<long long>(one.weight),
                one.running_quota == 0 ? "any" : std::to_string(one.running_quota).c_str());
  return {};
}

Result<void> create_token(const Arguments& arguments) {
  XI_TRY(const auto database, open(arguments));
  XI_TRY(const auto accounts, accounts::Accounts::open(*database, now_ms));
  XI_TRY(const std::int64_t expires, expiry(arguments.expires));
  if (arguments.scope != "agent") {
    XI_TRY(const auto all, accounts::organisations(*database));
    const auto known = [&](const accounts::Organisation& one) { return one.id == arguments.id; };
    if (std::none_of(all.begin(), all.end(), known))
      return base::fail(Code::kNotFound, "no organisation \"{}\": make it with ignition-hub admin create-org",
                        arguments.id.substr(0, 100));
  }
  XI_TRY(const api::Token token, accounts->create_token({arguments.scope, arguments.id, arguments.name, expires}));
  std::fprintf(stderr, "token %s of %s, scope %s; its text is shown this once:\n", token.id.c_str(),
               token.organisation.c_str(), token.role.c_str());
  std::printf("%s\n", token.token.c_str());
  return {};
}

Result<void> list_tokens(const Arguments& arguments) {
  XI_TRY(const auto database, open(arguments));
  XI_TRY(const auto accounts, accounts::Accounts::open(*database, now_ms));
  XI_TRY(const auto tokens, accounts->tokens());
  std::printf("%-22s %-24s %-14s %s\n", "TOKEN", "ORGANISATION", "SCOPE", "NAME");
  for (const api::Token& token : tokens)
    std::printf("%-22s %-24s %-14s %s\n", token.id.c_str(), token.organisation.c_str(), token.role.c_str(),
                token.name.c_str());
  return {};
}

Result<void> revoke_token(const Arguments& arguments) {
  XI_TRY(const auto database, open(arguments));
  XI_TRY(const auto accounts, accounts::Accounts::open(*database, now_ms));
  return accounts->revoke_token(arguments.id);
}

}  // namespace

void add_admin_commands(CLI::App& app, int& status) {
  CLI::App* admin = app.add_subcommand("admin", "Organisations and tokens; the hub may be running");
  admin->require_subcommand(1);
  const auto arguments = std::make_shared<Arguments>();
  const auto add = [&](const char* name, const char* summary, Result<void> (*run)(const Arguments&)) {
    CLI::App* command = admin->add_subcommand(name, summary);
    command->add_option("--data", arguments->data, "The hub's data folder");
    command->add_option("--config", arguments->config, "YAML file with settings");
    command->callback([arguments, run, &status] {
      const auto done = run(*arguments);
      if (done) return;
      status = base::facts(done.error().code).exit_code;
      std::fprintf(stderr, "ignition-hub: %s\n", done.error().text().c_str());
    });
    return command;
  };
  const auto add_shares = [&](CLI::App* command) {
    command->add_option("organisation", arguments->id)->required();
    command->add_option("--weight", arguments->weight, "Its part of the farm against the others' (1)");
    command->add_option("--running-quota", arguments->quota, "Builds that may run at once; 0: any number");
  };
  add_shares(add("create-org", "Make an organisation", create_org));
  add_shares(add("set-org", "Change an organisation's weight or quota", set_org));
  add("list-orgs", "List organisations", list_orgs);
  CLI::App* token = add("create-token", "Make a token; only its digest is kept", create_token);
  token->add_option("--org", arguments->id, "The organisation (agents belong to none)");
  token->add_option("--scope", arguments->scope, "viewer, developer, administrator or agent")->required();
  token->add_option("--name", arguments->name, "For people");
  token->add_option("--expires", arguments->expires, "90d, 12h; without it: never");
  add("list-tokens", "List tokens, without their texts", list_tokens);
  add("revoke-token", "Revoke a token", revoke_token)->add_option("token", arguments->id, "Its id")->required();
}

}  // namespace xinfer::hub_app
