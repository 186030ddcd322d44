#include "server/catalog/catalogue.h"

#include <soci/soci.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <shared_mutex>

#include "api/codec.h"
#include "base/digest.h"
#include "base/files.h"
#include "server/catalogue_files.h"

namespace xinfer::server::catalog {

using base::Code;
using base::Result;
using Json = nlohmann::ordered_json;

namespace {

// Plain YAML scalars are typed by their look (YAML 1.2 core schema), quoted ones are texts.
Json scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text == "true" || text == "false") return text == "true";
  if (text == "null" || text == "~" || text.empty()) return nullptr;
  std::int64_t whole = 0;
  if (auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
      error == std::errc() && end == text.data() + text.size())
    return whole;
  double number = 0;
  if (auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      error == std::errc() && end == text.data() + text.size())
    return number;
  return text;
}

Json to_json(const YAML::Node& node, int depth) {
  if (depth > 16) throw YAML::Exception(node.Mark(), "nested too deeply");
  if (node.IsScalar()) return scalar(node);
  if (node.IsSequence()) {
    Json list = Json::array();
    for (const auto& item : node) list.push_back(to_json(item, depth + 1));
    return list;
  }
  if (!node.IsMap()) return nullptr;
  Json object = Json::object();
  for (const auto& item : node) {
    const std::string key = item.first.as<std::string>();
    if (object.contains(key)) throw YAML::Exception(item.first.Mark(), "key given twice: " + key);
    object[key] = to_json(item.second, depth + 1);
  }
  return object;
}

bool good_id(const std::string& id) {
  if (id.empty() || id.size() > 100 || id.front() == '-' || id.front() == '.') return false;
  return std::ranges::all_of(
      id, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'; });
}

Result<std::vector<std::string>> read_labels(const std::string& file) {
  for (const auto& [name, text] : catalogue_files::labels()) {
    if (name != file) continue;
    std::vector<std::string> labels;
    std::string_view rest = text;
    while (!rest.empty()) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (line.ends_with('\r')) line.remove_suffix(1);
      labels.emplace_back(line);
    }
    return labels;
  }
  return base::fail(Code::kNotFound, "no label file {} in catalog/labels", file);
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return text;
}

bool matches(const api::Model& model, const Query& query) {
  if (!query.task.empty() && model.task != query.task) return false;
  if (!query.licence.empty() && model.licence != query.licence) return false;
  const std::string text =
      lower(model.id + "\n" + model.name + "\n" + model.task + "\n" + model.licence + "\n" + model.description);
  std::string words = lower(query.text);
  std::size_t begin = 0;
  while ((begin = words.find_first_not_of(' ', begin)) != std::string::npos) {
    const std::size_t end = std::min(words.find(' ', begin), words.size());
    if (text.find(words.substr(begin, end - begin)) == std::string::npos) return false;
    begin = end;
  }
  return true;
}

}  // namespace

Result<api::Model> parse_manifest(const std::string& yaml) {
  Json json;
  try {
    json = to_json(YAML::Load(yaml), 0);
  } catch (const YAML::Exception& error) {
    return base::fail(Code::kInvalidArgument, "not YAML: {}", error.what());
  }
  XI_TRY(api::Model model, api::decode<api::Model>(json.dump()));
  const auto bad = [&](std::string_view field, std::string_view what) {
    return std::unexpected(base::Error{Code::kInvalidArgument, std::string(what), std::string(field)});
  };
  if (!good_id(model.id)) return bad("id", "an id has lower-case letters, digits, '-', '_' and '.'");
  if (!model.sha256.empty() && !base::is_sha256(model.sha256))
    return bad("sha256", "expected 64 lower-case hexadecimal digits");
  for (const api::Source& source : model.sources) {
    if (source.kind == "https" ? !source.url.starts_with("https://")
                               : source.kind != "npm" || source.package.empty() || source.path.empty())
      return bad("sources",
                 "a source is {kind: https, url: https://…} or {kind: npm, package: NAME@VERSION, path: FILE}");
  }
  if (model.metadata && !model.metadata->labels_file.empty()) {
    XI_TRY(model.metadata->labels, read_labels(model.metadata->labels_file));
    model.metadata->labels_file.clear();
  }
  return model;
}

