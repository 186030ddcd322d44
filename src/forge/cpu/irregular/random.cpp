// Random numbers: seeded, the same as the reference functions draw. Without a seed it is 0.
#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cpu::irregular {

namespace {

// In the order of the template's kinds.
enum Kind : std::int64_t { kUniform, kNormal, kBernoulli, kDropout, kMultinomial };

Kernel draw(Builder& b, Kind kind, std::int64_t seed, const Size& count, double first, double second, std::uint64_t scratch = 0) {
  b.add("kKind", kind).add("kSeed", seed).add("kCount", count).add("kA", first).add("kB", second);
  return b.finish(1, 20.0 * estimate(count), scratch, "random numbers", {kIrregularRandomInc});
}

double real(const Builder& b, std::string_view name, float fallback) { return b.node.attributes.real(name, fallback); }
std::int64_t seed_of(const Builder& b) { return static_cast<std::int64_t>(real(b, "seed", 0)); }
Size out_count(const Builder& b) { return tensor::num_elements(b.out_sizes()); }

Kernel uniform(Builder& b) {
  const double low = real(b, "low", 0);
  return draw(b, kUniform, seed_of(b), out_count(b), low, real(b, "high", 1) - low);
}
Kernel normal(Builder& b) { return draw(b, kNormal, seed_of(b), out_count(b), real(b, "mean", 0), real(b, "scale", 1)); }
Kernel bernoulli(Builder& b) { return draw(b, kBernoulli, seed_of(b), out_count(b), 0, 0); }
Kernel dropout(Builder& b) { return draw(b, kDropout, b.integer("seed", 0), b.elements(0), 0, 0); }

Kernel multinomial(Builder& b) {
  XI_TRY(const std::int64_t classes, b.fixed(b.sizes(0)[1], "the number of classes"));
  XI_TRY(const std::int64_t draws, b.fixed(b.out_sizes()[1], "the number of draws"));
  return draw(b, kMultinomial, seed_of(b), b.sizes(0)[0], static_cast<double>(classes), static_cast<double>(draws),
              static_cast<std::uint64_t>(classes) * 8);
}

constexpr Row kRows[] = {{"RandomUniform", uniform, true},    {"RandomUniformLike", uniform, true}, {"RandomNormal", normal, true},
                         {"RandomNormalLike", normal, true},  {"Bernoulli", bernoulli, true},       {"Dropout", dropout, true},
                         {"Multinomial", multinomial, true}};

}  // namespace

std::span<const Row> random_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
