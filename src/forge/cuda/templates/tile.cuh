// What a block on tensor cores does with its finished tile of kBM x kBN sums: through shared memory into rows, then bias,
// tail, store (finish.cuh). A warp holds kTilesM x kTilesN fragments of 16 x 8 whose rows are kRowsTile apart.

constexpr int kTilesM = kWgmma ? kBM / kWarpsM / 64 : kBM / kWarpsM / 16, kTilesN = kBN / kWarpsN / 8;
constexpr int kRowsTile = kWgmma ? 64 : 16;
__device__ __forceinline__ int warp_row(int warp) {
  return kWgmma ? warp / 4 * (kTilesM * 64) + warp % 4 * 16 : warp / kWarpsN * (kBM / kWarpsM);
}
__device__ __forceinline__ int warp_column(int warp) { return kWgmma ? 0 : warp % kWarpsN * (kBN / kWarpsN); }

// The tile in shared memory, bits of a Sum in each float, rows of kBN + 4 so that the fragments' stores do not collide.
constexpr int kTileStride = kBN + 4;
__device__ __forceinline__ void store_tile(float* tile, const Sum (&acc)[kTilesM][kTilesN][4]) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int row0 = warp_row(warp) + lane / 4, column0 = warp_column(warp) + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < kTilesM; ++i)
#pragma unroll
    for (int j = 0; j < kTilesN; ++j) {
      float* at = tile + (row0 + i * kRowsTile) * kTileStride + column0 + j * 8;
      *(float2*)at = make_float2(bit_cast<float>(acc[i][j][0]), bit_cast<float>(acc[i][j][1]));
      *(float2*)(at + 8 * kTileStride) = make_float2(bit_cast<float>(acc[i][j][2]), bit_cast<float>(acc[i][j][3]));
    }
}

// With clusters each block finishes a share of the tile; else, with several blocks to a tile, each stores its sums (kPartial).
constexpr int kShares = kPartial ? 1 : kSplitK;

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
__device__ __forceinline__ void load_sums(Sum (&x)[8], const float* from) {
  if constexpr (kShares == 1) {
    float bits[8];
    load<8>(bits, from);
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] = bit_cast<Sum>(bits[j]);
  } else {
#if __CUDA_ARCH__ >= 900
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] = 0;
#pragma unroll
    for (int s = 0; s < kShares; ++s) {
      u32 remote;
      asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(shared_address(from)), "r"(s));
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float p, q, r, t;
        asm volatile("ld.shared::cluster.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(p), "=f"(q), "=f"(r), "=f"(t) : "r"(remote + half * 16));
        x[half * 4] += bit_cast<Sum>(p), x[half * 4 + 1] += bit_cast<Sum>(q), x[half * 4 + 2] += bit_cast<Sum>(r), x[half * 4 + 3] += bit_cast<Sum>(t);
      }
    }
#endif
  }
}

// Of this block's share of the tile. A thread has the operands of several rows on their way before it stores the first,
// except those that lie like the output: they gain nothing (measured).
__device__ __forceinline__ void finish_tile(const float* tile, int split, int row0, int column0, const Arguments& a) {
  constexpr int kShare = kBM * kBN / 8 / kShares, kAtOnce = kElementOperands || kShare < 2 * kThreads ? 1 : kShare < 4 * kThreads ? 2 : 4;
  static_assert(kBM * kBN / 8 % kShares == 0);
  const int share = kPartial ? 0 : split, end = (share + 1) * kShare;
  const i64 start = kPartial ? a.first * kSplitK + (i64)split * kM * kN : a.first;
  for (int first = share * kShare + threadIdx.x; first < end; first += kAtOnce * kThreads) {
    Ending endings[kAtOnce];
#pragma unroll
    for (int g = 0; g < kAtOnce; ++g) {
      const Eight e = eight_at(first + g * kThreads, end, row0, column0);
      if (e.inside) endings[g].load(a, start + (i64)(row0 + e.row) * kN + column0 + e.column, column0 + e.column);
    }
#pragma unroll
    for (int g = 0; g < kAtOnce; ++g) {
      const Eight e = eight_at(first + g * kThreads, end, row0, column0);
      if (!e.inside) continue;
      Sum x[8];
      load_sums(x, tile + e.row * kTileStride + e.column);
      endings[g].store(x, a, start + (i64)(row0 + e.row) * kN + column0 + e.column, column0 + e.column);
    }
  }
}
__device__ __forceinline__ void synchronize_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
#endif
}
