// The route table's rows, and what handlers get. The router, the gate and /openapi.json are all made from the one table.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/codec.h"
#include "base/error.h"
#include "server/accounts/accounts.h"
#include "server/http/message.h"
#include "server/settings.h"

namespace xinfer::server {
struct Services;
}

namespace xinfer::server::routes {

/// A request that has passed the gate.
struct Call {
  http::Request& request;
  accounts::Principal principal;
  std::map<std::string, std::string> path;  // values of {NAME} segments

  /// The query parameter as a number within bounds, or `otherwise`. kInvalidArgument names it.
  [[nodiscard]] base::Result<std::int64_t> number(const std::string& name, std::int64_t otherwise, std::int64_t minimum,
                                                  std::int64_t maximum) const;
  std::string text(const std::string& name) const;  // query parameter, or empty
};

enum class Body { kNone, kJson, kFile };

struct Parameter {
  std::string_view name, in, type, summary;  // in: query, header
  bool required = false;
};

using Handler = base::Result<http::Response> (*)(Services&, Call&);
/// Answers the exchange itself, now or later.
using SlowHandler = void (*)(Services&, Call, std::shared_ptr<http::Exchange>);

struct Route {
  std::string_view method, path;
  accounts::Permission permission = accounts::Permission::kAdminister;
  std::string_view tag, summary;
  Handler handler = nullptr;
  SlowHandler slow_handler = nullptr;
  Body body = Body::kNone;
  std::int64_t Settings::* limit = nullptr;  // of the body; its name is the setting's
  const api::Schema* request = nullptr;
  const api::Schema* response = nullptr;  // of JSON answers
  int status = 200;
  std::string_view content_type = "application/json";
  std::vector<Parameter> parameters = {};
  bool probe = false;  // asked by who watches over the hub, also while others ask too often
};

/// Every route of the hub.
const std::vector<Route>& table();

struct Match {
  const Route* route = nullptr;
  std::map<std::string, std::string> path;
  std::string allow;  // where the path exists with other methods: those
};
/// HEAD matches GET.
Match match(const std::string& method, const std::string& path);

/// The OpenAPI 3.1 document of the table.
std::string openapi(const std::string& server_url);

template <class T>
base::Result<T> decode_body(const Call& call) {
  auto value = api::decode<T>(call.request.body);
  if (!value) return std::unexpected(std::move(value).error());
  return value;
}

using Reply = base::Result<http::Response>;

/// An object of the store: a redirect to the store where clients can reach it, else the bytes with ETag, If-None-Match,
/// Range and If-Range. `immutable`: the address holds the digest, so it never changes. `name`: of the file, may be empty.
Reply send_object(Services& services, const Call& call, const std::string& digest, bool immutable,
                  const std::string& name);

// Handlers, by file.
Reply list_models(Services&, Call&);
Reply get_model(Services&, Call&);
Reply list_engines(Services&, Call&);
Reply push_model(Services&, Call&);
Reply confirm_source(Services&, Call&);
Reply download(Services&, Call&);
Reply get_engine(Services&, Call&);
Reply get_blob(Services&, Call&);
Reply create_upload(Services&, Call&);
Reply get_upload(Services&, Call&);
Reply put_part(Services&, Call&);
Reply complete_upload(Services&, Call&);
Reply delete_upload(Services&, Call&);
Reply create_build(Services&, Call&);
Reply list_builds(Services&, Call&);
void get_build(Services&, Call, std::shared_ptr<http::Exchange>);
Reply cancel_build(Services&, Call&);
Reply create_matrix(Services&, Call&);
Reply get_matrix(Services&, Call&);
Reply cancel_matrix(Services&, Call&);
void stream_build(Services&, Call, std::shared_ptr<http::Exchange>);
Reply create_preflight(Services&, Call&);
void get_preflight(Services&, Call, std::shared_ptr<http::Exchange>);
Reply cancel_preflight(Services&, Call&);
void stream_preflight(Services&, Call, std::shared_ptr<http::Exchange>);
Reply create_tune(Services&, Call&);
void get_tune(Services&, Call, std::shared_ptr<http::Exchange>);
Reply cancel_tune(Services&, Call&);
void stream_tune(Services&, Call, std::shared_ptr<http::Exchange>);
void lease_job(Services&, Call, std::shared_ptr<http::Exchange>);
Reply get_input(Services&, Call&);
Reply get_leased_engine(Services&, Call&);
Reply list_agents(Services&, Call&);
Reply heartbeat(Services&, Call&);
Reply sign(Services&, Call&);
Reply find_kernels(Services&, Call&);
Reply get_kernels(Services&, Call&);
Reply add_kernels(Services&, Call&);
Reply get_tuning(Services&, Call&);
Reply add_tuning(Services&, Call&);
Reply complete_job(Services&, Call&);
Reply fail_job(Services&, Call&);
Reply create_token(Services&, Call&);
Reply list_tokens(Services&, Call&);
Reply revoke_token(Services&, Call&);
Reply get_page(Services&, Call&);
Reply get_openapi(Services&, Call&);
Reply get_health(Services&, Call&);
Reply get_ready(Services&, Call&);
Reply get_metrics(Services&, Call&);
Reply list_keys(Services&, Call&);
Reply list_targets(Services&, Call&);

}  // namespace xinfer::server::routes
