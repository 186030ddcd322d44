#include "server/farm/fleet.h"

#include <set>
#include <sstream>

#include "api/codec.h"
#include "target/registry.h"

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

// Whether an agent that has not failed at the job is there and builds for its target.
bool others_left(soci::session& sql, const std::string& job, const std::string& target, long long now) {
  const std::set<std::string> failed = failed_agents(sql, job);
  const long long since = now - kLiveMs;
  std::string name, targets;
  soci::statement rows = (sql.prepare << "SELECT name, targets FROM agents WHERE seen_ms > :t", soci::into(name),
                          soci::into(targets), soci::use(since));
  rows.execute();
  bool left = false;
  while (rows.fetch()) left |= !failed.contains(name) && targets.find(" " + target + " ") != std::string::npos;
  return left;
}

}  // namespace

void agent_seen(soci::session& sql, const api::LeaseRequest& request, long long now) {
  std::string text = " ";
  for (const std::string& target : request.targets) text += target + " ";
  const std::string devices = api::encode(api::DeviceList{request.devices});
  sql << "INSERT INTO agents (name, targets, devices, seen_ms) VALUES (:n, :t, :d, :s) ON CONFLICT (name) DO UPDATE SET "
         "targets = excluded.targets, devices = excluded.devices, seen_ms = excluded.seen_ms",
      soci::use(request.agent), soci::use(text), soci::use(devices), soci::use(now);
}

std::vector<api::Agent> agents(soci::session& sql, long long since, long long now) {
  std::vector<api::Agent> all;
  std::string name, targets, devices;
  long long seen = 0;
  soci::statement rows = (sql.prepare << "SELECT name, targets, devices, seen_ms FROM agents WHERE seen_ms >= :s ORDER BY name",
                          soci::into(name), soci::into(targets), soci::into(devices), soci::into(seen), soci::use(since));
  rows.execute();
  while (rows.fetch()) {
    api::Agent& agent = all.emplace_back();
    agent.name = name;
    std::istringstream words(targets);
    for (std::string word; words >> word;) agent.targets.push_back(word);
    if (auto list = api::decode<api::DeviceList>(devices, api::Unknown::kIgnore)) agent.devices = std::move(list->devices);
    agent.seen_ms = seen;
    agent.live = now - seen < kLiveMs;
  }
  return all;
}

bool has_device_for(soci::session& sql, const std::string& target, long long now) {
  for (const api::Agent& agent : agents(sql, now - kLiveMs, now))
    for (const api::Device& device : agent.devices)
      if (target::runs_on(target, device.architecture)) return true;
  return false;
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
  return failed >= limit || (job.attempts >= limit && !others_left(sql, job.id, job.target, now));
}

std::string spared_jobs(soci::session& sql, const std::string& agent, long long now) {
  std::vector<std::pair<std::string, std::string>> failed;
  std::string job, target;
  {
    soci::statement rows = (sql.prepare << "SELECT j.id, j.target FROM job_failures f JOIN jobs j ON j.id = f.job WHERE "
                                           "f.agent = :a AND j.state = 'queued'",
                            soci::into(job), soci::into(target), soci::use(agent));
    rows.execute();
    while (rows.fetch()) failed.emplace_back(job, target);
  }
  std::string list;
  for (const auto& [id, built_for] : failed)
    if (others_left(sql, id, built_for, now)) list += (list.empty() ? "'" : ", '") + id + "'";
  return list.empty() ? list : " AND j.id NOT IN (" + list + ")";
}

}  // namespace xinfer::server::farm
