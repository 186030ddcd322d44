// The OpenAPI document against the routes that the hub really serves.
#include "harness.h"
#include "server/routes/route.h"

namespace xinfer::server {
namespace {

using nlohmann::json;

void check_references(const json& node, const json& document) {
  if (node.is_object() && node.contains("$ref")) {
    const std::string pointer = node["$ref"].get<std::string>().substr(1);
    EXPECT_TRUE(document.contains(json::json_pointer(pointer))) << pointer;
  }
  if (node.is_structured())
    for (const auto& child : node) check_references(child, document);
}

TEST(OpenApi, DocumentAndRoutesAgree) {
  TestHub hub;
  const Answer answer = hub.call("GET", "/openapi.json");
  ASSERT_EQ(answer.status, 200);
  const json document = answer.json();
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::size_t operations = 0;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      ++operations;
      std::string upper = method;
      for (char& c : upper) c = static_cast<char>(std::toupper(c));
      const routes::Match match = routes::match(upper, path);
      ASSERT_TRUE(match.route) << method << " " << path << " is documented and not served";
      EXPECT_EQ(operation["x-permission"], std::string(accounts::name(match.route->permission)));
      EXPECT_FALSE(operation["summary"].get<std::string>().empty());
      EXPECT_TRUE(operation["responses"].contains("default"));
      EXPECT_EQ(operation.contains("requestBody"), match.route->body != routes::Body::kNone) << path;
      for (std::size_t open = path.find('{'); open != std::string::npos; open = path.find('{', open + 1)) {
        const std::string name = path.substr(open + 1, path.find('}', open) - open - 1);
        EXPECT_TRUE(std::ranges::any_of(operation["parameters"], [&](const json& p) {
          return p["name"] == name && p["in"] == "path";
        })) << path;
      }
      // Without a token, exactly the routes documented as open answer otherwise than 401.
      const bool open_to_all = operation["security"][0].empty();
      EXPECT_EQ(hub.call(upper, path).status == 401, !open_to_all) << method << " " << path;
    }
  }
  EXPECT_EQ(operations, routes::table().size());
  check_references(document, document);
}

TEST(OpenApi, AnswersHaveTheDocumentedFields) {
  TestHub hub;
  const json schemas = hub.call("GET", "/openapi.json").json()["components"]["schemas"];
  const auto check = [&](const std::string& path, const std::string& schema) {
    const json answer = hub.call("GET", path, hub.administrator()).json();
    for (const auto& name : schemas[schema]["required"])
      EXPECT_TRUE(answer.contains(name.get<std::string>())) << path << " " << name;
    for (const auto& item : answer.items())
      EXPECT_TRUE(schemas[schema]["properties"].contains(item.key())) << path << " " << item.key();
  };
  check("/v1/models", "ModelPage");
  check("/v1/models/yolox-nano-coco", "Model");
  check("/v1/builds", "BuildPage");
  check("/v1/keys", "KeyList");
  check("/v1/targets", "TargetList");
  check("/healthz", "Health");
  check("/v1/builds/none", "ErrorReply");
}

TEST(OpenApi, UnknownRoutesAndMethods) {
  TestHub hub;
  EXPECT_EQ(hub.call("GET", "/v2/models").status, 404);
  const Answer wrong = hub.call("DELETE", "/v1/models");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "GET, POST");
  EXPECT_EQ(hub.call("HEAD", "/v1/models").status, 200);
  EXPECT_TRUE(hub.call("HEAD", "/v1/models").body.empty());
}

}  // namespace
}  // namespace xinfer::server
