#include "server/settings.h"

#include <yaml-cpp/yaml.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <variant>

#include "api/codec.h"
#include "base/files.h"

namespace xinfer::server {
namespace {

using base::Code;
using base::Result;

using Member = std::variant<std::string Settings::*, bool Settings::*, std::int64_t Settings::*,
                            std::vector<std::string> Settings::*>;

struct Row {
  SettingInfo info;
  Member member;
};

constexpr std::int64_t kGiB = std::int64_t{1} << 30;
constexpr std::int64_t kDay = 24 * 3600'000;

const std::vector<Row>& rows() {
  using S = Settings;
  static const std::vector<Row> kRows = {
      {{"listen", "text", 0, 0, "ADDRESS:PORT of the HTTP server"}, &S::listen},
      {{"tls.certificate", "text", 0, 0, "PEM file with the certificate chain: the hub speaks HTTPS"}, &S::tls_certificate},
      {{"tls.key", "text", 0, 0, "PEM file with its private key"}, &S::tls_key},
      {{"public_url", "text", 0, 0, "the hub's address as clients see it"}, &S::public_url},
      {{"log.format", "text", 0, 0, "of log lines: text, or json for one object a line", {"text", "json"}}, &S::log_format},
      {{"database.url", "text", 0, 0, "sqlite:PATH or postgresql://USER@HOST/NAME; SQLite in the data folder by default"},
       &S::database_url},
      {{"keys.signing", "text", 0, 0, "file with the signing key, the same for all replicas"}, &S::keys_signing},
      {{"store.url", "text", 0, 0, "s3://BUCKET/PREFIX; a folder in the data folder by default"}, &S::store_url},
      {{"store.s3_endpoint", "text", 0, 0, "address of the S3 server, as the hub reaches it"}, &S::store_s3_endpoint},
      {{"store.s3_public_endpoint", "text", 0, 0, "the same as clients reach it, where that differs"},
       &S::store_s3_public_endpoint},
      {{"store.s3_region", "text", 0, 0, "region in signatures"}, &S::store_s3_region},
      {{"store.s3_credentials", "text", 0, 0, "file with access key and secret key on a line each"},
       &S::store_s3_credentials},
      {{"store.redirect", "switch", 0, 0, "send clients to the bucket for downloads"}, &S::store_redirect},
      {{"store.link_ms", "number", 1'000, 7 * kDay, "a link to the bucket is valid for"}, &S::store_link_ms},
      {{"store.part_bytes", "number", 5 << 20, 5 * kGiB, "larger objects go to S3 in parts of this size"},
       &S::store_part_bytes},
      {{"store.timeout_ms", "number", 1'000, kDay, "S3 without a byte for this long is asked again"},
       &S::store_timeout_ms},
      {{"store.attempts", "number", 1, 20, "tries of a request to S3"}, &S::store_attempts},
      {{"store.cache_bytes", "number", 0, 1024 * kGiB, "local copies of objects of the bucket"}, &S::store_cache_bytes},
      {{"queue.url", "text", 0, 0, "amqp://USER:PASSWORD@HOST/VHOST announces jobs there"}, &S::queue_url},
      {{"queue.poll_ms", "number", 20, kDay, "between two looks for work that no notice told of"}, &S::queue_poll_ms},
      {{"queue.repeat_ms", "number", 1'000, kDay, "a job that still waits is announced again after"},
       &S::queue_repeat_ms},
      {{"gc.interval_ms", "number", 1'000, 365 * kDay, "between two collections of what nothing refers to"},
       &S::gc_interval_ms},
      {{"gc.grace_ms", "number", 0, 365 * kDay, "objects are kept this long after they were last touched"},
       &S::gc_grace_ms},
      {{"gc.events_ms", "number", 0, 3650 * kDay, "logs of ended jobs are kept for; 0: for ever"}, &S::gc_events_ms},
      {{"gc.kernels_ms", "number", 60'000, 3650 * kDay, "compiled kernels are kept after they were last asked for"},
       &S::gc_kernels_ms},
      {{"agents.local", "number", 0, 64, "agents started as child processes"}, &S::agents_local},
      {{"agents.program", "text", 0, 0, "path of ignition-agent"}, &S::agents_program},
      {{"agents.sandbox", "switch", 0, 0,
        "build in a bubblewrap sandbox; switch off only where all models are trusted"},
       &S::agents_sandbox},
      {{"agents.build_memory_bytes", "number", 1 << 28, 1024 * kGiB, "address space of a build"},
       &S::agents_build_memory_bytes},
      {{"agents.build_time_ms", "number", 1'000, 7 * kDay, "longest build"}, &S::agents_build_time_ms},
      {{"sources.mirrors", "list", 0, 0, "folders and URLs tried first, by digest"}, &S::sources_mirrors},
      {{"sources.node_modules", "list", 0, 0, "folders with installed npm packages"}, &S::sources_node_modules},
      {{"sources.npm", "switch", 0, 0, "fetch npm packages with the npm client"}, &S::sources_npm},
      {{"sources.https", "switch", 0, 0, "fetch from the sources' https addresses"}, &S::sources_https},
      {{"sources.timeout_ms", "number", 1'000, kDay, "longest fetch"}, &S::sources_timeout_ms},
      {{"catalogue.folders", "list", 0, 0, "further model manifests"}, &S::catalogue_folders},
      {{"metrics.public", "switch", 0, 0, "GET /metrics without a token"}, &S::metrics_public},
      {{"http.network_threads", "number", 1, 256, "threads that move bytes"}, &S::http_network_threads},
      {{"http.worker_threads", "number", 1, 256, "threads that handle requests"}, &S::http_worker_threads},
      {{"http.connections", "number", 8, 1'000'000, "open connections"}, &S::http_connections},
      {{"http.header_bytes", "number", 1'024, 1 << 20, "of one request's head"}, &S::http_header_bytes},
      {{"http.json_bytes", "number", 1'024, kGiB, "of a JSON body"}, &S::http_json_bytes},
      {{"http.header_timeout_ms", "number", 100, kDay, "for a request's head"}, &S::http_header_timeout_ms},
      {{"http.body_timeout_ms", "number", 100, kDay, "between two pieces of a body"}, &S::http_body_timeout_ms},
      {{"http.write_timeout_ms", "number", 100, kDay, "for a client that does not read"}, &S::http_write_timeout_ms},
      {{"http.idle_timeout_ms", "number", 100, kDay, "between two requests of a connection"}, &S::http_idle_timeout_ms},
      {{"http.stream_buffer_bytes", "number", 4'096, kGiB, "unread bytes of an event stream before it is cut"},
       &S::http_stream_buffer_bytes},
      {{"http.ping_ms", "number", 100, kDay, "comment line on quiet event streams"}, &S::http_ping_ms},
      {{"http.stop_grace_ms", "number", 0, kDay, "for running requests when the hub stops"}, &S::http_stop_grace_ms},
      {{"http.token_requests_per_s", "number", 0, 1'000'000, "requests a second of one token; 0: any number"},
       &S::http_token_requests_per_s},
      {{"http.address_requests_per_s", "number", 0, 1'000'000,
        "requests a second of one address that bring no valid token; 0: any number"},
       &S::http_address_requests_per_s},
      {{"uploads.part_bytes", "number", 1'024, kGiB, "largest part"}, &S::uploads_part_bytes},
      {{"uploads.file_bytes", "number", 1'024, 1024 * kGiB, "largest file"}, &S::uploads_file_bytes},
      {{"uploads.open", "number", 1, 1'000'000, "unfinished uploads of an organisation"}, &S::uploads_open},
      {{"uploads.ttl_ms", "number", 1'000, 365 * kDay, "an unfinished upload is forgotten after"}, &S::uploads_ttl_ms},
      {{"pages.size", "number", 1, 10'000, "largest page of a list"}, &S::pages_size},
      {{"builds.queued", "number", 1, 10'000'000, "waiting builds of an organisation"}, &S::builds_queued},
      {{"builds.matrix", "number", 1, 10'000, "targets in one request"}, &S::builds_matrix},
      {{"builds.inputs", "number", 1, 10'000, "inputs with shapes in a request"}, &S::builds_inputs},
      {{"preflights.queued", "number", 1, 1'000'000, "waiting preflights of an organisation"}, &S::preflights_queued},
      {{"farm.verify_targets", "list", 0, 0, "targets whose engines wait for a device though no agent offers one now: agents are started for them"},
       &S::farm_verify_targets},
      {{"farm.lease_ms", "number", 500, kDay, "a lease without heartbeat ends after"}, &S::farm_lease_ms},
      {{"farm.attempts", "number", 1, 100, "agents that fail at a job before it is given up; where only one is left, its attempts"},
       &S::farm_attempts},
      {{"farm.long_poll_ms", "number", 0, 600'000, "longest wait of an agent for a job, of a client for a job's end"}, &S::farm_long_poll_ms},
      {{"farm.usage_half_life_ms", "number", 1'000, 365 * kDay, "build time used counts half after"},
       &S::farm_usage_half_life_ms},
      {{"farm.reap_ms", "number", 20, 600'000, "between two looks for expired leases"}, &S::farm_reap_ms},
      {{"farm.log_lines", "number", 0, 10'000'000, "kept of one job"}, &S::farm_log_lines},
      {{"farm.log_line_bytes", "number", 80, 1 << 20, "kept of one line"}, &S::farm_log_line_bytes},
      {{"farm.heartbeat_lines", "number", 1, 1'000'000, "taken from one heartbeat"}, &S::farm_heartbeat_lines},
  };
  return kRows;
}

std::unexpected<base::Error> bad(const std::string& key, std::string message) {
  return std::unexpected(base::Error{Code::kInvalidArgument, std::move(message), key});
}

Result<void> assign(Settings& settings, const Row& row, const std::string& key, const YAML::Node& node) {
  if (const auto* list = std::get_if<std::vector<std::string> Settings::*>(&row.member)) {
    if (!node.IsSequence()) return bad(key, "expected a list");
    for (const auto& item : node) {
      if (!item.IsScalar()) return bad(key, "expected a list of texts");
      (settings.**list).push_back(item.Scalar());
    }
    return {};
  }
  if (!node.IsScalar()) return bad(key, "expected one value");
  const std::string& text = node.Scalar();
  if (const auto* member = std::get_if<std::string Settings::*>(&row.member)) {
    if (const auto& choices = row.info.choices; !choices.empty() && std::ranges::find(choices, text) == choices.end())
      return bad(key, fmt::format("expected {}, got \"{}\"", fmt::join(choices, " or "), text));
    settings.** member = text;
  } else if (const auto* flag = std::get_if<bool Settings::*>(&row.member)) {
    if (text == "true" || text == "on" || text == "yes") settings.** flag = true;
    else if (text == "false" || text == "off" || text == "no") settings.** flag = false;
    else return bad(key, fmt::format("expected on or off, got \"{}\"", text));
  } else {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
      return bad(key, fmt::format("expected a whole number, got \"{}\"", text));
    if (number < row.info.minimum || number > row.info.maximum)
      return bad(key, fmt::format("{} is outside {} to {}", number, row.info.minimum, row.info.maximum));
    settings.*std::get<std::int64_t Settings::*>(row.member) = number;
  }
  return {};
}

Result<void> walk(Settings& settings, const YAML::Node& node, const std::string& prefix, int depth) {
  if (!node.IsMap()) return bad(prefix, "expected a mapping of settings");
  for (const auto& item : node) {
    if (!item.first.IsScalar()) return bad(prefix, "a setting's name must be text");
    const std::string key = prefix.empty() ? item.first.Scalar() : prefix + "." + item.first.Scalar();
    const Row* found = nullptr;
    bool is_prefix = false;
    std::vector<std::string_view> names;
    for (const Row& row : rows()) {
      names.push_back(row.info.name);
      if (row.info.name == key) found = &row;
      if (row.info.name.starts_with(key + ".")) is_prefix = true;
    }
    if (found) {
      XI_CHECK(assign(settings, *found, key, item.second));
    } else if (is_prefix && depth < 4) {
      XI_CHECK(walk(settings, item.second, key, depth + 1));
    } else {
      const std::string near = api::nearest(key, names);
      return bad(key, near.empty() ? "unknown setting" : fmt::format("unknown setting; did you mean {}?", near));
    }
  }
  return {};
}

}  // namespace

const std::vector<SettingInfo>& setting_infos() {
  static const std::vector<SettingInfo> kInfos = [] {
    std::vector<SettingInfo> infos;
    for (const Row& row : rows()) infos.push_back(row.info);
    return infos;
  }();
  return kInfos;
}

std::string variable_of(std::string_view setting) {
  std::string name = "IGNITION_HUB_";
  for (const char c : setting) name += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

void apply_log_format(const Settings& settings) {
  if (settings.log_format == "json") ::setenv("XINFER_LOG_JSON", "1", 1);
  if (settings.log_format == "text") ::unsetenv("XINFER_LOG_JSON");
}

Result<void> apply_environment(Settings& settings) {
  for (const Row& row : rows()) {
    const std::string name = variable_of(row.info.name);
    const char* value = std::getenv(name.c_str());
    if (value) XI_CHECK(assign(settings, row, name, YAML::Node(std::string(value))));
  }
  return {};
}

Result<Settings> parse_settings(const std::string& yaml) {
  Settings settings;
  try {
    const YAML::Node root = YAML::Load(yaml);
    if (root.IsNull()) return settings;
    XI_CHECK(walk(settings, root, "", 0));
  } catch (const YAML::Exception& error) {
    return base::fail(Code::kInvalidArgument, "not YAML: {}", error.what());
  }
  return settings;
}

Result<Settings> load_settings(const std::filesystem::path& file) {
  XI_TRY(const std::string text, base::read_file(file, 1 << 20));
  auto settings = parse_settings(text);
  if (!settings) return std::unexpected(std::move(settings).error().in(file.string()));
  return settings;
}

}  // namespace xinfer::server