class Catalogue::State {
 public:
  // Call with the lock held (or before anyone else sees the object) whenever `models` has changed.
  void summarise(const std::string& id) {
    api::Model summary = models[id];
    if (summary.metadata) summary.metadata->labels.clear();
    summaries[id] = std::move(summary);
  }

  State(db::Database& d, std::function<std::int64_t()> n) : database(d), now_ms(std::move(n)) {}

  Result<void> add(const std::string& yaml, const std::string& name) {
    auto model = parse_manifest(yaml);
    if (!model) return std::unexpected(std::move(model).error().in(name));
    model->visibility = "public";
    const std::string id = model->id;
    models[id] = std::move(*model);
    summarise(id);
    return {};
  }

  Result<void> load(const std::vector<std::string>& folders) {
    for (const auto& [name, text] : catalogue_files::manifests()) XI_CHECK(add(std::string(text), std::string(name)));
    for (const std::string& folder : folders) {
      std::error_code error;
      std::vector<std::filesystem::path> files;
      for (const auto& entry : std::filesystem::directory_iterator(folder, error))
        if (entry.path().extension() == ".yaml") files.push_back(entry.path());
      if (error) return base::fail(Code::kNotFound, "catalogue.folders: cannot read {}: {}", folder, error.message());
      std::ranges::sort(files);
      for (const auto& file : files) {
        XI_TRY(const std::string text, base::read_file(file, 8 << 20));
        XI_CHECK(add(text, file.string()));
      }
    }
    return refresh();
  }

  Result<void> refresh() {
    struct Confirmed {
      std::string id, sha256;
      long long size;
    };
    std::vector<Confirmed> confirmed;
    XI_CHECK(database.read([&](soci::session& sql) -> Result<void> {
      std::string id, sha256;
      long long size = 0;
      soci::statement rows = (sql.prepare << "SELECT model, sha256, size_bytes FROM confirmed_sources", soci::into(id),
                              soci::into(sha256), soci::into(size));
      rows.execute();
      while (rows.fetch()) confirmed.push_back({id, sha256, size});
      return {};
    }));
    const std::unique_lock lock(mutex);
    for (const Confirmed& one : confirmed) {
      const auto found = models.find(one.id);
      if (found == models.end() || !found->second.sha256.empty()) continue;
      found->second.sha256 = one.sha256;
      found->second.size_bytes = one.size;
      summarise(one.id);
    }
    return {};
  }

  Result<std::vector<api::Model>> own(const std::string& organisation) {
    std::vector<api::Model> result;
    if (organisation.empty()) return result;
    return database.read([&](soci::session& sql) -> Result<std::vector<api::Model>> {
      std::string document;
      soci::statement rows = (sql.prepare << "SELECT document FROM models WHERE organisation = :o",
                              soci::into(document), soci::use(organisation));
      rows.execute();
      while (rows.fetch()) {
        XI_TRY(auto model, api::decode<api::Model>(document, api::Unknown::kIgnore));
        result.push_back(std::move(model));
      }
      return result;
    });
  }

  db::Database& database;
  std::function<std::int64_t()> now_ms;
  std::shared_mutex mutex;
  std::map<std::string, api::Model> models;     // public ones
  std::map<std::string, api::Model> summaries;  // the same without labels, for lists
};

Catalogue::Catalogue(std::unique_ptr<State> state) : state_(std::move(state)) {}
Catalogue::~Catalogue() = default;

Result<std::unique_ptr<Catalogue>> Catalogue::open(db::Database& database, const std::vector<std::string>& folders,
                                                   std::function<std::int64_t()> now_ms) {
  auto state = std::make_unique<State>(database, std::move(now_ms));
  XI_CHECK(state->load(folders));
  return std::unique_ptr<Catalogue>(new Catalogue(std::move(state)));
}

