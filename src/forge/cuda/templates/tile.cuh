// What a block on tensor cores does with its finished tile of kBM x kBN sums: through shared memory into rows, then bias,
// tail, store. A warp holds kTilesM x kTilesN fragments of 16 x 8 whose rows are kRowsTile apart.

constexpr int kTilesM = kWgmma ? kBM / kWarpsM / 64 : kBM / kWarpsM / 16, kTilesN = kBN / kWarpsN / 8;
constexpr int kRowsTile = kWgmma ? 64 : 16;
__device__ __forceinline__ int warp_row(int warp) {
  return kWgmma ? warp / 4 * (kTilesM * 64) + warp % 4 * 16 : warp / kWarpsN * (kBM / kWarpsM);
}
__device__ __forceinline__ int warp_column(int warp) { return kWgmma ? 0 : warp % kWarpsN * (kBN / kWarpsN); }

// Eight finished sums of row m, columns o…o+7: bias, tail, store. Columns past kChannels are padding: zero.
__device__ __forceinline__ void finish(float (&x)[8], int m, int o, const Arguments& a) {
  if ((kM % kBM && m >= kM) || (kN % kBN && o >= kN)) return;
  const i64 at = a.first + (i64)m * kN + o;
  if constexpr (kHasBias) {
    float bias[8];
    load_channels<8>(bias, (const Bias*)a.bias, o);
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] += bias[i];
  }
  if constexpr (kN % 8 == 0) {
    apply_tail<8>(a, x, at, o);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (kN != kChannels && o + i >= kChannels) x[i] = 0;
    store<8>((T*)a.output + at, x);
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (o + i < kN) {
        float y[1] = {x[i]};
        apply_tail<1>(a, y, at + i, o + i);
        store<1>((T*)a.output + at + i, y);
      }
  }
}

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

// Adds up the tile over the blocks of the cluster, if there are several: each its share of the rows, always in the same
// order. Finishes the sums.
__device__ __forceinline__ void finish_tile(const float* tile, int split, int row0, int column0, const Arguments& a) {
  constexpr int kShare = kBM * kBN / 8 / kSplitK;
  static_assert(kBM * kBN / 8 % kSplitK == 0);
  for (int i = split * kShare + threadIdx.x; i < (split + 1) * kShare; i += kThreads) {
    const int row = i / (kBN / 8), column = i % (kBN / 8) * 8;
    float x[8];
    if constexpr (kSplitK == 1) {
      load<8>(x, tile + row * kTileStride + column);
    } else {
#if __CUDA_ARCH__ >= 900
#pragma unroll
      for (int j = 0; j < 8; ++j) x[j] = 0;
#pragma unroll
      for (int s = 0; s < kSplitK; ++s) {
        u32 remote;
        asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(shared_address(tile + row * kTileStride + column)), "r"(s));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float p, q, r, t;
          asm volatile("ld.shared::cluster.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(p), "=f"(q), "=f"(r), "=f"(t) : "r"(remote + half * 16));
          x[half * 4] += p, x[half * 4 + 1] += q, x[half * 4 + 2] += r, x[half * 4 + 3] += t;
        }
      }
#endif
    }
    finish(x, row0 + row, column0 + column, a);
  }
}
__device__ __forceinline__ void synchronize_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
#endif
}
