#include <nlohmann/json.hpp>

#include "compiler/preflight.h"

namespace xinfer::compiler {
namespace {

using Json = nlohmann::ordered_json;

Json problems_json(const std::vector<Problem>& problems) {
  Json list = Json::array();
  for (const Problem& problem : problems)
    list.push_back(
        {{"op", problem.op}, {"nodes", problem.nodes}, {"reason", problem.reason}, {"advice", problem.advice}});
  return list;
}

Json interval_json(const Interval& interval, double unit) {
  return {{"low", interval.low * unit}, {"likely", interval.likely * unit}, {"high", interval.high * unit}};
}

Json latency_json(const Interval& one, const Interval& all, int threads) {
  Json list = Json::array();
  list.push_back({{"threads", 1}});
  list.back().update(interval_json(one, 1e3));
  if (threads == 1) return list;
  list.push_back({{"threads", threads}});
  list.back().update(interval_json(all, 1e3));
  return list;
}

Json forecast_json(const Forecast& forecast, bool launches) {
  Json json{{"target", forecast.target},
            {"supported", forecast.problems.empty()},
            {"problems", problems_json(forecast.problems)}};
  const target::Machine& machine = forecast.machine;
  if (machine.name.empty()) return json;
  json["machine"] = {{"name", machine.name},
                     {"measured", machine.measured},
                     {"cores", machine.cores},
                     {"frequency", machine.frequency},
                     {"flops", machine.flops},
                     {"core_flops", machine.core_flops},
                     {"level2_bandwidth", machine.level2_bandwidth},
                     {"level3_bandwidth", machine.level3_bandwidth},
                     {"memory_bandwidth", machine.memory_bandwidth},
                     {"level2_bytes", machine.level2_bytes},
                     {"level3_bytes", machine.level3_bytes}};
  json["kernels"] = forecast.kernels;
  json["kernels_cached"] = forecast.kernels_cached;
  json["launches"] = forecast.launches;
  json["flops"] = forecast.flops;
  json["multiply_adds"] = forecast.multiply_adds;
  json["bytes_moved"] = forecast.bytes_moved;
  json["weight_bytes"] = forecast.weight_bytes;
  json["arena_bytes"] = forecast.arena_bytes;
  json["build_seconds"] = interval_json(forecast.build, 1);
  json["prepare_seconds"] = forecast.prepare_seconds;
  json["latency_ms"] = latency_json(forecast.latency, forecast.latency_threads, forecast.threads);
  if (forecast.latency_most.likely > 0) {
    json["latency_least_ms"] = interval_json(forecast.latency_least, 1e3);
    json["latency_most_ms"] = interval_json(forecast.latency_most, 1e3);
  }
  for (const ProfileForecast& profile : forecast.profiles)
    json["profiles"].push_back({{"sizes", profile.sizes},
                                {"kernels", profile.kernels},
                                {"launches", profile.launches},
                                {"arena_bytes", profile.arena_bytes},
                                {"latency_ms", latency_json(profile.latency, profile.latency_threads, forecast.threads)}});
  if (!launches) return json;
  json["verified_flops"] = forecast.verified_flops;
  json["verified_multiply_adds"] = forecast.verified_multiply_adds;
  json["kernel_list"] = Json::array();
  for (const KernelForecast& kernel : forecast.kernel_list)
    json["kernel_list"].push_back({{"symbol", kernel.symbol}, {"kind", kernel.kind}, {"source_bytes", kernel.source_bytes}, {"table_bytes", kernel.table_bytes}});
  json["launch_list"] = Json::array();
  for (const LaunchForecast& launch : forecast.launch_list)
    json["launch_list"].push_back({{"name", launch.name},
                                   {"choice", launch.choice},
                                   {"kind", launch.cost.kind},
                                   {"flops", launch.flops},
                                   {"bytes", launch.bytes},
                                   {"cycles", launch.cost.cycles},
                                   {"operations", launch.cost.operations},
                                   {"weight_bytes", launch.cost.weight_bytes},
                                   {"value_bytes", launch.cost.value_bytes},
                                   {"tasks", launch.cost.tasks},
                                   {"arithmetic_us", launch.cost.arithmetic * 1e6},
                                   {"memory_us", launch.cost.memory * 1e6},
                                   {"call_us", launch.cost.call * 1e6},
                                   {"predicted_us", launch.cost.seconds() * 1e6}});
  return json;
}

}  // namespace

std::string to_json(const Preflight& preflight, bool launches) {
  Json json{{"supported", preflight.supported()},
            {"model_digest", preflight.model_digest},
            {"nodes", preflight.nodes},
            {"parameters", preflight.parameters},
            {"constant_bytes", preflight.constant_bytes},
            {"inputs", preflight.inputs},
            {"outputs", preflight.outputs},
            {"dynamic_inputs", Json::array()},
            {"problems", problems_json(preflight.problems)},
            {"unseen", preflight.unseen},
            {"targets", Json::array()},
            {"seconds", preflight.seconds}};
  for (const DynamicInput& input : preflight.dynamic_inputs)
    json["dynamic_inputs"].push_back(
        {{"name", input.name}, {"type", input.type}, {"assumed", input.assumed}, {"option", input.option},
         {"range_option", input.range_option}, {"by_default", input.by_default}});
  for (const Forecast& forecast : preflight.forecasts) json["targets"].push_back(forecast_json(forecast, launches));
  // Names may hold bytes that are no UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace xinfer::compiler
