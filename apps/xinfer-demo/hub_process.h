// A hub of the demonstration's own, run as a child process.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace xinfer::demo {

struct HubSettings {
  std::filesystem::path program;  // ignition-hub
  std::filesystem::path folder;   // database, objects, keys, log
  std::vector<std::string> mirrors, node_modules;
  std::string listen = "127.0.0.1:0";
  bool outlive = false;  // whether it may go on when this process has ended
};

/// Ends with this object, and unless HubSettings::outlive with this process however that ends.
class HubProcess {
 public:
  /// Returns once the hub listens. Errors: kNotFound, kUnavailable with the end of the hub's log.
  [[nodiscard]] static base::Result<HubProcess> start(const HubSettings& settings);
  HubProcess(HubProcess&& other) noexcept;
  HubProcess& operator=(HubProcess&&) = delete;
  ~HubProcess();

  const std::string& address() const { return address_; }
  const std::string& token() const { return token_; }  // the administrator's, made at the first start
  pid_t pid() const { return pid_; }
  /// For a hub that may outlive this process: does not end it.
  void leave_running() { pid_ = -1; }

 private:
  HubProcess() = default;
  pid_t pid_ = -1;
  std::string address_, token_;
};

}  // namespace xinfer::demo
