// The kinds of jobs, in one table: which agents can do them, where they are announced, what becomes of their results.
#pragma once
#include <soci/soci.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/types.h"
#include "base/error.h"
#include "server/farm/rows.h"
#include "server/settings.h"

namespace xinfer::server::farm {

/// A job's end, for what its kind makes of it.
struct Ending {
  const JobRow& job;
  const api::Completion& completion;
  std::int64_t engine_bytes = 0;
  const Settings& settings;
  long long now = 0;
};

struct JobKind {
  std::string_view name;  // in the database, in leases, and as agents announce it
  /// Whether an agent that does jobs of this kind can do one for the target.
  bool (*suits)(const api::Agent& agent, std::string_view target);
  std::string_view nobody;  // why a job waits that no agent suits; {} is the target
  bool on_device = false;   // it runs on a device of the target: announced apart from what is only built for it
  bool urgent = false;      // goes before the other kinds, whatever an organisation's quota on running jobs is
  bool lasting = false;     // an identical request gets the result there is; of other kinds it joins what is in flight
  bool gives_engine = false;
  std::int64_t Settings::* waiting = nullptr;  // how many of an organisation may wait; nullptr: not asked for by users
  std::string_view waiting_name;               // of that setting
  /// The result becomes part of what there is. `further`: whether that made another job.
  base::Result<void> (*finish)(soci::session& sql, const Ending& ending, bool& further) = nullptr;
  /// Nobody will try again; nullptr: the job's own state says it all.
  void (*give_up)(soci::session& sql, const JobRow& job, const std::string& why) = nullptr;
};

extern const JobKind kBuild, kVerify, kTune, kPreflight;
std::span<const JobKind* const> job_kinds();
/// The kind of that name; nullptr when there is none.
const JobKind* find_kind(std::string_view name);

/// `'a', 'b'` for an SQL list: the names of urgent kinds.
const std::string& urgent_kinds();

/// What the request says of its agent. Those of earlier releases name no kinds and do two.
api::Agent agent_of(const api::LeaseRequest& request);
bool can_do(const api::Agent& agent, const JobKind& kind, std::string_view target);

/// An SQL condition on jobs j: all that the agent can do, of any kind. kInvalidArgument for what is no architecture.
[[nodiscard]] base::Result<std::string> doable_jobs(const api::LeaseRequest& request);

/// The end of the name of the queue where such a job is announced: "sm_90a", "sm_90a.device".
std::string announced_as(const JobKind& kind, std::string_view target);

}  // namespace xinfer::server::farm
