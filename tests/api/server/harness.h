// A hub in this process on a port of its own, and a plain HTTP client for it. On SQLite and a folder; where XI_TEST_POSTGRESQL
// or XI_TEST_S3 name real servers, on those (tests/e2e/stores.sh runs all cases so).
#pragma once
#include <curl/curl.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/files.h"
#include "server/hub.h"

namespace xinfer::server {

struct Answer {
  int status = 0;
  std::string body;
  std::map<std::string, std::string> headers;  // lower case
  nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
};

/// The server's URL, or empty.
inline std::string test_server(const char* variable) {
  const char* url = std::getenv(variable);
  return url ? url : "";
}

/// A schema of its own in the PostgreSQL of XI_TEST_POSTGRESQL; its URL.
inline std::string new_postgresql_database() {
  const std::string url = test_server("XI_TEST_POSTGRESQL"), name = "hub_" + base::random_hex(6);
  PGconn* connection = PQconnectdb(url.c_str());
  PQclear(PQexec(connection, ("CREATE SCHEMA " + name).c_str()));
  PQfinish(connection);
  return url + "?options=-csearch_path%3D" + name;
}

/// On the real servers that the environment names.
inline void use_real_servers(Settings& settings) {
  if (settings.database_url.empty() && !test_server("XI_TEST_POSTGRESQL").empty())
    settings.database_url = new_postgresql_database();
  if (settings.store_url.empty() && !test_server("XI_TEST_S3").empty()) {
    settings.store_url = "s3://bucket-" + base::random_hex(6) + "/objects";
    settings.store_s3_endpoint = test_server("XI_TEST_S3");
    settings.store_redirect = false;
  }
}

class TestHub {
 public:
  explicit TestHub(Settings settings = {}) {
    use_real_servers(settings);
    settings.listen = "127.0.0.1:0";
    settings.agents_local = 0;
    settings.sources_https = settings.sources_npm = false;
    settings.farm_reap_ms = 20;
    settings_ = settings;
    start();
  }
  void start() {
    HubOptions options;
    options.data_folder = folder_.path() / "data";
    options.settings = settings_;
    auto started = Hub::start(std::move(options));
    if (!started) throw std::runtime_error(started.error().text());
    hub_ = std::move(*started);
    if (!hub_->new_administrator_token().empty()) administrator_ = hub_->new_administrator_token();
  }
  void stop() { hub_.reset(); }

  std::string token(accounts::Role role, const std::string& organisation = "default") {
    if (role == accounts::Role::kAnonymous) return "";
    return hub_->accounts().create_token(role, organisation, "test", 0).value();
  }
  const std::string& administrator() const { return administrator_; }
  std::string address() const { return hub_->address(); }
  std::filesystem::path folder() const { return folder_.path(); }
  Hub& hub() { return *hub_; }
  const Settings& settings() const { return settings_; }
  std::string database_url() const {
    return settings_.database_url.empty() ? "sqlite:" + (folder() / "data" / "hub.sqlite").string()
                                          : settings_.database_url;
  }

  Answer call(const std::string& method, const std::string& path, const std::string& token = "",
              const std::string& body = "", const std::vector<std::string>& headers = {}) {
    Answer answer;
    CURL* curl = curl_easy_init();
    curl_slist* list = nullptr;
    if (!token.empty()) list = curl_slist_append(list, ("Authorization: Bearer " + token).c_str());
    for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
    curl_easy_setopt(curl, CURLOPT_URL, (address() + path).c_str());
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 20'000L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (!body.empty() || method == "POST" || method == "PUT") {
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    }
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(
        curl, CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t, std::size_t size, void* user) {
          static_cast<Answer*>(user)->body.append(data, size);
          return size;
        });
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer);
    curl_easy_setopt(
        curl, CURLOPT_HEADERFUNCTION, +[](char* data, std::size_t, std::size_t size, void* user) {
          std::string line(data, size);
          while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
          if (const std::size_t colon = line.find(": "); colon != std::string::npos) {
            std::string name = line.substr(0, colon);
            for (char& c : name) c = static_cast<char>(std::tolower(c));
            static_cast<Answer*>(user)->headers[name] = line.substr(colon + 2);
          }
          return size;
        });
    curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    return answer;
  }

  /// Uploads in one part; the digest.
  std::string upload(const std::string& token, const std::string& bytes) {
    const std::string digest = base::sha256(bytes);
    const Answer made =
        call("POST", "/v1/uploads", token, nlohmann::json{{"size_bytes", bytes.size()}, {"sha256", digest}}.dump());
    EXPECT_EQ(made.status, 201) << made.body;
    if (made.json()["state"] == "complete") return digest;
    const std::string id = made.json()["id"];
    EXPECT_EQ(call("PUT", "/v1/uploads/" + id + "?offset=0", token, bytes).status, 200);
    EXPECT_EQ(call("POST", "/v1/uploads/" + id + "/complete", token).status, 200);
    return digest;
  }

 private:
  base::TemporaryFolder folder_{"xinfer-hub-test"};
  Settings settings_;
  std::unique_ptr<Hub> hub_;
  std::string administrator_;
};

}  // namespace xinfer::server
