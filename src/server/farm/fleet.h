// The agents that there are, and which of them have failed at a job: what tells a poison job from a broken machine.
#pragma once
#include <soci/soci.h>

#include <cstdint>
#include <string>

#include "api/types.h"
#include "server/farm/kinds.h"
#include "server/farm/rows.h"

namespace xinfer::server::farm {

inline constexpr long long kLiveMs = 60'000;  // an agent not seen for so long is not there

/// The agent asks for work, now.
void agent_seen(soci::session& sql, const api::LeaseRequest& request, long long now);
/// The agent is busy and alive.
void agent_seen(soci::session& sql, const std::string& agent, long long now);
/// All that were seen since, by name.
std::vector<api::Agent> agents(soci::session& sql, long long since, long long now);
/// Whether an agent is there that can do jobs of this kind for the target.
bool somebody_can(soci::session& sql, const JobKind& kind, const std::string& target, long long now);
/// The agent has failed at the job: reported an error of its own, or fell silent.
void note_failure(soci::session& sql, const std::string& job, const std::string& agent);
/// Whether nobody is to try again: `limit` agents have failed at the job; or as many attempts have, and no agent is left
/// that has not failed at it.
bool is_poison(soci::session& sql, const JobRow& job, std::int64_t limit, long long now);
/// " AND j.id NOT IN (…)": waiting jobs that the agent has failed at, while another that has not could take them. Empty where
/// there are none.
std::string spared_jobs(soci::session& sql, const std::string& agent, long long now);

}  // namespace xinfer::server::farm
