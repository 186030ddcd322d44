// All rows of the database as a file, and back: from SQLite or PostgreSQL into either.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "server/db/database.h"

namespace xinfer::server::db {

struct BackupTotals {
  std::int64_t tables = 0, rows = 0;
};

/// Writes FILE (mode 0600) as JSON lines: a head with the schema's versions, the rows of each table, an end with the
/// count and SHA-256 of what comes before. One state of the database, while hubs go on working.
[[nodiscard]] base::Result<BackupTotals> backup(Database& database, const std::filesystem::path& file);

/// Makes the schema that the backup had, fills it, migrates. kConflict when the database has a schema already; kCorrupt,
/// with nothing changed, for a file that is not whole.
[[nodiscard]] base::Result<BackupTotals> restore(Database& database, const std::filesystem::path& file);

}  // namespace xinfer::server::db
