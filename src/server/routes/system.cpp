// The page, probes, metrics, keys, targets.
#include <algorithm>

#include "api/codec.h"
#include "server/farm/feeds.h"
#include "server/page.h"
#include "server/routes/route.h"
#include "server/services.h"
#include "target/registry.h"

namespace xinfer::server::routes {

using base::Code;
using http::Response;

Reply get_page(Services&, Call&) {
  Response response = Response::text(200, std::string(page::kIndexHtml), "text/html; charset=utf-8");
  response.headers.emplace_back("Content-Security-Policy",
                                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                                "connect-src 'self'; img-src 'self' data:; "
                                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  response.headers.emplace_back("Cache-Control", "no-cache");
  return response;
}

Reply get_openapi(Services& services, Call&) { return Response::json(200, openapi(services.address())); }

Reply get_health(Services&, Call&) { return Response::json(200, api::encode(api::Health{"ok", XI_VERSION})); }

Reply get_ready(Services& services, Call&) {
  XI_CHECK(services.farm.totals());
  std::error_code error;
  const auto space = std::filesystem::space(services.data_folder, error);
  if (error || space.available < (std::uintmax_t{16} << 20))
    return base::fail(Code::kUnavailable, "the data folder is full");
  return Response::json(200, api::encode(api::Health{"ok", XI_VERSION}));
}

Reply get_metrics(Services& services, Call&) {
  XI_TRY(const farm::Totals totals, services.farm.totals());
  std::string text = services.metrics.text();
  std::string_view help = "Jobs by state.";
  for (const auto& [state, count] : totals.jobs_by_state) {
    text += gauge_line("xinfer_jobs", fmt::format("state=\"{}\"", state), static_cast<double>(count), help);
    help = {};
  }
  std::int64_t queued = 0;
  for (const auto& [target, count] : totals.queued_by_class) queued += count.jobs;
  text += gauge_line("xinfer_queue_depth", "", static_cast<double>(queued), "Jobs that wait.");
  help = "Jobs that wait, by target; TARGET.device: those that take a device of it.";
  for (const auto& [target, count] : totals.queued_by_class) {
    text += gauge_line("xinfer_queue_depth_by_target", fmt::format("target=\"{}\"", label_value(target)),
                       static_cast<double>(count.jobs), help);
    help = {};
  }
  help = "Age of the oldest job that waits, by target or TARGET.device.";
  for (const auto& [target, count] : totals.queued_by_class) {
    text += gauge_line("xinfer_queue_age_seconds_by_target", fmt::format("target=\"{}\"", label_value(target)),
                       static_cast<double>(count.oldest_ms) / 1000, help);
    help = {};
  }
  text += gauge_line("xinfer_queue_age_seconds", "", static_cast<double>(totals.oldest_queued_ms) / 1000,
                     "Age of the oldest job that waits.");
  XI_TRY(const store::Blobs::Collected stored, services.blobs.totals());
  text += gauge_line("xinfer_store_bytes", "", static_cast<double>(stored.bytes), "Bytes in the object store.");
  text += gauge_line("xinfer_store_objects", "", static_cast<double>(stored.objects), "Objects in the object store.");
  text += gauge_line("xinfer_event_streams", "", static_cast<double>(services.feeds.count()), "Open event streams.");
  text += gauge_line("xinfer_agents_waiting", "", static_cast<double>(services.leases.count()),
                     "Agents that wait for a job.");
  return Response::text(200, std::move(text), "text/plain; version=0.0.4; charset=utf-8");
}

Reply list_keys(Services& services, Call&) {
  return Response::json(200, api::encode(api::KeyList{{api::PublicKey{"ed25519", services.key.public_key_hex()}}}));
}

Reply list_targets(Services& services, Call&) {
  const std::vector<std::string> live = services.farm.live_targets();
  api::TargetList list;
  for (const target::TargetInfo& info : target::targets()) {
    api::Target target;
    target.name = info.name;
    target.kind = info.kind == target::Kind::kCpu ? "cpu" : "cuda";
    target.description = std::string(info.display_name);
    if (!info.hardware.empty()) target.description += fmt::format(" ({})", info.hardware);
    for (std::string_view alias : info.aliases) target.aliases.emplace_back(alias);
    for (const char* precision : {"fp32", "fp16", "bf16", "int8"}) {
      const auto parsed = target::parse(fmt::format("{}:{}", info.name, precision));
      if (parsed && target::check_buildable(*parsed)) target.precisions.emplace_back(precision);
    }
    target.available = std::ranges::find(live, info.name) != live.end();
    list.targets.push_back(std::move(target));
  }
  return Response::json(200, api::encode(list));
}

}  // namespace xinfer::server::routes
