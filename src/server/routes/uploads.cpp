// Uploads in parts.
#include "api/codec.h"
#include "server/routes/route.h"
#include "server/services.h"

namespace xinfer::server::routes {

using base::Code;
using http::Response;

Reply create_upload(Services& services, Call& call) {
  XI_TRY(const api::UploadRequest request, decode_body<api::UploadRequest>(call));
  XI_TRY(const api::Upload upload, services.uploads.create(call.principal.organisation, request));
  Response response = Response::json(201, api::encode(upload));
  response.headers.emplace_back("Location", "/v1/uploads/" + upload.id);
  return response;
}

Reply get_upload(Services& services, Call& call) {
  XI_TRY(const api::Upload upload, services.uploads.status(call.principal.organisation, call.path["id"]));
  return Response::json(200, api::encode(upload));
}

Reply put_part(Services& services, Call& call) {
  if (!call.request.parameter("offset"))
    return std::unexpected(base::Error{Code::kInvalidArgument, "this parameter is required", "offset"});
  XI_TRY(const std::int64_t offset, call.number("offset", 0, 0, INT64_MAX));
  const std::string& digest = call.request.header("x-part-sha256");
  if (!digest.empty() && digest != call.request.body_sha256)
    return base::fail(Code::kCorrupt, "the part was damaged on its way: SHA-256 {} arrived; send it again",
                      call.request.body_sha256);
  XI_TRY(const api::Upload upload,
         services.uploads.append(call.principal.organisation, call.path["id"], offset, call.request.body_file,
                                 static_cast<std::int64_t>(call.request.body_bytes), call.request.body_sha256));
  return Response::json(200, api::encode(upload));
}

Reply complete_upload(Services& services, Call& call) {
  XI_TRY(const api::Blob blob, services.uploads.complete(call.principal.organisation, call.path["id"]));
  return Response::json(200, api::encode(blob));
}

Reply delete_upload(Services& services, Call& call) {
  XI_CHECK(services.uploads.remove(call.principal.organisation, call.path["id"]));
  return Response{204, {}, {}, {}};
}

}  // namespace xinfer::server::routes
