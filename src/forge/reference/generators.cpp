// Random numbers: the same seed gives the same numbers on every machine; without a seed it is 0.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

Random generator(const Call& call) {
  return Random(static_cast<std::uint32_t>(static_cast<std::int64_t>(call.node.attributes.real("seed", 0.0f))));
}

Values normal(const Call& call) {
  Tensor out = call.make();
  Random random = generator(call);
  const double mean = call.real("mean", 0.0f), scale = call.real("scale", 1.0f);
  for (std::int64_t i = 0; i < out.num_elements(); ++i) out.set(i, mean + scale * random.normal());
  return result(std::move(out));
}

Values uniform(const Call& call) {
  Tensor out = call.make();
  Random random = generator(call);
  const double low = call.real("low", 0.0f), high = call.real("high", 1.0f);
  for (std::int64_t i = 0; i < out.num_elements(); ++i) out.set(i, low + (high - low) * random.uniform());
  return result(std::move(out));
}

Values bernoulli(const Call& call) {
  Tensor out = call.make();
  Random random = generator(call);
  auto p = doubles(call.in(0));
  for (std::size_t i = 0; i < p.size(); ++i) out.set(static_cast<std::int64_t>(i), random.uniform() < p[i]);
  return result(std::move(out));
}

// Rows of unnormalised log probabilities; classes are drawn with replacement.
Values multinomial(const Call& call) {
  Tensor out = call.make();
  Random random = generator(call);
  const std::int64_t rows = call.in(0).shape()[0], classes = call.in(0).shape()[1], count = out.shape()[1];
  auto x = doubles(call.in(0));
  for (std::int64_t r = 0; r < rows; ++r) {
    double largest = -INFINITY, total = 0;
    for (std::int64_t c = 0; c < classes; ++c) largest = std::max(largest, x[index_of(r * classes + c)]);
    std::vector<double> sums;
    for (std::int64_t c = 0; c < classes; ++c)
      sums.push_back(total += std::exp(x[index_of(r * classes + c)] - largest));
    for (std::int64_t n = 0; n < count; ++n) {
      auto at = std::upper_bound(sums.begin(), sums.end(), random.uniform() * total) - sums.begin();
      out.set(r * count + n, static_cast<double>(std::min<std::int64_t>(at, classes - 1)));
    }
  }
  return result(std::move(out));
}

}  // namespace

void add_generators(Entries& e) {
  e.emplace_back("RandomNormal", normal);
  e.emplace_back("RandomNormalLike", normal);
  e.emplace_back("RandomUniform", uniform);
  e.emplace_back("RandomUniformLike", uniform);
  e.emplace_back("Bernoulli", bernoulli);
  e.emplace_back("Multinomial", multinomial);
}

}  // namespace xinfer::forge::reference
