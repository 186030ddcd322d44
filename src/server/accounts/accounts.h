// Who is calling and what they may do: tokens, roles, permissions, and the one gate.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/types.h"
#include "base/error.h"
#include "server/db/database.h"

namespace xinfer::server::accounts {

/// What a route asks for. Every route names exactly one in the route table.
enum class Permission {
  kPublic,       // anybody: the public catalogue, probes, the API's description
  kReadBuilds,   // builds and blobs of one's organisation
  kBuild,        // request and cancel builds
  kUpload,       // upload files
  kPushModels,   // put models into the organisation's repository
  kReadMetrics,  // figures about the hub as a whole
  kAdminister,   // the hub's configuration, confirmations
  kRunJobs,      // agents: lease, report, sign
};
std::string_view name(Permission permission);

enum class Role { kAnonymous, kViewer, kDeveloper, kAdministrator, kAgent };
std::string_view name(Role role);
/// kInvalidArgument lists the roles.
[[nodiscard]] base::Result<Role> parse_role(std::string_view text);
/// The one table of roles and permissions.
bool allows(Role role, Permission permission);

/// The organisations that exist from the start.
inline constexpr std::string_view kDefaultOrganisation = "default";
inline constexpr std::string_view kPublicOrganisation = "public";  // owns the builds of the public catalogue
inline constexpr std::string_view kAgentOrganisation = "agents";   // holds what agents upload until a job takes it

struct Principal {
  Role role = Role::kAnonymous;
  std::string organisation;  // empty for anonymous
  std::string token_id;
};

/// Tokens are random, shown once, and stored as SHA-256 digests. Thread-safe.
class Accounts {
 public:
  /// `now_ms`: the clock. Makes the first organisations.
  [[nodiscard]] static base::Result<std::unique_ptr<Accounts>> open(db::Database& database,
                                                                    std::function<std::int64_t()> now_ms);
  ~Accounts();

  /// The new token's text; an organisation that is new is made. `expires_ms` 0: never.
  [[nodiscard]] base::Result<std::string> create_token(Role role, std::string_view organisation, std::string_view name,
                                                       std::int64_t expires_ms);
  /// The token of the first administrator, unless the database has an administrator: only one hub of several makes it.
  [[nodiscard]] base::Result<std::optional<std::string>> create_first_administrator();
  /// The same with all that is known of it. kInvalidArgument for a role that does not exist, a time in the past.
  [[nodiscard]] base::Result<api::Token> create_token(const api::TokenRequest& request);
  /// Tokens that are not revoked, without their texts.
  [[nodiscard]] base::Result<std::vector<api::Token>> tokens();
  /// kNotFound; kConflict for the last administrator's token.
  [[nodiscard]] base::Result<void> revoke_token(const std::string& id);
  /// Revokes every token of this name.
  [[nodiscard]] base::Result<void> revoke(std::string_view name);
  /// Takes up tokens that other hubs and programs have made or revoked in the database.
  [[nodiscard]] base::Result<void> refresh();
  /// Called after each change of tokens; to be set before use.
  void on_change(std::function<void()> changed);

  /// The one gate: `authorization` is the request's header. Errors: kUnauthorized (no, unknown or expired token),
  /// kForbidden (the role lacks the permission). Does not block on the network or a disk.
  [[nodiscard]] base::Result<Principal> admit(std::string_view authorization, Permission permission);

 private:
  class State;
  explicit Accounts(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::server::accounts
