// Stores: collecting what nothing refers to, backups, objects in a bucket, several hubs on one database.
#include <soci/soci.h>

#include <atomic>
#include <functional>
#include <thread>

#include "harness.h"
#include "queue/channel.h"
#include "server/db/backup.h"
#include "server/db/database.h"
#include "server/store/blobs.h"
#include "server/store/object_store.h"

namespace xinfer::server {
namespace {

using accounts::Role;
using nlohmann::json;

constexpr std::int64_t kHour = 3600'000;

std::string target_body(const std::string& onnx) { return json{{"onnx", onnx}, {"target", "x86-64-v3"}}.dump(); }

json lease_job(TestHub& hub, const std::string& agent) {
  const Answer answer =
      hub.call("POST", "/v1/agents/lease", agent, json{{"agent", "test"}, {"targets", {"x86-64-v3"}}}.dump());
  return answer.status == 200 ? answer.json() : json();
}

Answer complete_job(TestHub& hub, const std::string& agent, const json& lease, const std::string& engine) {
  const json body = {{"token", lease["token"]}, {"engine", hub.upload(agent, engine)}, {"report", json::object()}};
  return hub.call("POST", "/v1/agents/jobs/" + lease["job"].get<std::string>() + "/complete", agent, body.dump());
}

// The database and the store of a hub that has stopped, opened without it, with a clock of the test's.
class Opened {
 public:
  explicit Opened(const TestHub& hub)
      : database(db::Database::open(hub.database_url()).value()),
        objects(store::open_store(hub.settings(), hub.folder() / "data").value()),
        blobs(*database, *objects, [this] { return now; }) {}
  std::int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::system_clock::now().time_since_epoch()).count();
  std::unique_ptr<db::Database> database;
  std::unique_ptr<store::ObjectStore> objects;
  store::Blobs blobs;
  bool has(const std::string& bytes) { return objects->size(base::sha256(bytes)).value().has_value(); }
  std::filesystem::path file(const std::string& bytes) {
    const auto path = folder.path() / base::random_hex(4);
    EXPECT_TRUE(base::write_file(path, bytes));
    return path;
  }
  base::TemporaryFolder folder{"xinfer-stores-test"};
};

TEST(Collector, TakesWhatNothingRefersToAndNothingElse) {
  Settings settings;
  settings.uploads_part_bytes = 1'024;
  TestHub hub(settings);
  const std::string developer = hub.token(Role::kDeveloper), agent = hub.token(Role::kAgent, "agents");
  const std::string model(3'000, 'm'), open(3'000, 'o');
  // An upload in parts leaves its parts behind; one that is still open needs them.
  const auto upload = [&](const std::string& bytes, std::size_t until) {
    const std::string path =
        "/v1/uploads/" + hub.call("POST", "/v1/uploads", developer,
                                  json{{"size_bytes", bytes.size()}, {"sha256", base::sha256(bytes)}}.dump())
                             .json()["id"]
                             .get<std::string>();
    for (std::size_t at = 0; at < until; at += 1'000)
      EXPECT_EQ(hub.call("PUT", path + "?offset=" + std::to_string(at), developer, bytes.substr(at, 1'000)).status, 200);
    return path;
  };
  EXPECT_EQ(hub.call("POST", upload(model, 3'000) + "/complete", developer).status, 200);
  const std::string unfinished = upload(open, 2'000);
  ASSERT_EQ(hub.call("POST", "/v1/builds", developer, target_body(base::sha256(model))).status, 202);
  hub.upload(agent, "an engine that no job took");
  const json lease = lease_job(hub, agent);
  ASSERT_FALSE(lease.is_null());
  ASSERT_EQ(complete_job(hub, agent, lease, "the engine").status, 204);
  hub.stop();
  {
    Opened opened(hub);
    ASSERT_TRUE(opened.objects->put_file(base::sha256("no row knows me"), opened.file("no row knows me")));
    EXPECT_EQ(opened.blobs.collect(kHour, false, true)->objects, 0);  // all was touched a moment ago
    opened.now += 2 * kHour;
    EXPECT_EQ(opened.blobs.collect(kHour, true, true)->objects, 3);
    EXPECT_TRUE(opened.has("no row knows me"));
    EXPECT_EQ(opened.blobs.collect(kHour, false, true)->objects, 3);
    EXPECT_FALSE(opened.has("an engine that no job took"));
    EXPECT_FALSE(opened.has("no row knows me"));
    EXPECT_FALSE(opened.has(std::string(1'000, 'm')));  // the finished upload's part
    EXPECT_TRUE(opened.has(std::string(1'000, 'o')));   // the open upload's
    EXPECT_TRUE(opened.has(model));
    EXPECT_TRUE(opened.has("the engine"));
    EXPECT_EQ(opened.blobs.collect(kHour, false, true)->objects, 0);
  }
  hub.start();
  EXPECT_EQ(hub.call("PUT", unfinished + "?offset=2000", developer, open.substr(2'000)).status, 200);
  EXPECT_EQ(hub.call("POST", unfinished + "/complete", developer).status, 200);
  EXPECT_EQ(hub.call("GET", "/v1/blobs/" + base::sha256(open), developer).body, open);
}

TEST(Collector, NeverTakesWhatIsPutMeanwhile) {
  TestHub hub;
  hub.stop();
  Opened opened(hub);
  // The same contents are put, held, let go and collected at once, without any grace but a touch's.
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> now{opened.now};
  std::thread collector([&] {
    store::Blobs blobs(*opened.database, *opened.objects, [&] { return now.load(); });
    while (!stop) (void)blobs.collect(5, false, false);
  });
  int held = 0;
  for (int round = 0; round < 60; ++round) {
    const std::string bytes = "contents " + std::to_string(round % 3), digest = base::sha256(bytes);
    store::Blobs blobs(*opened.database, *opened.objects, [&] { return now.load(); });
    const auto put = blobs.put_file(digest, opened.file(bytes));
    if (!put) {
      EXPECT_EQ(put.error().code, base::Code::kUnavailable) << put.error().text();
      continue;
    }
    now += 3;  // less than the grace period: whoever put it may refer to it now
    ASSERT_TRUE(opened.database->write([&](soci::session& sql) -> base::Result<void> {
      sql << "INSERT INTO blob_holders (digest, organisation, created_ms) VALUES ('" + digest + "', 'acme', 0)";
      return {};
    }));
    now += 100;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    ASSERT_TRUE(opened.has(bytes)) << "round " << round;
    ++held;
    ASSERT_TRUE(opened.database->write([&](soci::session& sql) -> base::Result<void> {
      sql << "DELETE FROM blob_holders WHERE digest = '" + digest + "'";
      return {};
    }));
    now += 100;
  }
  stop = true;
  collector.join();
  EXPECT_GT(held, 20);
}

TEST(Backup, AHubWithWorkInFlightGoesOnFromItsBackup) {
  TestHub hub;
  const std::string developer = hub.token(Role::kDeveloper), agent = hub.token(Role::kAgent, "agents");
  const std::string first = hub.upload(developer, "first model"), second = hub.upload(developer, "second \"model\" \n é");
  std::string build = hub.call("POST", "/v1/builds", developer, target_body(first)).json()["id"].get<std::string>();
  std::string waiting = hub.call("POST", "/v1/builds", developer, target_body(second)).json()["id"].get<std::string>();
  const json lease = lease_job(hub, agent);
  ASSERT_FALSE(lease.is_null());
  if (lease["onnx"] != first) std::swap(build, waiting);  // asked for in the same millisecond, either may be first
  const auto file = hub.folder() / "backup";
  // The hub runs while it is backed up, and others write.
  std::thread writer([&] {
    for (int i = 0; i < 20; ++i) hub.upload(developer, "more " + std::to_string(i));
  });
  const auto database = db::Database::connect(hub.database_url());
  ASSERT_TRUE(database);
  const auto totals = db::backup(**database, file);
  writer.join();
  ASSERT_TRUE(totals) << totals.error().text();
  EXPECT_GT(totals->rows, 10);
  EXPECT_EQ(std::filesystem::status(file).permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);

  // Into SQLite from whatever this test's database is, and back into that kind.
  base::TemporaryFolder folder{"xinfer-restore-test"};
  const auto sqlite = db::Database::connect("sqlite:" + (folder.path() / "copy.sqlite").string()).value();
  ASSERT_TRUE(db::restore(*sqlite, file));
  EXPECT_EQ(db::restore(*sqlite, file).error().code, base::Code::kConflict);
  const auto again = folder.path() / "again";
  ASSERT_TRUE(db::backup(*sqlite, again));
  EXPECT_EQ(base::read_file(file).value(), base::read_file(again).value());

  hub.stop();
  Settings settings = hub.settings();
  if (!settings.database_url.empty()) settings.database_url = new_postgresql_database();
  settings.farm_lease_ms = 5'000;
  TestHub* restored = nullptr;
  std::unique_ptr<TestHub> owner;
  if (settings.database_url.empty()) {
    std::filesystem::remove(hub.folder() / "data" / "hub.sqlite");
    std::filesystem::remove(hub.folder() / "data" / "hub.sqlite-wal");
    std::filesystem::remove(hub.folder() / "data" / "hub.sqlite-shm");
    ASSERT_TRUE(db::restore(*db::Database::connect(hub.database_url()).value(), file));
    hub.start();
    restored = &hub;
  } else {
    ASSERT_TRUE(db::restore(*db::Database::connect(settings.database_url).value(), file));
    std::filesystem::create_directories(hub.folder() / "second");
    if (settings.store_url.empty()) GTEST_SKIP() << "objects lie in the first hub's folder";
    owner = std::make_unique<TestHub>(settings);
    restored = owner.get();
  }
  // Tokens, the lease and what waits are as they were.
  EXPECT_EQ(restored->call("GET", "/v1/builds/" + build, developer).json()["state"], "leased");
  EXPECT_EQ(complete_job(*restored, agent, lease, "engine of the first").status, 204);
  EXPECT_EQ(restored->call("GET", "/v1/builds/" + build, developer).json()["state"], "succeeded");
  const json next = lease_job(*restored, agent);
  ASSERT_FALSE(next.is_null());
  EXPECT_EQ(complete_job(*restored, agent, next, "engine of the second").status, 204);
  EXPECT_EQ(restored->call("GET", "/v1/builds/" + waiting, developer).json()["state"], "succeeded");
}

TEST(Backup, ADamagedFileChangesNothing) {
  TestHub hub;
  const auto database = db::Database::connect(hub.database_url()).value();
  const auto file = hub.folder() / "backup";
  ASSERT_TRUE(db::backup(*database, file));
  const std::string whole = base::read_file(file).value();
  base::TemporaryFolder folder{"xinfer-restore-test"};
  for (const std::string& damaged : {whole.substr(0, whole.size() / 2), whole.substr(0, whole.rfind("{\"end\"")),
                                     std::string("nothing"), std::string(whole).replace(whole.find("default"), 7, "DEFAULT")}) {
    ASSERT_TRUE(base::write_file(file, damaged));
    const auto target = db::Database::connect("sqlite:" + (folder.path() / "x.sqlite").string()).value();
    EXPECT_EQ(db::restore(*target, file).error().code, base::Code::kCorrupt);
    EXPECT_TRUE(target->versions()->empty());
  }
}

TEST(Migrations, HubsThatStartAtOnceMigrateOnce) {
  base::TemporaryFolder folder{"xinfer-migrate-test"};
  const std::string url = test_server("XI_TEST_POSTGRESQL").empty()
                              ? "sqlite:" + (folder.path() / "hub.sqlite").string()
                              : new_postgresql_database();
  std::vector<std::thread> threads;
  std::atomic<std::int64_t> applied{0}, failed{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      const auto database = db::Database::connect(url);
      const auto count = database ? (*database)->migrate() : std::unexpected(database.error());
      if (count) applied += *count;
      else ++failed;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(applied, static_cast<std::int64_t>(db::Database::known_versions().size()));
}

class Bucket : public testing::Test {
 protected:
  void SetUp() override {
    if (test_server("XI_TEST_S3").empty()) GTEST_SKIP() << "XI_TEST_S3 names no server";
    use_real_servers(settings);
    settings.store_redirect = true;
    settings.store_part_bytes = 5 << 20;
  }
  Settings settings;
  base::TemporaryFolder folder{"xinfer-bucket-test"};
};

TEST_F(Bucket, LargeObjectsGoInParts) {
  const auto store = store::open_store(settings, folder.path()).value();
  std::string bytes(12'000'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 1'000);
  const std::string digest = base::sha256(bytes);
  ASSERT_TRUE(base::write_file(folder.path() / "large", bytes));
  const auto put = store->put_file(digest, folder.path() / "large");
  ASSERT_TRUE(put) << put.error().text();
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "large"));
  EXPECT_EQ(store->size(digest).value(), bytes.size());
  std::string back;
  ASSERT_TRUE(store->read(digest, [&](std::string_view piece) -> base::Result<void> {
    back += piece;
    return {};
  }));
  EXPECT_EQ(back, bytes);
  EXPECT_EQ(base::read_file(store->local_file(digest).value()).value(), bytes);
  int listed = 0;
  ASSERT_TRUE(store->list([&](const std::string& name, std::uint64_t size, std::int64_t modified) {
    EXPECT_EQ(name, digest);
    EXPECT_EQ(size, bytes.size());
    EXPECT_GT(modified, 1'700'000'000'000);
    ++listed;
  }));
  EXPECT_EQ(listed, 1);
  ASSERT_TRUE(store->remove(digest));
  EXPECT_FALSE(store->size(digest).value());
  EXPECT_EQ(store->local_file(digest).error().code, base::Code::kNotFound);
  EXPECT_TRUE(store->remove(digest));
}

TEST_F(Bucket, AWrongSecretIsRefused) {
  const auto keys = folder.path() / "keys";
  ASSERT_TRUE(base::write_file(keys, test_server("AWS_ACCESS_KEY_ID") + "\nnot the secret\n"));
  std::filesystem::permissions(keys, std::filesystem::perms::owner_read);
  settings.store_s3_credentials = keys.string();
  const auto store = store::open_store(settings, folder.path());
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("403"), std::string::npos) << store.error().text();
  std::filesystem::permissions(keys, std::filesystem::perms::owner_read | std::filesystem::perms::others_read);
  EXPECT_EQ(store::open_store(settings, folder.path()).error().code, base::Code::kUntrusted);
}

TEST_F(Bucket, DownloadsGoFromTheBucketToTheClient) {
  TestHub hub(settings);
  const std::string developer = hub.token(Role::kDeveloper), bytes = "bytes in a bucket",
                    digest = hub.upload(developer, bytes);
  const Answer answer = hub.call("GET", "/v1/blobs/" + digest, developer);
  ASSERT_EQ(answer.status, 302);
  const std::string location = answer.headers.at("location");
  ASSERT_TRUE(location.starts_with(settings.store_s3_endpoint)) << location;
  EXPECT_EQ(location.find(test_server("AWS_SECRET_ACCESS_KEY")), std::string::npos);
  const auto fetch = [](const std::string& url, const std::string& range) {
    std::string got;
    CURL* curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    if (!range.empty()) curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &got);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t, std::size_t size, void* user) {
      static_cast<std::string*>(user)->append(data, size);
      return size;
    });
    curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    return got;
  };
  EXPECT_EQ(fetch(location, ""), bytes);
  EXPECT_EQ(fetch(location, "6-7"), "in");
  // The permission is for this object, and signed.
  EXPECT_NE(fetch(std::string(location).replace(location.find(digest), 1, digest[0] == '0' ? "1" : "0"), ""), bytes);
  EXPECT_NE(fetch(location.substr(0, location.size() - 4) + "0000", ""), bytes);
  EXPECT_EQ(hub.call("GET", "/v1/blobs/" + digest, hub.token(Role::kDeveloper, "acme")).status, 404);
}

// Two hubs, one database, one bucket.
class Replicas : public testing::Test {
 protected:
  void SetUp() override {
    if (test_server("XI_TEST_POSTGRESQL").empty() || test_server("XI_TEST_S3").empty())
      GTEST_SKIP() << "XI_TEST_POSTGRESQL and XI_TEST_S3 name no servers";
    Settings settings;
    settings.uploads_part_bytes = 1'000;
    settings.queue_poll_ms = 60'000;  // so that only notices can tell in time
    use_real_servers(settings);
    settings.keys_signing = (folder.path() / "engines.ed25519").string();
    one = std::make_unique<TestHub>(settings);
    two = std::make_unique<TestHub>(settings);
  }
  // Notices take a moment.
  static Answer soon(const std::function<Answer()>& call, int status) {
    Answer answer;
    for (int i = 0; i < 100 && (answer = call()).status != status; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return answer;
  }
  base::TemporaryFolder folder{"xinfer-replicas-test"};
  std::unique_ptr<TestHub> one, two;
};

TEST_F(Replicas, TokensUploadsAndKeysAreShared) {
  const std::string token = one->token(Role::kDeveloper);
  EXPECT_EQ(soon([&] { return two->call("GET", "/v1/builds", token); }, 200).status, 200);
  EXPECT_EQ(one->call("GET", "/v1/keys").body, two->call("GET", "/v1/keys").body);
  const std::string bytes(2'500, 'x');
  const std::string path =
      "/v1/uploads/" + one->call("POST", "/v1/uploads", token,
                                 json{{"size_bytes", bytes.size()}, {"sha256", base::sha256(bytes)}}.dump())
                           .json()["id"]
                           .get<std::string>();
  EXPECT_EQ(one->call("PUT", path + "?offset=0", token, bytes.substr(0, 1'000)).status, 200);
  EXPECT_EQ(two->call("PUT", path + "?offset=1000", token, bytes.substr(0, 1'000)).status, 200);
  EXPECT_EQ(one->call("PUT", path + "?offset=1000", token, bytes.substr(0, 1'000)).status, 409);
  EXPECT_EQ(one->call("PUT", path + "?offset=2000", token, bytes.substr(0, 500)).status, 200);
  EXPECT_EQ(two->call("POST", path + "/complete", token).status, 200);
  EXPECT_EQ(one->call("GET", "/v1/blobs/" + base::sha256(bytes), token).body, bytes);
}

TEST_F(Replicas, AStreamOnOneFollowsWorkReportedToTheOther) {
  const std::string token = one->token(Role::kDeveloper), agent = two->token(Role::kAgent, "agents");
  const std::string onnx = one->upload(token, "a model");
  const std::string id = one->call("POST", "/v1/builds", token, target_body(onnx)).json()["id"];
  std::string events;
  std::thread reader([&] { events = one->call("GET", "/v1/builds/" + id + "/events", token).body; });
  soon([&] { return two->call("GET", "/v1/targets", agent); }, 200);
  const json lease = lease_job(*two, agent);
  ASSERT_FALSE(lease.is_null());
  two->call("POST", "/v1/agents/jobs/" + lease["job"].get<std::string>() + "/heartbeat", agent,
            json{{"token", lease["token"]}, {"log", {"a line told to the other hub"}}}.dump());
  EXPECT_EQ(complete_job(*two, agent, lease, "an engine").status, 204);
  reader.join();  // the stream ends with the build; the harness would cut it after 20 s
  EXPECT_NE(events.find("a line told to the other hub"), std::string::npos) << events;
  EXPECT_NE(events.find("succeeded"), std::string::npos) << events;
}

TEST_F(Replicas, AnAgentThatWaitsAtOneGetsWorkAskedForAtTheOther) {
  const std::string token = one->token(Role::kDeveloper), agent = two->token(Role::kAgent, "agents");
  const std::string onnx = one->upload(token, "a model");
  Answer leased;
  std::thread waiting([&] {
    leased = two->call("POST", "/v1/agents/lease", agent,
                       json{{"agent", "a"}, {"targets", {"x86-64-v3"}}, {"wait_ms", 15'000}}.dump());
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(one->call("POST", "/v1/builds", token, target_body(onnx)).status, 202);
  waiting.join();
  EXPECT_EQ(leased.status, 200) << leased.body;
  // No other agent gets the same job from the first hub.
  EXPECT_TRUE(lease_job(*one, agent).is_null());
}

TEST(Announcements, AWaitingJobIsAnnouncedAndAgainWhenItWaitsAgain) {
  if (test_server("XI_TEST_RABBITMQ").empty()) GTEST_SKIP() << "XI_TEST_RABBITMQ names no server";
  Settings settings;
  settings.queue_url = test_server("XI_TEST_RABBITMQ");
  settings.queue_poll_ms = 100;
  TestHub hub(settings);
  const auto channel = xinfer::queue::Channel::connect(settings.queue_url, 10'000).value();
  const std::string queue = xinfer::queue::queue_of("x86-64-v3");
  ASSERT_TRUE(channel->declare(queue));
  ASSERT_TRUE(channel->consume({queue}));
  const auto announced = [&](const std::string& job, int timeout_ms) {
    for (;;) {
      const auto next = channel->next(timeout_ms).value();
      if (!next) return false;
      EXPECT_TRUE(channel->acknowledge(*next));
      if (next->message.body == job) return true;
    }
  };
  const std::string developer = hub.token(Role::kDeveloper), agent = hub.token(Role::kAgent, "agents");
  const std::string job =
      hub.call("POST", "/v1/builds", developer, target_body(hub.upload(developer, "a model"))).json()["job"];
  EXPECT_TRUE(announced(job, 10'000));
  EXPECT_FALSE(announced(job, 500));  // once is enough
  const json lease = lease_job(hub, agent);
  ASSERT_FALSE(lease.is_null());
  EXPECT_FALSE(announced(job, 500));
  const json failure = {{"token", lease["token"]},
                        {"error", {{"kind", "internal"}, {"code", "io"}, {"message", "m"}}},
                        {"retry", true}};
  EXPECT_EQ(hub.call("POST", "/v1/agents/jobs/" + job + "/fail", agent, failure.dump()).status, 204);
  EXPECT_TRUE(announced(job, 10'000));
}

TEST(Announcements, EveryKindIsAnnouncedForTheAgentsThatItNeeds) {
  if (test_server("XI_TEST_RABBITMQ").empty()) GTEST_SKIP() << "XI_TEST_RABBITMQ names no server";
  Settings settings;
  settings.queue_url = test_server("XI_TEST_RABBITMQ");
  settings.queue_poll_ms = 100;
  settings.farm_verify_targets = {"sm_90a"};
  TestHub hub(settings);
  const auto channel = xinfer::queue::Channel::connect(settings.queue_url, 10'000).value();
  const std::string building = xinfer::queue::queue_of("sm_90a"), device = xinfer::queue::queue_of("sm_90a.device");
  for (const std::string& queue : {building, device}) ASSERT_TRUE(channel->declare(queue));
  ASSERT_TRUE(channel->consume({building, device}));
  const auto queue_of_job = [&](const std::string& job) {
    for (;;) {
      const auto next = channel->next(10'000).value();
      if (!next) return std::string("none");
      EXPECT_TRUE(channel->acknowledge(*next));
      if (next->message.body == job) return next->message.queue;
    }
  };
  const std::string developer = hub.token(Role::kDeveloper), agent = hub.token(Role::kAgent, "agents"), onnx = hub.upload(developer, "a model");
  const auto post = [&](const char* path, const json& more) {
    json body{{"onnx", onnx}};
    body.update(more);
    return hub.call("POST", path, developer, body.dump()).json()["job"].get<std::string>();
  };
  EXPECT_EQ(queue_of_job(post("/v1/preflights", {{"targets", {"sm_90a", "x86-64-v3"}}})), building);
  EXPECT_EQ(queue_of_job(post("/v1/tunes", {{"target", "sm_90a:fp16"}})), device);
  EXPECT_EQ(queue_of_job(post("/v1/builds", {{"target", "sm_90a:fp16"}})), building);
  const json lease = hub.call("POST", "/v1/agents/lease", agent, json{{"agent", "a"}, {"targets", {"sm_90a"}}}.dump()).json();
  const json done{{"token", lease["token"]}, {"engine", hub.upload(agent, "engine")}, {"report", {{"verification", {{"ran", false}, {"reason", "not verified on device"}}}}}};
  EXPECT_EQ(hub.call("POST", "/v1/agents/jobs/" + lease["job"].get<std::string>() + "/complete", agent, done.dump()).status, 204);
  const auto next = channel->next(10'000).value();
  ASSERT_TRUE(next) << "the verification is announced";
  EXPECT_EQ(next->message.queue, device);
}

TEST(Announcements, WithoutABrokerWorkGoesOn) {
  Settings settings;
  settings.queue_url = "amqp://guest:guest@127.0.0.1:1/";  // nobody listens there
  settings.queue_poll_ms = 100;
  TestHub hub(settings);
  const std::string developer = hub.token(Role::kDeveloper), agent = hub.token(Role::kAgent, "agents");
  EXPECT_EQ(hub.call("POST", "/v1/builds", developer, target_body(hub.upload(developer, "a model"))).status, 202);
  EXPECT_FALSE(lease_job(hub, agent).is_null());
  settings.queue_url = "http://broker.example/";
  EXPECT_THROW(TestHub broken(settings), std::runtime_error);
}

TEST(Announcements, OverTlsTheBrokerMustBeTheOneThatItsCertificateNames) {
  using xinfer::queue::Channel;
  const std::string url = test_server("XI_TEST_RABBITMQ_TLS"), authority = test_server("XI_TEST_RABBITMQ_CERTIFICATE");
  if (url.empty()) GTEST_SKIP() << "XI_TEST_RABBITMQ_TLS names no server";
  const auto untrusted = Channel::connect(url, 10'000);
  ASSERT_FALSE(untrusted);
  EXPECT_EQ(untrusted.error().code, base::Code::kUnavailable) << untrusted.error().text();
  ::setenv("XINFER_CA_FILE", authority.c_str(), 1);
  const auto channel = Channel::connect(url, 10'000);
  std::string elsewhere = url;
  elsewhere.replace(elsewhere.find("localhost"), 9, "127.0.0.1");
  const auto other_name = Channel::connect(elsewhere, 10'000);
  ::setenv("XINFER_CA_FILE", "/nonexistent", 1);
  const auto no_authorities = Channel::connect(url, 10'000);
  ::unsetenv("XINFER_CA_FILE");
  ASSERT_TRUE(channel) << channel.error().text();
  EXPECT_FALSE(other_name);
  ASSERT_FALSE(no_authorities);
  EXPECT_EQ(no_authorities.error().code, base::Code::kInvalidArgument);
  const std::string queue = "ignition.over-tls-" + base::random_hex(4);
  ASSERT_TRUE((*channel)->declare(queue));
  ASSERT_TRUE((*channel)->publish({{queue, "a job"}}));
  ASSERT_TRUE((*channel)->consume({queue}));
  const auto next = (*channel)->next(10'000);
  ASSERT_TRUE(next && *next);
  EXPECT_EQ((*next)->message.body, "a job");
  EXPECT_TRUE((*channel)->acknowledge(**next));
}

}  // namespace
}  // namespace xinfer::server
