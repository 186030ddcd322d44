#include "forge/reference/kernels.h"

#include <algorithm>

#include "forge/reference/call.h"

// The same code for wider vectors where the machine has them; without contraction the results do not change.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__)
#define XI_WIDE __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define XI_WIDE
#endif

namespace xinfer::forge::reference {

XI_WIDE void accumulate_rows(double* const* targets, const double* factors, int count, const double* source,
                             std::int64_t length, std::int64_t step) {
  if (count == 4 && step == 1) {
    double* __restrict t0 = targets[0], * __restrict t1 = targets[1], * __restrict t2 = targets[2], * __restrict t3 = targets[3];
    const double f0 = factors[0], f1 = factors[1], f2 = factors[2], f3 = factors[3];
    for (std::int64_t i = 0; i < length; ++i) {
      const double x = source[i];
      t0[i] += f0 * x;
      t1[i] += f1 * x;
      t2[i] += f2 * x;
      t3[i] += f3 * x;
    }
    return;
  }
  for (int k = 0; k < count; ++k) {
    double* __restrict target = targets[k];
    const double factor = factors[k];
    if (step == 1)
      for (std::int64_t i = 0; i < length; ++i) target[i] += factor * source[i];
    else
      for (std::int64_t i = 0; i < length; ++i) target[i] += factor * source[i * step];
  }
}

void multiply_matrices(const double* a, const double* b, double* c, std::int64_t m, std::int64_t k, std::int64_t n) {
  // Panels of columns that stay in cache; four rows of c share each row of b.
  constexpr std::int64_t kPanel = 256;
  parallel_for((m + 3) / 4, 8.0 * static_cast<double>(k * n), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t panel = 0; panel < n; panel += kPanel)
      for (std::int64_t block = begin; block < end; ++block) {
        const std::int64_t row = block * 4;
        const int count = static_cast<int>(std::min<std::int64_t>(4, m - row));
        double* targets[4] = {};
        for (int r = 0; r < count; ++r) targets[r] = c + (row + r) * n + panel;
        for (std::int64_t i = 0; i < k; ++i) {
          double factors[4] = {};
          for (int r = 0; r < count; ++r) factors[r] = a[(row + r) * k + i];
          accumulate_rows(targets, factors, count, b + i * n + panel, std::min(kPanel, n - panel), 1);
        }
      }
  });
}

}  // namespace xinfer::forge::reference
