// Preflights and tunings: jobs that are no builds. Agents and devices here are announced, not real.
#include <thread>

#include "harness.h"
#include "server/accounts/organisations.h"

namespace xinfer::server {
namespace {

using accounts::Role;
using nlohmann::json;

class JobsTest : public testing::Test {
 protected:
  JobsTest() : hub(settings()) {}
  static Settings settings() {
    Settings settings;
    settings.farm_attempts = 2;
    settings.preflights_queued = 3;
    return settings;
  }
  json lease(const std::string& name, const std::vector<std::string>& kinds = {"build", "verify", "preflight"}, const std::string& device = "",
             const std::string& queue = "") {
    json body{{"agent", name}, {"targets", {"sm_90a", "x86-64-v3"}}, {"kinds", kinds}, {"wait_ms", 0}};
    if (!device.empty()) body["devices"] = {{{"architecture", device}}};
    if (!queue.empty()) body["queue"] = queue;
    const Answer answer = hub.call("POST", "/v1/agents/lease", agent, body.dump());
    return answer.status == 200 ? answer.json() : json(nullptr);
  }
  json tuner(const std::string& device) { return lease("tuner", {"build", "verify", "preflight", "tune"}, device); }
  int complete(const json& lease, const json& report) {
    return hub.call("POST", "/v1/agents/jobs/" + lease["job"].get<std::string>() + "/complete", agent, json{{"token", lease["token"]}, {"report", report}}.dump()).status;
  }
  json post(const std::string& path, json body, const std::string& token, int status = 202) {
    if (!body.contains("onnx")) body["onnx"] = hub.upload(token, "model");
    const Answer answer = hub.call("POST", path, token, body.dump());
    EXPECT_EQ(answer.status, status) << answer.body;
    return answer.json();
  }
  json preflight(const json& more = json::object()) {
    json body{{"targets", {"h100:fp16", "x86-64-v3"}}};
    body.update(more);
    return post("/v1/preflights", body, developer);
  }
  json tune() { return post("/v1/tunes", {{"target", "h100:fp16"}, {"candidates", 7}}, developer); }
  json get(const std::string& path, const std::string& token) { return hub.call("GET", path, token).json(); }
  static std::string path(const json& job) { return "/v1/" + job["kind"].get<std::string>() + "s/" + job["id"].get<std::string>(); }

