// The hub's REST API as typed calls: what download_engine, the CLI and the demo are made of.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "api/types.h"
#include "base/error.h"
#include "hub/http.h"
#include "xinfer/hub/downloader.h"

namespace xinfer::hub {

/// $XDG_CONFIG_HOME/xinfer, else ~/.config/xinfer.
std::filesystem::path config_folder();

/// The address to use: `url`, else $XINFER_HUB, else http://127.0.0.1:8080; without a slash at the end.
std::string hub_url(const std::string& url);

/// The token for this hub: `token`, else $XINFER_TOKEN, else the stored one; empty when there is none. The file
/// config_folder()/token has lines "URL TOKEN"; a token alone on a line is for hubs on this machine only.
std::string hub_token(const std::string& url, const std::string& token);
/// Stores (or with an empty token removes) the hub's token, in a file that only the user can read.
[[nodiscard]] base::Result<void> store_token(const std::string& url, const std::string& token);

bool is_loopback_url(std::string_view url);

/// One connection to a hub. Not thread-safe.
class Client {
 public:
  [[nodiscard]] static base::Result<Client> open(const HubOptions& options);

  const std::string& url() const { return http_.base_url(); }
  bool has_token() const { return has_token_; }
  Http& http() { return http_; }

  [[nodiscard]] base::Result<api::ModelPage> models(const std::string& search, std::int64_t offset, std::int64_t limit);
  [[nodiscard]] base::Result<api::Model> model(const std::string& id);
  [[nodiscard]] base::Result<api::TargetList> targets();
  [[nodiscard]] base::Result<api::KeyList> keys();

  [[nodiscard]] base::Result<api::Build> submit(const api::BuildRequest& request);
  [[nodiscard]] base::Result<api::Build> build(const std::string& id);
  [[nodiscard]] base::Result<api::BuildPage> builds(const std::string& state, std::int64_t offset, std::int64_t limit);
  [[nodiscard]] base::Result<api::Build> cancel(const std::string& id);
  [[nodiscard]] base::Result<api::Matrix> submit_matrix(const api::MatrixRequest& request);
  [[nodiscard]] base::Result<api::Matrix> matrix(const std::string& id);
  [[nodiscard]] base::Result<api::Matrix> cancel_matrix(const std::string& id);
  [[nodiscard]] base::Result<api::Job> submit_preflight(const api::PreflightRequest& request);
  [[nodiscard]] base::Result<api::Job> submit_tune(const api::TuneRequest& request);
  /// A preflight or a tuning: its id tells which.
  [[nodiscard]] base::Result<api::Job> job(const std::string& id);
  [[nodiscard]] base::Result<api::Job> cancel_job(const std::string& id);
  [[nodiscard]] base::Result<api::Job> follow_job(const std::string& id, const std::function<void(const api::Event&)>& on_event);
  /// Waits like follow_job(). One that failed or was cancelled is an error.
  [[nodiscard]] base::Result<api::Job> wait(const api::Job& job, const std::function<void(const Progress&)>& show);
  /// Reports each event until the build has ended; the build as it is then.
  [[nodiscard]] base::Result<api::Build> follow(const std::string& id,
                                                const std::function<void(const api::Event&)>& on_event);
  /// Waits like follow(). A build that failed or was cancelled is an error.
  [[nodiscard]] base::Result<api::Build> wait(const api::Build& build,
                                              const std::function<void(const Progress&)>& show);

  /// Sends a file in parts, going on where an earlier call was interrupted; its SHA-256, under which the hub has it then.
  [[nodiscard]] base::Result<std::string> upload(const std::filesystem::path& file,
                                                 const std::function<void(const Progress&)>& show);
  /// Tuning records for a GPU target, and adding to the organisation's (`for_all`: to everybody's); what there is then.
  [[nodiscard]] base::Result<api::TuningRecords> tuning(const std::string& target);
  [[nodiscard]] base::Result<api::TuningRecords> add_tuning(const api::TuningRecords& records, bool for_all);
  [[nodiscard]] base::Result<api::Model> push(const api::PushRequest& request);

 private:
  Client(Http http, bool has_token) : http_(std::move(http)), has_token_(has_token) {}
  [[nodiscard]] base::Result<std::string> send(std::string method, std::string path, const std::string& body = {},
                                               bool repeatable = true);
  /// The events of the request at `path`, until it or the stream has ended.
  [[nodiscard]] base::Result<void> events(const std::string& path, const std::function<void(const api::Event&)>& on_event);
  [[nodiscard]] base::Result<api::Upload> begin_upload(const std::filesystem::path& file, const std::string& digest,
                                                       const std::filesystem::path& record);
  Http http_;
  bool has_token_;
};

/// Whether the id is that of a preflight or a tuning.
bool is_job(const std::string& id);

}  // namespace xinfer::hub
