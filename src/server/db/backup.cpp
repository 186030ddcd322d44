#include "server/db/backup.h"

#include <soci/soci.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/digest.h"

namespace xinfer::server::db {

using base::Code;
using base::Result;
using nlohmann::json;

namespace {

constexpr const char* kFormat = "ignition-hub backup 1";

std::vector<std::string> tables(soci::session& sql, Kind kind) {
  std::vector<std::string> names;
  std::string name;
  soci::statement rows =
      (sql.prepare << (kind == Kind::kSqlite
                           ? "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name "
                             "<> 'schema_versions' ORDER BY name"
                           : "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema() AND "
                             "tablename <> 'schema_versions' ORDER BY 1"),
       soci::into(name));
  rows.execute();
  while (rows.fetch()) names.push_back(name);
  return names;
}

// Columns are TEXT or BIGINT, and never null: the schema says so, and a test of it.
Result<json> to_json(const soci::row& row) {
  json object = json::object();
  for (std::size_t i = 0; i < row.size(); ++i) {
    const soci::column_properties& column = row.get_properties(i);
    switch (column.get_data_type()) {
      case soci::dt_string: object[column.get_name()] = row.get<std::string>(i); break;
      case soci::dt_long_long: object[column.get_name()] = row.get<long long>(i); break;
      case soci::dt_integer: object[column.get_name()] = row.get<int>(i); break;
      default: return base::fail(Code::kInternal, "column {} has a type that backups do not know", column.get_name());
    }
  }
  return object;
}

class Writer {
 public:
  explicit Writer(const std::filesystem::path& file) : out_(std::fopen(file.c_str(), "wb"), &std::fclose) {
    if (out_) ::fchmod(::fileno(out_.get()), 0600);
  }
  bool line(const json& value) {
    const std::string text = value.dump() + "\n";
    hash_.update(text);
    good_ = good_ && out_ && std::fwrite(text.data(), 1, text.size(), out_.get()) == text.size();
    return good_;
  }
  bool finish(std::int64_t rows) {
    const std::string digest = hash_.finish();
    hash_ = base::Sha256();
    return line({{"end", rows}, {"sha256", digest}}) && std::fflush(out_.get()) == 0 &&
           ::fsync(::fileno(out_.get())) == 0;
  }

 private:
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out_;
  base::Sha256 hash_;
  bool good_ = true;
};

// The whole file is checked before anything of it is used.
Result<std::vector<std::int64_t>> check(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) return base::fail(Code::kNotFound, "cannot read {}", file.string());
  const auto broken = [&](std::string_view why) {
    return base::fail(Code::kCorrupt, "{} is no whole backup: {}", file.string(), why);
  };
  std::string line;
  std::getline(in, line);
  const json head = json::parse(line, nullptr, false);
  if (!head.is_object() || head.value("format", "") != kFormat) return broken("its first line is not a backup's");
  base::Sha256 hash;
  hash.update(line + "\n");
  std::int64_t rows = 0;
  while (std::getline(in, line)) {
    const json value = json::parse(line, nullptr, false);
    if (!value.is_object()) return broken(fmt::format("line {} is damaged", rows + 2));
    if (value.contains("end")) {
      if (value.value("end", std::int64_t{-1}) != rows || value.value("sha256", "") != hash.finish())
        return broken("its count or digest is another");
      return head.at("schema").get<std::vector<std::int64_t>>();
    }
    hash.update(line + "\n");
    ++rows;
  }
  return broken("its end is missing");
}

bool is_name(const std::string& text) {
  return !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

Result<void> insert(soci::session& sql, const std::string& table, const json& row) {
  std::string columns, places;
  std::vector<std::string> texts;
  std::vector<long long> numbers;
  texts.reserve(row.size());
  numbers.reserve(row.size());
  soci::statement statement(sql);
  statement.alloc();
  for (const auto& [name, value] : row.items()) {
    if (!is_name(name)) return base::fail(Code::kCorrupt, "the backup has a column \"{}\"", name.substr(0, 60));
    columns += (columns.empty() ? "" : ", ") + name;
    places += (places.empty() ? ":" : ", :") + name;
    if (value.is_string()) statement.exchange(soci::use(texts.emplace_back(value.get<std::string>())));
    else statement.exchange(soci::use(numbers.emplace_back(value.get<long long>())));
  }
  statement.prepare("INSERT INTO " + table + " (" + columns + ") VALUES (" + places + ")");
  statement.define_and_bind();
  statement.execute(true);
  return {};
}

}  // namespace

Result<BackupTotals> backup(Database& database, const std::filesystem::path& file) {
  XI_TRY(const std::vector<std::int64_t> schema, database.versions());
  if (schema.empty()) return base::fail(Code::kNotFound, "the database is empty: there is nothing to back up");
  const std::filesystem::path beside = file.string() + ".part";
  BackupTotals totals;
  const auto full = [&] { return base::fail(Code::kIo, "cannot write {}: is the disk full?", beside.string()); };
  {
    Writer writer(beside);
    XI_CHECK(database.snapshot([&](soci::session& sql) -> Result<void> {
      if (!writer.line({{"format", kFormat}, {"schema", schema}})) return full();
      for (const std::string& table : tables(sql, database.kind())) {
        ++totals.tables;
        soci::rowset<soci::row> rows = (sql.prepare << "SELECT * FROM " + table);
        for (const soci::row& row : rows) {
          XI_TRY(json object, to_json(row));
          if (!writer.line({{"table", table}, {"row", std::move(object)}})) return full();
          ++totals.rows;
        }
      }
      return {};
    }));
    if (!writer.finish(totals.rows)) return full();
  }
  std::error_code error;
  std::filesystem::rename(beside, file, error);
  if (error) return base::fail(Code::kIo, "cannot write {}: {}", file.string(), error.message());
  return totals;
}

Result<BackupTotals> restore(Database& database, const std::filesystem::path& file) {
  XI_TRY(const std::vector<std::int64_t> schema, check(file));
  const std::vector<std::int64_t> known = Database::known_versions();
  for (const std::int64_t version : schema)
    if (!std::ranges::binary_search(known, version))
      return base::fail(Code::kIncompatible, "{} has schema {}, which this program does not know: use a newer one",
                        file.string(), version);
  XI_TRY(const std::vector<std::int64_t> have, database.versions());
  if (!have.empty())
    return base::fail(Code::kConflict, "{} is not empty: restore into a new database",
                      database.kind() == Kind::kSqlite ? database.url() : "the database");
  XI_CHECK(database.migrate(&schema));
  BackupTotals totals;
  XI_CHECK(database.write([&](soci::session& sql) -> Result<void> {
    std::ifstream in(file);
    std::string line, last;
    std::getline(in, line);
    while (std::getline(in, line)) {
      const json value = json::parse(line);
      if (value.contains("end")) return {};
      const std::string table = value.at("table");
      if (!is_name(table)) return base::fail(Code::kCorrupt, "the backup has a table \"{}\"", table.substr(0, 60));
      XI_CHECK(insert(sql, table, value.at("row")));
      totals.tables += std::exchange(last, table) != table;
      ++totals.rows;
    }
    return {};
  }));
  XI_CHECK(database.migrate());
  return totals;
}

}  // namespace xinfer::server::db
