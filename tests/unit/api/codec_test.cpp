#include "api/codec.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace xinfer::api {
namespace {

TEST(Codec, RoundTrip) {
  BuildRequest request;
  request.model = "yolox-nano-coco";
  request.target = "x86-64-v4";
  request.shapes = {{"images", {{{}, 1, 1, 1}, {{}, 3, 3, 3}, {{}, 32, 416, 640}, {"W", 32, 416, 640}}}};
  request.profiles = {{{"images", {{{}, 1, 1, 1}, {{}, 3, 3, 3}, {{}, 320, 320, 320}, {{}, 320, 320, 320}}}}, {{"images", {{{}, 1, 1, 1}, {{}, 3, 3, 3}, {{}, 32, 64, 128}, {{}, 32, 64, 128}}}}};
  request.metadata = Metadata{};
  request.metadata->head = "yolox";
  request.metadata->input = ImageInput{};
  request.metadata->input->mean = {0.485, 0.456, 0.406};
  request.metadata->outputs = {{"predictions", "output"}};
  const auto again = decode<BuildRequest>(encode(request));
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(encode(*again), encode(request));
  EXPECT_EQ(again->shapes, request.shapes);
  EXPECT_EQ(again->profiles, request.profiles);
  EXPECT_EQ(again->metadata->input->mean, request.metadata->input->mean);
}

TEST(Codec, OptionalEmptyFieldsAreLeftOut) { EXPECT_EQ(encode(BuildRequest{.target = "t4"}), R"({"target":"t4"})"); }

TEST(Codec, InvalidUtf8IsReplacedNotThrown) {
  EXPECT_NE(encode(ErrorReply{{"internal", "bad \xff byte", ""}}).find("bad "), std::string::npos);
}

TEST(Codec, ErrorsNameTheField) {
  const auto error = [](std::string_view json) { return decode<BuildRequest>(json).error().text(); };
  EXPECT_EQ(error("{}"), "this field is required (at target)");
  EXPECT_EQ(error(R"({"target":1})"), "expected a string, got number (at target)");
  EXPECT_EQ(error(R"({"target":"t","shapes":{"x":[1,"2"]}})"), "'2' is no range like \"32:320:1280\" (at shapes.x[1])");
  EXPECT_EQ(error(R"({"target":"t","shapes":{"x":[1.5]}})"), "expected a size or a range, got number (at shapes.x[0])");
  EXPECT_EQ(error(R"({"target":"t","profiles":[{"x":[1]},{"x":["a:b"]}]})"),
            "'a:b' is no range like \"32:320:1280\" (at profiles[1].x[0])");
  EXPECT_EQ(error(R"({"target":"t","modle":"m"})"), "unknown field; did you mean \"model\"? (at modle)");
  EXPECT_EQ(error(R"({"target":"t","metadata":{"heat":"m"}})"),
            "unknown field; did you mean \"head\"? (at metadata.heat)");
  EXPECT_EQ(error("[]"), "expected an object, got array");
  EXPECT_EQ(error("{\"target\""), "the body is not JSON");
  EXPECT_EQ(error(std::string(33, '[') + std::string(33, ']')), "JSON nested deeper than 32");
}

TEST(Codec, ClientsIgnoreWhatTheyDoNotKnow) {
  const auto reply = decode<HeartbeatReply>(R"({"cancelled":true,"ttl_ms":5,"mood":"good"})", Unknown::kIgnore);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->cancelled);
}

TEST(Codec, SchemasFollowTheFields) {
  const auto json = nlohmann::json::parse(schema<BuildRequest>().json());
  EXPECT_EQ(schema<BuildRequest>().name, "BuildRequest");
  EXPECT_EQ(json["required"], nlohmann::json({"target"}));
  EXPECT_EQ(json["properties"]["metadata"]["$ref"], "#/components/schemas/Metadata");
  EXPECT_EQ(json["properties"]["shapes"]["additionalProperties"]["items"]["oneOf"][0]["type"], "integer");
}

TEST(Nearest, FindsWhatIsMeantAndNothingElse) {
  EXPECT_EQ(nearest("uploads.part_byte", {"uploads.part_bytes", "uploads.ttl_ms"}), "uploads.part_bytes");
  EXPECT_EQ(nearest("zzzz", {"model", "target"}), "");
}

}  // namespace
}  // namespace xinfer::api
