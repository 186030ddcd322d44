#include "forge/cuda/records.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "forge/cuda/source.h"
#include "forge/tuning_text.h"

namespace xinfer::forge::cuda {
namespace {

constexpr int kFormat = 1;

std::string sizes(const std::array<std::int64_t, 3>& values) { return fmt::format("{}", fmt::join(values, "x")); }

template <class P>
std::string window(const P& p) {
  return fmt::format("kernel {} stride {} dilation {} pad {}", sizes(p.kernel), sizes(p.stride), sizes(p.dilation), sizes(p.pad));
}

std::string describe(const ConvProblem& p) {
  return fmt::format("conv {} {}x{}x{} to {}x{} {} groups {}{}{}{}", tensor::name(p.dtype), p.batch, p.in_channels, sizes(p.in), p.out_channels,
                     sizes(p.out), window(p), p.groups, p.transposed ? " transposed" : "", p.constant_weights ? "" : " variable",
                     p.plain_input ? " plain" : "");
}
std::string describe(const MatMulProblem& given) {
  const MatMulProblem p = fold_batch(given);
  std::string text = fmt::format("matmul {} {}x{}x{}", tensor::name(p.dtype), p.m, p.n, p.k);
  if (matrices_of(p) != 1) text += fmt::format(" batch {} by {}", fmt::join(p.batch_a, "x"), fmt::join(p.batch_b, "x"));
  return text + (p.transpose_a ? " A transposed" : "") + (p.transpose_b && !p.constant_b ? " B transposed" : "") + (p.constant_b ? " B constant" : "");
}
std::string describe(const PoolProblem& p) {
  constexpr std::string_view kKinds[] = {"max", "average", "lp"};
  return fmt::format("pool {} {} {}x{}x{} to {} {}{}", kKinds[static_cast<int>(p.kind)], tensor::name(p.dtype), p.batch, p.channels, sizes(p.in),
                     sizes(p.out), window(p), p.layout == Layout::kBlocked ? "" : " plain");
}

}  // namespace

std::string text_of(const Problem& problem) {
  return std::visit([](const auto& p) { return describe(p); }, problem);
}

base::Result<Records> Records::parse(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const auto is_text = [](const nlohmann::json& value) { return value.is_string(); };
  if (!json.is_object() || !json.contains("format") || !json.contains("records") || !json["records"].is_object() ||
      !json.contains("architecture") || !json["architecture"].is_string() || !std::ranges::all_of(json["records"], is_text))
    return base::fail(base::Code::kInvalidArgument,
                      "no tuning records: they are a JSON object with format, architecture, device and records, as 'xinfer-cli tune' writes it");
  if (json["format"] != kFormat)
    return base::fail(base::Code::kInvalidArgument, "tuning records of format {}; this version knows {}", json["format"].dump(), kFormat);
  Records records;
  records.architecture = json["architecture"].get<std::string>();
  if (json.contains("device") && json["device"].is_string()) records.device = json["device"].get<std::string>();
  if (json.contains("toolchain") && json["toolchain"].is_string()) records.toolchain = json["toolchain"].get<std::string>();
  if (json.contains("models") && json["models"].is_array())
    for (const auto& digest : json["models"])
      if (digest.is_string()) records.models.insert(digest.get<std::string>());
  for (const auto& [problem, choice] : json["records"].items()) records.choices.emplace(problem, choice.get<std::string>());
  return records;
}

std::string Records::to_json() const {
  nlohmann::ordered_json json{{"format", kFormat}, {"architecture", architecture}, {"device", device}};
  if (!toolchain.empty()) json["toolchain"] = toolchain;
  if (!models.empty()) json["models"] = models;
  json["records"] = nlohmann::ordered_json::object();
  for (const auto& [problem, choice] : choices) json["records"][problem] = choice;
  return json.dump(1) + "\n";
}

void Records::add(const Records& before) {
  choices.insert(before.choices.begin(), before.choices.end());
  models.insert(before.models.begin(), before.models.end());
}

const Records& Records::builtin(const target::GpuIsa& gpu) {
  static const Records h100 = [] {
    auto records = parse(kSm90aJson);
    return records ? std::move(*records) : Records{};
  }();
  static const Records none;
  return gpu.name == h100.architecture ? h100 : none;
}

std::string choose(const Problem& problem, const target::GpuIsa& gpu, std::initializer_list<const Records*> records) {
  std::vector<Candidate> all = candidates(problem, gpu);
  const std::string key = text_of(problem);
  for (const Records* some : records) {
    if (!some || some->architecture != gpu.name) continue;
    const auto record = some->choices.find(key);
    if (record != some->choices.end() && std::ranges::find(all, record->second, &Candidate::text) != all.end()) return record->second;
  }
  return all.front().text;
}

}  // namespace xinfer::forge::cuda
