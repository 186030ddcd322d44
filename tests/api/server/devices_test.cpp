// Engines built where they cannot run are verified by an agent that has the device. The devices here are announced, not real:
// what is tested is who gets which job, and what becomes of the report.
#include <thread>

#include "harness.h"

namespace xinfer::server {
namespace {

using accounts::Role;
using nlohmann::json;

class DevicesTest : public testing::Test {
 protected:
  json lease(const std::string& name, const std::vector<std::string>& devices = {}) {
    json list = json::array();
    for (const std::string& device : devices) list.push_back({{"architecture", device}, {"name", "a " + device}});
    const json body{{"agent", name}, {"targets", {"sm_90a", "sm_80"}}, {"devices", list}, {"wait_ms", 0}};
    const Answer answer = hub.call("POST", "/v1/agents/lease", agent, body.dump());
    return answer.status == 200 ? answer.json() : json(nullptr);
  }
  std::string path(const json& lease, const std::string& rest) { return "/v1/agents/jobs/" + lease["job"].get<std::string>() + rest; }
  void complete(const json& lease, const json& verification) {
    const std::string engine = lease["kind"] == "verify" ? lease["engine"].get<std::string>() : hub.upload(agent, "engine");
    const json body{{"token", lease["token"]}, {"engine", engine}, {"report", {{"kernels", 3}, {"verification", verification}}}};
    EXPECT_EQ(hub.call("POST", path(lease, "/complete"), agent, body.dump()).status, 204);
  }
  std::string request(const std::string& target = "h100:fp16") {
    const json body{{"onnx", hub.upload(developer, "model")}, {"target", target}};
    return hub.call("POST", "/v1/builds", developer, body.dump()).json()["id"];
  }
  json report(const std::string& build) { return hub.call("GET", "/v1/builds/" + build, developer).json()["report"]; }
  const json not_run{{"ran", false}, {"reason", "not verified on device: this machine does not run sm_90a"}};

