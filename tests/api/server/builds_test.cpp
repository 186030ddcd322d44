// Builds from request to engine, with this test in the agent's place; and what other organisations must not see.
#include <thread>

#include "harness.h"

namespace xinfer::server {
namespace {

using accounts::Role;
using nlohmann::json;

const std::string kOnnx = "these bytes stand for a model: the hub never looks into one";
const std::string kEngine = "these bytes stand for an engine";

class Builds : public testing::Test {
 protected:
  explicit Builds(Settings settings = quick()) : hub(settings) {}
  static Settings quick() {
    Settings settings;
    settings.farm_lease_ms = 500;
    settings.farm_attempts = 2;
    return settings;
  }
  Answer request(const std::string& token, const std::string& onnx, const std::string& target = "x86-64-v3") {
    return hub.call("POST", "/v1/builds", token, json{{"onnx", onnx}, {"target", target}}.dump());
  }
  json lease(int wait_ms = 0) {
    const Answer answer = hub.call("POST", "/v1/agents/lease", agent,
                                   json{{"agent", "test"}, {"targets", {"x86-64-v3"}}, {"wait_ms", wait_ms}}.dump());
    if (answer.status == 204) return nullptr;
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json();
  }
  Answer on_job(const json& lease, const std::string& what, json body = json::object()) {
    body["token"] = lease["token"];
    return hub.call("POST", "/v1/agents/jobs/" + lease["job"].get<std::string>() + "/" + what, agent, body.dump());
  }
  Answer complete(const json& lease, const std::string& engine = kEngine) {
    return on_job(lease, "complete", {{"engine", hub.upload(agent, engine)}, {"report", {{"kernels", 3}}}});
  }
  json build(const std::string& token, const std::string& id) {
    return hub.call("GET", "/v1/builds/" + id, token).json();
  }

