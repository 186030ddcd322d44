#include "server/accounts/accounts.h"

#include <soci/soci.h>

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "base/digest.h"
#include "server/accounts/organisations.h"

namespace xinfer::server::accounts {

using base::Code;
using base::Result;

namespace {

struct RoleInfo {
  Role role;
  std::string_view name;
  std::vector<Permission> permissions;
};

const std::vector<RoleInfo>& roles() {
  using P = Permission;
  static const std::vector<RoleInfo> kRoles = {
      {Role::kAnonymous, "anonymous", {P::kPublic}},
      {Role::kViewer, "viewer", {P::kPublic, P::kReadBuilds}},
      {Role::kDeveloper, "developer", {P::kPublic, P::kReadBuilds, P::kBuild, P::kUpload, P::kPushModels}},
      {Role::kAdministrator,
       "administrator",
       {P::kPublic, P::kReadBuilds, P::kBuild, P::kUpload, P::kPushModels, P::kReadMetrics, P::kAdminister}},
      {Role::kAgent, "agent", {P::kPublic, P::kUpload, P::kRunJobs}},
  };
  return kRoles;
}

const RoleInfo& info(Role role) { return roles()[static_cast<std::size_t>(role)]; }

struct Token {
  Principal principal;
  std::int64_t expires_ms = 0;
  std::string name;
};

}  // namespace

std::string_view name(Permission permission) {
  static constexpr std::string_view kNames[] = {"public",      "read_builds",  "build",      "upload",
                                                "push_models", "read_metrics", "administer", "run_jobs"};
  return kNames[static_cast<int>(permission)];
}

std::string_view name(Role role) { return info(role).name; }

Result<Role> parse_role(std::string_view text) {
  std::string names;
  for (const RoleInfo& row : roles()) {
    if (row.role == Role::kAnonymous) continue;
    if (row.name == text) return row.role;
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return base::fail(Code::kInvalidArgument, "no role \"{}\": there are {}", text, names);
}

bool allows(Role role, Permission permission) {
  for (Permission granted : info(role).permissions)
    if (granted == permission) return true;
  return false;
}

// All tokens by digest: looking one up must not wait for the database. Digests, so that the map holds no secret and a
// lookup's timing tells nothing of use.
class Accounts::State {
 public:
  State(db::Database& d, std::function<std::int64_t()> n) : database(d), now_ms(std::move(n)) {}

  Result<void> load() {
    return database.write([this](soci::session& sql) -> Result<void> {
      for (std::string_view id : {kDefaultOrganisation, kPublicOrganisation, kAgentOrganisation}) {
        const std::string text(id);
        const long long now = now_ms();
        sql << "INSERT INTO organisations (id, name, weight, created_ms) VALUES (:i, :n, 1, :t) ON CONFLICT (id) DO "
               "NOTHING",
            soci::use(text), soci::use(text), soci::use(now);
      }
      return {};
    });
  }

  // All that are not revoked, in place of what was known before. What is made or revoked here meanwhile must not be
  // undone by rows that were read before: then it looks again.
  Result<void> refresh() {
    for (;;) {
      const std::uint64_t before = changes;
      XI_TRY(auto found, read_tokens());
      const std::unique_lock lock(mutex);
      if (changes != before) continue;
      tokens.swap(found);
      return {};
    }
  }

  Result<std::unordered_map<std::string, Token>> read_tokens() {
    std::unordered_map<std::string, Token> found;
    XI_CHECK(database.read([&](soci::session& sql) -> Result<void> {
      std::string digest, organisation, role, id, title;
      long long expires = 0;
      soci::statement rows =
          (sql.prepare << "SELECT digest, organisation, role, id, expires_ms, name FROM tokens WHERE revoked_ms = 0",
           soci::into(digest), soci::into(organisation), soci::into(role), soci::into(id), soci::into(expires),
           soci::into(title));
      rows.execute();
      while (rows.fetch()) {
        XI_TRY(const Role parsed, parse_role(role));
        found[digest] = {{parsed, organisation, id}, expires, title};
      }
      return {};
    }));
    return found;
  }

  Result<std::optional<std::string>> create(Role role, std::string_view organisation, std::string_view name_text,
                                            std::int64_t expires_ms, bool first);

  db::Database& database;
  std::function<std::int64_t()> now_ms;
  std::function<void()> changed = [] {};
  std::shared_mutex mutex;
  std::atomic<std::uint64_t> changes{0};  // made by this hub; counted under the mutex
  std::unordered_map<std::string, Token> tokens;
};

Accounts::Accounts(std::unique_ptr<State> state) : state_(std::move(state)) {}
Accounts::~Accounts() = default;

Result<std::unique_ptr<Accounts>> Accounts::open(db::Database& database, std::function<std::int64_t()> now_ms) {
  auto state = std::make_unique<State>(database, std::move(now_ms));
  XI_CHECK(state->load());
  XI_CHECK(state->refresh());
  return std::unique_ptr<Accounts>(new Accounts(std::move(state)));
}

Result<std::string> Accounts::create_token(Role role, std::string_view organisation, std::string_view name,
                                           std::int64_t expires_ms) {
  XI_TRY(auto token, state_->create(role, organisation, name, expires_ms, false));
  return std::move(token).value();
}

Result<std::optional<std::string>> Accounts::create_first_administrator() {
  return state_->create(Role::kAdministrator, kDefaultOrganisation, "first administrator", 0, true);
}

// `first`: nothing, when the database has a token of this role.
Result<std::optional<std::string>> Accounts::State::create(Role role, std::string_view organisation,
                                                           std::string_view name_text, std::int64_t expires_ms,
                                                           bool first) {
  if (role == Role::kAnonymous) return base::fail(Code::kInvalidArgument, "anonymous needs no token");
  const std::string token = fmt::format("ih_{}_{}", accounts::name(role), base::random_hex(24));
  const std::string id = "tok_" + base::random_hex(8), digest = base::sha256(token), owner(organisation),
                    role_name(accounts::name(role)), title(name_text);
  const long long now = now_ms(), expires = expires_ms;
  XI_TRY(const bool made, database.write([&](soci::session& sql) -> Result<bool> {
    long long others = 0;
    if (first)
      sql << "SELECT COUNT(*) FROM tokens WHERE role = :r AND revoked_ms = 0", soci::into(others), soci::use(role_name);
    if (others > 0) return false;
    sql << "INSERT INTO organisations (id, name, weight, created_ms) VALUES (:i, :n, 1, :t) ON CONFLICT (id) DO "
           "NOTHING",
        soci::use(owner), soci::use(owner), soci::use(now);
    sql << "INSERT INTO tokens (id, digest, organisation, role, name, created_ms, expires_ms, revoked_ms) VALUES (:i, "
           ":d, :o, :r, :n, :c, :e, 0)",
        soci::use(id), soci::use(digest), soci::use(owner), soci::use(role_name), soci::use(title), soci::use(now),
        soci::use(expires);
    return true;
  }));
  if (!made) return std::nullopt;
  {
    const std::unique_lock lock(mutex);
    tokens[digest] = {{role, owner, id}, expires_ms, title};
    ++changes;
  }
  changed();
  return token;
}

Result<api::Token> Accounts::create_token(const api::TokenRequest& request) {
  XI_TRY(const Role role, parse_role(request.role));
  if (request.expires_ms != 0 && request.expires_ms <= state_->now_ms())
    return std::unexpected(base::Error{Code::kInvalidArgument, "that time is over", "expires_ms"});
  const std::string organisation = role == Role::kAgent ? std::string(kAgentOrganisation) : request.organisation;
  if (role != Role::kAgent) XI_CHECK(check_organisation_id(organisation));
  api::Token made;
  XI_TRY(made.token, create_token(role, organisation, request.name.substr(0, 200), request.expires_ms));
  const std::shared_lock lock(state_->mutex);
  const Token& known = state_->tokens.at(base::sha256(made.token));
  made.id = known.principal.token_id;
  made.role = accounts::name(role);
  made.organisation = organisation;
  made.name = known.name;
  made.created_ms = state_->now_ms();
  made.expires_ms = request.expires_ms;
  return made;
}

Result<std::vector<api::Token>> Accounts::tokens() {
  return state_->database.read([](soci::session& sql) -> Result<std::vector<api::Token>> {
    std::vector<api::Token> list;
    api::Token token;
    long long created = 0, expires = 0;
    soci::statement rows =
        (sql.prepare << "SELECT id, role, organisation, name, created_ms, expires_ms FROM tokens WHERE "
                        "revoked_ms = 0 ORDER BY created_ms, id",
         soci::into(token.id), soci::into(token.role), soci::into(token.organisation), soci::into(token.name),
         soci::into(created), soci::into(expires));
    rows.execute();
    while (rows.fetch()) {
      token.created_ms = created;
      token.expires_ms = expires;
      list.push_back(token);
    }
    return list;
  });
}

Result<void> Accounts::revoke_token(const std::string& id) {
  const std::unique_lock lock(state_->mutex);
  std::string digest;
  bool administrator = false;
  int administrators = 0;
  for (const auto& [key, token] : state_->tokens) {
    const bool is_administrator = token.principal.role == Role::kAdministrator;
    administrators += is_administrator;
    if (token.principal.token_id == id) digest = key, administrator = is_administrator;
  }
  if (digest.empty()) return base::fail(Code::kNotFound, "no token \"{}\"", id.substr(0, 100));
  if (administrator && administrators == 1)
    return base::fail(Code::kConflict, "this is the last administrator's token: make another one first");
  const long long now = state_->now_ms();
  XI_CHECK(state_->database.write([&](soci::session& sql) -> Result<void> {
    sql << "UPDATE tokens SET revoked_ms = :t WHERE id = :i", soci::use(now), soci::use(id);
    return {};
  }));
  state_->tokens.erase(digest);
  ++state_->changes;
  state_->changed();
  return {};
}

Result<void> Accounts::revoke(std::string_view name_text) {
  const std::string title(name_text);
  const long long now = state_->now_ms();
  XI_CHECK(state_->database.write([&](soci::session& sql) -> Result<void> {
    sql << "UPDATE tokens SET revoked_ms = :t WHERE name = :n AND revoked_ms = 0", soci::use(now), soci::use(title);
    return {};
  }));
  const std::unique_lock lock(state_->mutex);
  std::erase_if(state_->tokens, [&](const auto& item) { return item.second.name == title; });
  ++state_->changes;
  state_->changed();
  return {};
}

Result<void> Accounts::refresh() { return state_->refresh(); }
void Accounts::on_change(std::function<void()> changed) { state_->changed = std::move(changed); }

Result<Principal> Accounts::admit(std::string_view authorization, Permission permission) {
  Principal principal;
  if (!authorization.empty()) {
    constexpr std::string_view kBearer = "Bearer ";
    if (!authorization.starts_with(kBearer))
      return base::fail(Code::kUnauthorized, "expected \"Authorization: Bearer TOKEN\"");
    const std::string digest = base::sha256(authorization.substr(kBearer.size()));
    const std::shared_lock lock(state_->mutex);
    const auto found = state_->tokens.find(digest);
    if (found == state_->tokens.end()) return base::fail(Code::kUnauthorized, "this token is unknown or was revoked");
    if (found->second.expires_ms != 0 && found->second.expires_ms <= state_->now_ms())
      return base::fail(Code::kUnauthorized, "this token has expired");
    principal = found->second.principal;
  }
  if (allows(principal.role, permission)) return principal;
  if (principal.role == Role::kAnonymous)
    return base::fail(Code::kUnauthorized, "this needs a token: send \"Authorization: Bearer TOKEN\"");
  return base::fail(Code::kForbidden, "the role {} lacks the permission {}", accounts::name(principal.role),
                    accounts::name(permission));
}

}  // namespace xinfer::server::accounts
