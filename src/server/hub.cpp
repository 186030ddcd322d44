#include "server/hub.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "api/codec.h"
#include "base/digest.h"
#include "base/files.h"
#include "base/log.h"
#include "base/trace.h"
#include "server/catalog/sources.h"
#include "server/db/notices.h"
#include "server/farm/feeds.h"
#include "server/farm/kernels.h"
#include "server/farm/local_agents.h"
#include "server/http/rate_limit.h"
#include "server/http/server.h"
#include "server/queue/announcer.h"
#include "server/routes/route.h"
#include "server/services.h"
#include "target/registry.h"

namespace xinfer::server {

namespace fs = std::filesystem;
using base::Code;
using base::Result;
using std::chrono::milliseconds;

namespace {

constexpr int kAgentGraceMs = 3'000;
constexpr std::int64_t kIgnoredBodyBytes = 4'096;
constexpr std::int64_t kExpiryMs = 60'000, kFetchAgainMs = 60'000, kLookAtAllMs = 30'000;
constexpr std::int64_t kForgetBatch = 500;
constexpr std::string_view kTokensTopic = "tokens";

std::int64_t system_now_ms() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::int64_t steady_now_ms() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// One hub per data folder: two would break each other's leases.
Result<int> lock_folder(const fs::path& folder) {
  const int fd = ::open((folder / "hub.lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) return base::fail(Code::kIo, "cannot write to {}", folder.string());
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return base::fail(Code::kConflict, "another ignition-hub runs on {}", folder.string());
  }
  return fd;
}

// What tells this hub's agents from those of other hubs on the same database; it survives restarts.
Result<std::string> hub_id(const fs::path& folder) {
  const fs::path file = folder / "hub.id";
  if (auto text = base::read_file(file, 100)) return text->substr(0, text->find('\n'));
  const std::string id = base::random_hex(4);
  XI_CHECK(base::write_file(file, id + "\n"));
  return id;
}

fs::path beside_this_program(const std::string& name) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return self.parent_path() / name;
}

http::Options http_options(const Settings& s, const fs::path& scratch) {
  http::Options o;
  o.listen = s.listen;
  o.tls_certificate = s.tls_certificate;
  o.tls_key = s.tls_key;
  o.scratch_folder = scratch;
  o.network_threads = static_cast<int>(s.http_network_threads);
  o.worker_threads = static_cast<int>(s.http_worker_threads);
  o.header_bytes = static_cast<std::uint64_t>(s.http_header_bytes);
  o.stream_buffer_bytes = static_cast<std::uint64_t>(s.http_stream_buffer_bytes);
  o.connections = s.http_connections;
  o.header_timeout_ms = s.http_header_timeout_ms;
  o.body_timeout_ms = s.http_body_timeout_ms;
  o.write_timeout_ms = s.http_write_timeout_ms;
  o.idle_timeout_ms = s.http_idle_timeout_ms;
  o.ping_ms = s.http_ping_ms;
  return o;
}

}  // namespace

class Hub::State final : public http::Service {
 public:
  explicit State(HubOptions options)
      : settings(std::move(options.settings)),
        folder(std::move(options.data_folder)),
        now(std::move(options.now_ms)),
        token_limit(settings.http_token_requests_per_s),
        address_limit(settings.http_address_requests_per_s) {
    if (!now) now = system_now_ms;
  }
  ~State() override {
    stop();
    if (lock_fd >= 0) ::close(lock_fd);
  }

  Result<void> open();
  Result<void> start_agents();
  void stop();

  // ---- http::Service
  http::BodyPlan accept(http::Request& head) override;
  std::optional<http::Response> hold_back(const http::Request& head, const accounts::Principal* principal);
  void handle(std::shared_ptr<http::Exchange> exchange) override;
  void finished(const http::Request& request, int status, double seconds, std::uint64_t sent_bytes) override;

  Result<void> open_stores();
  void take_notice(const std::string& topic);
  void maintain();
  void look_around();
  void collect_garbage();
  void fetch_sources();
  void fetch_one(const farm::Farm::Waiting& waiting);
  void wake_fetcher() {
    {
      const std::lock_guard lock(mutex);
      fetch_wanted = true;
    }
    changed.notify_all();
  }

