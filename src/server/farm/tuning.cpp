#include "server/farm/tuning.h"

#include <soci/soci.h>

#include "api/codec.h"
#include "server/accounts/accounts.h"

namespace xinfer::server::farm {

using base::Code;
using base::Result;

namespace {

constexpr std::size_t kRecords = 20'000, kTextBytes = 1'000;

Result<api::TuningRecords> load(soci::session& sql, const std::string& organisation, const std::string& target) {
  std::string text;
  sql << "SELECT records FROM tuning WHERE organisation = :o AND target = :t", soci::into(text), soci::use(organisation),
      soci::use(target);
  if (!sql.got_data()) return api::TuningRecords{1, target, {}, {}};
  return api::decode<api::TuningRecords>(text, api::Unknown::kIgnore);
}

// Those of `more` count before what is there.
void add(api::TuningRecords& records, const api::TuningRecords& more) {
  for (const auto& [problem, kernel] : more.records) records.records[problem] = kernel;
  if (!more.device.empty()) records.device = more.device;
}

}  // namespace

Result<api::TuningRecords> tuning_records(soci::session& sql, const std::string& organisation, const std::string& target) {
  XI_TRY(api::TuningRecords records, load(sql, std::string(accounts::kPublicOrganisation), target));
  XI_TRY(const api::TuningRecords own, load(sql, organisation, target));
  add(records, own);
  return records;
}

Result<void> add_tuning_records(soci::session& sql, const std::string& organisation, const std::string& target,
                                const api::TuningRecords& records) {
  if (records.format != 1)
    return std::unexpected(base::Error{Code::kInvalidArgument, "this hub knows format 1", "format"});
  if (records.architecture != target)
    return std::unexpected(base::Error{Code::kInvalidArgument, fmt::format("these records are not for {}", target), "architecture"});
  for (const auto& [problem, kernel] : records.records)
    if (problem.size() > kTextBytes || kernel.size() > kTextBytes)
      return std::unexpected(base::Error{Code::kLimit, fmt::format("a text longer than {} bytes", kTextBytes), "records"});
  XI_TRY(api::TuningRecords all, load(sql, organisation, target));
  add(all, records);
  if (all.records.size() > kRecords)
    return std::unexpected(base::Error{Code::kLimit, fmt::format("more than {} records", kRecords), "records"});
  const std::string text = api::encode(all);
  sql << "INSERT INTO tuning (organisation, target, records) VALUES (:o, :t, :r) ON CONFLICT (organisation, target) DO "
         "UPDATE SET records = excluded.records",
      soci::use(organisation), soci::use(target), soci::use(text);
  return {};
}

}  // namespace xinfer::server::farm
