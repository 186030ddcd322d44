// download_engine against a scripted hub: what is trusted, cached, resumed and refused.
#include "xinfer/hub/downloader.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "api/codec.h"
#include "base/digest.h"
#include "base/files.h"
#include "engine/engine.h"
#include "hub/cache.h"
#include "hub/client.h"
#include "hub/trust.h"
#include "test_server.h"

namespace xinfer::hub {
namespace {

/// A hub with one model and one signed engine, and a user's folders of its own.
class Downloader : public testing::Test {
 protected:
  void SetUp() override {
    setenv("XDG_CONFIG_HOME", (folder_.path() / "config").c_str(), 1);
    setenv("XDG_CACHE_HOME", (folder_.path() / "cache").c_str(), 1);
    unsetenv("XINFER_TOKEN");
    unsetenv("XINFER_OFFLINE");
    engine::Contents contents;
    contents.manifest.architecture = "x86-64-v3";
    contents.manifest.model_name = "toy";
    engine_ = engine::write(contents, keys_.secret_key);
    digest_ = base::sha256(engine_);
    options_.url = server_.url();
  }

  Reply answer(const SeenRequest& request) {
    if (request.path == "/v1/keys") {
      api::KeyList list;
      list.keys.push_back({"ed25519", base::to_hex(std::as_bytes(std::span(keys_.public_key)))});
      return {.body = api::encode(list)};
    }
    api::Engine engine{
        "toy", "x86-64-v3", "fp32", digest_, static_cast<std::int64_t>(engine_.size()), 0, "/v1/engines/" + digest_,
        ""};
    if (request.path == "/v1/models/toy") {
      api::Model model;
      model.id = "toy";
      if (has_engine_) model.engines.push_back(engine);
      return {.body = api::encode(model)};
    }
    if (request.path == "/v1/builds") {
      if (!request.headers.count("authorization"))
        return {.status = 401, .body = R"({"error":{"code":"unauthorized","message":"no token"}})"};
      return {.body = api::encode(build("queued", {}))};
    }
    if (request.path == "/v1/builds/b1/events")
      return {.body = "id: 1\ndata: " + api::encode(api::Event{1, "progress", 0, "", api::Progress{"compile", 1, 4}}) +
                      "\n\nid: 2\ndata: " + api::encode(api::Event{2, "log", 0, "a line", {}}) + "\n\nid: 3\ndata: " +
                      api::encode(api::Event{3, "state", 0, build_fails_ ? "failed" : "succeeded", {}}) + "\n\n",
              .headers = {{"Content-Type", "text/event-stream"}}};
    if (request.path == "/v1/builds/b1") {
      if (!build_fails_) return {.body = api::encode(build("succeeded", engine))};
      api::Build failed = build("failed", {});
      failed.error = api::BuildError{"invalid_model", "unsupported", "operator Foo", "node 3"};
      return {.body = api::encode(failed)};
    }
    if (request.path == "/v1/engines/" + digest_) {
      std::size_t from = request.headers.count("range") ? std::stoul(request.headers.at("range").substr(6)) : 0;
      std::string bytes = engine_;
      if (damage_) bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] + 1);
      return {.status = from ? 206 : 200, .body = bytes.substr(from), .cut = bytes.size() / 2};
    }
    return {.status = 404, .body = R"({"error":{"code":"not_found","message":"no such thing"}})"};
  }

  static api::Build build(std::string state, std::optional<api::Engine> engine) {
    api::Build build;
    build.id = "b1";
    build.state = std::move(state);
    build.target = "x86-64-v3";
    build.precision = "fp32";
    build.job = "j1";
    build.engine = std::move(engine);
    return build;
  }

  std::string download() {
    try {
      return download_engine("toy", HardwareTarget::parse("x86-64-v3"), options_);
    } catch (const Error& error) {
      return error.code() + ": " + error.what();
    }
  }

  base::TemporaryFolder folder_;
  base::KeyPair keys_ = base::make_key_pair();
  std::string engine_, digest_;
  bool has_engine_ = true, damage_ = false, build_fails_ = false;
  DownloadOptions options_;
  TestServer server_{[this](const SeenRequest& request) { return answer(request); }};
};

