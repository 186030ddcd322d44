#include "server/farm/fleet.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "api/codec.h"

namespace xinfer::server::farm {
namespace {

std::set<std::string> failed_agents(soci::session& sql, const std::string& job) {
  std::set<std::string> agents;
  std::string agent;
  soci::statement rows =
      (sql.prepare << "SELECT agent FROM job_failures WHERE job = :j", soci::into(agent), soci::use(job));
  rows.execute();
  while (rows.fetch()) agents.insert(agent);
  return agents;
}

// Whether an agent is there that can do the job and has not failed at it.
bool others_left(soci::session& sql, const std::string& job, const std::string& kind_name, const std::string& target, long long now) {
  const JobKind* kind = find_kind(kind_name);
  const std::set<std::string> failed = failed_agents(sql, job);
  return kind && std::ranges::any_of(agents(sql, now - kLiveMs, now), [&](const api::Agent& agent) {
           return !failed.contains(agent.name) && can_do(agent, *kind, target);
         });
}

std::string spaced(const std::vector<std::string>& words) { return fmt::format(" {} ", fmt::join(words, " ")); }

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream words(text);
  for (std::string word; words >> word;) all.push_back(word);
  return all;
}

}  // namespace

void agent_seen(soci::session& sql, const api::LeaseRequest& request, long long now) {
  const std::string targets = spaced(request.targets), kinds = spaced(agent_of(request).kinds);
  const std::string devices = api::encode(api::DeviceList{request.devices});
  sql << "INSERT INTO agents (name, targets, devices, kinds, seen_ms) VALUES (:n, :t, :d, :k, :s) ON CONFLICT (name) DO UPDATE SET "
         "targets = excluded.targets, devices = excluded.devices, kinds = excluded.kinds, seen_ms = excluded.seen_ms",
      soci::use(request.agent), soci::use(targets), soci::use(devices), soci::use(kinds), soci::use(now);
}

std::vector<api::Agent> agents(soci::session& sql, long long since, long long now) {
  std::vector<api::Agent> all;
  std::string name, targets, devices, kinds;
  long long seen = 0;
  soci::statement rows = (sql.prepare << "SELECT name, targets, devices, kinds, seen_ms FROM agents WHERE seen_ms >= :s ORDER BY name",
                          soci::into(name), soci::into(targets), soci::into(devices), soci::into(kinds), soci::into(seen), soci::use(since));
  rows.execute();
  while (rows.fetch()) {
    api::Agent& agent = all.emplace_back();
    agent.name = name;
    agent.targets = words_of(targets);
    agent.kinds = words_of(kinds);
    if (auto list = api::decode<api::DeviceList>(devices, api::Unknown::kIgnore)) agent.devices = std::move(list->devices);
    agent.seen_ms = seen;
    agent.live = now - seen < kLiveMs;
  }
  return all;
}

bool somebody_can(soci::session& sql, const JobKind& kind, const std::string& target, long long now) {
  return std::ranges::any_of(agents(sql, now - kLiveMs, now), [&](const api::Agent& agent) { return can_do(agent, kind, target); });
}

void agent_seen(soci::session& sql, const std::string& agent, long long now) {
  sql << "UPDATE agents SET seen_ms = :s WHERE name = :n", soci::use(now), soci::use(agent);
}

void note_failure(soci::session& sql, const std::string& job, const std::string& agent) {
  sql << "INSERT INTO job_failures (job, agent) VALUES (:j, :a) ON CONFLICT (job, agent) DO NOTHING", soci::use(job),
      soci::use(agent);
}

bool is_poison(soci::session& sql, const JobRow& job, std::int64_t limit, long long now) {
  const auto failed = static_cast<std::int64_t>(failed_agents(sql, job.id).size());
  return failed >= limit || (job.attempts >= limit && !others_left(sql, job.id, job.kind, job.target, now));
}

std::string spared_jobs(soci::session& sql, const std::string& agent, long long now) {
  struct Failed {
    std::string job, kind, target;
  };
  std::vector<Failed> failed;
  Failed row;
  {
    soci::statement rows = (sql.prepare << "SELECT j.id, j.kind, j.target FROM job_failures f JOIN jobs j ON j.id = f.job WHERE "
                                           "f.agent = :a AND j.state = 'queued'",
                            soci::into(row.job), soci::into(row.kind), soci::into(row.target), soci::use(agent));
    rows.execute();
    while (rows.fetch()) failed.push_back(row);
  }
  std::string list;
  for (const auto& [id, kind, target] : failed)
    if (others_left(sql, id, kind, target, now)) list += (list.empty() ? "'" : ", '") + id + "'";
  return list.empty() ? list : " AND j.id NOT IN (" + list + ")";
}

}  // namespace xinfer::server::farm
