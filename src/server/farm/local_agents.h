// Agents that the hub starts itself, as child processes, and starts again when they die.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace xinfer::server::farm {

struct LocalAgentOptions {
  int count = 1;
  std::string prefix = "local";                           // of the agents' names: PREFIX-0, PREFIX-1, …
  std::filesystem::path program;                          // ignition-agent
  std::vector<std::string> arguments;                     // without --name
  std::function<void(const std::string& name)> on_death;  // an agent has ended, for whatever reason
};

/// Thread-safe. Children die with this process, however it dies.
class LocalAgents {
 public:
  /// kNotFound when the program is missing.
  [[nodiscard]] static base::Result<std::unique_ptr<LocalAgents>> start(LocalAgentOptions options);
  ~LocalAgents();
  /// Asks the agents to give their jobs back and end; kills those that have not after `grace_ms`.
  void stop(int grace_ms);

 private:
  class State;
  explicit LocalAgents(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::server::farm
