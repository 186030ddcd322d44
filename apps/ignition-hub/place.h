// Which database and settings a command works on.
#pragma once
#include <cstdint>
#include <string>

#include "base/error.h"
#include "server/settings.h"

namespace xinfer::hub_app {

struct Place {
  server::Settings settings;
  std::string database_url;
};

/// Settings of the file `config` (none when empty) and the environment; the database that they name, else that of the
/// folder `data`.
[[nodiscard]] base::Result<Place> find_place(const std::string& data, const std::string& config);

std::int64_t now_ms();

}  // namespace xinfer::hub_app
