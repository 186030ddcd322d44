#include "data_commands.h"

#include <curl/curl.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "place.h"
#include "server/db/backup.h"
#include "server/settings.h"
#include "server/store/blobs.h"

namespace xinfer::hub_app {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Result;
using namespace xinfer::server;

struct Arguments {
  std::string data, config, file, objects;
  bool check = false, dry_run = false;
};

Result<std::unique_ptr<store::ObjectStore>> open_objects(const Place& place, const Arguments& arguments) {
  if (place.settings.store_url.empty() && arguments.data.empty())
    return base::fail(Code::kInvalidArgument, "give --data DIR, or store.url in --config FILE");
  curl_global_init(CURL_GLOBAL_DEFAULT);
  return store::open_store(place.settings, arguments.data.empty() ? fs::temp_directory_path() : fs::path(arguments.data));
}

Result<int> migrate(const Arguments& arguments) {
  XI_TRY(const Place place, find_place(arguments.data, arguments.config));
  XI_TRY(const auto database, db::Database::connect(place.database_url));
  if (arguments.check) {
    XI_TRY(const auto have, database->versions());
    const std::size_t missing = db::Database::known_versions().size() - have.size();
    std::printf("%zu migrations to apply\n", missing);
    return missing == 0 ? 0 : 1;
  }
  XI_TRY(const std::int64_t applied, database->migrate());
  std::printf("%lld migrations applied\n", static_cast<long long>(applied));
  return 0;
}

void print(const store::Copied& copied) {
  std::printf("%lld objects copied (%lld bytes), %lld were there\n", static_cast<long long>(copied.objects),
              static_cast<long long>(copied.bytes), static_cast<long long>(copied.present));
}

Result<int> backup(const Arguments& arguments) {
  XI_TRY(const Place place, find_place(arguments.data, arguments.config));
  XI_TRY(const auto database, db::Database::connect(place.database_url));
  XI_TRY(const db::BackupTotals totals, db::backup(*database, arguments.file));
  std::printf("%lld rows of %lld tables in %s\n", static_cast<long long>(totals.rows),
              static_cast<long long>(totals.tables), arguments.file.c_str());
  if (arguments.objects.empty()) return 0;
  // Rows first: objects never change, and none that a row names is deleted within the collector's grace period.
  XI_TRY(const auto objects, open_objects(place, arguments));
  XI_TRY(const auto folder, store::open_folder_store(arguments.objects));
  store::Blobs blobs(*database, *objects, now_ms);
  XI_TRY(const auto digests, blobs.referenced());
  const base::TemporaryFolder scratch("ignition-hub-backup");
  XI_TRY(const store::Copied copied, store::copy_objects(*objects, *folder, digests, scratch.path()));
  print(copied);
  return 0;
}

Result<int> restore(const Arguments& arguments) {
  XI_TRY(const Place place, find_place(arguments.data, arguments.config));
  XI_TRY(const auto database, db::Database::connect(place.database_url));
  XI_TRY(const db::BackupTotals totals, db::restore(*database, arguments.file));
  std::printf("%lld rows of %lld tables restored\n", static_cast<long long>(totals.rows),
              static_cast<long long>(totals.tables));
  XI_TRY(const auto objects, open_objects(place, arguments));
  store::Blobs blobs(*database, *objects, now_ms);
  XI_TRY(const auto digests, blobs.referenced());
  if (!arguments.objects.empty()) {
    XI_TRY(const auto folder, store::open_folder_store(arguments.objects));
    const base::TemporaryFolder scratch("ignition-hub-restore");
    XI_TRY(const store::Copied copied, store::copy_objects(*folder, *objects, digests, scratch.path()));
    print(copied);
  }
  std::int64_t missing = 0;
  for (const std::string& digest : digests) {
    XI_TRY(const auto size, objects->size(digest));
    if (size) continue;
    ++missing;
    std::printf("missing object %s\n", digest.c_str());
  }
  return missing == 0 ? 0 : 1;
}

Result<int> collect(const Arguments& arguments) {
  XI_TRY(const Place place, find_place(arguments.data, arguments.config));
  XI_TRY(const auto database, db::Database::open(place.database_url));
  XI_TRY(const auto objects, open_objects(place, arguments));
  store::Blobs blobs(*database, *objects, now_ms);
  XI_TRY(const auto collected, blobs.collect(place.settings.gc_grace_ms, arguments.dry_run, true));
  std::printf("%lld objects (%lld bytes) %s\n", static_cast<long long>(collected.objects),
              static_cast<long long>(collected.bytes), arguments.dry_run ? "would be deleted" : "deleted");
  return 0;
}

CLI::App* add(CLI::App& app, const char* name, const char* summary, const std::shared_ptr<Arguments>& arguments,
              Result<int> (*run)(const Arguments&), int& status) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->add_option("--data", arguments->data, "The hub's data folder");
  command->add_option("--config", arguments->config, "YAML file with settings");
  command->callback([arguments, run, &status] {
    const auto done = run(*arguments);
    status = done ? *done : base::facts(done.error().code).exit_code;
    if (!done) std::fprintf(stderr, "ignition-hub: %s\n", done.error().text().c_str());
  });
  return command;
}

}  // namespace

void add_data_commands(CLI::App& app, int& status) {
  const auto arguments = std::make_shared<Arguments>();
  add(app, "migrate", "Bring the database's schema up to date", arguments, migrate, status)
      ->add_flag("--check", arguments->check, "Only say whether it is; exit status 1 when not");
  CLI::App* command = add(app, "backup", "Write all rows into a file; hubs may run", arguments, backup, status);
  command->add_option("file", arguments->file)->required();
  command->add_option("--objects", arguments->objects, "Copy the object store's objects into this folder too");
  command = add(app, "restore", "Fill a new database from a backup", arguments, restore, status);
  command->add_option("file", arguments->file)->required();
  command->add_option("--objects", arguments->objects, "Copy objects from this folder into the store");
  add(app, "gc", "Delete stored objects that nothing refers to", arguments, collect, status)
      ->add_flag("--dry-run", arguments->dry_run, "Only count them");
}

}  // namespace xinfer::hub_app
