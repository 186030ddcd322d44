// Clients that ask too often.
#include "harness.h"

namespace xinfer::server {
namespace {

using accounts::Role;

Settings limits(std::int64_t token, std::int64_t address) {
  Settings settings;
  settings.http_token_requests_per_s = token;
  settings.http_address_requests_per_s = address;
  return settings;
}

// The first answer that is 429, of many requests in a row.
Answer held_back(TestHub& hub, const std::string& path, const std::string& token) {
  for (int i = 0; i < 200; ++i)
    if (Answer answer = hub.call("GET", path, token); answer.status == 429) return answer;
  ADD_FAILURE() << path << " was never held back";
  return {};
}

TEST(Limits, ATokenHasItsOwn) {
  TestHub hub(limits(3, 0));
  const std::string busy = hub.token(Role::kViewer), quiet = hub.token(Role::kViewer);
  const Answer answer = held_back(hub, "/v1/builds", busy);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_EQ(answer.json()["error"]["code"], "limit");
  EXPECT_EQ(answer.json()["error"]["message"], "too many requests: http.token_requests_per_s = 3; try again in 1 s");
  EXPECT_EQ(hub.call("GET", "/v1/builds", quiet).status, 200);
  EXPECT_EQ(hub.call("GET", "/v1/models").status, 200);  // without a token
}

TEST(Limits, WhoHasNoTokenThatServesIsHeldBackByAddress) {
  TestHub hub(limits(0, 3));
  const Answer answer = held_back(hub, "/v1/builds", "ih_viewer_guess");
  EXPECT_EQ(answer.json()["error"]["message"], "too many requests: http.address_requests_per_s = 3; try again in 1 s");
  EXPECT_EQ(held_back(hub, "/v1/models", "").status, 429);
  EXPECT_EQ(held_back(hub, "/v1/no-such-route", "").status, 429);
  EXPECT_EQ(hub.call("GET", "/v1/builds", hub.token(Role::kViewer)).status, 200);
}

TEST(Limits, ProbesAndAgentsAreNotHeldBack) {
  TestHub hub(limits(1, 1));
  const std::string agent = hub.token(Role::kAgent);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(hub.call("GET", "/healthz").status, 200);
    EXPECT_EQ(hub.call("GET", "/readyz").status, 200);
    EXPECT_EQ(hub.call("POST", "/v1/agents/lease", agent, R"({"agent":"a","targets":["x86-64-v3"],"wait_ms":0})").status, 204);
  }
}

TEST(Limits, TheNextSecondIsServed) {
  TestHub hub(limits(2, 0));
  const std::string token = hub.token(Role::kViewer);
  held_back(hub, "/v1/builds", token);
  ::usleep(1'100'000);
  EXPECT_EQ(hub.call("GET", "/v1/builds", token).status, 200);
}

// Two hubs that start on one empty database: both have looked before one of them makes the token.
TEST(Limits, OneHubMakesTheFirstAdministrator) {
  const base::TemporaryFolder folder("first-administrator");
  const auto database = db::Database::open(test_server("XI_TEST_POSTGRESQL").empty()
                                               ? "sqlite:" + (folder.path() / "hub.sqlite").string()
                                               : new_postgresql_database());
  ASSERT_TRUE(database);
  const auto clock = [] { return std::int64_t{1}; };
  const auto one = accounts::Accounts::open(**database, clock), two = accounts::Accounts::open(**database, clock);
  ASSERT_TRUE(one && two);
  const auto first = (*one)->create_first_administrator(), second = (*two)->create_first_administrator();
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->has_value());
  EXPECT_FALSE(second->has_value());
  const auto tokens = (*two)->tokens();
  ASSERT_TRUE(tokens);
  EXPECT_EQ(tokens->size(), 1u);
}

}  // namespace
}  // namespace xinfer::server
