// Every setting and limit of the hub, by name, in one table; a YAML file overrides the defaults.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace xinfer::server {

struct Settings {
  std::string listen = "127.0.0.1:8080";
  std::string tls_certificate, tls_key;
  std::string public_url;  // as clients see the hub; empty: http://LISTEN
  std::string log_format;  // text, json; empty: as XINFER_LOG_JSON says

  std::string database_url;               // empty: an SQLite file in the data folder
  std::string keys_signing;               // file with the signing key, shared by replicas; empty: in the data folder
  std::string store_url;                  // s3://BUCKET/PREFIX; empty: a folder in the data folder
  std::string store_s3_endpoint;          // as the hub reaches it
  std::string store_s3_public_endpoint;   // as clients do; empty: the same
  std::string store_s3_region = "us-east-1";
  std::string store_s3_credentials;       // file; empty: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
  bool store_redirect = true;             // downloads go from the bucket to the client
  std::int64_t store_link_ms = 15 * 60'000;
  std::int64_t store_part_bytes = 64 << 20;
  std::int64_t store_timeout_ms = 30'000;
  std::int64_t store_attempts = 4;
  std::int64_t store_cache_bytes = std::int64_t{10} << 30;
  std::string queue_url;                  // amqp://…; empty: the database alone
  std::int64_t queue_poll_ms = 5'000;     // also without notices
  std::int64_t queue_repeat_ms = 60'000;  // a job that still waits is announced again

  std::int64_t gc_interval_ms = 6 * 3600'000;
  std::int64_t gc_grace_ms = 3600'000;
  std::int64_t gc_kernels_ms = std::int64_t{30} * 24 * 3600'000;
  std::int64_t gc_events_ms = std::int64_t{30} * 24 * 3600'000;  // 0: kept

  std::int64_t agents_local = 1;  // agents started as children
  std::string agents_program;     // empty: ignition-agent beside this program
  bool agents_sandbox = true;
  std::int64_t agents_build_memory_bytes = std::int64_t{8} << 30;
  std::int64_t agents_build_time_ms = 30 * 60'000;

  std::vector<std::string> sources_mirrors;  // folders or URLs; "{sha256}" in a URL is replaced, else it is appended
  std::vector<std::string> sources_node_modules;  // folders
  bool sources_npm = true;                        // fetch npm packages with the npm client
  bool sources_https = true;
  std::int64_t sources_timeout_ms = 10 * 60'000;

  std::vector<std::string> catalogue_folders;  // further YAML manifests; same ids replace the embedded ones
  bool metrics_public = false;                 // GET /metrics without a token

  std::int64_t http_network_threads = 2;
  std::int64_t http_worker_threads = 4;
  std::int64_t http_connections = 12'000;
  std::int64_t http_header_bytes = 16 << 10;
  std::int64_t http_json_bytes = 1 << 20;
  std::int64_t http_header_timeout_ms = 10'000;
  std::int64_t http_body_timeout_ms = 30'000;
  std::int64_t http_write_timeout_ms = 30'000;
  std::int64_t http_idle_timeout_ms = 60'000;
  std::int64_t http_stream_buffer_bytes = 1 << 20;
  std::int64_t http_ping_ms = 15'000;
  std::int64_t http_stop_grace_ms = 3'000;
  std::int64_t http_token_requests_per_s = 5'000;
  std::int64_t http_address_requests_per_s = 5'000;  // without a token, or with one that does not serve

  std::int64_t uploads_part_bytes = 16 << 20;
  std::int64_t uploads_file_bytes = std::int64_t{8} << 30;
  std::int64_t uploads_open = 256;  // per organisation
  std::int64_t uploads_ttl_ms = 24 * 3600'000;

  std::int64_t pages_size = 100;       // largest page
  std::int64_t builds_queued = 1'000;  // per organisation
  std::int64_t preflights_queued = 100;  // per organisation
  std::int64_t builds_matrix = 64;     // targets of one request
  std::int64_t builds_inputs = 64;     // inputs with shapes in a request

  std::vector<std::string> farm_verify_targets;
  std::int64_t farm_lease_ms = 20'000;
  std::int64_t farm_attempts = 3;
  std::int64_t farm_long_poll_ms = 25'000;
  std::int64_t farm_usage_half_life_ms = 2 * 60'000;
  std::int64_t farm_reap_ms = 1'000;
  std::int64_t farm_log_lines = 5'000;       // kept of one job
  std::int64_t farm_log_line_bytes = 4'096;  // the rest is cut
  std::int64_t farm_heartbeat_lines = 500;   // in one heartbeat
};

/// One row: what a setting is called, what it may be.
struct SettingInfo {
  std::string_view name;  // "uploads.part_bytes"
  std::string_view kind;  // text, switch, number, list
  std::int64_t minimum = 0, maximum = 0;
  std::string_view summary;
  std::vector<std::string_view> choices = {};  // of a text, where it cannot be any
};
const std::vector<SettingInfo>& setting_infos();

/// Defaults overridden by the YAML file (nested or dotted keys). kInvalidArgument names the key, and for an unknown one
/// the nearest that exists.
[[nodiscard]] base::Result<Settings> load_settings(const std::filesystem::path& file);
[[nodiscard]] base::Result<Settings> parse_settings(const std::string& yaml);

/// The variable that overrides a setting: "database.url" -> "IGNITION_HUB_DATABASE_URL". So secrets stay out of files.
std::string variable_of(std::string_view setting);
/// Sets the environment of logging for this process and its children as `log.format` says. Before the first line is logged
/// and before threads are.
void apply_log_format(const Settings& settings);
/// Overrides from the environment; lists cannot be set there. kInvalidArgument names the variable.
[[nodiscard]] base::Result<void> apply_environment(Settings& settings);

}  // namespace xinfer::server
