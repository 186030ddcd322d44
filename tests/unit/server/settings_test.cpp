#include "server/settings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "api/types.h"
#include "server/catalog/catalogue.h"

namespace xinfer::server {
namespace {

TEST(Settings, DefaultsAndOverrides) {
  EXPECT_EQ(parse_settings("").value().farm_lease_ms, 20'000);
  const auto settings = parse_settings(
      "listen: 0.0.0.0:80\nuploads:\n  part_bytes: 2048\nfarm.attempts: 5\nsources: {mirrors: [/m, "
      "'https://x/{sha256}'], npm: off}\n");
  ASSERT_TRUE(settings) << settings.error().text();
  EXPECT_EQ(settings->listen, "0.0.0.0:80");
  EXPECT_EQ(settings->uploads_part_bytes, 2048);
  EXPECT_EQ(settings->farm_attempts, 5);
  EXPECT_EQ(settings->sources_mirrors, (std::vector<std::string>{"/m", "https://x/{sha256}"}));
  EXPECT_FALSE(settings->sources_npm);
}

TEST(Settings, MistakesAreNamed) {
  const auto error = [](const std::string& yaml) { return parse_settings(yaml).error().text(); };
  EXPECT_EQ(error("uploads: {part_byte: 1}"),
            "unknown setting; did you mean uploads.part_bytes? (at uploads.part_byte)");
  EXPECT_EQ(error("upload: {part_bytes: 1}"), "unknown setting (at upload)");
  EXPECT_EQ(error("uploads: {part_bytes: 5}"), "5 is outside 1024 to 1073741824 (at uploads.part_bytes)");
  EXPECT_EQ(error("uploads: {part_bytes: 5k}"), "expected a whole number, got \"5k\" (at uploads.part_bytes)");
  EXPECT_EQ(error("sources: {npm: maybe}"), "expected on or off, got \"maybe\" (at sources.npm)");
  EXPECT_EQ(error("sources: {mirrors: /m}"), "expected a list (at sources.mirrors)");
  EXPECT_EQ(error("- 1"), "expected a mapping of settings");
  EXPECT_NE(error("a: [").find("not YAML"), std::string::npos);
}

TEST(Settings, Choices) {
  EXPECT_EQ(parse_settings("").value().log_format, "");
  EXPECT_EQ(parse_settings("log: {format: json}").value().log_format, "json");
  EXPECT_EQ(parse_settings("log: {format: xml}").error().text(), "expected text or json, got \"xml\" (at log.format)");
}

TEST(Settings, EveryDefaultIsWithinItsBounds) {
  for (const SettingInfo& info : setting_infos()) {
    EXPECT_FALSE(info.summary.empty()) << info.name;
    if (info.kind != "number") continue;
    EXPECT_LT(info.minimum, info.maximum) << info.name;
  }
}

TEST(Manifest, MistakesAreNamed) {
  const auto error = [](const std::string& yaml) { return catalog::parse_manifest(yaml).error().text(); };
  EXPECT_EQ(error("id: Bad Name"), "an id has lower-case letters, digits, '-', '_' and '.' (at id)");
  EXPECT_EQ(error("name: x"), "this field is required (at id)");
  EXPECT_EQ(error("id: x\nlicense: MIT"), "unknown field; did you mean \"licence\"? (at license)");
  EXPECT_EQ(error("id: x\nsha256: abc"), "expected 64 lower-case hexadecimal digits (at sha256)");
  EXPECT_NE(error("id: x\nsources: [{kind: https, url: 'http://plain'}]").find("https://"), std::string::npos);
  EXPECT_NE(error("id: x\nmetadata: {head: yolox, labels_file: none.txt}").find("none.txt"), std::string::npos);
  EXPECT_NE(error("id: x\nid: y").find("twice"), std::string::npos);
}

TEST(Manifest, QuotedScalarsAreTexts) {
  const auto model = catalog::parse_manifest(
      "id: x\nname: \"10\"\nmetadata: {head: softmax, outputs: {scores: \"758\"}, labels: [\"0\", \"1\"], "
      "score_threshold: 0.5}");
  ASSERT_TRUE(model) << model.error().text();
  EXPECT_EQ(model->name, "10");
  EXPECT_EQ(model->metadata->labels, (std::vector<std::string>{"0", "1"}));
}

TEST(Catalogue, EveryManifestLoadsAndSaysWhatTheZooNeeds) {
  auto database = db::Database::open("sqlite:/tmp/xinfer-catalogue-" + std::to_string(::getpid()) + "/db").value();
  auto catalogue = catalog::Catalogue::open(*database, {}, [] { return 1; }).value();
  EXPECT_GE(catalogue->public_count(), 20u);
  for (const std::string& id : catalogue->public_ids()) {
    const api::Model model = catalogue->find("", id).value();
    EXPECT_FALSE(model.name.empty() || model.task.empty() || model.licence.empty() || model.description.empty()) << id;
    EXPECT_FALSE(model.input_shapes.empty()) << id;
    ASSERT_TRUE(model.metadata) << id;
    EXPECT_FALSE(model.metadata->head.empty()) << id;
    EXPECT_EQ(model.sha256.empty(), model.size_bytes == 0) << id;
    EXPECT_FALSE(model.sources.empty() && model.sha256.empty()) << id;
    if (model.metadata->input) {
      EXPECT_TRUE(model.input_shapes.contains(model.metadata->input->name)) << id;
    }
    if (model.metadata->num_classes && !model.metadata->labels.empty()) {
      EXPECT_EQ(static_cast<std::int64_t>(model.metadata->labels.size()), *model.metadata->num_classes) << id;
    }
  }
  std::filesystem::remove_all("/tmp/xinfer-catalogue-" + std::to_string(::getpid()));
}

}  // namespace
}  // namespace xinfer::server
