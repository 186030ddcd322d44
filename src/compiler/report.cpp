#include <nlohmann/json.hpp>

#include "compiler/report.h"

namespace xinfer::compiler {
namespace {

using Json = nlohmann::ordered_json;

Json verification_json(const Verification& verification) {
  Json json{{"ran", verification.ran}};
  if (!verification.ran) {
    json["reason"] = verification.reason;
    return json;
  }
  json["device"] = verification.device;
  json["passed"] = verification.passed();
  if (!verification.reason.empty()) json["reason"] = verification.reason;
  for (const Verification::Output& output : verification.outputs)
    json["outputs"].push_back({{"name", output.name},
                               {"max_abs_error", output.max_abs_error},
                               {"max_rel_error", output.max_rel_error},
                               {"cosine", output.cosine},
                               {"matches", output.matches}});
  return json;
}

Json facts(const Report& report) {
  Json json{{"model_digest", report.model_digest},   {"target", report.target},
          {"toolchain", report.toolchain},         {"nodes_imported", report.nodes_imported},
          {"nodes_scheduled", report.nodes_scheduled}, {"kernels", report.kernels},
          {"launches", report.launches},           {"flops", report.flops},
          {"weight_bytes", report.weight_bytes},   {"arena_bytes", report.arena_bytes},
          {"code_bytes", report.code_bytes},       {"verification", verification_json(report.verification)}};
  if (!report.column_labels.empty()) json["column_labels"] = report.column_labels;
  return json;
}

// What the plan does not say: the values behind its arguments, and why each kernel was chosen.
void add_notes(Json& json, const Report& report) {
  json["launch_notes"] = Json::array();
  for (const Report::Launch& launch : report.launch_list)
    json["launch_notes"].push_back({{"outputs", launch.outputs}, {"values", launch.values}});
  json["kernel_reasons"] = report.kernel_reasons;
}

// Names may hold bytes that are no UTF-8.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

bool Verification::passed() const {
  for (const Output& output : outputs)
    if (!output.matches) return false;
  return ran;
}

std::string engine_report(const Report& report) {
  Json json = facts(report);
  add_notes(json, report);
  if (!report.fixed.values.empty() || !report.fixed.empty.empty()) json["fixed_inputs"] = to_json(report.fixed);
  return dump(json);
}

std::string to_json(const Report& report) {
  Json json = facts(report);
  json["engine_bytes"] = report.engine_bytes;
  json["kernels_compiled"] = report.kernels_compiled;
  json["notes"] = report.notes;
  json["stages"] = Json::array();
  for (const Report::Stage& stage : report.stages)
    json["stages"].push_back({{"name", stage.name}, {"milliseconds", stage.milliseconds}, {"detail", stage.detail}});
  return dump(json);
}

}  // namespace xinfer::compiler
