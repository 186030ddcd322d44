// What a block on tensor cores does with its finished tile of kBM x kBN sums: through shared memory into rows, then bias,
// tail, store. A warp holds kTilesM x kTilesN fragments of 16 x 8 whose rows are kRowsTile apart.

constexpr int kTilesM = kWgmma ? kBM / kWarpsM / 64 : kBM / kWarpsM / 16, kTilesN = kBN / kWarpsN / 8;
constexpr int kRowsTile = kWgmma ? 64 : 16;
__device__ __forceinline__ int warp_row(int warp) {
  return kWgmma ? warp / 4 * (kTilesM * 64) + warp % 4 * 16 : warp / kWarpsN * (kBM / kWarpsM);
}
__device__ __forceinline__ int warp_column(int warp) { return kWgmma ? 0 : warp % kWarpsN * (kBN / kWarpsN); }

// The tile in shared memory as float32, rows of kBN + 4 so that the fragments' stores do not collide.
constexpr int kTileStride = kBN + 4;
__device__ __forceinline__ void store_tile(float* tile, const float (&acc)[kTilesM][kTilesN][4]) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int row0 = warp_row(warp) + lane / 4, column0 = warp_column(warp) + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < kTilesM; ++i)
#pragma unroll
    for (int j = 0; j < kTilesN; ++j) {
      float* at = tile + (row0 + i * kRowsTile) * kTileStride + column0 + j * 8;
      *(float2*)at = make_float2(acc[i][j][0], acc[i][j][1]);
      *(float2*)(at + 8 * kTileStride) = make_float2(acc[i][j][2], acc[i][j][3]);
    }
}

// Eight finished sums of the tile.
struct Eight {
  int row, column;  // in the tile
  bool inside;
};
__device__ __forceinline__ Eight eight_at(int i, int end, int row0, int column0) {
  const Eight e{i / (kBN / 8), i % (kBN / 8) * 8, false};
  return {e.row, e.column, i < end && (kM % kBM == 0 || row0 + e.row < kM) && (kN % kBN == 0 || column0 + e.column < kN)};
}

// Their sums over the blocks of the cluster, if there are several, always in the same order.
__device__ __forceinline__ void load_sums(float (&x)[8], const float* from) {
  if constexpr (kSplitK == 1) {
    load<8>(x, from);
  } else {
#if __CUDA_ARCH__ >= 900
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] = 0;
#pragma unroll
    for (int s = 0; s < kSplitK; ++s) {
      u32 remote;
      asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(shared_address(from)), "r"(s));
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float p, q, r, t;
        asm volatile("ld.shared::cluster.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(p), "=f"(q), "=f"(r), "=f"(t) : "r"(remote + half * 16));
        x[half * 4] += p, x[half * 4 + 1] += q, x[half * 4 + 2] += r, x[half * 4 + 3] += t;
      }
    }
#endif
  }
}

// Tail and store where rows are no multiple of eight: one by one.
__device__ __forceinline__ void store_singly(const float (&x)[8], i64 at, int o, const Arguments& a) {
#pragma unroll
  for (int i = 0; i < 8; ++i)
    if (o + i < kN) {
      float y[1] = {x[i]};
      apply_tail<1>(a, y, at + i, o + i);
      store<1>((T*)a.output + at + i, y);
    }
}

// Bias, tail and store of this block's share of the tile. A thread has the operands of several rows on their way before it
// stores the first, except those that lie like the output: they gain nothing (measured). Columns past kChannels are padding:
// zero.
__device__ __forceinline__ void finish_tile(const float* tile, int split, int row0, int column0, const Arguments& a) {
  constexpr int kShare = kBM * kBN / 8 / kSplitK, kAtOnce = kElementOperands || kShare < 2 * kThreads ? 1 : kShare < 4 * kThreads ? 2 : 4;
  static_assert(kBM * kBN / 8 % kSplitK == 0);
  const int end = (split + 1) * kShare;
  for (int first = split * kShare + threadIdx.x; first < end; first += kAtOnce * kThreads) {
    Tail<8> tails[kAtOnce];
    float bias[kAtOnce][8];
#pragma unroll
    for (int g = 0; g < kAtOnce; ++g) {
      const Eight e = eight_at(first + g * kThreads, end, row0, column0);
      if (!e.inside) continue;
      if constexpr (kHasBias) load_channels<8>(bias[g], (const Bias*)a.bias, column0 + e.column);
      if constexpr (kN % 8 == 0) tails[g].load(a, a.first + (i64)(row0 + e.row) * kN + column0 + e.column, column0 + e.column);
    }
#pragma unroll
    for (int g = 0; g < kAtOnce; ++g) {
      const Eight e = eight_at(first + g * kThreads, end, row0, column0);
      if (!e.inside) continue;
      const int o = column0 + e.column;
      const i64 at = a.first + (i64)(row0 + e.row) * kN + o;
      float x[8];
      load_sums(x, tile + e.row * kTileStride + e.column);
      if constexpr (kHasBias)
#pragma unroll
        for (int i = 0; i < 8; ++i) x[i] += bias[g][i];
      if constexpr (kN % 8 != 0) {
        store_singly(x, at, o, a);
        continue;
      }
      tails[g].apply(x);
#pragma unroll
      for (int i = 0; i < 8; ++i)
        if (kN != kChannels && o + i >= kChannels) x[i] = 0;
      store<8>((T*)a.output + at, x);
    }
  }
}
__device__ __forceinline__ void synchronize_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
#endif
}
