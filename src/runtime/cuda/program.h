// An engine on a device: its kernels loaded, its weights uploaded once for all sessions.
#pragma once
#include <memory>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "runtime/cuda/device.h"

namespace xinfer::runtime::cuda {

/// Immutable; shared by the sessions of an engine.
class Program {
 public:
  /// kIncompatible when the device does not run the engine's architecture, saying what it needs and what this is;
  /// kUnavailable without a device.
  [[nodiscard]] static base::Result<std::shared_ptr<const Program>> load(std::shared_ptr<const engine::Engine> engine,
                                                                         int device_index);
  ~Program();
  Program(const Program&) = delete;

  const std::shared_ptr<const Device>& device() const { return device_; }
  const engine::Plan& plan() const { return engine_->plan(); }
  FunctionHandle function(std::size_t launch) const { return functions_[plan().launches[launch].kernel]; }
  DevicePointer weights() const { return weights_.address(); }

 private:
  Program() = default;
  base::Result<void> load_kernels();

  std::shared_ptr<const engine::Engine> engine_;
  std::shared_ptr<const Device> device_;
  std::vector<ModuleHandle> modules_;
  std::vector<FunctionHandle> functions_;  // per kernel of the plan
  DeviceMemory weights_;
};

/// kIncompatible or kUnavailable unless a device of this machine runs engines for `architecture`.
[[nodiscard]] base::Result<void> check_device(std::string_view architecture, int device_index = 0);

}  // namespace xinfer::runtime::cuda
