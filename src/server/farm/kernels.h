// Compiled kernels that agents share through the hub, and outputs of the reference functions, which travel as kernels do. Content: a
// name is the digest of all that it is made from.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/error.h"
#include "server/db/database.h"

namespace xinfer::server::farm {

/// Those of `names` that the organisation may use: its own, and the public catalogue's, which count first. kInvalidArgument
/// for a name that is none, kLimit for too many.
[[nodiscard]] base::Result<std::vector<api::Kernel>> find_kernels(db::Database& database, const std::string& organisation,
                                                                  const std::vector<std::string>& names, std::int64_t now_ms);
/// Whether the organisation may use kernels of this bundle.
[[nodiscard]] base::Result<bool> may_read_bundle(db::Database& database, const std::string& organisation,
                                                 const std::string& bundle);
/// Keeps kernels of a bundle of `bundle_bytes` for the organisation; the first content under a name stays.
[[nodiscard]] base::Result<void> add_kernels(db::Database& database, const std::string& organisation, const std::string& bundle,
                                             std::int64_t bundle_bytes, const std::vector<api::Kernel>& kernels,
                                             std::int64_t now_ms);
/// Forgets those that nobody has asked for since; their bundles are collected when no kernel of theirs is left.
[[nodiscard]] base::Result<void> forget_kernels(db::Database& database, std::int64_t before_ms);

}  // namespace xinfer::server::farm
