// Tuning records that agents build with.
#include "api/codec.h"
#include "server/farm/tuning.h"
#include "server/routes/route.h"
#include "server/services.h"
#include "target/registry.h"

namespace xinfer::server::routes {

using base::Code;
using http::Response;

namespace {

base::Result<std::string> tuned_target(Call& call) {
  XI_TRY(const target::TargetInfo* const info, target::find(call.path["target"]));
  if (info->kind == target::Kind::kCpu)
    return base::fail(Code::kUnsupported, "{}: only GPU targets are tuned by measurement", info->name);
  return std::string(info->name);
}

}  // namespace

Reply get_tuning(Services& services, Call& call) {
  XI_TRY(const std::string target, tuned_target(call));
  XI_TRY(const api::TuningRecords records, services.database.read([&](soci::session& sql) {
    return farm::tuning_records(sql, call.principal.organisation, target);
  }));
  return Response::json(200, api::encode(records));
}

Reply add_tuning(Services& services, Call& call) {
  XI_TRY(const std::string target, tuned_target(call));
  XI_TRY(const api::TuningRecords records, decode_body<api::TuningRecords>(call));
  const std::string scope = call.text("scope");
  if (!scope.empty() && scope != "public")
    return std::unexpected(base::Error{Code::kInvalidArgument, "expected nothing or \"public\"", "scope"});
  if (!scope.empty() && call.principal.role != accounts::Role::kAdministrator)
    return base::fail(Code::kForbidden, "records of everybody are an administrator's: leave the scope out for your organisation's own");
  const std::string organisation = scope.empty() ? call.principal.organisation : std::string(accounts::kPublicOrganisation);
  XI_CHECK(services.database.write([&](soci::session& sql) { return farm::add_tuning_records(sql, organisation, target, records); }));
  return get_tuning(services, call);
}

}  // namespace xinfer::server::routes
