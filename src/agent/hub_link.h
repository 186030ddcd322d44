// The agents' part of the hub's REST API as typed calls.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "api/types.h"
#include "base/error.h"
#include "base/trace.h"
#include "hub/http.h"

namespace xinfer::agent {

/// Not thread-safe: one per thread. Errors: kConflict where the lease has ended.
class HubLink {
 public:
  [[nodiscard]] static base::Result<HubLink> open(const std::string& url, const std::string& token,
                                                  std::function<bool()> cancelled, int attempts = 5);

  /// What follows belongs to this trace; nothing: to none.
  void set_trace(const std::optional<base::Trace>& trace);

  [[nodiscard]] base::Result<std::optional<api::Lease>> lease(const api::LeaseRequest& request);
  /// The job's ONNX file into `file`, its digest checked.
  [[nodiscard]] base::Result<void> fetch_input(const api::Lease& lease, const std::filesystem::path& file);
  /// The engine that a job is to verify.
  [[nodiscard]] base::Result<void> fetch_engine(const api::Lease& lease, const std::filesystem::path& file);
  [[nodiscard]] base::Result<api::HeartbeatReply> heartbeat(const std::string& job, const api::Heartbeat& heartbeat);
  [[nodiscard]] base::Result<std::string> public_key();  // hexadecimal
  [[nodiscard]] base::Result<api::Signature> sign(const std::string& job, const api::SignRequest& request);
  /// Uploads in parts; the file's digest. `on_bytes(sent, total)` may be none.
  [[nodiscard]] base::Result<std::string> upload(const std::filesystem::path& file,
                                                 const std::function<void(std::int64_t, std::int64_t)>& on_bytes);
  [[nodiscard]] base::Result<api::KernelList> find_kernels(const std::string& job, const api::KernelQuery& query);
  /// A piece of a bundle of kernels.
  [[nodiscard]] base::Result<std::string> kernel_bytes(const api::Lease& lease, const std::string& bundle,
                                                       std::int64_t offset, std::int64_t bytes);
  [[nodiscard]] base::Result<void> give_kernels(const std::string& job, const api::KernelOffer& offer);
  [[nodiscard]] base::Result<void> complete(const std::string& job, const api::Completion& completion);
  [[nodiscard]] base::Result<void> fail(const std::string& job, const api::Failure& failure);

 private:
  explicit HubLink(hub::Http http) : http_(std::move(http)) {}
  [[nodiscard]] base::Result<std::string> post(const std::string& path, const std::string& body, bool repeatable);
  hub::Http http_;
};

}  // namespace xinfer::agent