  TestHub hub;
  std::string developer = hub.token(Role::kDeveloper), stranger = hub.token(Role::kDeveloper, "acme"), agent = hub.token(Role::kAgent, "agents");
  const json records{{"format", 1}, {"architecture", "sm_90a"}, {"device", "NVIDIA H100"}, {"records", {{"matmul float16 8x8x8", "mma 1"}}}};
};

TEST_F(JobsTest, APreflightIsDoneByAnyAgentAndItsReportIsKept) {
  const json asked = preflight({{"launches", true}, {"shapes", {{"x", {1, "1:8:16"}}}}, {"name", "mine"}});
  EXPECT_EQ(asked["state"], "queued");
  EXPECT_EQ(asked["waiting_for"], "no agent is there");
  const json job = lease("any");
  ASSERT_EQ(job["kind"], "preflight");
  EXPECT_EQ(job["options"]["targets"], (json{"sm_90a:fp16", "x86-64-v3:fp32"}));
  EXPECT_EQ(job["options"]["launches"], true);
  EXPECT_EQ(job["shapes"]["x"], (json{1, "1:8:16"}));
  EXPECT_EQ(complete(job, "no object"), 400);
  EXPECT_EQ(complete(job, {{"supported", true}}), 204);
  const json done = get(path(asked), developer);
  EXPECT_EQ(done["state"], "succeeded");
  EXPECT_EQ(done["result"], (json{{"supported", true}}));
  EXPECT_EQ(done["name"], "mine");
  EXPECT_FALSE(done.contains("engine"));
  EXPECT_NE(hub.call("GET", path(asked) + "/events", developer).body.find("succeeded"), std::string::npos);
  EXPECT_EQ(get("/v1/builds", developer)["total"], 0) << "a preflight is no build";
}

TEST_F(JobsTest, AnIdBelongsToItsKindAndItsOrganisation) {
  const json asked = preflight();
  const std::string id = asked["id"];
  EXPECT_EQ(hub.call("GET", "/v1/tunes/" + id, developer).status, 404);
  EXPECT_EQ(hub.call("GET", "/v1/builds/" + id, developer).status, 404);
  EXPECT_EQ(hub.call("DELETE", "/v1/builds/" + id, developer).status, 404);
  EXPECT_EQ(hub.call("GET", path(asked), stranger).status, 404);
  EXPECT_EQ(hub.call("GET", path(asked) + "/events", stranger).status, 404);
  EXPECT_EQ(get(path(asked), developer)["state"], "queued");
  EXPECT_EQ(hub.call("DELETE", path(asked), developer).json()["state"], "cancelled");
  EXPECT_TRUE(lease("any").is_null());
}

TEST_F(JobsTest, APreflightGoesBeforeBuildsWhateverTheQuota) {
  const auto rows = db::Database::open(hub.database_url()).value();
  ASSERT_TRUE(accounts::create_organisation(*rows, {"narrow", 1, 1, 1}));
  const std::string token = hub.token(Role::kDeveloper, "narrow");
  for (const char* model : {"one", "two"}) post("/v1/builds", {{"onnx", hub.upload(token, model)}, {"target", "x86-64-v3"}, {"priority", 100}}, token);
  EXPECT_EQ(lease("a")["kind"], "build");
  EXPECT_TRUE(lease("b").is_null()) << "one build at a time";
  for (const char* target : {"x86-64-v3", "h100:fp16"}) post("/v1/preflights", {{"targets", {target}}}, token);
  EXPECT_EQ(lease("b")["kind"], "preflight");
  EXPECT_EQ(lease("c")["kind"], "preflight") << "they count against no quota of their own either";
  EXPECT_TRUE(lease("d").is_null());
  post("/v1/builds", {{"onnx", hub.upload(stranger, "three")}, {"target", "x86-64-v3"}}, stranger);
  post("/v1/preflights", {{"targets", {"x86-64-v3"}}}, stranger);
  EXPECT_EQ(lease("d")["kind"], "preflight");
  EXPECT_EQ(lease("d")["kind"], "build");
}

TEST_F(JobsTest, IdenticalPreflightsInFlightAreOneAndLaterOnesAreNew) {
  const json first = preflight(), second = preflight();
  EXPECT_NE(first["id"], second["id"]);
  EXPECT_EQ(first["job"], second["job"]);
  EXPECT_NE(preflight({{"launches", true}})["job"], first["job"]);
  EXPECT_EQ(complete(lease("any"), {{"supported", false}}), 204);
  EXPECT_EQ(get(path(second), developer)["state"], "succeeded");
  EXPECT_NE(preflight()["job"], first["job"]) << "what an agent says depends on what it has compiled before";
}

TEST_F(JobsTest, WaitingPreflightsAreLimitedAndBadOnesRefused) {
  for (const char* model : {"one", "two", "three"}) preflight({{"onnx", hub.upload(developer, model)}});
  const Answer more = hub.call("POST", "/v1/preflights", developer, json{{"onnx", hub.upload(developer, "four")}, {"targets", {"x86-64-v3"}}}.dump());
  EXPECT_EQ(more.status, 413) << more.body;
  EXPECT_NE(more.body.find("preflights.queued"), std::string::npos);
  post("/v1/preflights", {{"targets", json::array()}}, developer, 400);
  EXPECT_EQ(post("/v1/preflights", {{"targets", {"x86-64-v3", "rtx_4091"}}}, developer, 404)["error"]["where"], "targets[1]");
  post("/v1/preflights", {{"targets", {"x86-64-v3"}}, {"onnx", base::sha256("not uploaded")}}, developer, 404);
}

TEST_F(JobsTest, APreflightOfLostAgentsFailsForItsUserToSee) {
  Settings brief = settings();
  brief.farm_lease_ms = 300;
  TestHub other(brief);
  const std::string who = other.token(Role::kDeveloper), worker = other.token(Role::kAgent, "agents");
  const json asked = other.call("POST", "/v1/preflights", who, json{{"onnx", other.upload(who, "model")}, {"targets", {"x86-64-v3"}}}.dump()).json();
  for (int attempt = 0; attempt < 2; ++attempt)
    ASSERT_EQ(other.call("POST", "/v1/agents/lease", worker, json{{"agent", "silent"}, {"targets", {"x86-64-v3"}}, {"kinds", {"preflight"}}, {"wait_ms", 20'000}}.dump()).json()["kind"],
              "preflight");
  const json lost = other.call("GET", path(asked) + "?wait=20000", who).json();
  EXPECT_EQ(lost["state"], "failed");
  EXPECT_EQ(lost["error"]["kind"], "lost_agent");
}

TEST_F(JobsTest, TheAnswerCanWaitForTheEnd) {
  const json asked = preflight();
  EXPECT_EQ(get(path(asked) + "?wait=50", developer)["state"], "queued");
  EXPECT_EQ(hub.call("GET", path(asked) + "?wait=never", developer).status, 400);
  std::thread worker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    complete(lease("any"), {{"supported", true}});
  });
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(get(path(asked) + "?wait=20000", developer)["state"], "succeeded");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(15));
  worker.join();
}

TEST_F(JobsTest, ATuningWaitsForTheDeviceAndItsRecordsAreTheOrganisations) {
  const json asked = tune();
  EXPECT_EQ(asked["waiting_for"], "no agent offers a device for sm_90a");
  EXPECT_TRUE(lease("builder").is_null());
  EXPECT_TRUE(lease("old", {}, "sm_90a").is_null()) << "an agent of an earlier release builds and verifies";
  EXPECT_TRUE(tuner("sm_80").is_null()) << "another device";
  const json job = tuner("sm_90a");
  ASSERT_EQ(job["kind"], "tune");
  EXPECT_EQ(job["options"]["candidates"], 7);
  EXPECT_EQ(complete(job, {{"format", 1}, {"architecture", "sm_80"}, {"records", json::object()}}), 400) << "of another device";
  EXPECT_EQ(complete(job, records), 204);
  EXPECT_EQ(get(path(asked), developer)["result"]["device"], "NVIDIA H100");
  EXPECT_EQ(get("/v1/tuning/h100", developer)["records"]["matmul float16 8x8x8"], "mma 1");
  EXPECT_TRUE(get("/v1/tuning/h100", stranger)["records"].empty());
  post("/v1/builds", {{"target", "h100:fp16"}}, developer);
  EXPECT_EQ(lease("builder")["tuning"]["records"]["matmul float16 8x8x8"], "mma 1");
}

TEST_F(JobsTest, AnEstimateSaysFromHowManyBuilds) {
  const json report{{"kernels", 10}, {"stages", {{{"name", "import"}, {"milliseconds", 100}}, {{"name", "compile"}, {"milliseconds", 1000}}}}};
  const auto begin = [&](int number) {
    const json build = post("/v1/builds", {{"onnx", hub.upload(developer, "model " + std::to_string(number))}, {"target", "x86-64-v3"}}, developer);
    const json job = lease("builder");
    const json beat{{"token", job["token"]}, {"progress", {{"stage", "compile"}, {"done", 5}, {"total", 10}}}};
    EXPECT_EQ(hub.call("POST", "/v1/agents/jobs/" + job["job"].get<std::string>() + "/heartbeat", agent, beat.dump()).status, 200);
    return std::pair(build["id"].get<std::string>(), job);
  };
  for (int i = 0; i < 3; ++i) {
    const auto [build, job] = begin(i);
    EXPECT_FALSE(get("/v1/builds/" + build, developer)["progress"].contains("remaining_ms")) << "from nothing nothing is foretold";
    const json done{{"token", job["token"]}, {"engine", hub.upload(agent, "engine " + std::to_string(i))}, {"report", report}};
    EXPECT_EQ(hub.call("POST", "/v1/agents/jobs/" + job["job"].get<std::string>() + "/complete", agent, done.dump()).status, 204);
  }
  // What is known of the past is read again after a while; another hub on the same database has read nothing yet.
  hub.stop();
  hub.start();
  const auto [build, job] = begin(3);
  const json progress = get("/v1/builds/" + build, developer)["progress"];
  EXPECT_EQ(progress["remaining_ms"], 500);
  EXPECT_EQ(progress["builds"], 3);
  EXPECT_EQ(hub.call("DELETE", "/v1/builds/" + build, developer).status, 200);
  const std::string events = hub.call("GET", "/v1/builds/" + build + "/events", developer).body;
  EXPECT_NE(events.find("\"remaining_ms\":500,\"builds\":3"), std::string::npos) << events;
}

TEST_F(JobsTest, OnlyGpusAreTunedFor) {
  EXPECT_EQ(hub.call("POST", "/v1/tunes", developer, json{{"onnx", hub.upload(developer, "model")}, {"target", "x86-64-v3"}}.dump()).status, 422);
  EXPECT_EQ(hub.call("POST", "/v1/tunes", developer, json{{"onnx", hub.upload(developer, "model")}, {"target", "h100:fp16"}, {"candidates", 0}}.dump()).status, 400);
}

TEST_F(JobsTest, WhoFollowsAnAnnouncementGetsWhatWasAnnounced) {
  tune();
  post("/v1/builds", {{"target", "x86-64-v3"}}, developer);
  const std::vector<std::string> all{"build", "verify", "preflight", "tune"};
  EXPECT_TRUE(lease("a", all, "sm_90a", "sm_90a").is_null()) << "nothing is to be built for it";
  EXPECT_EQ(lease("a", all, "sm_90a", "sm_90a.device")["kind"], "tune");
  EXPECT_TRUE(lease("a", all, "sm_90a", "sm_90a.device").is_null());
  EXPECT_EQ(lease("a", all, "sm_90a", "x86-64-v3")["kind"], "build");
  const json agents = hub.call("GET", "/v1/agents", hub.administrator()).json()["agents"];
  EXPECT_EQ(agents[0]["targets"], (json{"sm_90a", "x86-64-v3"})) << "what it can does not depend on what it followed";
  EXPECT_EQ(agents[0]["kinds"], json(all));
}

}  // namespace
}  // namespace xinfer::server
