// The target on its seeds, on changes of them that are the same in every run, and on the corpus: what once went wrong.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "fuzz.h"

namespace xinfer::fuzz {
namespace {

constexpr int kChangesOfEach = 300, kChangesInARow = 4;

TEST(Fuzz, Seeds) {
  for (const std::string& seed : seeds()) run(seed);
}

TEST(Fuzz, ChangedSeeds) {
  Random random(20261128);
  for (const std::string& seed : seeds())
    for (int i = 0; i < kChangesOfEach; ++i) {
      std::string input = seed;
      for (int j = 0; j < kChangesInARow; ++j) {
        input = mutate(std::move(input), random, mutate_bytes);
        run(input);
      }
    }
}

TEST(Fuzz, Corpus) {
  const std::filesystem::path folder = XI_CORPUS;
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "nothing has gone wrong yet";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path().string());
    const auto input = base::read_file(entry.path(), 1 << 20);
    ASSERT_TRUE(input) << input.error().text();
    run(*input);
  }
}

}  // namespace
}  // namespace xinfer::fuzz