  TestHub hub;
  std::string developer = hub.token(Role::kDeveloper), stranger = hub.token(Role::kDeveloper, "acme"),
              agent = hub.token(Role::kAgent, "agents");
};

TEST_F(Builds, FromRequestToEngine) {
  const std::string onnx = hub.upload(developer, kOnnx);
  const Answer requested = request(developer, onnx);
  ASSERT_EQ(requested.status, 202) << requested.body;
  const std::string id = requested.json()["id"];
  EXPECT_EQ(requested.headers.at("location"), "/v1/builds/" + id);
  EXPECT_EQ(build(developer, id)["state"], "queued");

  const json job = lease();
  ASSERT_FALSE(job.is_null());
  EXPECT_EQ(job["onnx"], onnx);
  EXPECT_EQ(job["target"], "x86-64-v3");
  const Answer input = hub.call("GET", "/v1/agents/jobs/" + job["job"].get<std::string>() + "/input", agent, "",
                                {"X-Lease-Token: " + job["token"].get<std::string>()});
  EXPECT_EQ(input.body, kOnnx);
  EXPECT_EQ(build(developer, id)["state"], "leased");
  const Answer beat =
      on_job(job, "heartbeat",
             {{"progress", {{"stage", "compile"}, {"done", 3}, {"total", 7}}}, {"log", {"first line", "second line"}}});
  EXPECT_EQ(beat.status, 200) << beat.body;
  EXPECT_EQ(build(developer, id)["progress"]["done"], 3);
  ASSERT_EQ(complete(job).status, 204);

  const json done = build(developer, id);
  EXPECT_EQ(done["state"], "succeeded");
  EXPECT_EQ(done["report"]["kernels"], 3);
  EXPECT_EQ(done["engine"]["digest"], base::sha256(kEngine));
  EXPECT_EQ(hub.call("GET", done["engine"]["url"], developer).body, kEngine);
  // The job has ended: whoever still thinks to hold it learns so.
  EXPECT_EQ(on_job(job, "heartbeat").status, 409);
  EXPECT_EQ(complete(job).status, 409);

  const Answer again = request(developer, onnx);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.json()["cached"], true);
  EXPECT_EQ(again.json()["job"], requested.json()["job"]);
  EXPECT_TRUE(lease().is_null());
}

TEST_F(Builds, EventsAreReplayedAndResumed) {
  const std::string id = request(developer, hub.upload(developer, kOnnx)).json()["id"];
  const json job = lease();
  on_job(job, "heartbeat", {{"log", {"a line"}}, {"progress", {{"stage", "compile"}, {"done", 1}, {"total", 2}}}});
  // A stream that is open while the build ends gets the rest and is closed.
  Answer live;
  std::thread reader([&] { live = hub.call("GET", "/v1/builds/" + id + "/events", developer); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  on_job(job, "heartbeat", {{"log", {"a later line"}}});
  complete(job);
  reader.join();
  EXPECT_EQ(live.headers.at("content-type"), "text/event-stream");
  for (const char* text :
       {"\"queued\"", "\"leased\"", "a line", "a later line", "\"stage\":\"compile\"", "\"succeeded\""})
    EXPECT_NE(live.body.find(text), std::string::npos) << text << " in " << live.body;

  const std::size_t at = live.body.find("a line");
  const std::size_t id_at = live.body.rfind("id: ", at);
  const std::string last = live.body.substr(id_at + 4, live.body.find('\n', id_at) - id_at - 4);
  const Answer rest = hub.call("GET", "/v1/builds/" + id + "/events", developer, "", {"Last-Event-ID: " + last});
  EXPECT_EQ(rest.body.find("\"a line\""), std::string::npos);
  EXPECT_NE(rest.body.find("a later line"), std::string::npos);
  EXPECT_EQ(hub.call("GET", "/v1/builds/" + id + "/events", developer, "", {"Last-Event-ID: x"}).status, 400);
}

TEST_F(Builds, IdenticalBuildsInFlightAreOneJobAndCancellingOneSparesTheOther) {
  const std::string onnx = hub.upload(developer, kOnnx);
  const json first = request(developer, onnx).json(), second = request(developer, onnx).json(),
             other = request(developer, onnx, "armv8-a").json();
  EXPECT_EQ(first["job"], second["job"]);
  EXPECT_NE(first["id"], second["id"]);
  EXPECT_NE(first["job"], other["job"]);
  const json job = lease();
  EXPECT_EQ(hub.call("DELETE", "/v1/builds/" + first["id"].get<std::string>(), developer).json()["state"], "cancelled");
  EXPECT_EQ(on_job(job, "heartbeat").json()["cancelled"], false);
  EXPECT_EQ(build(developer, second["id"])["state"], "leased");
  // The last waiter takes the job with it.
  EXPECT_EQ(hub.call("DELETE", "/v1/builds/" + second["id"].get<std::string>(), developer).json()["state"],
            "cancelled");
  EXPECT_EQ(on_job(job, "heartbeat").json()["cancelled"], true);
  EXPECT_EQ(complete(job).status, 409);
  // And the same request starts anew.
  EXPECT_NE(request(developer, onnx).json()["job"], first["job"]);
}

TEST_F(Builds, NothingIsSharedAcrossOrganisations) {
  const std::string onnx = hub.upload(developer, kOnnx);
  const json mine = request(developer, onnx).json();
  // Knowing the digest is not enough.
  EXPECT_EQ(request(stranger, onnx).status, 404);
  EXPECT_EQ(hub.call("GET", "/v1/blobs/" + onnx, stranger).status, 404);
  EXPECT_EQ(hub.call("GET", "/v1/blobs/" + onnx, developer).status, 200);
  // The other organisation uploads the same bytes: not told that they are here, and its build is a job of its own.
  const Answer upload =
      hub.call("POST", "/v1/uploads", stranger, json{{"size_bytes", kOnnx.size()}, {"sha256", onnx}}.dump());
  EXPECT_EQ(upload.json()["state"], "open");
  EXPECT_EQ(hub.upload(stranger, kOnnx), onnx);
  const json theirs = request(stranger, onnx).json();
  EXPECT_NE(theirs["job"], mine["job"]);
  EXPECT_EQ(theirs["cached"], false);
  const std::string id = mine["id"];
  for (const auto& [method, path] : {std::pair<std::string, std::string>{"GET", "/v1/builds/" + id},
                                     {"DELETE", "/v1/builds/" + id},
                                     {"GET", "/v1/builds/" + id + "/events"}})
    EXPECT_EQ(hub.call(method, path, stranger).status, 404) << path;
  EXPECT_EQ(hub.call("GET", "/v1/builds", stranger).body.find(id), std::string::npos);
  const json job = lease();
  ASSERT_EQ(complete(job).status, 204);
  const std::string engine = "/v1/engines/" + base::sha256(kEngine);
  const bool was_mine = job["job"] == mine["job"];
  EXPECT_EQ(hub.call("GET", engine, was_mine ? developer : stranger).status, 200);
  EXPECT_EQ(hub.call("GET", engine, was_mine ? stranger : developer).status, 404);
  EXPECT_EQ(hub.call("GET", engine).status, 404);
}

TEST_F(Builds, PrivateModelsStayPrivate) {
  const std::string onnx = hub.upload(developer, kOnnx);
  const std::string body = json{
      {"id", "secret-detector"},
      {"onnx", onnx},
      {"description", "unannounced"},
      {"input_shapes",
       {{"x", {1, 3, 8, 8}}}}}.dump();
  ASSERT_EQ(hub.call("POST", "/v1/models", developer, body).status, 201);
  EXPECT_EQ(hub.call("GET", "/v1/models/secret-detector", developer).json()["visibility"], "private");
  for (const std::string& token : {std::string(), stranger}) {
    EXPECT_EQ(hub.call("GET", "/v1/models/secret-detector", token).status, 404);
    for (const char* path : {"/v1/models", "/v1/models?search=unannounced", "/v1/models/secret-detectr",
                             "/v1/download/secret-detector-x86-64-v3.engine"})
      EXPECT_EQ(hub.call("GET", path, token).body.find("secret-detector\""), std::string::npos) << path;
  }
  EXPECT_EQ(hub.call("POST", "/v1/models", developer, json{{"id", "yolox-nano-coco"}, {"onnx", onnx}}.dump()).status,
            409);
  ASSERT_EQ(
      hub.call("POST", "/v1/builds", developer, json{{"model", "secret-detector"}, {"target", "x86-64-v3"}}.dump())
          .status,
      202);
  ASSERT_EQ(complete(lease()).status, 204);
  EXPECT_EQ(hub.call("GET", "/v1/download/secret-detector_AVX2_10.0_FP32.engine", developer).body, kEngine);
  EXPECT_EQ(hub.call("GET", "/v1/engines/" + base::sha256(kEngine)).status, 404);
  EXPECT_EQ(hub.call("GET", "/metrics", hub.administrator()).body.find("secret"), std::string::npos);
}

TEST_F(Builds, ALeaseWithoutHeartbeatIsRequeuedAndThenGivenUp) {
  const std::string id = request(developer, hub.upload(developer, kOnnx)).json()["id"];
  const json first = lease();
  const json second = lease(5'000);  // long poll: answered when the first lease has run out
  ASSERT_FALSE(second.is_null());
  EXPECT_EQ(second["job"], first["job"]);
  EXPECT_EQ(second["attempt"], 2);
  EXPECT_EQ(on_job(first, "heartbeat").status, 409);
  EXPECT_EQ(complete(first).status, 409);
  EXPECT_EQ(on_job(first, "sign", {{"message", "00"}}).status, 409);
  EXPECT_EQ(hub.call("GET", "/v1/agents/jobs/" + first["job"].get<std::string>() + "/input", agent, "",
                     {"X-Lease-Token: " + first["token"].get<std::string>()})
                .status,
            409);
  for (int i = 0; i < 200 && build(developer, id)["state"] == "leased"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const json failed = build(developer, id);
  EXPECT_EQ(failed["state"], "failed");
  EXPECT_EQ(failed["error"]["kind"], "lost_agent");
  EXPECT_EQ(failed["attempts"], 2);
  EXPECT_NE(hub.call("GET", "/metrics", hub.administrator()).body.find("xinfer_lease_expiries_total 2"),
            std::string::npos);
}

TEST_F(Builds, AnAgentThatStopsHandsTheJobBackWithoutLoss) {
  const std::string id = request(developer, hub.upload(developer, kOnnx)).json()["id"];
  const json stopping = {{"kind", "lost_agent"}, {"code", "cancelled"}, {"message", "the agent stops"}};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(on_job(lease(), "fail", {{"error", stopping}, {"retry", true}}).status, 204);
  EXPECT_EQ(build(developer, id)["attempts"], 0);
  ASSERT_EQ(complete(lease()).status, 204);
  EXPECT_EQ(build(developer, id)["state"], "succeeded");
}

TEST_F(Builds, FailuresAreToldApart) {
  const std::string id = request(developer, hub.upload(developer, kOnnx)).json()["id"];
  const json error = {{"kind", "internal"}, {"code", "io"}, {"message", "disk trouble"}};
  EXPECT_EQ(on_job(lease(), "fail", {{"error", error}, {"retry", true}}).status, 204);
  EXPECT_EQ(build(developer, id)["state"], "queued");
  const json broken = {{"kind", "out_of_memory"}, {"code", "out_of_memory"}, {"message", "needs 900 GiB"}};
  EXPECT_EQ(on_job(lease(), "fail", {{"error", broken}}).status, 204);
  const json failed = build(developer, id);
  EXPECT_EQ(failed["state"], "failed");
  EXPECT_EQ(failed["error"], broken);
  EXPECT_EQ(hub.call("DELETE", "/v1/builds/" + id, developer).status, 409);
}

TEST_F(Builds, SignsOnlyWhatTheEngineFormatSigns) {
  request(developer, hub.upload(developer, kOnnx));
  const json job = lease();
  const auto hex = [](const std::string& text) { return base::to_hex(std::as_bytes(std::span(text))); };
  EXPECT_EQ(on_job(job, "sign", {{"message", hex("pay me 100")}}).status, 400);
  const std::string message = "xinfer engine, format 1\nheader";
  const Answer answer = on_job(job, "sign", {{"message", hex(message)}});
  ASSERT_EQ(answer.status, 200) << answer.body;
  const std::string key = hub.call("GET", "/v1/keys").json()["keys"][0]["public_key"];
  EXPECT_EQ(answer.json()["public_key"], key);
  EXPECT_TRUE(base::verify_signature(message, *base::from_hex(answer.json()["signature"].get<std::string>()),
                                     *base::from_hex(key)));
}

TEST_F(Builds, BadRequestsNameTheField) {
  const std::string onnx = hub.upload(developer, kOnnx);
  const auto refused = [&](const json& body, int status, const std::string& where, const std::string& text) {
    const Answer answer = hub.call("POST", "/v1/builds", developer, body.dump());
    EXPECT_EQ(answer.status, status) << body << answer.body;
    EXPECT_EQ(answer.json()["error"].value("where", ""), where) << answer.body;
    EXPECT_NE(answer.json()["error"]["message"].get<std::string>().find(text), std::string::npos) << answer.body;
  };
  refused({{"target", "x86-64-v3"}}, 400, "model", "either model or onnx");
  refused({{"onnx", onnx}}, 400, "target", "required");
  refused({{"onnx", onnx}, {"target", "x86-64-v3"}, {"shape", json::object()}}, 400, "shape", "\"shapes\"");
  refused({{"onnx", onnx}, {"target", 3}}, 400, "target", "expected a string");
  refused({{"onnx", onnx}, {"target", "x86-64-v3"}, {"shapes", {{"x", {1, -1}}}}}, 400, "shapes.x", "-1 is no size");
  refused({{"onnx", onnx}, {"target", "x86-64-v3"}, {"shapes", {{"x", {1, "8:4:2"}}}}}, 400, "shapes.x",
          "8:4:2 is no minimum:optimum:maximum");
  const json good = {{"x", {1}}}, bad = {{"x", {0}}};
  refused({{"onnx", onnx}, {"target", "x86-64-v3"}, {"profiles", {good, bad}}}, 400, "profiles[1].x", "0 is no size");
  refused({{"onnx", onnx}, {"target", "x86-64-v3"}, {"profiles", std::vector<json>(17, good)}}, 400, "profiles", "more than 16");
  refused({{"onnx", onnx}, {"target", "host"}}, 400, "target", "name its target");
  refused({{"onnx", onnx}, {"target", "x86-64-v9"}}, 404, "target", "x86-64-v3");
  refused({{"onnx", std::string(64, 'a')}, {"target", "x86-64-v3"}}, 404, "onnx", "upload");
  refused({{"model", "yolox-nano-coc"}, {"target", "x86-64-v3"}}, 404, "model", "yolox-nano-coco");
  EXPECT_EQ(hub.call("POST", "/v1/builds", developer, "{").status, 400);
  EXPECT_EQ(hub.call("POST", "/v1/builds", developer, std::string(40, '[')).json()["error"]["message"],
            "JSON nested deeper than 32");
}

TEST_F(Builds, ProfilesReachTheAgentAndAreAnotherEngine) {
  const std::string onnx = hub.upload(developer, kOnnx);
  const auto ask = [&](const json& profiles) {
    const json body = {{"onnx", onnx}, {"target", "x86-64-v3"}, {"shapes", {{"x", {1, "1:8:64"}}}}, {"profiles", profiles}};
    return hub.call("POST", "/v1/builds", developer, body.dump()).json();
  };
  const json profiles = {{{"x", {1, 8}}}, {{"x", {1, "8:16:32"}}}};
  const json first = ask(profiles);
  EXPECT_EQ(first["profiles"], profiles);
  EXPECT_EQ(ask(profiles)["job"], first["job"]);
  const json turned = {profiles[1], profiles[0]};
  EXPECT_NE(ask(turned)["job"], first["job"]);  // the first that fits runs
  EXPECT_NE(ask(json::array())["job"], first["job"]);
  const json job = lease();
  EXPECT_EQ(job["job"], first["job"]);
  EXPECT_EQ(job["profiles"], profiles);
  EXPECT_EQ(job["shapes"], (json{{"x", {1, "1:8:64"}}}));
}

TEST_F(Builds, AModelsOwnProfiles) {
  const json profiles = {{{"x", {1, 8}}}};
  const json push = {{"id", "ranged"}, {"onnx", hub.upload(developer, kOnnx)}, {"input_shapes", {{"x", {1, "1:8:64"}}}}, {"profiles", profiles}};
  ASSERT_EQ(hub.call("POST", "/v1/models", developer, push.dump()).status, 201);
  EXPECT_EQ(hub.call("GET", "/v1/models/ranged", developer).json()["profiles"], profiles);
  const auto ask = [&](json more) {
    more["model"] = "ranged";
    return hub.call("POST", "/v1/builds", developer, more.dump()).json();
  };
  EXPECT_EQ(ask({{"target", "x86-64-v3"}})["profiles"], profiles);
  const json gpu = ask({{"target", "t4"}});  // engines for GPUs have fixed sizes
  EXPECT_FALSE(gpu.contains("profiles"));
  EXPECT_EQ(gpu["shapes"], (json{{"x", {1, 8}}}));
  EXPECT_FALSE(ask({{"target", "x86-64-v3"}, {"shapes", {{"x", {1, "2:4"}}}}}).contains("profiles"));  // they need not lie in these
  const json others = {{{"x", {1, 16}}}};
  const json asked = ask({{"target", "x86-64-v3"}, {"profiles", others}});
  EXPECT_EQ(asked["profiles"], others);
  EXPECT_EQ(asked["shapes"], (json{{"x", {1, "1:8:64"}}}));
}

TEST_F(Builds, AModelWithoutDigestNeedsConfirmation) {
  const Answer answer =
      hub.call("POST", "/v1/builds", developer, json{{"model", "resnet50-v1"}, {"target", "x86-64-v3"}}.dump());
  EXPECT_EQ(answer.status, 409);
  EXPECT_NE(answer.body.find("/v1/models/resnet50-v1/confirm"), std::string::npos);
}

}  // namespace
}  // namespace xinfer::server
