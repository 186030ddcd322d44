// Models kept by an agent: fetched once, checked, and forgotten by least recent use.
#include "agent/model_cache.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "base/digest.h"
#include "base/files.h"

namespace xinfer::agent {
namespace {

namespace fs = std::filesystem;

class Models : public testing::Test {
 protected:
  // Whether it was here.
  bool take(const ModelCache& cache, const std::string& bytes) {
    const fs::path file = folder.path() / ("job" + std::to_string(++jobs));
    const auto had = cache.take(base::sha256(bytes), file, [&](const fs::path& to) -> base::Result<void> {
      ++fetches;
      return base::write_file(to, bytes);
    });
    EXPECT_TRUE(had) << had.error().text();
    EXPECT_EQ(base::read_file(file).value(), bytes);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // times of use must differ
    return had.value_or(false);
  }
  base::TemporaryFolder folder{"model-cache-test"};
  fs::path kept = folder.path() / "models";
  int jobs = 0, fetches = 0;
};

TEST_F(Models, AreFetchedOnce) {
  const ModelCache cache(kept, 1'000);
  EXPECT_FALSE(take(cache, "a model"));
  EXPECT_TRUE(take(cache, "a model"));
  EXPECT_TRUE(take(cache, "a model"));
  EXPECT_EQ(fetches, 1);
}

TEST_F(Models, MakeRoomByLeastRecentUse) {
  const ModelCache cache(kept, 250);
  const std::string a(100, 'a'), b(100, 'b'), c(100, 'c');
  take(cache, a);
  take(cache, b);
  EXPECT_TRUE(take(cache, a));
  take(cache, c);  // b goes
  EXPECT_TRUE(take(cache, a));
  EXPECT_TRUE(take(cache, c));
  EXPECT_FALSE(take(cache, b));
}

TEST_F(Models, OfOtherBytesAreFetchedAgain) {
  const ModelCache cache(kept, 1'000);
  take(cache, "a model");
  std::ofstream(kept / base::sha256("a model")) << "what a build wrote";
  EXPECT_FALSE(take(cache, "a model"));
  EXPECT_TRUE(take(cache, "a model"));
}

TEST_F(Models, AreNotKeptWithoutRoom) {
  const ModelCache cache(kept, 0);
  take(cache, "a model");
  EXPECT_FALSE(take(cache, "a model"));
  EXPECT_FALSE(fs::exists(kept));
}

TEST_F(Models, ThatCannotBeFetchedAreAnError) {
  const ModelCache cache(kept, 1'000);
  const auto had = cache.take(base::sha256("x"), folder.path() / "job", [](const fs::path&) -> base::Result<void> {
    return base::fail(base::Code::kUnavailable, "no hub");
  });
  ASSERT_FALSE(had);
  EXPECT_EQ(had.error().message, "no hub");
}

}  // namespace
}  // namespace xinfer::agent
