// Organisations: who shares the farm, and how large their shares are.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "server/db/database.h"

namespace xinfer::server::accounts {

struct Organisation {
  std::string id;               // lower-case letters, digits and '-'
  std::int64_t weight = 1;      // its part of the farm against the others'
  std::int64_t running_quota = 0;  // builds that may run at once; 0: any number
  std::int64_t created_ms = 0;
};

inline constexpr std::int64_t kMaxWeight = 1'000'000;

/// kInvalidArgument for an id that is no name or belongs to the hub itself.
[[nodiscard]] base::Result<void> check_organisation_id(const std::string& id);

/// kConflict when it exists, kInvalidArgument for a bad id, weight or quota.
[[nodiscard]] base::Result<void> create_organisation(db::Database& database, const Organisation& organisation);
/// Changes what is given. kNotFound. Running hubs go by it from their next decision.
[[nodiscard]] base::Result<void> change_organisation(db::Database& database, const std::string& id,
                                                     std::optional<std::int64_t> weight,
                                                     std::optional<std::int64_t> running_quota);
/// All, by id.
[[nodiscard]] base::Result<std::vector<Organisation>> organisations(db::Database& database);

}  // namespace xinfer::server::accounts
