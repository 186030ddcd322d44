// Tokens, by administrators.
#include "api/codec.h"
#include "server/routes/route.h"
#include "server/services.h"

namespace xinfer::server::routes {

using http::Response;

Reply create_token(Services& services, Call& call) {
  XI_TRY(api::TokenRequest request, decode_body<api::TokenRequest>(call));
  if (request.organisation.empty()) request.organisation = call.principal.organisation;
  XI_TRY(const api::Token token, services.accounts.create_token(request));
  Response response = Response::json(201, api::encode(token));
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

Reply list_tokens(Services& services, Call&) {
  api::TokenList list;
  XI_TRY(list.tokens, services.accounts.tokens());
  return Response::json(200, api::encode(list));
}

Reply revoke_token(Services& services, Call& call) {
  XI_CHECK(services.accounts.revoke_token(call.path["id"]));
  return Response{204, {}, {}, {}};
}

}  // namespace xinfer::server::routes
