#include "server/accounts/organisations.h"

#include <soci/soci.h>

#include "server/accounts/accounts.h"

namespace xinfer::server::accounts {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kIdBytes = 60;

Result<void> check_numbers(std::optional<std::int64_t> weight, std::optional<std::int64_t> quota) {
  if (weight && (*weight < 1 || *weight > kMaxWeight))
    return std::unexpected(Error{Code::kInvalidArgument, fmt::format("expected 1 to {}", kMaxWeight), "weight"});
  if (quota && (*quota < 0 || *quota > kMaxWeight))
    return std::unexpected(
        Error{Code::kInvalidArgument, fmt::format("expected 0 (any number) to {}", kMaxWeight), "running quota"});
  return {};
}

}  // namespace

Result<void> check_organisation_id(const std::string& id) {
  const bool plain = id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
  if (id.empty() || id.size() > kIdBytes || !plain || id == kPublicOrganisation || id == kAgentOrganisation)
    return std::unexpected(
        Error{Code::kInvalidArgument,
              "an organisation's id has lower-case letters, digits and '-', and is not \"public\" or \"agents\"",
              "organisation"});
  return {};
}

Result<void> create_organisation(db::Database& database, const Organisation& organisation) {
  XI_CHECK(check_organisation_id(organisation.id));
  XI_CHECK(check_numbers(organisation.weight, organisation.running_quota));
  return database.write([&](soci::session& sql) -> Result<void> {
    long long known = 0;
    sql << "SELECT COUNT(*) FROM organisations WHERE id = :i", soci::into(known), soci::use(organisation.id);
    if (known > 0) return base::fail(Code::kConflict, "organisation \"{}\" exists already", organisation.id);
    const long long weight = organisation.weight, quota = organisation.running_quota, now = organisation.created_ms;
    sql << "INSERT INTO organisations (id, name, weight, running_quota, created_ms) VALUES (:i, :n, :w, :q, :t)",
        soci::use(organisation.id), soci::use(organisation.id), soci::use(weight), soci::use(quota), soci::use(now);
    return {};
  });
}

Result<void> change_organisation(db::Database& database, const std::string& id, std::optional<std::int64_t> weight,
                                 std::optional<std::int64_t> running_quota) {
  XI_CHECK(check_numbers(weight, running_quota));
  return database.write([&](soci::session& sql) -> Result<void> {
    long long w = 0, q = 0;
    sql << "SELECT weight, running_quota FROM organisations WHERE id = :i", soci::into(w), soci::into(q), soci::use(id);
    if (!sql.got_data()) return base::fail(Code::kNotFound, "no organisation \"{}\"", id.substr(0, 100));
    w = weight.value_or(w);
    q = running_quota.value_or(q);
    sql << "UPDATE organisations SET weight = :w, running_quota = :q WHERE id = :i", soci::use(w), soci::use(q),
        soci::use(id);
    return {};
  });
}

Result<std::vector<Organisation>> organisations(db::Database& database) {
  return database.read([](soci::session& sql) -> Result<std::vector<Organisation>> {
    std::vector<Organisation> all;
    std::string id;
    long long weight = 0, quota = 0, created = 0;
    soci::statement rows = (sql.prepare << "SELECT id, weight, running_quota, created_ms FROM organisations ORDER BY id",
                            soci::into(id), soci::into(weight), soci::into(quota), soci::into(created));
    rows.execute();
    while (rows.fetch()) all.push_back({id, weight, quota, created});
    return all;
  });
}

}  // namespace xinfer::server::accounts
