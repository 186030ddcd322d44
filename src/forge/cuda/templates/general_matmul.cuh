// Matrix product of any number type and any strides: tiles of 64 by 64 in shared memory, 4 by 4 outputs a thread.
constexpr int kTile = 64, kStep = 16;

extern "C" __global__ void __launch_bounds__(256) XI_ENTRY(XI_PARAMETERS) {
  __shared__ Sum a_tile[kStep][kTile + 4];
  __shared__ Sum b_tile[kStep][kTile + 4];
  const int tiles_n = (kN + kTile - 1) / kTile, tiles_m = (kM + kTile - 1) / kTile;
  const int64_t batch = blockIdx.x / (tiles_n * tiles_m);
  const int m0 = blockIdx.x / tiles_n % tiles_m * kTile, n0 = blockIdx.x % tiles_n * kTile;
  int64_t a_offset = 0, b_offset = 0, rest = batch;
  for (int d = kBatchRank; d-- > 0; rest /= kBatch[d]) {
    a_offset += rest % kBatch[d] * kBatchA[d];
    b_offset += rest % kBatch[d] * kBatchB[d];
  }
  const Element* a = input + a_offset;
  const Weight* b = weights + b_offset;
  const Sum zero_point = kHasZeroPoint ? Sum(bias[0]) : Sum(0);
  const int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
  Sum sum[4][4] = {};
  for (int k0 = 0; k0 < kK; k0 += kStep) {
    // Each operand is read along its own contiguous axis.
#pragma unroll
    for (int i = threadIdx.x; i < kTile * kStep; i += 256) {
      const int m = kAK == 1 ? i / kStep : i % kTile, k = kAK == 1 ? i % kStep : i / kTile;
      a_tile[k][m] = m0 + m < kM && k0 + k < kK ? Sum(Sum(a[(int64_t)(m0 + m) * kAM + (int64_t)(k0 + k) * kAK]) - zero_point) : Sum(0);
    }
#pragma unroll
    for (int i = threadIdx.x; i < kTile * kStep; i += 256) {
      const int n = kBK == 1 ? i / kStep : i % kTile, k = kBK == 1 ? i % kStep : i / kTile;
      b_tile[k][n] = n0 + n < kN && k0 + k < kK ? Sum(b[(int64_t)(n0 + n) * kBN + (int64_t)(k0 + k) * kBK]) : Sum(0);
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kStep; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] = Sum(sum[i][j] + a_tile[k][row + i] * b_tile[k][column + j]);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int m = m0 + row + i, n = n0 + column + j;
      if (m >= kM || n >= kN) continue;
      const int64_t at = (batch * kM + m) * kN + n;
      Sum x = sum[i][j];
      if constexpr (kHasBias) x += Sum(bias[n]);
      if constexpr (kFused) {
        XI_OPERANDS(at, n)
        output[at] = Out(epilogue((float)x, operands));
      } else {
        output[at] = Out(x);
      }
    }
}
