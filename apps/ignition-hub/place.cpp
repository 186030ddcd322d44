#include "place.h"

#include <chrono>
#include <filesystem>

namespace xinfer::hub_app {

base::Result<Place> find_place(const std::string& data, const std::string& config) {
  Place place;
  if (!config.empty()) {
    XI_TRY(place.settings, server::load_settings(config));
  }
  XI_CHECK(server::apply_environment(place.settings));
  server::apply_log_format(place.settings);
  place.database_url = place.settings.database_url;
  if (place.database_url.empty()) {
    if (data.empty())
      return base::fail(base::Code::kInvalidArgument, "give --data DIR, or database.url in --config FILE");
    place.database_url = "sqlite:" + (std::filesystem::path(data) / "hub.sqlite").string();
  }
  return place;
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace xinfer::hub_app
