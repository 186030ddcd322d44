// What requests for jobs of all kinds have in common.
#pragma once
#include "api/types.h"
#include "server/farm/farm.h"
#include "server/routes/route.h"
#include "target/registry.h"

namespace xinfer::server::routes {

/// What the request asks for, checked: its target, its shapes, its model or file, which must be the caller's to read.
[[nodiscard]] base::Result<farm::JobSpec> to_spec(Services& services, const Call& call, const api::BuildRequest& request);
/// "sm_90a:fp16" of a target with or without precision, of which agents of this version can build.
[[nodiscard]] base::Result<HardwareTarget> parse_target(const std::string& target, const std::string& precision);

}  // namespace xinfer::server::routes