Result<api::ModelPage> Catalogue::list(const std::string& organisation, const Query& query) {
  XI_TRY(std::vector<api::Model> all, state_->own(organisation));
  {
    const std::shared_lock lock(state_->mutex);
    for (const auto& [id, model] : state_->summaries)
      if (matches(model, query)) all.push_back(model);
  }
  std::erase_if(all, [&](const api::Model& model) { return !matches(model, query); });
  const auto key = [&](const api::Model& m) -> const std::string& {
    return query.sort == "name" ? m.name : query.sort == "task" ? m.task : m.licence;
  };
  std::ranges::sort(all, [&](const api::Model& a, const api::Model& b) {
    if (query.sort == "popularity" && a.popularity != b.popularity) return a.popularity > b.popularity;
    if (query.sort != "popularity" && key(a) != key(b)) return key(a) < key(b);
    return a.id < b.id;
  });
  api::ModelPage page;
  page.total = static_cast<std::int64_t>(all.size());
  page.offset = query.offset;
  for (std::int64_t i = query.offset; i < page.total && i < query.offset + query.limit; ++i) {
    api::Model model = std::move(all[static_cast<std::size_t>(i)]);
    if (model.metadata) model.metadata->labels.clear();
    page.models.push_back(std::move(model));
  }
  return page;
}

Result<api::Model> Catalogue::find(const std::string& organisation, const std::string& id) {
  std::vector<std::string> ids;
  {
    const std::shared_lock lock(state_->mutex);
    const auto found = state_->models.find(id);
    if (found != state_->models.end()) return found->second;
    for (const auto& [known, model] : state_->models) ids.push_back(known);
  }
  XI_TRY(const std::vector<api::Model> mine, state_->own(organisation));
  for (const api::Model& model : mine) {
    if (model.id == id) return model;
    ids.push_back(model.id);
  }
  const std::string near = api::nearest(id, std::vector<std::string_view>(ids.begin(), ids.end()));
  if (near.empty()) return base::fail(Code::kNotFound, "no model \"{}\"; GET /v1/models lists them", id.substr(0, 100));
  return base::fail(Code::kNotFound, "no model \"{}\"; did you mean \"{}\"?", id.substr(0, 100), near);
}

Result<void> Catalogue::push(const std::string& organisation, const api::Model& model) {
  if (!good_id(model.id))
    return std::unexpected(
        base::Error{Code::kInvalidArgument, "an id has up to 100 lower-case letters, digits, '-', '_' and '.'", "id"});
  {
    const std::shared_lock lock(state_->mutex);
    if (state_->models.contains(model.id))
      return base::fail(Code::kConflict, "the public catalogue has \"{}\"; choose another id", model.id);
  }
  const std::string document = api::encode(model), id = model.id;
  const long long now = state_->now_ms();
  return state_->database.write([&](soci::session& sql) -> Result<void> {
    sql << "INSERT INTO models (organisation, id, document, created_ms) VALUES (:o, :i, :d, :t) "
           "ON CONFLICT (organisation, id) DO UPDATE SET document = excluded.document",
        soci::use(organisation), soci::use(id), soci::use(document), soci::use(now);
    return {};
  });
}

Result<void> Catalogue::confirm(const std::string& id, const std::string& sha256, std::int64_t size_bytes) {
  const long long now = state_->now_ms(), size = size_bytes;
  XI_CHECK(state_->database.write([&](soci::session& sql) -> Result<void> {
    sql << "INSERT INTO confirmed_sources (model, sha256, size_bytes, confirmed_ms) VALUES (:m, :d, :s, :t) "
           "ON CONFLICT (model) DO UPDATE SET sha256 = excluded.sha256, size_bytes = excluded.size_bytes, confirmed_ms "
           "= excluded.confirmed_ms",
        soci::use(id), soci::use(sha256), soci::use(size), soci::use(now);
    return {};
  }));
  const std::unique_lock lock(state_->mutex);
  api::Model& model = state_->models[id];
  model.sha256 = sha256;
  model.size_bytes = size_bytes;
  state_->summarise(id);
  return {};
}

Result<void> Catalogue::refresh() { return state_->refresh(); }

std::size_t Catalogue::public_count() const {
  const std::shared_lock lock(state_->mutex);
  return state_->models.size();
}

std::vector<std::string> Catalogue::public_ids() const {
  const std::shared_lock lock(state_->mutex);
  std::vector<std::string> ids;
  for (const auto& [id, model] : state_->models) ids.push_back(id);
  return ids;
}

}  // namespace xinfer::server::catalog