TEST_F(Downloader, FetchesOnceThenWorksOffline) {
  const std::string path = download();
  EXPECT_EQ(path, (folder_.path() / "cache/xinfer/engines" / (digest_ + ".engine")).string());
  EXPECT_EQ(*base::read_file(path), engine_);  // though every connection broke half way
  const std::size_t requests = server_.seen().size();
  EXPECT_EQ(download(), path);
  EXPECT_EQ(server_.seen().size(), requests);  // the cache alone
  options_.offline = true;
  EXPECT_EQ(download(), path);
  const std::string none = "not_found: no engine of toy for x86-64-v3 in the cache";
  options_.profiles = {{{"x", {1, 2}}}};
  EXPECT_NE(download().find(none), std::string::npos);
  options_.profiles.clear();
  options_.input_shapes = {{"x", {1, 2}}};
  EXPECT_NE(download().find(none), std::string::npos);
}

TEST_F(Downloader, LoopbackHubIsTrustedAtFirstUseAndPinned) {
  download();
  const auto trust = engine::load_trust();
  ASSERT_TRUE(trust);
  ASSERT_EQ(trust->public_keys.size(), 1u);
  EXPECT_EQ(trust->public_keys[0], keys_.public_key);
  // The same address with another key, as another program on this port would have it.
  keys_ = base::make_key_pair();
  SetUp();
  options_.refresh = true;
  const std::string second = download();
  EXPECT_EQ(second.substr(0, 10), "untrusted:") << second;
  EXPECT_NE(second.find("but with ed25519:"), std::string::npos) << second;
  // The user decides.
  auto client = Client::open(options_);
  ASSERT_TRUE(client);
  const auto key = hub_key(*client);
  ASSERT_TRUE(key);
  EXPECT_FALSE(key->trusted);
  EXPECT_TRUE(key->other);
  ASSERT_TRUE(trust_hub(client->url(), *key, true));
  EXPECT_EQ(download().find("untrusted"), std::string::npos);
  EXPECT_EQ(engine::load_trust()->public_keys, std::vector<std::string>{keys_.public_key});
}

TEST_F(Downloader, NothingIsTrustedWithoutConsent) {
  options_.trust_loopback_hub = false;
  EXPECT_EQ(download().substr(0, 10), "untrusted:");
  EXPECT_TRUE(engine::load_trust()->public_keys.empty());
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "cache/xinfer/engines" / (digest_ + ".engine")));
  options_.trusted_keys = {base::to_hex(std::as_bytes(std::span(keys_.public_key)))};
  EXPECT_EQ(download(), (folder_.path() / "cache/xinfer/engines" / (digest_ + ".engine")).string());
}

TEST_F(Downloader, DamageIsNeverCached) {
  damage_ = true;
  const std::string message = download();
  EXPECT_EQ(message.substr(0, 8), "corrupt:") << message;
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "cache/xinfer/engines" / (digest_ + ".engine")));
  damage_ = false;
  EXPECT_EQ(download().substr(0, 1), "/");
}

TEST_F(Downloader, BuildsWhatTheHubLacks) {
  has_engine_ = false;
  EXPECT_EQ(download().substr(0, 13), "unauthorized:");
  options_.token = "t";
  options_.build = false;
  EXPECT_EQ(download().substr(0, 10), "not_found:");
  options_.build = true;
  std::vector<std::string> stages, lines;
  options_.on_progress = [&](const Progress& progress) {
    if (stages.empty() || stages.back() != progress.stage) stages.push_back(progress.stage);
    if (!progress.log.empty()) lines.push_back(progress.log);
  };
  EXPECT_EQ(download().substr(0, 1), "/");
  EXPECT_EQ(stages, (std::vector<std::string>{"queued", "compile", "download", "verify"}));
  EXPECT_EQ(lines, std::vector<std::string>{"a line"});
}

TEST_F(Downloader, AFailedBuildSaysWhy) {
  has_engine_ = false;
  build_fails_ = true;
  options_.token = "t";
  EXPECT_EQ(download(), "unsupported: build b1 failed (invalid_model): operator Foo (at node 3)");
}

TEST_F(Downloader, ProcessesWaitForEachOther) {
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(download().substr(0, 1) == "/" ? 0 : 1);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  int downloads = 0;
  for (const auto& request : server_.seen()) downloads += request.path.starts_with("/v1/engines/");
  EXPECT_EQ(downloads, 2);  // one process, whose connection broke once
}

TEST_F(Downloader, TokensAreKeptPerHub) {
  ASSERT_TRUE(store_token("https://a.example", "ta"));
  ASSERT_TRUE(store_token("http://127.0.0.1:8080", "tb"));
  EXPECT_EQ(hub_token("https://a.example", ""), "ta");
  EXPECT_EQ(hub_token("https://b.example", ""), "");
  EXPECT_EQ(hub_token("https://a.example", "given"), "given");
  ASSERT_TRUE(store_token("https://a.example", ""));
  EXPECT_EQ(hub_token("https://a.example", ""), "");
  EXPECT_EQ(hub_token("http://127.0.0.1:8080", ""), "tb");
  const auto mode = std::filesystem::status(config_folder() / "token").permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  ASSERT_TRUE(base::write_file(config_folder() / "token", "bare\n"));
  EXPECT_EQ(hub_token("http://localhost:1234", ""), "bare");
  EXPECT_EQ(hub_token("https://a.example", ""), "");  // never sent elsewhere
}

