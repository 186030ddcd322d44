// A fuzz target: what is done with an input, inputs to begin with, and how one becomes another. tests/fuzz/NAME/target.cpp
// defines all three; lib/fuzzer.cpp lets libFuzzer call them (`./dev fuzz`), lib/replay.cpp does so in every test run.
#pragma once
#include <cstddef>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace xinfer::fuzz {

using Random = std::mt19937_64;
/// Changes bytes without knowing what they mean. libFuzzer's own remembers what comparisons wanted.
using ByteMutator = std::function<std::string(std::string bytes, Random& random)>;

/// Must neither crash nor run long nor take much memory, whatever `input` is; aborts when something else is wrong.
void run(std::string_view input);
std::vector<std::string> seeds();
/// Another input, near this one, that mostly still has the form that run() reads.
std::string mutate(std::string input, Random& random, const ByteMutator& bytes);

/// What libFuzzer's mutator is replaced by in ordinary test runs: bits flipped, bytes put in, cut out, doubled.
std::string mutate_bytes(std::string bytes, Random& random);

}  // namespace xinfer::fuzz
