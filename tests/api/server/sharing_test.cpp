// What agents share through the hub: compiled kernels, tuning records; and when a job has failed too many of them.
#include "harness.h"

namespace xinfer::server {
namespace {

using accounts::Role;
using nlohmann::json;

class SharingTest : public testing::Test {
 protected:
  SharingTest() : hub(settings()) {}
  static Settings settings() {
    Settings settings;
    settings.farm_attempts = 2;
    return settings;
  }
  json request(const std::string& token, const std::string& model, const std::string& target = "x86-64-v3", json more = json::object()) {
    json body{{"onnx", hub.upload(token, model)}, {"target", target}};
    body.update(more);
    const Answer made = hub.call("POST", "/v1/builds", token, body.dump());
    EXPECT_TRUE(made.status == 202 || made.status == 200) << made.body;
    return made.json();
  }
  json lease(const std::string& name = "first", const std::string& target = "x86-64-v3") {
    const Answer answer = hub.call("POST", "/v1/agents/lease", agent,
                                   json{{"agent", name}, {"targets", {target}}, {"wait_ms", 0}}.dump());
    return answer.status == 200 ? answer.json() : json(nullptr);
  }
  std::string path(const json& lease, const std::string& rest) { return "/v1/agents/jobs/" + lease["job"].get<std::string>() + rest; }
  json find(const json& lease, const std::vector<std::string>& names) {
    const Answer answer = hub.call("POST", path(lease, "/kernels/find"), agent, json{{"token", lease["token"]}, {"names", names}}.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json()["kernels"];
  }
  // Two kernels in one bundle.
  Answer give(const json& lease, const std::string& bytes = "firstsecond", std::int64_t second = 6) {
    const json body{{"token", lease["token"]},
                    {"bundle", hub.upload(agent, bytes)},
                    {"kernels", {{{"name", name(1)}, {"offset", 0}, {"size_bytes", 5}, {"sha256", base::sha256("first")}},
                                 {{"name", name(2)}, {"offset", 5}, {"size_bytes", second}, {"sha256", base::sha256("second")}}}}};
    return hub.call("POST", path(lease, "/kernels"), agent, body.dump());
  }
  static std::string name(int number) { return base::sha256(std::to_string(number)) + ".o"; }
  Answer fail(const json& lease, const std::string& kind = "internal") {
    const json body{{"token", lease["token"]},
                    {"error", {{"kind", kind}, {"code", "internal"}, {"message", "it broke"}}},
                    {"retry", true}};
    return hub.call("POST", path(lease, "/fail"), agent, body.dump());
  }
  std::string state(const json& build, const std::string& token) {
    return hub.call("GET", "/v1/builds/" + build["id"].get<std::string>(), token).json()["state"];
  }

  TestHub hub;
  std::string developer = hub.token(Role::kDeveloper), stranger = hub.token(Role::kDeveloper, "acme"),
              agent = hub.token(Role::kAgent, "agents");
};

TEST_F(SharingTest, KernelsOfOneBuildServeTheNext) {
  request(developer, "one model");
  const json first = lease();
  EXPECT_TRUE(find(first, {name(1), name(2)}).empty());
  ASSERT_EQ(give(first).status, 204);
  request(developer, "another model");
  const json second = lease("second");
  const json found = find(second, {name(1), name(2), name(3)});
  ASSERT_EQ(found.size(), 2U);
  for (const json& kernel : found) {
    const std::int64_t offset = kernel["offset"], size = kernel["size_bytes"];
    const Answer piece = hub.call("GET", path(second, "/kernels/" + kernel["bundle"].get<std::string>()), agent, "",
                                  {"X-Lease-Token: " + second["token"].get<std::string>(),
                                   "Range: bytes=" + std::to_string(offset) + "-" + std::to_string(offset + size - 1)});
    if (piece.status == 302) GTEST_SKIP() << "the store serves it itself";
    EXPECT_EQ(piece.status, 206);
    EXPECT_EQ(base::sha256(piece.body), kernel["sha256"]);
  }
}

TEST_F(SharingTest, KernelsStayWithinTheirOrganisation) {
  request(developer, "one model");
  const json first = lease();
  ASSERT_EQ(give(first).status, 204);
  const std::string bundle = base::sha256("firstsecond");
  request(stranger, "one model");
  const json other = lease("second");
  EXPECT_TRUE(find(other, {name(1), name(2)}).empty());
  EXPECT_EQ(hub.call("GET", path(other, "/kernels/" + bundle), agent, "", {"X-Lease-Token: " + other["token"].get<std::string>()}).status, 404);
}

TEST_F(SharingTest, KernelsTakeALeaseAndABundle) {
  request(developer, "one model");
  json first = lease();
  json stale = first;
  stale["token"] = "0000";
  EXPECT_EQ(give(stale).status, 409);
  EXPECT_EQ(give(first, "firstsecond", 7).status, 400) << "beyond the bundle's end";
  const json no_bundle{{"token", first["token"]}, {"bundle", base::sha256("nothing")}, {"kernels", json::array()}};
  EXPECT_EQ(hub.call("POST", path(first, "/kernels"), agent, no_bundle.dump()).status, 404);
  const json bad{{"token", first["token"]}, {"names", {"../../etc/passwd"}}};
  EXPECT_EQ(hub.call("POST", path(first, "/kernels/find"), agent, bad.dump()).status, 400);
  const json injected{{"token", first["token"]}, {"names", {"' OR '1' = '1"}}};
  EXPECT_EQ(hub.call("POST", path(first, "/kernels/find"), agent, injected.dump()).status, 400);
}

TEST_F(SharingTest, TheFirstContentOfAKernelStays) {
  request(developer, "one model");
  const json first = lease();
  ASSERT_EQ(give(first).status, 204);
  ASSERT_EQ(give(first, "firstsecond and more").status, 204);
  for (const json& kernel : find(first, {name(1), name(2)})) EXPECT_EQ(kernel["bundle"], base::sha256("firstsecond"));
}

json records(const std::string& kernel, const std::string& architecture = "sm_90a") {
  return {{"format", 1}, {"architecture", architecture}, {"device", "NVIDIA H100"}, {"records", {{"matmul float16 8x8x8", kernel}}}};
}

TEST_F(SharingTest, TuningRecordsReachLaterBuilds) {
  const json before = request(developer, "model", "h100:fp16");
  ASSERT_EQ(hub.call("PUT", "/v1/tuning/h100", developer, records("mma 1").dump()).status, 200);
  EXPECT_EQ(hub.call("GET", "/v1/tuning/sm_90a", developer).json()["records"]["matmul float16 8x8x8"], "mma 1");
  EXPECT_FALSE(lease("first", "sm_90a").contains("tuning")) << "what was asked for before is built as it was asked for";
  const json after = request(developer, "model", "h100:fp16");
  EXPECT_NE(before["job"], after["job"]) << "other records make another engine";
  EXPECT_EQ(lease("first", "sm_90a")["tuning"]["records"]["matmul float16 8x8x8"], "mma 1");
  EXPECT_EQ(request(developer, "model", "h100:fp16")["job"], after["job"]);
  EXPECT_NE(request(developer, "model", "a100:fp16")["job"], after["job"]);
  EXPECT_FALSE(lease("first", "sm_80").contains("tuning"));
}

TEST_F(SharingTest, TuningRecordsAreAnOrganisationsOrEverybodys) {
  ASSERT_EQ(hub.call("PUT", "/v1/tuning/h100", developer, records("own").dump()).status, 200);
  EXPECT_TRUE(hub.call("GET", "/v1/tuning/h100", stranger).json()["records"].empty());
  EXPECT_EQ(hub.call("PUT", "/v1/tuning/h100?scope=public", developer, records("all").dump()).status, 403);
  ASSERT_EQ(hub.call("PUT", "/v1/tuning/h100?scope=public", hub.administrator(), records("all").dump()).status, 200);
  EXPECT_EQ(hub.call("GET", "/v1/tuning/h100", stranger).json()["records"]["matmul float16 8x8x8"], "all");
  EXPECT_EQ(hub.call("GET", "/v1/tuning/h100", developer).json()["records"]["matmul float16 8x8x8"], "own");
  EXPECT_EQ(hub.call("PUT", "/v1/tuning/a100", developer, records("own").dump()).status, 400) << "for another target";
  EXPECT_EQ(hub.call("GET", "/v1/tuning/x86-64-v3", developer).status, 422);
}

TEST_F(SharingTest, AnAgentThatFailedLetsOthersTry) {
  const json build = request(developer, "model");
  lease("second", "armv8-a");  // there, but not for this target
  const json first = lease("first");
  ASSERT_EQ(fail(first).status, 204);
  const json again = lease("first");
  ASSERT_FALSE(again.is_null()) << "no other agent builds for the target";
  ASSERT_EQ(fail(again).status, 204);
  EXPECT_EQ(state(build, developer), "failed") << "two attempts, and nobody else to ask";
}

TEST_F(SharingTest, DistinctAgentsDecide) {
  EXPECT_TRUE(lease("second").is_null());  // it is there
  const json build = request(developer, "model");
  const json first = lease("first");
  ASSERT_EQ(fail(first).status, 204);
  EXPECT_TRUE(lease("first").is_null()) << "the other is to try";
  const json second = lease("second");
  ASSERT_FALSE(second.is_null());
  ASSERT_EQ(fail(second, "lost_agent").status, 204);  // handed back in good order: not tried
  EXPECT_EQ(state(build, developer), "queued");
  EXPECT_TRUE(lease("first").is_null());
  const json third = lease("second");
  ASSERT_FALSE(third.is_null());
  ASSERT_EQ(fail(third).status, 204);
  EXPECT_EQ(state(build, developer), "failed") << "two agents have failed at it";
}

TEST_F(SharingTest, AJobOthersMustTryDoesNotHoldUpFurtherJobs) {
  EXPECT_TRUE(lease("second").is_null());
  request(developer, "model");
  ASSERT_EQ(fail(lease("first")).status, 204);
  request(stranger, "model");
  EXPECT_FALSE(lease("first").is_null()) << "of another organisation";
}

}  // namespace
}  // namespace xinfer::server
