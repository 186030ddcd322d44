#include "server/farm/kernels.h"

#include <soci/soci.h>

#include <map>

#include "base/digest.h"
#include "server/accounts/accounts.h"

namespace xinfer::server::farm {

using base::Code;
using base::Result;

namespace {

constexpr std::size_t kNames = 8'192, kNamesAtOnce = 400;
constexpr std::int64_t kUseMs = 24 * 3600'000;  // how exactly the last use is known

Result<void> check_name(const std::string& name) {
  const std::size_t dot = name.find('.');
  const std::string_view kind = dot == name.npos ? std::string_view() : std::string_view(name).substr(dot);
  if ((kind == ".o" || kind == ".cubin" || kind == ".reference") && base::is_sha256(name.substr(0, dot))) return {};
  return std::unexpected(base::Error{Code::kInvalidArgument,
                                     fmt::format("\"{}\" is no kernel's name", name.substr(0, 80)), "names"});
}

// `'a', 'b'` for an SQL list, of names that have been checked.
std::string name_list(const std::vector<std::string>& names, std::size_t first) {
  std::string list;
  for (std::size_t i = first; i < std::min(names.size(), first + kNamesAtOnce); ++i)
    list += (list.empty() ? "'" : ", '") + names[i] + "'";
  return list;
}

}  // namespace

Result<std::vector<api::Kernel>> find_kernels(db::Database& database, const std::string& organisation,
                                              const std::vector<std::string>& names, std::int64_t now_ms) {
  if (names.size() > kNames) return base::fail(Code::kLimit, "more than {} kernels at once", kNames);
  for (const std::string& name : names) XI_CHECK(check_name(name));
  const std::string open(accounts::kPublicOrganisation);
  const long long now = now_ms, recently = now_ms - kUseMs;
  std::map<std::string, api::Kernel> found;
  std::vector<std::string> unused;
  XI_CHECK(database.read([&](soci::session& sql) -> Result<void> {
    for (std::size_t first = 0; first < names.size(); first += kNamesAtOnce) {
      api::Kernel kernel;
      std::string owner;
      long long offset = 0, size = 0, used = 0;
      soci::statement rows =
          (sql.prepare << "SELECT organisation, name, bundle, offset_bytes, size_bytes, sha256, used_ms FROM kernels WHERE "
                          "organisation IN (:o, :p) AND name IN (" +
                              name_list(names, first) + ")",
           soci::into(owner), soci::into(kernel.name), soci::into(kernel.bundle), soci::into(offset), soci::into(size),
           soci::into(kernel.sha256), soci::into(used), soci::use(organisation), soci::use(open));
      rows.execute();
      while (rows.fetch()) {
        kernel.offset = offset;
        kernel.size_bytes = size;
        if (used < recently) unused.push_back(kernel.name);
        if (owner == open) found[kernel.name] = kernel;
        else found.emplace(kernel.name, kernel);
      }
    }
    return {};
  }));
  if (!unused.empty())
    XI_CHECK(database.write([&](soci::session& sql) -> Result<void> {
      for (std::size_t first = 0; first < unused.size(); first += kNamesAtOnce)
        sql << "UPDATE kernels SET used_ms = :t WHERE organisation IN (:o, :p) AND name IN (" + name_list(unused, first) + ")",
            soci::use(now), soci::use(organisation), soci::use(open);
      return {};
    }));
  std::vector<api::Kernel> kernels;
  for (auto& [name, kernel] : found) kernels.push_back(std::move(kernel));
  return kernels;
}

Result<bool> may_read_bundle(db::Database& database, const std::string& organisation, const std::string& bundle) {
  const std::string open(accounts::kPublicOrganisation);
  return database.read([&](soci::session& sql) -> Result<bool> {
    long long count = 0;
    sql << "SELECT COUNT(*) FROM kernels WHERE bundle = :b AND organisation IN (:o, :p)", soci::into(count),
        soci::use(bundle), soci::use(organisation), soci::use(open);
    return count > 0;
  });
}

Result<void> add_kernels(db::Database& database, const std::string& organisation, const std::string& bundle,
                         std::int64_t bundle_bytes, const std::vector<api::Kernel>& kernels, std::int64_t now_ms) {
  if (kernels.size() > kNames) return base::fail(Code::kLimit, "more than {} kernels at once", kNames);
  for (const api::Kernel& kernel : kernels) {
    XI_CHECK(check_name(kernel.name));
    if (kernel.offset < 0 || kernel.size_bytes <= 0 || kernel.offset > bundle_bytes ||
        kernel.size_bytes > bundle_bytes - kernel.offset || !base::is_sha256(kernel.sha256))
      return std::unexpected(base::Error{Code::kInvalidArgument, "a kernel does not lie within its bundle", kernel.name});
  }
  const long long now = now_ms;
  return database.write([&](soci::session& sql) -> Result<void> {
    for (const api::Kernel& kernel : kernels) {
      const long long offset = kernel.offset, size = kernel.size_bytes;
      sql << "INSERT INTO kernels (organisation, name, bundle, offset_bytes, size_bytes, sha256, created_ms, used_ms) VALUES "
             "(:o, :n, :b, :f, :s, :d, :c, :u) ON CONFLICT (organisation, name) DO NOTHING",
          soci::use(organisation), soci::use(kernel.name), soci::use(bundle), soci::use(offset), soci::use(size),
          soci::use(kernel.sha256), soci::use(now), soci::use(now);
    }
    return {};
  });
}

Result<void> forget_kernels(db::Database& database, std::int64_t before_ms) {
  const long long before = before_ms;
  return database.write([&](soci::session& sql) -> Result<void> {
    sql << "DELETE FROM kernels WHERE used_ms < :t", soci::use(before);
    return {};
  });
}

}  // namespace xinfer::server::farm
