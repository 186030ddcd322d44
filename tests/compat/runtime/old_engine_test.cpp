// Engines written by earlier versions still open and run: one committed file per format version.
// XI_NEW_FIXTURE=1 writes the file of the current format where it does not exist yet; committed ones are never rewritten.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "../../unit/runtime/sample_engine.h"
#include "base/files.h"
#include "target/registry.h"
#include "xinfer/core/inference_engine.h"

namespace xinfer {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(XI_SOURCE_DIR) / "tests/compat/runtime/engines";

TEST(OldEngines, TheCurrentFormatHasItsFixture) {
  auto path = kFolder / fmt::format("format-{}.engine", engine::kFormatVersion);
  if (std::getenv("XI_NEW_FIXTURE") && !std::filesystem::exists(path)) {
    auto key = base::make_key_pair();
    auto contents = testing_engine::add_chain(3, 4, false);
    contents.manifest.model_digest = std::string(64, '0');
    contents.manifest.licence = "Apache-2.0";
    contents.manifest.metadata = R"({"task":"test"})";
    contents.manifest.report = "{}";
    ASSERT_TRUE(base::write_file(path, engine::write(contents, key.secret_key)));
    auto public_path = path;
    ASSERT_TRUE(base::write_file(public_path.replace_extension(".pub"),
                                 base::to_hex(std::as_bytes(std::span(key.public_key))) + "\n"));
  }
  EXPECT_TRUE(std::filesystem::exists(path)) << "commit an engine of the new format";
}

TEST(OldEngines, EachOpensAndRuns) {
  int opened = 0;
  for (std::uint32_t version = 1; version <= engine::kFormatVersion; ++version) {
    SCOPED_TRACE(version);
    auto path = kFolder / fmt::format("format-{}.engine", version);
    auto key = engine::read_public_key(kFolder / fmt::format("format-{}.pub", version));
    ASSERT_TRUE(key) << key.error().text();
    auto opened_engine = engine::open(path, {{*key}});
    ASSERT_TRUE(opened_engine) << opened_engine.error().text();
    EXPECT_EQ((*opened_engine)->format_version(), version);
    EXPECT_EQ((*opened_engine)->manifest().model_name, "add_chain");
    EXPECT_EQ((*opened_engine)->manifest().licence, "Apache-2.0");
    ++opened;

    auto host = target::host();
    if (!host || !target::runs_on("x86-64-v3", host->architecture())) continue;
    core::EngineOptions options;
    options.use_trust_store = false;
    options.trusted_keys = {base::to_hex(std::as_bytes(std::span(*key)))};
    core::InferenceEngine engine(path.string(), options);
    auto outputs = engine.infer({core::Tensor(engine.get_input_shape(0))});
    for (int i = 0; i < 64; ++i) EXPECT_EQ(outputs[0].data<float>()[i], static_cast<float>(3 * (i % 16)));
  }
  EXPECT_GT(opened, 0);
}

}  // namespace
}  // namespace xinfer
