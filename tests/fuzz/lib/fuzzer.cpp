// libFuzzer's entry points. Only in the preset "fuzz".
#include <cstdint>
#include <cstring>

#include "fuzz.h"

using xinfer::fuzz::Random;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  xinfer::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  static const std::vector<std::string> kSeeds = xinfer::fuzz::seeds();
  Random random(seed);
  const auto bytes = [](std::string text, Random&) {
    const std::size_t old = text.size();
    text.resize(old + 64);
    text.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(text.data()), old, text.size()));
    return text;
  };
  // An empty corpus has one input of one byte: from there straight to a seed.
  std::string input(reinterpret_cast<const char*>(data), size);
  if (size < 2 || random() % 1000 == 0) input = kSeeds[random() % kSeeds.size()];
  else input = xinfer::fuzz::mutate(std::move(input), random, bytes);
  if (input.size() > max_size) input.resize(max_size);
  std::memcpy(data, input.data(), input.size());
  return input.size();
}