  Settings settings;
  fs::path folder;
  std::function<std::int64_t()> now;
  http::RateLimit token_limit, address_limit;
  int lock_fd = -1;
  Metrics metrics;
  std::unique_ptr<db::Database> database;
  std::unique_ptr<store::ObjectStore> store;
  std::unique_ptr<store::Blobs> blobs;
  std::unique_ptr<accounts::Accounts> accounts;
  accounts::SigningKey key;
  std::unique_ptr<catalog::Catalogue> catalogue;
  std::unique_ptr<farm::Farm> farm;
  std::unique_ptr<store::Uploads> uploads;
  std::unique_ptr<farm::Feeds> feeds;
  std::unique_ptr<farm::LeaseDesk> leases;
  std::unique_ptr<farm::EndDesk> ends;
  std::unique_ptr<Services> services;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<http::Server> agents_server;  // plain, on the loopback, where `server` speaks TLS
  std::unique_ptr<farm::LocalAgents> agents;
  std::unique_ptr<queue::Announcer> announcer;
  std::shared_ptr<void> announcing;
  std::unique_ptr<db::Notices> notices;  // its thread uses all of the above
  std::string administrator_token;

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false, fetch_wanted = true;
  std::thread maintenance, fetcher, collector;
  std::int64_t reap_from = 0;  // leases that ran out while nobody could renew them get another term
  std::int64_t expired_at = 0, looked_at = 0, looked_at_all = 0, fetched_at = 0;  // of maintain()
};

Result<void> Hub::State::open_stores() {
  XI_TRY(database, db::Database::open(settings.database_url.empty() ? "sqlite:" + (folder / "hub.sqlite").string()
                                                                    : settings.database_url));
  XI_TRY(store, store::open_store(settings, folder));
  blobs = std::make_unique<store::Blobs>(*database, *store, now);
  XI_TRY(accounts, accounts::Accounts::open(*database, now));
  XI_TRY(key, accounts::SigningKey::open(settings.keys_signing.empty() ? folder / "keys" / "engines.ed25519"
                                                                       : fs::path(settings.keys_signing)));
  XI_TRY(catalogue, catalog::Catalogue::open(*database, settings.catalogue_folders, now));
  return {};
}

Result<void> Hub::State::open() {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  std::error_code error;
  fs::create_directories(folder, error);
  ::chmod(folder.c_str(), 0700);
  XI_TRY(lock_fd, lock_folder(folder));
  fs::remove_all(folder / "tmp", error);  // of an earlier run
  fs::create_directories(folder / "tmp", error);
  for (const std::string& name : settings.farm_verify_targets)
    if (auto found = target::find(name); !found) return std::unexpected(std::move(found).error().in("farm.verify_targets"));
  XI_CHECK(open_stores());
  farm = std::make_unique<farm::Farm>(*database, settings, metrics, now);
  uploads = std::make_unique<store::Uploads>(
      *database, *store, *blobs, settings, folder / "tmp",
      [this](const std::string& who, const std::string& sha256, std::int64_t size) {
        return farm->hold_blob(who, sha256, size);
      },
      [this](const std::string& who, const std::string& sha256) { return farm->may_read_blob(who, sha256); }, now);
  const farm::Post post = [this](std::function<void()> work) { server->post(std::move(work)); };
  feeds = std::make_unique<farm::Feeds>(*farm, post);
  ends = std::make_unique<farm::EndDesk>(*farm, post);
  leases = std::make_unique<farm::LeaseDesk>(*farm, post, [this](http::Exchange& exchange, api::Lease lease) {
    if (const auto size = store->size(lease.onnx); size && *size) lease.onnx_bytes = static_cast<std::int64_t>(**size);
    exchange.respond(http::Response::json(200, api::encode(lease)));
  });
  services.reset(new Services{
      settings, folder, now, metrics, *database, *store, *blobs, *accounts, key, *catalogue, *farm, *uploads, *feeds, *leases, *ends,
      [this] { wake_fetcher(); },
      [this] {
        if (!settings.public_url.empty()) return settings.public_url;
        return (settings.tls_certificate.empty() ? "http://" : "https://") + server->address();
      }});
  XI_TRY(auto first_token, accounts->create_first_administrator());
  if (first_token) administrator_token = std::move(*first_token);
  XI_TRY(server, http::Server::start(http_options(settings, folder / "tmp"), *this));
  if (database->kind() == db::Kind::kPostgresql) {
    notices = std::make_unique<db::Notices>(settings.database_url, [this](const std::string& topic) { take_notice(topic); });
    farm->notifier().relay([this](const std::string& topic) { notices->send(topic); });
    accounts->on_change([this] { notices->send(std::string(kTokensTopic)); });
  }
  if (!settings.queue_url.empty()) {
    XI_TRY(announcer, queue::Announcer::start(*database, settings, metrics, now));
    announcing = farm->notifier().listen("queue", [this] { announcer->wake(); });
  }
  XI_CHECK(start_agents());
  reap_from = now() + settings.farm_lease_ms;
  collector = std::thread([this] { collect_garbage(); });
  maintenance = std::thread([this] { maintain(); });
  fetcher = std::thread([this] { fetch_sources(); });
  return {};
}

Result<void> Hub::State::start_agents() {
  if (settings.agents_local == 0) return {};
  XI_TRY(const std::string id, hub_id(folder));
  const std::string name = "local agents of hub " + id, prefix = "local-" + id;
  XI_CHECK(accounts->revoke(name));
  XI_TRY(const std::string token,
         accounts->create_token(accounts::Role::kAgent, accounts::kAgentOrganisation, name, 0));
  const fs::path token_file = folder / "keys" / "local-agents.token";
  XI_CHECK(base::write_file(token_file, token + "\n"));
  ::chmod(token_file.c_str(), 0600);
  // Whatever an agent of an earlier run held is lost: its leases need not run out first.
  for (std::int64_t i = 0; i < settings.agents_local; ++i) XI_CHECK(farm->agent_died(fmt::format("{}-{}", prefix, i)));
  farm::LocalAgentOptions options;
  options.count = static_cast<int>(settings.agents_local);
  options.prefix = prefix;
  options.program =
      settings.agents_program.empty() ? beside_this_program("ignition-agent") : fs::path(settings.agents_program);
  // A certificate is made out to the hub's public name; its own agents need not know that name.
  if (!settings.tls_certificate.empty()) {
    http::Options plain = http_options(settings, folder / "tmp");
    plain.listen = "127.0.0.1:0";
    plain.tls_certificate = plain.tls_key = {};
    XI_TRY(agents_server, http::Server::start(plain, *this));
  }
  options.arguments = {"--hub",          "http://" + (agents_server ? agents_server : server)->address(),
                       "--token-file",   token_file.string(),
                       "--work",         (folder / "agent").string(),
                       "--memory-bytes", std::to_string(settings.agents_build_memory_bytes),
                       "--time-ms",      std::to_string(settings.agents_build_time_ms),
                       "--sandbox",      settings.agents_sandbox ? "on" : "off"};
  options.on_death = [this](const std::string& name) { (void)farm->agent_died(name); };
  XI_TRY(agents, farm::LocalAgents::start(std::move(options)));
  return {};
}

void Hub::State::stop() {
  {
    const std::lock_guard lock(mutex);
    if (stopping) return;
    stopping = true;
  }
  changed.notify_all();
  if (agents) agents->stop(kAgentGraceMs);  // while requests are still answered, so that jobs can be handed back
  if (leases) leases->close_all();
  if (ends) ends->close_all();
  if (feeds) feeds->close_all();
  if (server) server->stop(settings.http_stop_grace_ms);
  if (agents_server) agents_server->stop(settings.http_stop_grace_ms);
  if (maintenance.joinable()) maintenance.join();
  if (fetcher.joinable()) fetcher.join();
  if (collector.joinable()) collector.join();
}

// An answer for who asks too often. Tokens count for themselves, wherever they come from; all others, also those who guess
// tokens, by address. Agents are the operator's own, and thousands may share a token.
std::optional<http::Response> Hub::State::hold_back(const http::Request& head, const accounts::Principal* principal) {
  const bool known = principal && !principal->token_id.empty();
  if (known && principal->role == accounts::Role::kAgent) return std::nullopt;
  const std::int64_t wait_ms = known ? token_limit.take(principal->token_id, steady_now_ms())
                                     : address_limit.take(http::client_network(head.peer), steady_now_ms());
  if (wait_ms == 0) return std::nullopt;
  const std::int64_t wait_s = (wait_ms + 999) / 1000;
  http::Response response = http::Response::error(
      {Code::kLimit,
       fmt::format("too many requests: {} = {}; try again in {} s",
                   known ? "http.token_requests_per_s" : "http.address_requests_per_s",
                   known ? settings.http_token_requests_per_s : settings.http_address_requests_per_s, wait_s),
       head.path.substr(0, 200)});
  response.status = 429;
  response.headers.emplace_back("Retry-After", std::to_string(wait_s));
  return response;
}

http::BodyPlan Hub::State::accept(http::Request& head) {
  http::BodyPlan plan;
  const routes::Match match = routes::match(head.method, head.path);
  if (!match.route) {
    http::Response response = http::Response::error(
        {Code::kNotFound,
         match.allow.empty() ? "no such route; /openapi.json lists them" : "this route takes " + match.allow,
         head.path.substr(0, 200)});
    if (!match.allow.empty()) {
      response.status = 405;
      response.headers.emplace_back("Allow", match.allow);
    }
    plan.refuse = hold_back(head, nullptr).value_or(std::move(response));
    return plan;
  }
  auto permission = match.route->permission;
  if (permission == accounts::Permission::kReadMetrics && settings.metrics_public)
    permission = accounts::Permission::kPublic;
  const auto principal = accounts->admit(head.header("authorization"), permission);
  plan.refuse = match.route->probe ? std::nullopt : hold_back(head, principal ? &*principal : nullptr);
  if (!plan.refuse && !principal) plan.refuse = http::Response::error(principal.error());
  if (plan.refuse) return plan;
  // Routes without a body ignore one of a polite size: some clients send {} with every POST.
  plan.limit_bytes = static_cast<std::uint64_t>(match.route->limit ? settings.*match.route->limit : kIgnoredBodyBytes);
  plan.to_file = match.route->body == routes::Body::kFile;
  return plan;
}

void Hub::State::handle(std::shared_ptr<http::Exchange> exchange) {
  http::Request& request = exchange->request();
  routes::Match match = routes::match(request.method, request.path);
  auto permission = match.route->permission;
  if (permission == accounts::Permission::kReadMetrics && settings.metrics_public)
    permission = accounts::Permission::kPublic;
  auto principal = accounts->admit(request.header("authorization"), permission);
  if (!principal) return exchange->respond(http::Response::error(principal.error()));
  routes::Call call{request, std::move(*principal), std::move(match.path)};
  if (match.route->slow_handler) return match.route->slow_handler(*services, std::move(call), std::move(exchange));
  auto response = match.route->handler(*services, call);
  if (!response) {
    if (response.error().code == Code::kInternal || response.error().code == Code::kIo)
      base::log(base::LogLevel::kError, "request failed",
                {{"request", request.id}, {"path", request.path}, {"error", response.error().text()}});
    return exchange->respond(http::Response::error(response.error()));
  }
  exchange->respond(std::move(*response));
}

void Hub::State::finished(const http::Request& request, int status, double seconds, std::uint64_t sent_bytes) {
  const routes::Match match = routes::match(request.method, request.path);
  // The pattern, not the path: ids would make a series each.
  const std::string route = fmt::format("route=\"{}\",method=\"{}\"", match.route ? match.route->path : "unknown",
                                        match.route ? match.route->method : "other");
  metrics.count("xinfer_http_requests_total", fmt::format("{},status=\"{}\"", route, status));
  metrics.observe_seconds("xinfer_http_request_seconds", route, seconds);
  metrics.count("xinfer_http_sent_bytes_total", "", static_cast<double>(sent_bytes));
  const auto trace = base::parse_trace(request.header("traceparent"));
  base::log(base::LogLevel::kDebug, "request",
            {{"request", request.id},
             {"trace", trace ? trace->id : std::string()},
             {"method", request.method},
             {"path", request.path},
             {"status", std::to_string(status)},
             {"ms", fmt::format("{:.1f}", seconds * 1000)}});
}

// From another hub; empty: anything may have happened.
void Hub::State::take_notice(const std::string& topic) {
  if (topic.empty() || topic == kTokensTopic) (void)accounts->refresh();
  if (topic != kTokensTopic) farm->notifier().deliver(topic);
}

void Hub::State::maintain() {
  for (;;) {
    {
      std::unique_lock lock(mutex);
      changed.wait_for(lock, milliseconds(settings.farm_reap_ms), [&] { return stopping; });
      if (stopping) return;
    }
    // While the database is away, agents cannot renew their leases either.
    if (now() >= reap_from)
      if (auto reaped = farm->reap(); !reaped) reap_from = now() + settings.farm_lease_ms;
    leases->tick();
    ends->tick();
    feeds->sweep();
    look_around();
  }
}

// What other hubs and programs did, where no notice told of it.
void Hub::State::look_around() {
  const std::int64_t time = now();
  if (time - looked_at > settings.queue_poll_ms) {
    looked_at = time;
    (void)accounts->refresh();
    (void)catalogue->refresh();
    farm->notifier().deliver("queue");
  }
  if (notices && time - looked_at_all > kLookAtAllMs) {
    looked_at_all = time;
    farm->notifier().deliver("");
  }
  if (time - fetched_at > kFetchAgainMs) {
    fetched_at = time;
    wake_fetcher();
  }
  if (time - expired_at > kExpiryMs) {
    expired_at = time;
    uploads->expire();
  }
}

void Hub::State::collect_garbage() {
  for (;;) {
    {
      std::unique_lock lock(mutex);
      changed.wait_for(lock, milliseconds(settings.gc_interval_ms), [&] { return stopping; });
      if (stopping) return;
    }
    if (settings.gc_events_ms > 0) {
      const std::int64_t before = now() - settings.gc_events_ms;
      for (Result<std::int64_t> jobs = kForgetBatch; jobs && *jobs == kForgetBatch;)
        jobs = blobs->forget_events(before, kForgetBatch);
    }
    (void)farm::forget_kernels(*database, now() - settings.gc_kernels_ms);
    if (const auto collected = blobs->collect(settings.gc_grace_ms, false, true)) {
      base::log(base::LogLevel::kInfo, "collected objects that nothing refers to",
                {{"objects", std::to_string(collected->objects)}, {"bytes", std::to_string(collected->bytes)}});
      metrics.count("xinfer_collected_objects_total", "", static_cast<double>(collected->objects));
    } else {
      base::log(base::LogLevel::kWarning, "collecting objects failed", {{"error", collected.error().text()}});
    }
  }
}

void Hub::State::fetch_one(const farm::Farm::Waiting& waiting) {
  const auto give_up = [&](const base::Error& error) {
    // The stores come back; the job waits until then.
    if (error.code == Code::kUnavailable && (error.where == "database" || error.where == "store")) return;
    metrics.count("xinfer_source_fetches_total", "outcome=\"failed\"");
    (void)farm->source_failed(
        waiting.onnx, api::BuildError{"source", std::string(base::facts(error.code).name), error.message, error.where});
  };
  if (const auto size = store->size(waiting.onnx); size && *size) return (void)farm->source_ready(waiting.onnx);
  const auto model = catalogue->find("", waiting.model);
  if (!model) return give_up(model.error());
  (void)farm->source_progress(waiting.onnx, {"fetch", 0, model->size_bytes});
  const auto fetched = catalog::fetch_source(*model, settings, folder / "tmp", [&](const std::string& line) {
    base::log(base::LogLevel::kInfo, line, {{"model", model->id}});
  });
  if (!fetched) return give_up(fetched.error());
  if (auto stored = blobs->put_file(fetched->sha256, fetched->file); !stored) return give_up(stored.error());
  if (auto held = farm->hold_blob(std::string(accounts::kPublicOrganisation), fetched->sha256, fetched->size_bytes);
      !held)
    return give_up(held.error());
  metrics.count("xinfer_source_fetches_total", "outcome=\"fetched\"");
  (void)farm->source_progress(waiting.onnx, {"fetch", fetched->size_bytes, fetched->size_bytes});
  (void)farm->source_ready(waiting.onnx);
}

void Hub::State::fetch_sources() {
  for (;;) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return stopping || fetch_wanted; });
      if (stopping) return;
      fetch_wanted = false;
    }
    const auto waiting = farm->waiting_for_sources();
    if (!waiting) continue;
    for (const auto& one : *waiting) {
      {
        const std::lock_guard lock(mutex);
        if (stopping) return;
      }
      fetch_one(one);
    }
  }
}

Hub::Hub(std::unique_ptr<State> state) : state_(std::move(state)) {}
Hub::~Hub() = default;

Result<std::unique_ptr<Hub>> Hub::start(HubOptions options) {
  auto state = std::make_unique<State>(std::move(options));
  XI_CHECK(state->open());
  return std::unique_ptr<Hub>(new Hub(std::move(state)));
}

std::string Hub::address() const { return state_->services->address(); }
const std::string& Hub::new_administrator_token() const { return state_->administrator_token; }
accounts::Accounts& Hub::accounts() { return *state_->accounts; }
void Hub::stop() { state_->stop(); }

}  // namespace xinfer::server
