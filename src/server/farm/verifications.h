// Engines that were built where they could not run are run on an agent that has the device, by a job of its own.
#pragma once
#include <soci/soci.h>

#include <string>

#include "api/types.h"
#include "base/error.h"
#include "server/farm/rows.h"

namespace xinfer::server::farm {

/// An SQL condition on jobs j: what an agent can do of both kinds. kInvalidArgument for what is no architecture.
[[nodiscard]] base::Result<std::string> doable_jobs(const api::LeaseRequest& request);
/// After a build: a job to verify its engine, where it did not run and an agent that has such a device is there. Whether.
bool queue_verification(soci::session& sql, const JobRow& build, const api::Completion& completion, long long now);
/// What a verification has found becomes part of the build's report.
[[nodiscard]] base::Result<void> record_verification(soci::session& sql, const JobRow& verification, const std::string& report);
/// The same for one that could not be carried out.
[[nodiscard]] base::Result<void> record_no_verification(soci::session& sql, const JobRow& verification, const std::string& why);

}  // namespace xinfer::server::farm
