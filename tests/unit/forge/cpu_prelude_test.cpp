// The prelude's mathematics against the C library in extended precision: scalar and vector float32, and float64.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>

#include "forge/cpu/prelude.h"
#include "run_kernel.h"
#include "tensor/dtype.h"

namespace xinfer::forge::cpu {
namespace {

using Wide = long double;
using testing::Buffer;

enum class Domain { kAll, kPositive, kUnit, kAngle, kTwo };
struct Function {
  std::string name;
  Wide (*reference)(Wide, Wide);
  Domain domain = Domain::kAll;
  double ulps = 4;          // of float32
  double relative = 1e-14;  // of float64
  bool flushes = false;     // denormal results may be any small number
};

// One argument or two; the second is ignored where there is one.
const Function kFunctions[] = {
    {"exp(x)", [](Wide x, Wide) { return std::exp(x); }},
    {"expm1(x)", [](Wide x, Wide) { return std::expm1(x); }},
    {"exp2(x)", [](Wide x, Wide) { return std::exp2(x); }, Domain::kAll, 100, 2e-13},
    {"log(x)", [](Wide x, Wide) { return std::log(x); }},
    {"log1p(x)", [](Wide x, Wide) { return std::log1p(x); }},
    {"log2(x)", [](Wide x, Wide) { return std::log2(x); }},
    {"log10(x)", [](Wide x, Wide) { return std::log10(x); }},
    {"sigmoid(x)", [](Wide x, Wide) { return 1 / (1 + std::exp(-x)); }, Domain::kAll, 4, 1e-14, true},
    {"tanh(x)", [](Wide x, Wide) { return std::tanh(x); }},
    {"erf(x)", [](Wide x, Wide) { return std::erf(x); }},
    {"sin(x)", [](Wide x, Wide) { return std::sin(x); }, Domain::kAngle, 4, 1e-9},
    {"cos(x)", [](Wide x, Wide) { return std::cos(x); }, Domain::kAngle, 4, 1e-9},
    {"tan(x)", [](Wide x, Wide) { return std::tan(x); }, Domain::kAngle, 4, 1e-9},
    {"atan(x)", [](Wide x, Wide) { return std::atan(x); }},
    {"asin(x)", [](Wide x, Wide) { return std::asin(x); }, Domain::kUnit},
    {"acos(x)", [](Wide x, Wide) { return std::acos(x); }, Domain::kUnit},
    {"sinh(x)", [](Wide x, Wide) { return std::sinh(x); }, Domain::kAll, 8},
    {"cosh(x)", [](Wide x, Wide) { return std::cosh(x); }, Domain::kAll, 8},
    {"asinh(x)", [](Wide x, Wide) { return std::asinh(x); }},
    {"acosh(x)", [](Wide x, Wide) { return std::acosh(x); }, Domain::kPositive},
    {"atanh(x)", [](Wide x, Wide) { return std::atanh(x); }, Domain::kUnit},
    {"floor(x)", [](Wide x, Wide) { return std::floor(x); }, Domain::kAll, 0, 0},
    {"ceil(x)", [](Wide x, Wide) { return std::ceil(x); }, Domain::kAll, 0, 0},
    {"round_even(x)", [](Wide x, Wide) { return std::nearbyint(x); }, Domain::kAll, 0, 0},
    {"sqrt(x)", [](Wide x, Wide) { return std::sqrt(x); }, Domain::kAll, 0.5, 1.2e-16},
    {"relu(x)", [](Wide x, Wide) { return std::isnan(x) || x > 0 ? x : 0; }, Domain::kAll, 0, 0},
    {"pow(x, y)", [](Wide x, Wide y) { return std::pow(x, y); }, Domain::kTwo, 1, 1e-13},
    {"fmod(x, y)", [](Wide x, Wide y) { return std::fmod(x, y); }, Domain::kTwo, 0, 0},
    {"minimum(x, y)", [](Wide x, Wide y) { return std::isnan(x) || std::isnan(y) ? NAN : std::min(x, y); },
     Domain::kTwo, 0, 0},
    {"maximum(x, y)", [](Wide x, Wide y) { return std::isnan(x) || std::isnan(y) ? NAN : std::max(x, y); },
     Domain::kTwo, 0, 0},
};

constexpr int kCount = 1 << 14;
constexpr double kSpecial[] = {0.0,   -0.0,   INFINITY, -INFINITY, NAN,   1,      -1,   0.5,   -0.5, 2,    -2, 3,
                               1e-40, -1e-40, 88.7,     89,        -87.5, -103.9, -105, 0.625, 0.34, 1e-5, 7,  -3};

std::vector<double> arguments(Domain domain, bool second) {
  std::mt19937 random(second ? 5 : 3);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<double> values;
  constexpr auto kSpecials = static_cast<int>(std::size(kSpecial));
  for (int i = 0; i < kCount; ++i) {
    if (domain == Domain::kTwo && i < kSpecials * kSpecials) {
      values.push_back(kSpecial[second ? i / kSpecials : i % kSpecials]);
      continue;
    }
    if (domain != Domain::kTwo && domain != Domain::kAngle && i < kSpecials && domain != Domain::kUnit) {
      values.push_back(kSpecial[i]);
      continue;
    }
    switch (domain) {
      case Domain::kUnit: values.push_back(uniform(random)); break;
      case Domain::kAngle: values.push_back(i % 2 ? normal(random) * 10 : uniform(random) * 1e6); break;
      case Domain::kTwo: values.push_back(second ? normal(random) * 5 : std::abs(normal(random) * 3)); break;
      default:
        values.push_back(i % 3 == 0   ? normal(random)
                         : i % 3 == 1 ? normal(random) * 20
                                      : std::copysign(std::exp(uniform(random) * 85), normal(random)));
    }
    if (domain == Domain::kPositive) values.back() = std::abs(values.back());
  }
  return values;
}

template <class T>
double worst_error(const std::vector<T>& x, const std::vector<T>& y, const std::vector<T>& got, const Function& f,
                   double unit, std::string* where) {
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const Wide exact = f.reference(x[i], y[i]);
    const T want = static_cast<T>(exact);
    if (got[i] == want || (std::isnan(got[i]) && std::isnan(want))) continue;
    if (f.flushes && std::abs(exact) < 1.7 * std::numeric_limits<T>::min() && got[i] >= 0 &&
        got[i] < 1.7 * std::numeric_limits<T>::min())
      continue;
    double error = std::abs(static_cast<double>((got[i] - exact))) /
                   std::max(std::abs(static_cast<double>(exact)) * unit,
                            static_cast<double>(std::numeric_limits<T>::denorm_min()));
    if (std::isnan(error)) error = INFINITY;
    if (error > worst) {
      worst = error;
      *where = fmt::format("x = {:.9g}, y = {:.9g}: {:.17g}, not {:.17g}", static_cast<double>(x[i]),
                           static_cast<double>(y[i]), static_cast<double>(got[i]), static_cast<double>(want));
    }
  }
  return worst;
}

class Prelude : public ::testing::TestWithParam<std::string> {};

TEST_P(Prelude, MathematicsIsAccurate) {
  const std::string& isa_name = GetParam();
  if (auto missing = testing::missing_for(isa_name); !missing.empty()) GTEST_SKIP() << missing;
  const auto& isa = testing::isa_named(isa_name);
  // Buffers: x, y, x64, y64, and per function three results behind each other: scalar, vector, double.
  std::string source =
      prelude(isa) +
      fmt::format(
          "constexpr int64_t kCount = {};\nXI_KERNEL void XI_SYMBOL(void* const* buffers, int64_t*, void*, int64_t, "
          "int64_t) {{\n",
          kCount) +
      "  const float *xs = (const float*)buffers[0], *ys = (const float*)buffers[1];\n  const double *xd = (const "
      "double*)buffers[2], *yd = (const double*)buffers[3];\n"
      "  float* out = (float*)buffers[4];\n  double* wide = (double*)(out + 2 * kCount * FUNCTIONS);\n";
  for (std::size_t f = 0; f < std::size(kFunctions); ++f) {
    source += "  for (int64_t i = 0; i < kCount; ++i) { const float x = xs[i], y = ys[i]; (void)y; out[i] = " +
              kFunctions[f].name + "; }\n  out += kCount;\n";
    source +=
        "  for (int64_t i = 0; i < kCount; i += kLanes) { const vf x = load(xs + i), y = load(ys + i); (void)y; "
        "store(out + i, " +
        kFunctions[f].name + "); }\n  out += kCount;\n";
    source += "  for (int64_t i = 0; i < kCount; ++i) { const double x = xd[i], y = yd[i]; (void)y; wide[i] = " +
              kFunctions[f].name + "; }\n  wide += kCount;\n";
  }
  // Each function has a domain of its own: one kernel run for each domain.
  const auto mark = source.find("FUNCTIONS");
  source.replace(mark, 9, std::to_string(std::size(kFunctions)));
  NamedSource named = with_symbol(source + "}\n");
  KernelSource kernel{.symbol = named.symbol, .source = named.source, .num_tasks = 1, .choice = "prelude"};
  for (const Domain domain : {Domain::kAll, Domain::kPositive, Domain::kUnit, Domain::kAngle, Domain::kTwo}) {
    const auto xd = arguments(domain, false), yd = arguments(domain, true);
    const std::vector<float> xs(xd.begin(), xd.end()), ys(yd.begin(), yd.end());
    Buffer bx = Buffer::of(xs), by = Buffer::of(ys), bxd = Buffer::of(xd), byd = Buffer::of(yd),
           out(std::size(kFunctions) * kCount * 16);
    auto ran = testing::run_kernel(kernel, isa, {&bx, &by, &bxd, &byd, &out});
    ASSERT_TRUE(ran) << ran.error().text();
    const auto all = out.as<float>();
    const auto wide = out.as<double>();
    for (std::size_t f = 0; f < std::size(kFunctions); ++f) {
      const Function& function = kFunctions[f];
      if (function.domain != domain) continue;
      std::string where;
      for (std::size_t kind = 0; kind < 2; ++kind) {
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>((2 * f + kind) * kCount);
        EXPECT_LE(worst_error<float>(xs, ys, {begin, begin + kCount}, function, 0x1p-23, &where), function.ulps)
            << isa_name << (kind ? " vector " : " scalar ") << function.name << " at " << where;
      }
      const auto begin = wide.begin() + static_cast<std::ptrdiff_t>((std::size(kFunctions) + f) * kCount);
      EXPECT_LE(worst_error<double>(xd, yd, {begin, begin + kCount}, function, 1, &where), function.relative)
          << isa_name << " float64 " << function.name << " at " << where;
    }
  }
}

TEST_P(Prelude, SmallFloatsAgreeWithTheLibrary) {
  const std::string& isa_name = GetParam();
  if (auto missing = testing::missing_for(isa_name); !missing.empty()) GTEST_SKIP() << missing;
  const auto& isa = testing::isa_named(isa_name);
  NamedSource named = with_symbol(prelude(isa) + R"(
XI_KERNEL void XI_SYMBOL(void* const* buffers, int64_t*, void*, int64_t, int64_t) {
  const float* x = (const float*)buffers[0];
  uint16_t* out = (uint16_t*)buffers[1];
  for (int i = 0; i < 8192; ++i, out += 12) {
    out[0] = to_float16(x[i]); out[1] = to_bfloat16(x[i]);
    for (int s = 0; s < 2; ++s) {
      out[2 + s] = Float8E4M3FN::encode(x[i], s); out[4 + s] = Float8E4M3FNUZ::encode(x[i], s);
      out[6 + s] = Float8E5M2::encode(x[i], s); out[8 + s] = Float8E5M2FNUZ::encode(x[i], s);
    }
    out[10] = Float4E2M1::encode(x[i], true);
  }
  float* back = (float*)out;
  for (int i = 0; i < 256; ++i, back += 6) {
    back[0] = Float8E4M3FN::decode(i); back[1] = Float8E4M3FNUZ::decode(i); back[2] = Float8E5M2::decode(i); back[3] = Float8E5M2FNUZ::decode(i);
    back[4] = from_float16(i * 257); back[5] = from_bfloat16(i * 257);
  }
})");
  std::mt19937 random(9);
  std::vector<float> x;
  for (int i = 0; i < 8192; ++i)
    x.push_back(i < 24 ? static_cast<float>(kSpecial[i])
                       : std::normal_distribution<float>()(random) *
                             std::exp2(static_cast<float>(static_cast<int>(random() % 40) - 24)));
  Buffer in = Buffer::of(x), out(8192 * 24 + 256 * 24);
  auto ran =
      testing::run_kernel({.symbol = named.symbol, .source = named.source, .choice = "small floats"}, isa, {&in, &out});
  ASSERT_TRUE(ran) << ran.error().text();
  using tensor::DType;
  const DType kinds[] = {DType::kFloat8E4M3FN, DType::kFloat8E4M3FNUZ, DType::kFloat8E5M2, DType::kFloat8E5M2FNUZ};
  const auto codes = out.as<std::uint16_t>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isnan(x[i])) {
      ASSERT_EQ(codes[12 * i], tensor::to_float16(x[i])) << x[i];
    }
    ASSERT_EQ(codes[12 * i + 1], tensor::to_bfloat16(x[i])) << x[i];
    for (std::size_t k = 0; k < 4; ++k)
      for (std::size_t s = 0; s < 2; ++s)
        ASSERT_EQ(codes[12 * i + 2 + 2 * k + s], tensor::to_float8(kinds[k], x[i], s))
            << tensor::name(kinds[k]) << " of " << x[i];
    // A NaN has no code in float4: the casts that kernels are printed with choose one (x_to_float4).
    if (!std::isnan(x[i])) {
      ASSERT_EQ(codes[12 * i + 10], tensor::to_float4(x[i])) << x[i];
    }
  }
  const auto floats = out.as<float>();
  for (std::size_t i = 0; i < 256; ++i) {
    const float* back = &floats[8192 * 6 + 6 * i];
    const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
    for (std::size_t k = 0; k < 4; ++k)
      ASSERT_TRUE(same(back[k], tensor::from_float8(kinds[k], static_cast<std::uint8_t>(i))))
          << tensor::name(kinds[k]) << " code " << i;
    ASSERT_TRUE(same(back[4], tensor::from_float16(static_cast<std::uint16_t>(i * 257)))) << i;
    ASSERT_TRUE(same(back[5], tensor::from_bfloat16(static_cast<std::uint16_t>(i * 257)))) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Prelude, ::testing::Values("x86-64-v4", "x86-64-v3", "armv8-a"), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

}  // namespace
}  // namespace xinfer::forge::cpu
