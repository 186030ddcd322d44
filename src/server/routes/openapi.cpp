// The OpenAPI 3.1 document, from the route table and the types' schemas.
#include <nlohmann/json.hpp>
#include <set>

#include "api/codec.h"
#include "server/routes/route.h"

namespace xinfer::server::routes {

using Json = nlohmann::ordered_json;

namespace {

Json reference(const api::Schema& schema) { return {{"$ref", "#/components/schemas/" + std::string(schema.name)}}; }
Json json_content(const api::Schema& schema) { return {{"application/json", {{"schema", reference(schema)}}}}; }

std::string limit_name(const Route& route) {
  // The limits that routes use; the settings table has their values.
  if (route.limit == &Settings::uploads_part_bytes) return "uploads.part_bytes";
  return "http.json_bytes";
}

Json parameters(const Route& route) {
  Json list = Json::array();
  std::string_view rest = route.path;
  for (std::size_t open; (open = rest.find('{')) != std::string_view::npos;) {
    const std::size_t close = rest.find('}', open);
    list.push_back({{"name", std::string(rest.substr(open + 1, close - open - 1))},
                    {"in", "path"},
                    {"required", true},
                    {"schema", {{"type", "string"}}}});
    rest.remove_prefix(close + 1);
  }
  for (const Parameter& parameter : route.parameters)
    list.push_back({{"name", std::string(parameter.name)},
                    {"in", std::string(parameter.in)},
                    {"required", parameter.required},
                    {"description", std::string(parameter.summary)},
                    {"schema", {{"type", std::string(parameter.type)}}}});
  return list;
}

Json operation(const Route& route) {
  Json op = {{"tags", {std::string(route.tag)}},
             {"summary", std::string(route.summary)},
             {"x-permission", std::string(accounts::name(route.permission))}};
  if (Json list = parameters(route); !list.empty()) op["parameters"] = std::move(list);
  if (route.body != Body::kNone) {
    Json content = route.request
                       ? json_content(*route.request)
                       : Json{{"application/octet-stream", {{"schema", {{"type", "string"}, {"format", "binary"}}}}}};
    op["requestBody"] = {{"required", true},
                         {"description", "At most " + limit_name(route) + " bytes."},
                         {"content", std::move(content)}};
  }
  Json answer = {{"description", "Success"}};
  if (route.response) answer["content"] = json_content(*route.response);
  else if (route.status != 204)
    answer["content"] = {{std::string(route.content_type), {{"schema", {{"type", "string"}}}}}};
  op["responses"][std::to_string(route.status)] = answer;
  if (route.status == 202) op["responses"]["200"] = answer;
  for (const Parameter& parameter : route.parameters) {
    if (parameter.name == "Range") op["responses"]["206"] = answer;
    if (parameter.name == "If-None-Match") op["responses"]["304"] = {{"description", "Unchanged"}};
  }
  op["responses"]["default"] = {{"description", "Error"}, {"content", json_content(api::schema<api::ErrorReply>())}};
  op["security"] = Json::array();
  if (route.permission == accounts::Permission::kPublic) op["security"].push_back(Json::object());
  op["security"].push_back({{"token", Json::array()}});
  return op;
}

}  // namespace

std::string openapi(const std::string& server_url) {
  Json document = {{"openapi", "3.1.0"},
                   {"info",
                    {{"title", "Ignition Hub"},
                     {"version", XI_VERSION},
                     {"description",
                      "Compiles ONNX models into verified native engines. Errors have one shape: ErrorReply. Times are "
                      "milliseconds since 1970 (UTC)."},
                     {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
                   {"servers", {{{"url", server_url}}}}};
  for (const Route& route : table()) {
    std::string method(route.method);
    for (char& c : method) c += 'a' - 'A';
    document["paths"][std::string(route.path)][method] = operation(route);
  }
  Json& components = document["components"];
  for (const api::Schema* schema : api::schemas())
    components["schemas"][std::string(schema->name)] = Json::parse(schema->json());
  components["securitySchemes"] = {{"token", {{"type", "http"}, {"scheme", "bearer"}}}};
  return document.dump(2);
}

}  // namespace xinfer::server::routes