  TestHub hub;
  std::string developer = hub.token(Role::kDeveloper), agent = hub.token(Role::kAgent, "agents");
};

TEST_F(DevicesTest, AnAgentWithTheDeviceVerifies) {
  EXPECT_TRUE(lease("gpu", {"sm_90a"}).is_null());
  const std::string build = request();
  const json job = lease("builder");
  EXPECT_EQ(job["kind"], "build");
  complete(job, not_run);
  EXPECT_EQ(report(build)["verification"]["ran"], false);
  EXPECT_TRUE(lease("builder").is_null()) << "it has no device";
  EXPECT_TRUE(lease("other", {"sm_80"}).is_null()) << "another device";
  const json verify = lease("gpu", {"sm_90a"});
  ASSERT_EQ(verify["kind"], "verify");
  EXPECT_EQ(verify["engine"], base::sha256("engine"));
  const Answer engine = hub.call("GET", path(verify, "/engine"), agent, "", {"X-Lease-Token: " + verify["token"].get<std::string>()});
  if (engine.status != 302) {  // the store serves it itself
    EXPECT_EQ(engine.body, "engine");
  }
  complete(verify, {{"ran", true}, {"passed", true}, {"device", "a sm_90a"}});
  EXPECT_EQ(report(build)["verification"], (json{{"ran", true}, {"passed", true}, {"device", "a sm_90a"}}));
  EXPECT_EQ(report(build)["kernels"], 3) << "the rest of the report stays";
  EXPECT_TRUE(lease("gpu", {"sm_90a"}).is_null());
  EXPECT_EQ(hub.call("GET", "/v1/builds", developer).json()["total"], 1) << "a verification is nobody's build";
}

TEST_F(DevicesTest, WithoutSuchAnAgentNothingIsQueued) {
  const std::string build = request();
  complete(lease("builder", {"sm_80"}), not_run);
  EXPECT_TRUE(lease("gpu", {"sm_90a"}).is_null()) << "it came too late";
  EXPECT_EQ(report(build)["verification"], not_run);
}

TEST_F(DevicesTest, WhereAgentsAreStartedForADeviceAVerificationWaitsForThem) {
  Settings settings;
  settings.farm_verify_targets = {"h100"};
  settings.farm_lease_ms = 300;
  settings.farm_attempts = 2;
  TestHub other(settings);
  const std::string who = other.token(Role::kDeveloper), worker = other.token(Role::kAgent, "agents");
  const json body{{"onnx", other.upload(who, "model")}, {"target", "h100:fp16"}};
  const std::string build = other.call("POST", "/v1/builds", who, body.dump()).json()["id"];
  const auto take = [&](const json& devices) {
    return other.call("POST", "/v1/agents/lease", worker, json{{"agent", "x"}, {"targets", {"sm_90a"}}, {"devices", devices}, {"wait_ms", 20'000}}.dump()).json();
  };
  const auto reason = [&] { return other.call("GET", "/v1/builds/" + build, who).json()["report"]["verification"]["reason"].get<std::string>(); };
  const json job = take(json::array());
  const json done{{"token", job["token"]}, {"engine", other.upload(worker, "engine")}, {"report", {{"verification", not_run}}}};
  ASSERT_EQ(other.call("POST", path(job, "/complete"), worker, done.dump()).status, 204);
  EXPECT_EQ(reason(), "not verified on device: a job for it waits: no agent offers a device for sm_90a");
  // Nobody else has the device: what this agent did not end in so many attempts is given up, and the report says so.
  for (int attempt = 0; attempt < 2; ++attempt) EXPECT_EQ(take({{{"architecture", "sm_90a"}}})["kind"], "verify");
  for (int i = 0; i < 200 && reason().find("agents went silent") == std::string::npos; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_NE(reason().find("agents went silent"), std::string::npos) << reason();
}

TEST_F(DevicesTest, WhatHasRunIsNotRunAgain) {
  lease("gpu", {"sm_90a"});
  request();
  complete(lease("gpu", {"sm_90a"}), {{"ran", true}, {"passed", true}, {"device", "a sm_90a"}});
  EXPECT_TRUE(lease("gpu", {"sm_90a"}).is_null());
}

TEST_F(DevicesTest, AVerificationThatFailsIsSaidInTheReport) {
  lease("gpu", {"sm_90a"});
  const std::string build = request();
  complete(lease("builder"), not_run);
  const json verify = lease("gpu", {"sm_90a"});
  const json failure{{"token", verify["token"]}, {"error", {{"kind", "crash"}, {"code", "internal"}, {"message", "signal 11"}}}, {"retry", false}};
  EXPECT_EQ(hub.call("POST", path(verify, "/fail"), agent, failure.dump()).status, 204);
  const json found = report(build)["verification"];
  EXPECT_EQ(found["ran"], false);
  EXPECT_NE(found["reason"].get<std::string>().find("signal 11"), std::string::npos) << found;
  EXPECT_EQ(hub.call("GET", "/v1/builds/" + build, developer).json()["state"], "succeeded") << "the engine is what it was";
}

TEST_F(DevicesTest, AgentsAreListedWithTheirDevices) {
  lease("gpu", {"sm_90a"});
  lease("builder");
  const json agents = hub.call("GET", "/v1/agents", hub.administrator()).json()["agents"];
  ASSERT_EQ(agents.size(), 2U);
  EXPECT_EQ(agents[0]["name"], "builder");
  EXPECT_FALSE(agents[0].contains("devices"));
  EXPECT_EQ(agents[1]["devices"][0]["name"], "a sm_90a");
  EXPECT_EQ(agents[1]["live"], true);
  const json bad{{"agent", "x"}, {"targets", {"sm_80"}}, {"devices", {{{"architecture", "sm_80"}, {"name", std::string(300, 'x')}}}}};
  EXPECT_EQ(hub.call("POST", "/v1/agents/lease", agent, bad.dump()).status, 400);
}

}  // namespace
}  // namespace xinfer::server
