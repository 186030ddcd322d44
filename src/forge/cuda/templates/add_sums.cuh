// The second kernel of a product whose depth several blocks have shared without a cluster: adds up their sums
// [matrix][split][kM][kN], always in the same order, and finishes. A thread takes eight outputs of a row.
__device__ __forceinline__ void run(const Arguments& all, char*) {
  constexpr int kColumns = (kN + 7) / 8;
  const i64 item = (i64)blockIdx.x * kThreads + threadIdx.x;
  wait_for_inputs();
  ready_for_next();
  if (item >= (i64)kMatrices * kM * kColumns) return;
  const int column = item % kColumns * 8;
  const i64 row = item / kColumns, matrix = row / kM, within = row % kM * kN + column;
  const i64 at = matrix * kM * kN + within;
  Ending ending;
  ending.load(all, at, column);
  Sum x[8] = {};
#pragma unroll
  for (int s = 0; s < kSplitK; ++s) {
    const float* from = (const float*)all.input + (matrix * kSplitK + s) * kM * kN + within;
    float bits[8];
    if constexpr (kN % 8 == 0) contraction::load<8>(bits, from);
    else
#pragma unroll
      for (int i = 0; i < 8; ++i) bits[i] = column + i < kN ? from[i] : 0.f;
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] += bit_cast<Sum>(bits[i]);
  }
  ending.store(x, all, at, column);
}
