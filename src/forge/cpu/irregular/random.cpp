// Random numbers: seeded, the same as the reference functions draw. Without a seed it is 0.
#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cpu::irregular {

namespace {

// In the order of the template's kinds.
enum Kind : std::int64_t { kUniform, kNormal, kBernoulli, kDropout, kMultinomial };

Kernel draw(Builder& b, Kind kind, std::int64_t seed, std::int64_t count, double first, double second, std::uint64_t scratch = 0) {
  b.add("kKind", kind).add("kSeed", seed).add("kCount", count).add("kA", first).add("kB", second);
  return b.finish(1, 20.0 * static_cast<double>(count), scratch, "random numbers", {kIrregularRandomInc});
}

double real(const Builder& b, std::string_view name, float fallback) { return b.node.attributes.real(name, fallback); }
std::int64_t seed_of(const Builder& b) { return static_cast<std::int64_t>(real(b, "seed", 0)); }
std::int64_t out_count(const Builder& b) { return tensor::num_elements(b.out_shape()); }

Kernel uniform(Builder& b) {
  const double low = real(b, "low", 0);
  return draw(b, kUniform, seed_of(b), out_count(b), low, real(b, "high", 1) - low);
}
Kernel normal(Builder& b) { return draw(b, kNormal, seed_of(b), out_count(b), real(b, "mean", 0), real(b, "scale", 1)); }
Kernel bernoulli(Builder& b) { return draw(b, kBernoulli, seed_of(b), out_count(b), 0, 0); }
Kernel dropout(Builder& b) { return draw(b, kDropout, b.integer("seed", 0), b.count(0), 0, 0); }

Kernel multinomial(Builder& b) {
  const Shape in = b.shape(0);
  return draw(b, kMultinomial, seed_of(b), in[0], static_cast<double>(in[1]), static_cast<double>(b.out_shape()[1]),
              static_cast<std::uint64_t>(in[1]) * 8);
}

constexpr Row kRows[] = {{"RandomUniform", uniform},    {"RandomUniformLike", uniform}, {"RandomNormal", normal},
                         {"RandomNormalLike", normal},  {"Bernoulli", bernoulli},       {"Dropout", dropout},
                         {"Multinomial", multinomial}};

}  // namespace

std::span<const Row> random_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
