// The models that the hub knows: the public catalogue's manifests, and the organisations' own models.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/error.h"
#include "server/db/database.h"

namespace xinfer::server::catalog {

/// A manifest in YAML. Errors name the field; unknown keys name the nearest.
[[nodiscard]] base::Result<api::Model> parse_manifest(const std::string& yaml);

struct Query {
  std::string text;  // every word must occur in id, name, task, licence or description
  std::string task, licence;
  std::string sort = "popularity";  // popularity, name, task, licence
  std::int64_t offset = 0, limit = 100;
};

/// Thread-safe.
class Catalogue {
 public:
  /// The embedded manifests, then those of `folders`.
  [[nodiscard]] static base::Result<std::unique_ptr<Catalogue>> open(db::Database& database,
                                                                     const std::vector<std::string>& folders,
                                                                     std::function<std::int64_t()> now_ms);
  ~Catalogue();

  /// Models visible to the organisation (empty: the public ones), without labels and engines.
  [[nodiscard]] base::Result<api::ModelPage> list(const std::string& organisation, const Query& query);
  /// One model with its metadata, without engines. kNotFound names the nearest visible id.
  [[nodiscard]] base::Result<api::Model> find(const std::string& organisation, const std::string& id);
  /// Adds or replaces a private model. kConflict when the public catalogue has the id.
  [[nodiscard]] base::Result<void> push(const std::string& organisation, const api::Model& model);
  /// Records the digest of a public model's file, confirmed by an administrator.
  [[nodiscard]] base::Result<void> confirm(const std::string& id, const std::string& sha256, std::int64_t size_bytes);
  /// Takes up what other hubs have confirmed.
  [[nodiscard]] base::Result<void> refresh();
  std::size_t public_count() const;
  std::vector<std::string> public_ids() const;

 private:
  class State;
  explicit Catalogue(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::server::catalog
