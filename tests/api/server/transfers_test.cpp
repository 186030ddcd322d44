// Uploads in parts, downloads in ranges, limits, mirrors.
#include <fstream>
#include <thread>

#include "harness.h"

namespace xinfer::server {
namespace {

using accounts::Role;
using nlohmann::json;

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 + i / 977);
  return bytes;
}

TEST(Transfers, UploadInPartsSurvivesARestart) {
  Settings settings;
  settings.uploads_part_bytes = 100'000;
  TestHub hub(settings);
  const std::string token = hub.administrator(), bytes = pattern(250'000);
  const json created =
      hub.call("POST", "/v1/uploads", token, json{{"size_bytes", bytes.size()}, {"sha256", base::sha256(bytes)}}.dump())
          .json();
  const std::string path = "/v1/uploads/" + created["id"].get<std::string>();
  EXPECT_EQ(created["part_bytes"], 100'000);
  EXPECT_EQ(hub.call("PUT", path + "?offset=0", token, bytes.substr(0, 100'000)).json()["received_bytes"], 100'000);
  EXPECT_EQ(hub.call("PUT", path + "?offset=100000", token, bytes.substr(100'000, 100'001)).status, 413);
  EXPECT_EQ(hub.call("PUT", path + "?offset=0", token, bytes.substr(0, 10)).status, 409);
  EXPECT_EQ(hub.call("PUT", path + "?offset=150000", token, bytes.substr(150'000, 10)).status, 409);
  EXPECT_EQ(hub.call("PUT", path, token, "x").status, 400);
  EXPECT_EQ(hub.call("POST", path + "/complete", token).status, 409);
  hub.stop();
  hub.start();
  EXPECT_EQ(hub.call("GET", path, token).json()["received_bytes"], 100'000);
  const std::string part = bytes.substr(100'000, 100'000);
  EXPECT_EQ(hub.call("PUT", path + "?offset=100000", token, part, {"X-Part-SHA256: " + base::sha256("other")}).status,
            422);
  EXPECT_EQ(hub.call("PUT", path + "?offset=100000", token, part, {"X-Part-SHA256: " + base::sha256(part)}).status,
            200);
  EXPECT_EQ(hub.call("PUT", path + "?offset=200000", token, bytes.substr(200'000)).status, 200);
  EXPECT_EQ(hub.call("POST", path + "/complete", token).json()["sha256"], base::sha256(bytes));
  EXPECT_EQ(hub.call("POST", path + "/complete", token).status, 200);  // said twice, harms nothing
  EXPECT_EQ(hub.call("GET", "/v1/blobs/" + base::sha256(bytes), token).body, bytes);
}

TEST(Transfers, AWrongDigestIsRefusedAndForgotten) {
  TestHub hub;
  const std::string token = hub.administrator();
  const std::string path = "/v1/uploads/" + hub.call("POST", "/v1/uploads", token,
                                                     json{{"size_bytes", 3}, {"sha256", base::sha256("abc")}}.dump())
                                                .json()["id"]
                                                .get<std::string>();
  EXPECT_EQ(hub.call("PUT", path + "?offset=0", token, "abd").status, 200);
  const Answer refused = hub.call("POST", path + "/complete", token);
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.json()["error"]["code"], "corrupt");
  EXPECT_EQ(hub.call("GET", path, token).status, 404);
  EXPECT_EQ(hub.call("GET", "/v1/blobs/" + base::sha256("abd"), token).status, 404);
}

TEST(Transfers, UploadsOfOthersAreNotThere) {
  TestHub hub;
  const std::string path = "/v1/uploads/" + hub.call("POST", "/v1/uploads", hub.administrator(),
                                                     json{{"size_bytes", 3}, {"sha256", base::sha256("abc")}}.dump())
                                                .json()["id"]
                                                .get<std::string>();
  const std::string stranger = hub.token(Role::kDeveloper, "acme");
  EXPECT_EQ(hub.call("GET", path, stranger).status, 404);
  EXPECT_EQ(hub.call("PUT", path + "?offset=0", stranger, "abc").status, 404);
  EXPECT_EQ(hub.call("DELETE", path, stranger).status, 404);
  EXPECT_EQ(hub.call("DELETE", path, hub.administrator()).status, 204);
}

TEST(Transfers, RangesAndValidators) {
  TestHub hub;
  const std::string token = hub.administrator(), bytes = pattern(3'000'000),
                    path = "/v1/blobs/" + hub.upload(token, bytes);
  const Answer whole = hub.call("GET", path, token);
  EXPECT_EQ(whole.body, bytes);
  const std::string etag = whole.headers.at("etag");
  EXPECT_EQ(whole.headers.at("accept-ranges"), "bytes");
  EXPECT_EQ(hub.call("GET", path, token, "", {"If-None-Match: " + etag}).status, 304);
  EXPECT_EQ(hub.call("GET", path, token, "", {"If-None-Match: \"a\", W/" + etag}).status, 304);
  EXPECT_EQ(hub.call("GET", path, token, "", {"If-None-Match: \"a\""}).status, 200);
  struct Case {
    const char *range, *content_range;
    std::size_t first, length;
  };
  for (const Case& c : {Case{"bytes=0-0", "bytes 0-0/3000000", 0, 1},
                        {"bytes=1000000-", "bytes 1000000-2999999/3000000", 1'000'000, 2'000'000},
                        {"bytes=-5", "bytes 2999995-2999999/3000000", 2'999'995, 5},
                        {"bytes=10-99999999", "bytes 10-2999999/3000000", 10, 2'999'990}}) {
    const Answer part = hub.call("GET", path, token, "", {std::string("Range: ") + c.range});
    EXPECT_EQ(part.status, 206) << c.range;
    EXPECT_EQ(part.headers.at("content-range"), c.content_range);
    EXPECT_EQ(part.body, bytes.substr(c.first, c.length)) << c.range;
  }
  for (const char* ignored : {"bytes=0-1,5-6", "lines=0-1", "bytes=9-3", "bytes=x-"})
    EXPECT_EQ(hub.call("GET", path, token, "", {std::string("Range: ") + ignored}).status, 200) << ignored;
  EXPECT_EQ(hub.call("GET", path, token, "", {"Range: bytes=3000000-"}).status, 416);
  EXPECT_EQ(hub.call("GET", path, token, "", {"Range: bytes=0-9", "If-Range: \"other\""}).status, 200);
  EXPECT_EQ(hub.call("GET", path, token, "", {"Range: bytes=0-9", "If-Range: " + etag}).status, 206);
  const Answer head = hub.call("HEAD", path, token);
  EXPECT_EQ(head.headers.at("content-length"), "3000000");
}

TEST(Transfers, LimitsAnswerWithTheirNames) {
  Settings settings;
  settings.http_json_bytes = 2'000;
  settings.uploads_file_bytes = 5'000;
  settings.uploads_open = 2;
  settings.http_header_bytes = 2'048;
  TestHub hub(settings);
  const std::string token = hub.administrator();
  EXPECT_EQ(hub.call("POST", "/v1/builds", token, std::string(2'001, ' ')).status, 413);
  EXPECT_EQ(hub.call("GET", "/v1/models", "", "", {"X-Long: " + std::string(4'000, 'x')}).status, 431);
  const auto upload = [&](int size, char c) {
    return hub.call("POST", "/v1/uploads", token, json{{"size_bytes", size}, {"sha256", std::string(64, c)}}.dump());
  };
  EXPECT_NE(upload(5'001, 'a').body.find("uploads.file_bytes"), std::string::npos);
  EXPECT_EQ(upload(5, 'a').status, 201);
  EXPECT_EQ(upload(5, 'b').status, 201);
  EXPECT_NE(upload(5, 'c').body.find("uploads.open"), std::string::npos);
  EXPECT_EQ(hub.call("GET", "/v1/models?limit=100000").status, 400);
  EXPECT_EQ(hub.call("GET", "/v1/models?offset=-1").status, 400);
  EXPECT_EQ(hub.call("GET", "/v1/models/%00").status, 400);
  EXPECT_EQ(hub.call("GET", "/v1/models/..%2f..%2fetc").status, 404);
}

TEST(Transfers, SourcesComeFromAMirrorByDigestOnly) {
  base::TemporaryFolder mirror("mirror"), manifests("manifests");
  const std::string good = "the model's true bytes", forged = "the model's fake bytes";
  ASSERT_EQ(good.size(), forged.size());
  std::filesystem::create_directories(mirror.path() / "deep" / "down");
  const auto manifest = [&](const std::string& id, const std::string& bytes, const std::string& rest = "") {
    std::ofstream(manifests.path() / (id + ".yaml"))
        << "id: " << id << "\nsha256: " << base::sha256(bytes) << "\nsize_bytes: " << bytes.size() << "\n"
        << rest;
  };
  manifest("mirrored", good);
  manifest("missing", "these bytes are nowhere!");
  std::ofstream(mirror.path() / "deep" / "down" / "any-name.onnx") << good;
  std::ofstream(mirror.path() / base::sha256("these bytes are nowhere!"))
      << forged;  // named by a digest that it has not
  Settings settings;
  settings.sources_mirrors = {mirror.path().string()};
  settings.catalogue_folders = {manifests.path().string()};
  TestHub hub(settings);
  const auto outcome = [&](const std::string& model) {
    const std::string id =
        hub.call("POST", "/v1/builds", hub.administrator(), json{{"model", model}, {"target", "x86-64-v3"}}.dump())
            .json()["id"];
    json build;
    for (int i = 0; i < 250; ++i) {
      build = hub.call("GET", "/v1/builds/" + id, hub.administrator()).json();
      if (build["state"] != "queued" || build.value("progress", json::object()).value("stage", "") == "") break;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return build;
  };
  EXPECT_EQ(outcome("mirrored")["state"], "queued");
  const std::string agent = hub.token(Role::kAgent, "agents");
  EXPECT_EQ(hub.call("POST", "/v1/agents/lease", agent, R"({"agent":"a","targets":["x86-64-v3"],"wait_ms":5000})")
                .json()["onnx"],
            base::sha256(good));
  json failed = outcome("missing");
  // Asked before the fetch has begun, the build is queued without a stage: wait on.
  for (int i = 0; i < 500 && failed["state"] == "queued"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    failed = hub.call("GET", "/v1/builds/" + failed["id"].get<std::string>(), hub.administrator()).json();
  }
  EXPECT_EQ(failed["state"], "failed");
  EXPECT_EQ(failed["error"]["kind"], "source");
  EXPECT_NE(failed["error"]["message"].get<std::string>().find("refused"), std::string::npos) << failed;
}

TEST(Transfers, TheHubStopsWhileClientsWait) {
  auto hub = std::make_unique<TestHub>();
  const std::string agent = hub->token(Role::kAgent, "agents");
  Answer waiting;
  std::thread client([&] {
    waiting = hub->call("POST", "/v1/agents/lease", agent, R"({"agent":"a","targets":["x86-64-v3"],"wait_ms":20000})");
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto before = std::chrono::steady_clock::now();
  hub->hub().stop();
  client.join();
  EXPECT_EQ(waiting.status, 204);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
}

}  // namespace
}  // namespace xinfer::server
