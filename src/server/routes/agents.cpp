// What agents use.
#include <algorithm>

#include "api/codec.h"
#include "base/digest.h"
#include "server/farm/feeds.h"
#include "server/farm/kernels.h"
#include "server/routes/route.h"
#include "server/services.h"

namespace xinfer::server::routes {

using base::Code;
using http::Response;

namespace {

// The size of a blob that an agent has uploaded.
base::Result<std::int64_t> uploaded_bytes(Services& services, const Call& call, const std::string& digest, const char* what) {
  if (!base::is_sha256(digest))
    return std::unexpected(base::Error{Code::kInvalidArgument, "expected the SHA-256 of an uploaded blob", what});
  // Two attempts that made the same bytes are one blob: whoever holds it, the store has it.
  XI_TRY(const auto size, services.store.size(digest));
  XI_TRY(const bool uploaded, services.farm.may_read_blob(call.principal.organisation, digest));
  if (!size || !uploaded)
    return std::unexpected(base::Error{Code::kNotFound, fmt::format("no such blob: upload the {} first", what), what});
  return static_cast<std::int64_t>(*size);
}

}  // namespace

void lease_job(Services& services, Call call, std::shared_ptr<http::Exchange> exchange) {
  auto request = decode_body<api::LeaseRequest>(call);
  if (!request) return exchange->respond(Response::error(request.error()));
  if (request->agent.empty() || request->agent.size() > 100)
    return exchange->respond(Response::error({Code::kInvalidArgument, "a name has 1 to 100 bytes", "agent"}));
  constexpr std::size_t kDevices = 64, kDeviceBytes = 200;
  if (request->devices.size() > kDevices ||
      std::ranges::any_of(request->devices, [](const api::Device& device) { return device.architecture.size() + device.name.size() > kDeviceBytes; }))
    return exchange->respond(Response::error({Code::kInvalidArgument, "too many devices, or too long names", "devices"}));
  const std::int64_t wait = std::clamp<std::int64_t>(request->wait_ms, 0, services.settings.farm_long_poll_ms);
  services.leases.wait(std::move(exchange), std::move(*request), services.now_ms() + wait);
}

Reply get_input(Services& services, Call& call) {
  XI_TRY(const farm::Farm::Leased leased,
         services.farm.check_lease(call.path["id"], call.request.header("x-lease-token")));
  return send_object(services, call, leased.onnx, true, "");
}

Reply get_leased_engine(Services& services, Call& call) {
  XI_TRY(const farm::Farm::Leased leased,
         services.farm.check_lease(call.path["id"], call.request.header("x-lease-token")));
  if (leased.engine.empty()) return base::fail(Code::kNotFound, "this job is to build an engine, not to run one");
  return send_object(services, call, leased.engine, true, "");
}

Reply list_agents(Services& services, Call&) {
  XI_TRY(const api::AgentList agents, services.farm.agents());
  return Response::json(200, api::encode(agents));
}

Reply heartbeat(Services& services, Call& call) {
  XI_TRY(const api::Heartbeat beat, decode_body<api::Heartbeat>(call));
  XI_TRY(const api::HeartbeatReply reply, services.farm.heartbeat(call.path["id"], beat));
  return Response::json(200, api::encode(reply));
}

Reply sign(Services& services, Call& call) {
  XI_TRY(const api::SignRequest request, decode_body<api::SignRequest>(call));
  XI_TRY(const farm::Farm::Leased leased, services.farm.check_lease(call.path["id"], request.token));
  XI_TRY(const std::string signature, services.key.sign_engine(request.message));
  return Response::json(200, api::encode(api::Signature{signature, services.key.public_key_hex()}));
}

// Kernels are asked for and given under a lease, which says whose they are.
Reply find_kernels(Services& services, Call& call) {
  XI_TRY(const api::KernelQuery query, decode_body<api::KernelQuery>(call));
  XI_TRY(const farm::Farm::Leased leased, services.farm.check_lease(call.path["id"], query.token));
  XI_TRY(auto kernels, farm::find_kernels(services.database, leased.organisation, query.names, services.now_ms()));
  const std::string what = !query.names.empty() && query.names.front().ends_with(".reference") ? "content=\"reference\"" : "content=\"kernel\"";
  services.metrics.count("xinfer_kernels_asked_total", what, static_cast<double>(query.names.size()));
  services.metrics.count("xinfer_kernels_found_total", what, static_cast<double>(kernels.size()));
  return Response::json(200, api::encode(api::KernelList{std::move(kernels)}));
}

Reply get_kernels(Services& services, Call& call) {
  XI_TRY(const farm::Farm::Leased leased,
         services.farm.check_lease(call.path["id"], call.request.header("x-lease-token")));
  const std::string bundle = call.path["digest"];
  XI_TRY(const bool allowed, farm::may_read_bundle(services.database, leased.organisation, bundle));
  if (!allowed) return base::fail(Code::kNotFound, "no kernels \"{}\"", bundle.substr(0, 100));
  return send_object(services, call, bundle, true, "");
}

Reply add_kernels(Services& services, Call& call) {
  XI_TRY(const api::KernelOffer offer, decode_body<api::KernelOffer>(call));
  XI_TRY(const farm::Farm::Leased leased, services.farm.check_lease(call.path["id"], offer.token));
  XI_TRY(const std::int64_t bytes, uploaded_bytes(services, call, offer.bundle, "bundle"));
  XI_CHECK(farm::add_kernels(services.database, leased.organisation, offer.bundle, bytes, offer.kernels, services.now_ms()));
  return Response{204, {}, {}, {}};
}

Reply complete_job(Services& services, Call& call) {
  XI_TRY(const api::Completion completion, decode_body<api::Completion>(call));
  std::int64_t bytes = 0;
  if (!completion.engine.empty()) {
    XI_TRY(bytes, uploaded_bytes(services, call, completion.engine, "engine"));
  }
  XI_CHECK(services.farm.complete(call.path["id"], completion, bytes));
  return Response{204, {}, {}, {}};
}

Reply fail_job(Services& services, Call& call) {
  XI_TRY(const api::Failure failure, decode_body<api::Failure>(call));
  XI_CHECK(services.farm.fail_attempt(call.path["id"], failure));
  return Response{204, {}, {}, {}};
}

}  // namespace xinfer::server::routes
