// The inner loops of the reference contractions, in double.
#pragma once
#include <cstdint>
#include <vector>

#include "ir/operators/windows.h"

namespace xinfer::forge::reference {

/// targets[k][i] += factors[k] * source[i * step] for k < count <= 4 and i < length.
void accumulate_rows(double* const* targets, const double* factors, int count, const double* source,
                     std::int64_t length, std::int64_t step);

/// c[m, n] += a[m, k] * b[k, n], all row-major and dense.
void multiply_matrices(const double* a, const double* b, double* c, std::int64_t m, std::int64_t k, std::int64_t n);

/// Convolution of x [N, C, ...] with w [M, C/group, ...]; the result is [N, M, window.output...].
std::vector<double> convolve(const std::vector<double>& x, const ir::Shape& x_shape, const std::vector<double>& w,
                             const ir::Shape& w_shape, const ir::Window& window, std::int64_t group);

}  // namespace xinfer::forge::reference
