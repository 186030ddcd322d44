// Route × role: what each role may call, written down here a second time, route by route.
#include "harness.h"
#include "server/routes/route.h"

namespace xinfer::server {
namespace {

using accounts::Role;

struct Row {
  const char* method;
  const char* path;
  const char* allowed;  // letters of roles: n(obody) v(iewer) d(eveloper) a(dministrator) g (agent)
};

// A route that is missing here fails the test below.
constexpr Row kRows[] = {
    {"GET", "/", "nvdag"},
    {"GET", "/openapi.json", "nvdag"},
    {"GET", "/healthz", "nvdag"},
    {"GET", "/readyz", "nvdag"},
    {"GET", "/metrics", "a"},
    {"GET", "/v1/keys", "nvdag"},
    {"GET", "/v1/targets", "nvdag"},
    {"GET", "/v1/models", "nvdag"},
    {"POST", "/v1/models", "da"},
    {"GET", "/v1/models/{id}", "nvdag"},
    {"GET", "/v1/models/{id}/engines", "nvdag"},
    {"POST", "/v1/models/{id}/confirm", "a"},
    {"GET", "/v1/download/{file}", "nvdag"},
    {"GET", "/v1/engines/{digest}", "nvdag"},
    {"GET", "/v1/blobs/{digest}", "vda"},
    {"POST", "/v1/uploads", "dag"},
    {"GET", "/v1/uploads/{id}", "dag"},
    {"PUT", "/v1/uploads/{id}", "dag"},
    {"POST", "/v1/uploads/{id}/complete", "dag"},
    {"DELETE", "/v1/uploads/{id}", "dag"},
    {"POST", "/v1/builds", "da"},
    {"GET", "/v1/builds", "vda"},
    {"GET", "/v1/builds/{id}", "vda"},
    {"DELETE", "/v1/builds/{id}", "da"},
    {"GET", "/v1/builds/{id}/events", "vda"},
    {"POST", "/v1/matrices", "da"},
    {"GET", "/v1/matrices/{id}", "vda"},
    {"DELETE", "/v1/matrices/{id}", "da"},
    {"POST", "/v1/preflights", "da"},
    {"GET", "/v1/preflights/{id}", "vda"},
    {"DELETE", "/v1/preflights/{id}", "da"},
    {"GET", "/v1/preflights/{id}/events", "vda"},
    {"POST", "/v1/tunes", "da"},
    {"GET", "/v1/tunes/{id}", "vda"},
    {"DELETE", "/v1/tunes/{id}", "da"},
    {"GET", "/v1/tunes/{id}/events", "vda"},
    {"POST", "/v1/tokens", "a"},
    {"GET", "/v1/tokens", "a"},
    {"DELETE", "/v1/tokens/{id}", "a"},
    {"POST", "/v1/agents/lease", "g"},
    {"GET", "/v1/agents", "a"},
    {"GET", "/v1/agents/jobs/{id}/input", "g"},
    {"GET", "/v1/agents/jobs/{id}/engine", "g"},
    {"POST", "/v1/agents/jobs/{id}/heartbeat", "g"},
    {"POST", "/v1/agents/jobs/{id}/sign", "g"},
    {"POST", "/v1/agents/jobs/{id}/kernels/find", "g"},
    {"GET", "/v1/agents/jobs/{id}/kernels/{digest}", "g"},
    {"POST", "/v1/agents/jobs/{id}/kernels", "g"},
    {"GET", "/v1/tuning/{target}", "vda"},
    {"PUT", "/v1/tuning/{target}", "da"},
    {"POST", "/v1/agents/jobs/{id}/complete", "g"},
    {"POST", "/v1/agents/jobs/{id}/fail", "g"},
};

std::string fill(std::string path) {
  for (std::size_t open; (open = path.find('{')) != std::string::npos;)
    path.replace(open, path.find('}') - open + 1, "nothing-here");
  return path;
}

TEST(Permissions, EveryRouteHasARow) {
  for (const routes::Route& route : routes::table()) {
    const bool found = std::ranges::any_of(
        kRows, [&](const Row& row) { return route.method == row.method && route.path == row.path; });
    EXPECT_TRUE(found) << route.method << " " << route.path << " has no row in this test";
  }
  EXPECT_EQ(std::size(kRows), routes::table().size());
}

TEST(Permissions, EachRoleMayCallExactlyItsRoutes) {
  TestHub hub;
  const std::pair<char, std::string> roles[] = {{'n', ""},
                                                {'v', hub.token(Role::kViewer)},
                                                {'d', hub.token(Role::kDeveloper)},
                                                {'a', hub.token(Role::kAdministrator)},
                                                {'g', hub.token(Role::kAgent, "agents")}};
  for (const Row& row : kRows) {
    for (const auto& [letter, token] : roles) {
      const Answer answer = hub.call(row.method, fill(row.path), token);
      const bool refused = answer.status == 401 || answer.status == 403;
      const bool allowed = std::string_view(row.allowed).find(letter) != std::string_view::npos;
      EXPECT_EQ(refused, !allowed) << row.method << " " << row.path << " as " << letter << ": " << answer.status << " "
                                   << answer.body.substr(0, 200);
      if (!refused) continue;
      EXPECT_EQ(answer.status, letter == 'n' ? 401 : 403) << row.path << " as " << letter;
      EXPECT_FALSE(answer.json()["error"]["message"].get<std::string>().empty());
    }
  }
}

TEST(Permissions, BadCredentialsAreRefusedEvenWhereNoneAreNeeded) {
  TestHub hub;
  EXPECT_EQ(hub.call("GET", "/v1/models", "ih_administrator_0000").status, 401);
  EXPECT_EQ(hub.call("GET", "/v1/models", "", "", {"Authorization: Basic YTpi"}).status, 401);
  const std::string expired = hub.hub().accounts().create_token(Role::kAdministrator, "default", "old", 1).value();
  EXPECT_EQ(hub.call("GET", "/v1/builds", expired).status, 401);
  const std::string revoked = hub.hub().accounts().create_token(Role::kViewer, "default", "leaving", 0).value();
  EXPECT_EQ(hub.call("GET", "/v1/builds", revoked).status, 200);
  ASSERT_TRUE(hub.hub().accounts().revoke("leaving"));
  EXPECT_EQ(hub.call("GET", "/v1/builds", revoked).status, 401);
}

TEST(Permissions, TheAdministratorsTokenIsShownOnceAndNeverStored) {
  TestHub hub;
  const std::string token = hub.administrator();
  ASSERT_FALSE(token.empty());
  EXPECT_EQ(hub.call("GET", "/v1/builds", token).status, 200);
  hub.stop();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(hub.folder())) {
    if (!entry.is_regular_file()) continue;
    const auto bytes = base::read_file(entry.path());
    ASSERT_TRUE(bytes);
    EXPECT_EQ(bytes->find(token), std::string::npos) << entry.path();
  }
  hub.start();
  EXPECT_TRUE(hub.hub().new_administrator_token().empty());
  EXPECT_EQ(hub.call("GET", "/v1/builds", token).status, 200);
}

TEST(Permissions, AdministratorsMakeAndRevokeTokens) {
  TestHub hub;
  const Answer made = hub.call("POST", "/v1/tokens", hub.administrator(), R"({"role":"viewer","name":"dashboard"})");
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string token = made.json()["token"], id = made.json()["id"];
  EXPECT_EQ(hub.call("GET", "/v1/builds", token).status, 200);
  const std::string list = hub.call("GET", "/v1/tokens", hub.administrator()).body;
  EXPECT_NE(list.find(id), std::string::npos);
  EXPECT_EQ(list.find(token), std::string::npos);
  EXPECT_EQ(hub.call("DELETE", "/v1/tokens/" + id, hub.administrator()).status, 204);
  EXPECT_EQ(hub.call("GET", "/v1/builds", token).status, 401);
  EXPECT_EQ(hub.call("DELETE", "/v1/tokens/" + id, hub.administrator()).status, 404);
  EXPECT_EQ(hub.call("POST", "/v1/tokens", hub.administrator(), R"({"role":"king"})").status, 400);
  EXPECT_EQ(hub.call("POST", "/v1/tokens", hub.administrator(), R"({"role":"viewer","organisation":"public"})").status,
            400);
  EXPECT_EQ(hub.call("POST", "/v1/tokens", hub.administrator(), R"({"role":"viewer","expires_ms":5})").status, 400);
  const auto tokens = hub.call("GET", "/v1/tokens", hub.administrator()).json()["tokens"];
  ASSERT_EQ(tokens.size(), 1u);
  EXPECT_EQ(hub.call("DELETE", "/v1/tokens/" + tokens[0]["id"].get<std::string>(), hub.administrator()).status, 409);
}

TEST(Permissions, TheSigningKeyIsPrivateAndStays) {
  TestHub hub;
  const auto file = hub.folder() / "data" / "keys" / "engines.ed25519";
  EXPECT_EQ(std::filesystem::status(file).permissions() & std::filesystem::perms::all, std::filesystem::perms(0600));
  const std::string before = hub.call("GET", "/v1/keys").body;
  hub.stop();
  hub.start();
  EXPECT_EQ(hub.call("GET", "/v1/keys").body, before);
  hub.stop();
  std::filesystem::permissions(file, std::filesystem::perms(0644));
  EXPECT_THROW(hub.start(), std::runtime_error);
}

}  // namespace
}  // namespace xinfer::server
