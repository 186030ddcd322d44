// Tuning records that an organisation's agents build with. A record only chooses among kernels that the compiler derives and
// verifies itself: a wrong one costs speed, never a right result.
#pragma once
#include <string>

#include "api/types.h"
#include "base/error.h"

namespace soci {
class session;
}

namespace xinfer::server::farm {

/// The organisation's records for the target over the public ones; empty where there are none.
[[nodiscard]] base::Result<api::TuningRecords> tuning_records(soci::session& sql, const std::string& organisation,
                                                              const std::string& target);
/// Adds records to the organisation's, over those it has. kInvalidArgument: not records for this target; kLimit: too many.
[[nodiscard]] base::Result<void> add_tuning_records(soci::session& sql, const std::string& organisation,
                                                    const std::string& target, const api::TuningRecords& records);

}  // namespace xinfer::server::farm
