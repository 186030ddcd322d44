// Several targets in one request, priorities, fair shares and quotas between organisations.
#include <map>

#include "harness.h"
#include "server/accounts/organisations.h"
#include "server/db/database.h"

namespace xinfer::server {
namespace {

using accounts::Role;
using nlohmann::json;

class FarmTest : public testing::Test {
 protected:
  json lease(const std::vector<std::string>& targets = {"x86-64-v3", "x86-64-v4", "armv8-a"}) {
    const Answer answer = hub.call("POST", "/v1/agents/lease", agent,
                                   json{{"agent", "test"}, {"targets", targets}, {"wait_ms", 0}}.dump());
    return answer.status == 200 ? answer.json() : json(nullptr);
  }
  void complete(const json& lease, const std::string& engine) {
    const json body{{"token", lease["token"]}, {"engine", hub.upload(agent, engine)}, {"report", json::object()}};
    const std::string path = "/v1/agents/jobs/" + lease["job"].get<std::string>() + "/complete";
    EXPECT_EQ(hub.call("POST", path, agent, body.dump()).status, 204);
  }
  Answer matrix(const std::string& token, json body) { return hub.call("POST", "/v1/matrices", token, body.dump()); }
  std::unique_ptr<db::Database> database() {
    return db::Database::open(hub.database_url()).value();
  }

