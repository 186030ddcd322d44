// From eight sums of a row to the output: zero point, bias, tail, store. Columns past kChannels are padding: zero.

// What the sums miss because the input's zero point was not taken off: zero point times the column's weights, which lie
// behind the weights.
__device__ __forceinline__ int missing(const Arguments& a, int column) {
  if constexpr (kHasZeroPoint) return (int)*(const T*)a.bias * ((const int*)(a.weights + kColumnSums))[column];
  return 0;
}

struct Ending {
  Tail<8> tail;
  float bias[8];

  // Before the sums are there.
  __device__ __forceinline__ void load(const Arguments& a, i64 at, int column) {
    if constexpr (kHasBias) load_channels<8>(bias, (const Bias*)a.bias, column);
    if constexpr (kN % 8 == 0) tail.load(a, at, column);
  }
  __device__ __forceinline__ void store(Sum (&x)[8], const Arguments& a, i64 at, int column) const {
    if constexpr (kHasZeroPoint && !kPartial)
#pragma unroll
      for (int i = 0; i < 8; ++i)
        if (column + i < kN) x[i] -= missing(a, column + i);
    if constexpr (IsSame<Out, int>::value) {
      store_whole(x, (int*)a.output + at, column);
    } else {
      float y[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) y[i] = (float)x[i] + (kHasBias ? bias[i] : 0.f);
      if constexpr (kN % 8 != 0) {
        store_singly(y, at, column, a);
      } else {
        tail.apply(y);
#pragma unroll
        for (int i = 0; i < 8; ++i)
          if (kN != kChannels && column + i >= kChannels) y[i] = 0;
        contraction::store<8>((Out*)a.output + at, y);
      }
    }
  }

 private:
  // Whole numbers have no tail.
  static __device__ __forceinline__ void store_whole(const Sum (&x)[8], int* to, int column) {
    if constexpr (kN % 8 == 0) {
      *(uint4*)to = make_uint4((u32)x[0], (u32)x[1], (u32)x[2], (u32)x[3]);
      *(uint4*)(to + 4) = make_uint4((u32)x[4], (u32)x[5], (u32)x[6], (u32)x[7]);
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i)
        if (column + i < kN) to[i] = (int)x[i];
    }
  }
  // Where rows are no multiple of eight.
  static __device__ __forceinline__ void store_singly(const float (&x)[8], i64 at, int column, const Arguments& a) {
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (column + i < kN) {
        float y[1] = {x[i]};
        apply_tail<1>(a, y, at + i, column + i);
        contraction::store<1>((Out*)a.output + at + i, y);
      }
  }
};
