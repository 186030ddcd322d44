// An irregular template run by a block of threads together: what cpu/templates/irregular_alone.inc has for one thread.
#define XI_SHARE(i, from, to) for (int64_t i = (from) + threadIdx.x; i < (to); i += blockDim.x)
#define XI_MEET() __syncthreads()
#define XI_OWN threadIdx.x
#define XI_THREADS blockDim.x
#define XI_FIRST (threadIdx.x == 0 ? 0 : 9223372036854775807ll)

template <int64_t kCount, class F> XI_INLINE void for_vectors(F f) {
  XI_SHARE(i, 0, kCount) f(i, 1);
  XI_MEET();
}

// out[row] += w[row, :] . x for all rows, a warp a row.
template <int64_t kWidth>
XI_INLINE void add_product(const float* w, const float* x, float* out, int64_t rows) {
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
#pragma unroll 4
  for (int row = threadIdx.x / 32; row < rows; row += warps) {
    float sum = 0;
#pragma unroll
    for (int i = lane; i < kWidth; i += 32) sum += w[row * kWidth + i] * x[i];
    sum = fold_group<32>(sum, 0.0f, [](float a, float b) { return a + b; });
    if (lane == 0) out[row] += sum;
  }
  XI_MEET();
}