  TestHub hub;
  std::string developer = hub.token(Role::kDeveloper), stranger = hub.token(Role::kDeveloper, "acme"),
              agent = hub.token(Role::kAgent, "agents");
};

TEST_F(FarmTest, MatrixIsOneRequestWithAJobPerTarget) {
  const std::string onnx = hub.upload(developer, "model");
  const Answer made = matrix(developer, {{"onnx", onnx}, {"targets", {"x86-64-v4", "avx2", "armv8-a", "x86-64-v3"}}, {"name", "all"}});
  ASSERT_EQ(made.status, 202) << made.body;
  const std::string id = made.json()["id"];
  EXPECT_EQ(made.headers.at("location"), "/v1/matrices/" + id);
  ASSERT_EQ(made.json()["builds"].size(), 3U) << "an alias names a target that is there already";
  EXPECT_EQ(made.json()["state"], "queued");
  for (int i = 0; i < 3; ++i) {
    const json job = lease();
    ASSERT_FALSE(job.is_null());
    EXPECT_EQ(hub.call("GET", "/v1/matrices/" + id, developer).json()["state"], "leased");
    complete(job, "engine " + std::to_string(i));
  }
  EXPECT_EQ(hub.call("GET", "/v1/matrices/" + id, developer).json()["state"], "succeeded");
  EXPECT_EQ(hub.call("GET", "/v1/matrices/" + id, stranger).status, 404) << "nothing of one organisation shows in another";
  EXPECT_EQ(matrix(developer, {{"onnx", onnx}, {"targets", {"avx2", "armv8-a"}}}).status, 200) << "from the store";
}

TEST_F(FarmTest, MatrixIsAcceptedWholeOrNotAtAll) {
  const std::string onnx = hub.upload(developer, "model");
  const Answer refused = matrix(developer, {{"onnx", onnx}, {"targets", {"x86-64-v3", "x86-64-v33"}}});
  EXPECT_EQ(refused.status, 404) << refused.body;
  EXPECT_EQ(refused.json()["error"]["where"], "targets[1]");
  EXPECT_EQ(hub.call("GET", "/v1/builds", developer).json()["total"], 0);
  EXPECT_EQ(matrix(developer, {{"onnx", onnx}, {"targets", json::array()}}).status, 400);
  EXPECT_EQ(matrix(developer, {{"onnx", onnx}, {"targets", std::vector<std::string>(65, "x86-64-v3")}}).status, 400);
  EXPECT_EQ(matrix(hub.token(Role::kViewer), {{"onnx", onnx}, {"targets", {"x86-64-v3"}}}).status, 403);
}

TEST_F(FarmTest, CancellingAMatrixSparesOthersThatWait) {
  const std::string onnx = hub.upload(developer, "model");
  const std::string id = matrix(developer, {{"onnx", onnx}, {"targets", {"x86-64-v3", "armv8-a"}}}).json()["id"];
  const json other = hub.call("POST", "/v1/builds", developer, json{{"onnx", onnx}, {"target", "armv8-a"}}.dump()).json();
  EXPECT_EQ(hub.call("DELETE", "/v1/matrices/" + id, developer).json()["state"], "cancelled");
  const json job = lease();
  ASSERT_EQ(job["target"], "armv8-a") << "the job that somebody still waits for";
  EXPECT_TRUE(lease().is_null());
  complete(job, "engine");
  EXPECT_EQ(hub.call("GET", "/v1/builds/" + other["id"].get<std::string>(), developer).json()["state"], "succeeded");
}

TEST_F(FarmTest, PriorityOrdersAnOrganisationsOwnJobs) {
  for (int i = 0; i < 3; ++i) {
    const std::string onnx = hub.upload(developer, "model " + std::to_string(i));
    const json body{{"onnx", onnx}, {"target", "x86-64-v3"}, {"priority", i == 2 ? 5 : 0}, {"name", std::to_string(i)}};
    ASSERT_EQ(hub.call("POST", "/v1/builds", developer, body.dump()).status, 202);
  }
  EXPECT_EQ(lease()["onnx"], base::sha256("model 2"));
  EXPECT_EQ(lease()["onnx"], base::sha256("model 0"));
  const json bad{{"onnx", base::sha256("model 0")}, {"target", "x86-64-v3"}, {"priority", 101}};
  EXPECT_EQ(hub.call("POST", "/v1/builds", developer, bad.dump()).status, 400);
}

TEST_F(FarmTest, SharesFollowWeightsAndQuotasHold) {
  const auto rows = database();
  ASSERT_TRUE(accounts::create_organisation(*rows, {"heavy", 3, 0, 1}));
  ASSERT_TRUE(accounts::create_organisation(*rows, {"light", 1, 0, 1}));
  ASSERT_TRUE(accounts::create_organisation(*rows, {"bounded", 100, 1, 1}));
  std::map<std::string, std::string> owner;
  for (const char* organisation : {"heavy", "light", "bounded"}) {
    const std::string token = hub.token(Role::kDeveloper, organisation);
    for (int i = 0; i < 12; ++i) {
      const std::string onnx = hub.upload(token, organisation + std::to_string(i));
      owner[onnx] = organisation;
      ASSERT_EQ(hub.call("POST", "/v1/builds", token, json{{"onnx", onnx}, {"target", "x86-64-v3"}}.dump()).status, 202);
    }
  }
  std::map<std::string, int> running;
  for (int i = 0; i < 9; ++i) ++running[owner[lease()["onnx"]]];
  EXPECT_EQ(running["bounded"], 1) << "whatever its weight";
  EXPECT_EQ(running["heavy"], 6);
  EXPECT_EQ(running["light"], 2);
}

TEST_F(FarmTest, OrganisationsAreMadeOnceAndChecked) {
  const auto rows = database();
  ASSERT_TRUE(accounts::create_organisation(*rows, {"lab", 2, 0, 1}));
  EXPECT_EQ(accounts::create_organisation(*rows, {"lab", 2, 0, 1}).error().code, base::Code::kConflict);
  EXPECT_EQ(accounts::create_organisation(*rows, {"Lab", 2, 0, 1}).error().code, base::Code::kInvalidArgument);
  EXPECT_EQ(accounts::create_organisation(*rows, {"public", 2, 0, 1}).error().code, base::Code::kInvalidArgument);
  EXPECT_EQ(accounts::create_organisation(*rows, {"none", 0, 0, 1}).error().where, "weight");
  EXPECT_EQ(accounts::change_organisation(*rows, "nobody", 1, {}).error().code, base::Code::kNotFound);
  ASSERT_TRUE(accounts::change_organisation(*rows, "lab", {}, 7));
  const auto all = accounts::organisations(*rows).value();
  const auto lab = std::find_if(all.begin(), all.end(), [](const auto& one) { return one.id == "lab"; });
  ASSERT_NE(lab, all.end());
  EXPECT_EQ(lab->weight, 2);
  EXPECT_EQ(lab->running_quota, 7);
}

}  // namespace
}  // namespace xinfer::server
