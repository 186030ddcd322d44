#include "agent/hub_link.h"

#include <cstdlib>

#include "api/codec.h"
#include "base/digest.h"
#include "base/files.h"

namespace xinfer::agent {

using api::Unknown;
using base::Code;
using base::Result;

Result<HubLink> HubLink::open(const std::string& url, const std::string& token, std::function<bool()> cancelled,
                              int attempts) {
  hub::HttpOptions options;
  options.token = token;
  if (const char* file = std::getenv("XINFER_CA_FILE")) options.ca_file = file;
  options.allow_plain_http = true;  // an agent is where its operator put it, beside its hub
  options.cancelled = std::move(cancelled);
  options.attempts = attempts;
  XI_TRY(hub::Http http, hub::Http::open(url, std::move(options)));
  return HubLink(std::move(http));
}

void HubLink::set_trace(const std::optional<base::Trace>& trace) {
  http_.set_traceparent(trace ? trace->next().header() : std::string());
}

Result<std::string> HubLink::post(const std::string& path, const std::string& body, bool repeatable) {
  hub::Request request;
  request.method = "POST";
  request.path = path;
  request.body = body;
  request.repeatable = repeatable;
  XI_TRY(hub::Response response, http_.send(request));
  return std::move(response.body);
}

Result<std::optional<api::Lease>> HubLink::lease(const api::LeaseRequest& request) {
  // Not repeatable: an answer that was lost has leased a job, which then must run out.
  XI_TRY(const std::string body, post("/v1/agents/lease", api::encode(request), false));
  if (body.empty()) return std::optional<api::Lease>();
  XI_TRY(api::Lease lease, api::decode<api::Lease>(body, Unknown::kIgnore));
  return std::optional<api::Lease>(std::move(lease));
}

Result<void> HubLink::fetch_input(const api::Lease& lease, const std::filesystem::path& file) {
  hub::Request request;
  request.path = "/v1/agents/jobs/" + lease.job + "/input";
  std::string bytes;
  constexpr std::int64_t kPiece = 16 << 20;
  base::Sha256 hash;
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  std::FILE* out = std::fopen(file.c_str(), "wb");
  if (!out) return base::fail(Code::kIo, "cannot write {}", file.string());
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> closer(out, &std::fclose);
  for (std::int64_t have = 0; have < lease.onnx_bytes;) {
    request.headers = {{"X-Lease-Token", lease.token},
                       {"Range", fmt::format("bytes={}-{}", have, std::min(have + kPiece, lease.onnx_bytes) - 1)}};
    XI_TRY(const hub::Response response, http_.send(request));
    if (response.body.empty() || response.status != 206)
      return base::fail(Code::kCorrupt, "the hub sent no range of the model");
    if (std::fwrite(response.body.data(), 1, response.body.size(), out) != response.body.size())
      return base::fail(Code::kIo, "cannot write {}: is the disk full?", file.string());
    hash.update(response.body);
    have += static_cast<std::int64_t>(response.body.size());
  }
  if (std::fflush(out) != 0) return base::fail(Code::kIo, "cannot write {}: is the disk full?", file.string());
  if (hash.finish() != lease.onnx) return base::fail(Code::kCorrupt, "the model's digest is not the one promised");
  return {};
}

Result<void> HubLink::fetch_engine(const api::Lease& lease, const std::filesystem::path& file) {
  hub::Request request;
  request.path = "/v1/agents/jobs/" + lease.job + "/engine";
  request.headers = {{"X-Lease-Token", lease.token}};
  XI_TRY(const hub::Response response, http_.send(request));
  if (base::sha256(response.body) != lease.engine)
    return base::fail(Code::kCorrupt, "the engine's digest is not the one promised");
  return base::write_file(file, response.body);
}

Result<api::HeartbeatReply> HubLink::heartbeat(const std::string& job, const api::Heartbeat& heartbeat) {
  XI_TRY(const std::string body, post("/v1/agents/jobs/" + job + "/heartbeat", api::encode(heartbeat), false));
  return api::decode<api::HeartbeatReply>(body, Unknown::kIgnore);
}

Result<std::string> HubLink::public_key() {
  hub::Request request;
  request.path = "/v1/keys";
  XI_TRY(const hub::Response response, http_.send(request));
  XI_TRY(const api::KeyList list, api::decode<api::KeyList>(response.body, Unknown::kIgnore));
  for (const api::PublicKey& key : list.keys)
    if (key.algorithm == "ed25519") return key.public_key;
  return base::fail(Code::kIncompatible, "the hub has no Ed25519 key");
}

Result<api::Signature> HubLink::sign(const std::string& job, const api::SignRequest& request) {
  XI_TRY(const std::string body, post("/v1/agents/jobs/" + job + "/sign", api::encode(request), true));
  return api::decode<api::Signature>(body, Unknown::kIgnore);
}

Result<std::string> HubLink::upload(const std::filesystem::path& file,
                                    const std::function<void(std::int64_t, std::int64_t)>& on_bytes) {
  XI_TRY(const base::MappedFile mapped, base::MappedFile::open(file));
  const std::string_view bytes(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  api::UploadRequest create;
  create.size_bytes = static_cast<std::int64_t>(bytes.size());
  create.sha256 = base::sha256(bytes);
  create.name = "engine";
  XI_TRY(const std::string created, post("/v1/uploads", api::encode(create), true));
  XI_TRY(api::Upload upload, api::decode<api::Upload>(created, Unknown::kIgnore));
  int tries = 5;
  while (upload.state == "open" && upload.received_bytes < upload.size_bytes) {
    hub::Request part;
    part.method = "PUT";
    part.path = fmt::format("/v1/uploads/{}?offset={}", upload.id, upload.received_bytes);
    part.content_type = "application/octet-stream";
    part.body =
        bytes.substr(static_cast<std::size_t>(upload.received_bytes), static_cast<std::size_t>(upload.part_bytes));
    part.repeatable = false;
    auto sent = http_.send(part);
    if (!sent) {
      // The part may have arrived and its answer not: ask where the upload stands.
      if (--tries <= 0) return std::unexpected(std::move(sent).error());
      hub::Request status;
      status.path = "/v1/uploads/" + upload.id;
      sent = http_.send(status);
      if (!sent) return std::unexpected(std::move(sent).error());
    }
    XI_TRY(upload, api::decode<api::Upload>(sent->body, Unknown::kIgnore));
    if (on_bytes) on_bytes(upload.received_bytes, upload.size_bytes);
  }
  XI_CHECK(post("/v1/uploads/" + upload.id + "/complete", "", true));
  return create.sha256;
}

Result<api::KernelList> HubLink::find_kernels(const std::string& job, const api::KernelQuery& query) {
  XI_TRY(const std::string body, post("/v1/agents/jobs/" + job + "/kernels/find", api::encode(query), true));
  return api::decode<api::KernelList>(body, Unknown::kIgnore);
}

Result<std::string> HubLink::kernel_bytes(const api::Lease& lease, const std::string& bundle, std::int64_t offset,
                                          std::int64_t bytes) {
  hub::Request request;
  request.path = fmt::format("/v1/agents/jobs/{}/kernels/{}", lease.job, bundle);
  request.headers = {{"X-Lease-Token", lease.token}, {"Range", fmt::format("bytes={}-{}", offset, offset + bytes - 1)}};
  XI_TRY(hub::Response response, http_.send(request));
  if (response.status != 206 || static_cast<std::int64_t>(response.body.size()) != bytes)
    return base::fail(Code::kCorrupt, "the hub sent no range of the kernels");
  return std::move(response.body);
}

Result<void> HubLink::give_kernels(const std::string& job, const api::KernelOffer& offer) {
  XI_CHECK(post("/v1/agents/jobs/" + job + "/kernels", api::encode(offer), true));
  return {};
}

Result<void> HubLink::complete(const std::string& job, const api::Completion& completion) {
  XI_CHECK(post("/v1/agents/jobs/" + job + "/complete", api::encode(completion), true));
  return {};
}

Result<void> HubLink::fail(const std::string& job, const api::Failure& failure) {
  XI_CHECK(post("/v1/agents/jobs/" + job + "/fail", api::encode(failure), true));
  return {};
}

}  // namespace xinfer::agent