/// A hub that takes uploads, and loses its connection in the middle of them.
class Uploads : public testing::Test {
 protected:
  void SetUp() override {
    setenv("XDG_CACHE_HOME", (folder_.path() / "cache").c_str(), 1);
    file_ = folder_.path() / "model.onnx";
    content_.assign(20 << 20, 'x');
    for (std::size_t i = 0; i < content_.size(); i += 97) content_[i] = static_cast<char>(i % 251);
    ASSERT_TRUE(base::write_file(file_, content_));
  }

  api::Upload upload() const {
    api::Upload upload;
    upload.id = "u1";
    upload.state = "open";
    upload.size_bytes = static_cast<std::int64_t>(content_.size());
    upload.received_bytes = static_cast<std::int64_t>(received_.size());
    upload.part_bytes = 3 << 20;
    upload.sha256 = base::sha256(content_);
    return upload;
  }

  Reply answer(const SeenRequest& request) {
    const Reply broken{.status = 200, .body = "{}", .cut = 1};
    if (request.method == "POST" && request.path == "/v1/uploads") {
      api::Upload now = upload();
      if (completed_) now.state = "complete";
      else ++begun_;
      return {.status = 201, .body = api::encode(now)};
    }
    if (request.method == "GET" && request.path == "/v1/uploads/u1") return {.body = api::encode(upload())};
    if (request.method == "POST" && request.path == "/v1/uploads/u1/complete") {
      completed_ = received_ == content_;
      return {.body = api::encode(api::Blob{base::sha256(content_), static_cast<std::int64_t>(content_.size())})};
    }
    if (request.method == "PUT") {
      if (down_) return {.status = 403, .body = "{}"};
      const std::size_t offset = std::stoul(request.path.substr(request.path.find("offset=") + 7));
      if (offset != received_.size())
        return {.status = 409, .body = R"({"error":{"code":"conflict","message":"wrong offset"}})"};
      EXPECT_EQ(request.headers.at("x-part-sha256"), base::sha256(request.body));
      received_ += request.body;
      // The part arrives, but the client never hears of it.
      if (++parts_ == 2) return broken;
      if (parts_ == stop_after_) down_ = true;
      return {.body = api::encode(upload())};
    }
    return {.status = 404, .body = "{}"};
  }

  base::TemporaryFolder folder_;
  std::filesystem::path file_;
  std::string content_, received_;
  int begun_ = 0, parts_ = 0, stop_after_ = -1;
  bool down_ = false, completed_ = false;
  TestServer server_{[this](const SeenRequest& request) { return answer(request); }};
};

TEST_F(Uploads, GoOnWhereTheyBroke) {
  HubOptions options;
  options.url = server_.url();
  auto client = Client::open(options);
  ASSERT_TRUE(client);
  stop_after_ = 4;
  EXPECT_FALSE(client->upload(file_, {}));  // the hub refuses in the middle
  EXPECT_EQ(received_.size(), std::size_t{12} << 20);
  down_ = false;
  std::vector<double> fractions;
  const auto digest = client->upload(file_, [&](const Progress& progress) { fractions.push_back(progress.fraction); });
  ASSERT_TRUE(digest) << digest.error().text();
  EXPECT_EQ(*digest, base::sha256(content_));
  EXPECT_TRUE(completed_);
  EXPECT_EQ(begun_, 1);  // the second call went on with the first one's upload
  EXPECT_NEAR(fractions.front(), 0.6, 1e-9);
}

TEST_F(Uploads, OfTheSameFileBySeveralProcessesAreOne) {
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      HubOptions options;
      options.url = server_.url();
      auto client = Client::open(options);
      _exit(client && client->upload(file_, {}) ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(begun_, 1);
  EXPECT_EQ(parts_, 7);  // 20 MiB in parts of 3 MiB
}

TEST(ListenerIsOurs, KnowsOwnSockets) {
  TestServer server([](const SeenRequest&) { return Reply{}; });
  EXPECT_TRUE(listener_is_ours(server.url()));
  EXPECT_FALSE(listener_is_ours("http://127.0.0.1:1"));
}

}  // namespace
}  // namespace xinfer::hub
