// Everything that route handlers work with, in one place.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "server/accounts/accounts.h"
#include "server/accounts/signing_key.h"
#include "server/catalog/catalogue.h"
#include "server/db/database.h"
#include "server/farm/farm.h"
#include "server/metrics.h"
#include "server/settings.h"
#include "server/store/blobs.h"
#include "server/store/object_store.h"
#include "server/store/uploads.h"

namespace xinfer::server {

namespace farm {
class Feeds;
class LeaseDesk;
class EndDesk;
}  // namespace farm

struct Services {
  const Settings& settings;
  std::filesystem::path data_folder;
  std::function<std::int64_t()> now_ms;
  Metrics& metrics;
  db::Database& database;
  store::ObjectStore& store;
  store::Blobs& blobs;
  accounts::Accounts& accounts;
  const accounts::SigningKey& key;
  catalog::Catalogue& catalogue;
  farm::Farm& farm;
  store::Uploads& uploads;
  farm::Feeds& feeds;
  farm::LeaseDesk& leases;
  farm::EndDesk& ends;
  std::function<void()> wake_fetcher;    // a job waits for its source
  std::function<std::string()> address;  // "http://127.0.0.1:8080"
};

}  // namespace xinfer::server
