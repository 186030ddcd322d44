// Convolution as an implicit matrix product on tensor cores, NHWC, float16 in and out, float32 accumulation.
//
//   rows    m = (n, oh, ow)          BM a block, WARPS_M warps
//   columns o = output channel       BN a block, WARPS_N warps
//   depth   k = (kh, kw, c)          BK a step, STAGES steps in flight (cp.async), SPLIT_K blocks share one tile
//
// Instantiated by a struct of constants (all sizes are known when the kernel is made), so that every division is by a
// constant. Weights are [OC][KH][KW][C], C padded to a multiple of 8. Shared memory holds rows of BK halves whose
// 16-byte chunks are permuted by the row, so that ldmatrix meets no bank conflict.
namespace xi {

using u32 = unsigned int;

__device__ __forceinline__ u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// Copies 16 bytes to shared memory, or writes zeros where the source lies outside the image.
__device__ __forceinline__ void copy16(u32 to, const void* from, bool inside) {
#if __CUDA_ARCH__ >= 800
  int bytes = inside ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes));
#else
  uint4 value = inside ? *(const uint4*)from : make_uint4(0, 0, 0, 0);
  asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(to), "r"(value.x), "r"(value.y), "r"(value.z), "r"(value.w));
#endif
}
__device__ __forceinline__ void commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;");
#endif
}
template <int N>
__device__ __forceinline__ void wait_for_all_but() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(N));
#endif
}
__device__ __forceinline__ void load_matrix4(u32 (&r)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}
// d += a (16x16, row) * b (16x8, column)
__device__ __forceinline__ void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(b0));
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}
__device__ __forceinline__ u32 pack_half2(float low, float high) {
  u32 packed;
  asm("{.reg .b16 l, h; cvt.rn.f16.f32 l, %1; cvt.rn.f16.f32 h, %2; mov.b32 %0, {l, h};}" : "=r"(packed) : "f"(low), "f"(high));
  return packed;
}
__device__ __forceinline__ void unpack_half2(u32 packed, float& low, float& high) {
  asm("{.reg .b16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h;}" : "=f"(low), "=f"(high) : "r"(packed));
}

// Programmatic dependent launch: what comes before wait_for_inputs() overlaps the kernel before; ready_for_next() lets
// the kernel after this one start its own preparation.
__device__ __forceinline__ void wait_for_inputs() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void ready_for_next() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

template <class P>
struct Conv {
  static constexpr int kThreads = P::WARPS_M * P::WARPS_N * 32;
  static constexpr int kM = P::N * P::OH * P::OW;
  static constexpr int kK = P::KH * P::KW * P::C;
  static constexpr int kSteps = (kK + P::BK - 1) / P::BK;
  static constexpr int kStepsEach = (kSteps + P::SPLIT_K - 1) / P::SPLIT_K;
  static constexpr int kChunks = P::BK / 8;  // 16-byte chunks of a row
  static constexpr int kRowsPass = kThreads / kChunks;
  static constexpr int kPassesA = P::BM / kRowsPass, kPassesB = P::BN / kRowsPass;
  static constexpr int kStageHalves = (P::BM + P::BN) * P::BK;
  static constexpr int kTilesM = P::BM / P::WARPS_M / 16, kTilesN = P::BN / P::WARPS_N / 8;
  static constexpr bool kPointwise = P::KH == 1 && P::KW == 1 && P::PH == 0 && P::PW == 0 && P::SH == 1 && P::SW == 1;
  static_assert(P::BM % kRowsPass == 0 && P::BN % kRowsPass == 0 && kTilesN % 2 == 0 && P::C % 8 == 0 && P::OC % 8 == 0);

  static __device__ __forceinline__ int swizzle(int row, int chunk) {
    return kChunks == 8 ? chunk ^ (row & 7) : kChunks == 4 ? chunk ^ ((row >> 1) & 3) : chunk;
  }

  // Starts the copy of depth step `step` of the weights tile.
  static __device__ __forceinline__ void load_weights(u32 stage, const char* weights, int column0, int step) {
    const int chunk = threadIdx.x % kChunks, row0 = threadIdx.x / kChunks;
    const int k = step * P::BK + chunk * 8;
#pragma unroll
    for (int pass = 0; pass < kPassesB; ++pass) {
      int row = row0 + pass * kRowsPass, o = column0 + row;
      bool inside = (P::OC % P::BN == 0 || o < P::OC) && (kK % P::BK == 0 || k < kK);
      copy16(stage + ((P::BM + row) * kChunks + swizzle(row, chunk)) * 16, weights + (inside ? ((long)o * kK + k) * 2 : 0), inside);
    }
  }

  struct Pixel {  // where the window of one output pixel starts
    int base;     // offset in halves of (n, ih0, iw0, 0); may point outside
    int ih0, iw0; // ih0 hugely negative for rows past the end
  };
  static __device__ __forceinline__ Pixel pixel(int m) {
    int n = m / (P::OH * P::OW), rest = m % (P::OH * P::OW);
    int ih0 = rest / P::OW * P::SH - P::PH, iw0 = rest % P::OW * P::SW - P::PW;
    Pixel p{((n * P::IH + ih0) * P::IW + iw0) * P::C, ih0, iw0};
    if (m >= kM) p.ih0 = -(1 << 28);
    return p;
  }
  static __device__ __forceinline__ void load_input(u32 stage, const char* input, const Pixel (&pixels)[kPassesA], int step) {
    const int chunk = threadIdx.x % kChunks, row0 = threadIdx.x / kChunks;
    const int k = step * P::BK + chunk * 8;
    const int tap = k / P::C, c = k % P::C, kh = tap / P::KW * P::DH, kw = tap % P::KW * P::DW;
    const int shift = (kh * P::IW + kw) * P::C + c;
#pragma unroll
    for (int pass = 0; pass < kPassesA; ++pass) {
      int row = row0 + pass * kRowsPass;
      const Pixel& p = pixels[pass];
      bool inside = (kK % P::BK == 0 || k < kK) &&
                    (kPointwise ? p.ih0 >= 0 : (unsigned)(p.ih0 + kh) < (unsigned)P::IH && (unsigned)(p.iw0 + kw) < (unsigned)P::IW);
      copy16(stage + (row * kChunks + swizzle(row, chunk)) * 16, input + (inside ? (long)(p.base + shift) * 2 : 0), inside);
    }
  }

  static __device__ __forceinline__ void multiply_stage(u32 stage, float (&acc)[kTilesM][kTilesN][4]) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int row0 = warp / P::WARPS_N * (P::BM / P::WARPS_M), column0 = warp % P::WARPS_N * (P::BN / P::WARPS_N);
#pragma unroll
    for (int kk = 0; kk < P::BK / 16; ++kk) {
      u32 a[kTilesM][4], b[kTilesN / 2][4];
#pragma unroll
      for (int i = 0; i < kTilesM; ++i) {
        int row = row0 + i * 16 + lane % 16;
        load_matrix4(a[i], stage + (row * kChunks + swizzle(row, kk * 2 + lane / 16)) * 16);
      }
#pragma unroll
      for (int j = 0; j < kTilesN / 2; ++j) {
        int row = column0 + j * 16 + lane % 8 + lane / 16 * 8;
        load_matrix4(b[j], stage + ((P::BM + row) * kChunks + swizzle(row, kk * 2 + lane / 8 % 2)) * 16);
      }
#pragma unroll
      for (int i = 0; i < kTilesM; ++i)
#pragma unroll
        for (int j = 0; j < kTilesN; ++j) multiply(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
  }

  // Eight finished outputs of row m, channels o…o+7: bias, residual, activation, store.
  static __device__ __forceinline__ void finish(const float (&x)[8], int m, int o, const float* bias, const char* residual, char* output) {
    if ((kM % P::BM && m >= kM) || (P::OC % P::BN && o >= P::OC)) return;
    float y[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) y[i] = x[i] + bias[o + i];
    long offset = ((long)m * P::OC + o) * 2;
    if (P::RESIDUAL) {
      uint4 r = *(const uint4*)(residual + offset);
      const u32 parts[4] = {r.x, r.y, r.z, r.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float low, high;
        unpack_half2(parts[i], low, high);
        y[2 * i] += low, y[2 * i + 1] += high;
      }
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) y[i] = P::activation(y[i]);
    *(uint4*)(output + offset) = make_uint4(pack_half2(y[0], y[1]), pack_half2(y[2], y[3]), pack_half2(y[4], y[5]), pack_half2(y[6], y[7]));
  }

  // The tile in shared memory as float32, rows of BN + 4 so that the fragments' stores do not collide.
  static constexpr int kTileStride = P::BN + 4;
  static __device__ __forceinline__ void store_tile(float* tile, const float (&acc)[kTilesM][kTilesN][4]) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int row0 = warp / P::WARPS_N * (P::BM / P::WARPS_M) + lane / 4;
    const int column0 = warp % P::WARPS_N * (P::BN / P::WARPS_N) + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < kTilesM; ++i)
#pragma unroll
      for (int j = 0; j < kTilesN; ++j) {
        float* at = tile + (row0 + i * 16) * kTileStride + column0 + j * 8;
        *(float2*)at = make_float2(acc[i][j][0], acc[i][j][1]);
        *(float2*)(at + 8 * kTileStride) = make_float2(acc[i][j][2], acc[i][j][3]);
      }
  }

  static __device__ __forceinline__ void run(const char* input, const char* weights, const float* bias, const char* residual,
                                             char* output, char* shared) {
    const int column_tiles = (P::OC + P::BN - 1) / P::BN;
    const int split = blockIdx.x % P::SPLIT_K, tile_index = blockIdx.x / P::SPLIT_K;
    const int row0 = tile_index / column_tiles * P::BM, column0 = tile_index % column_tiles * P::BN;
    const int first = split * kStepsEach;
    const int count = min(kStepsEach, kSteps - first);
    const u32 base = shared_address(shared);

    // Weights do not depend on the kernel before: fetch them while it still runs.
#pragma unroll
    for (int s = 0; s < P::STAGES - 1; ++s)
      if (s < count) load_weights(base + s * kStageHalves * 2, weights, column0, first + s);
    Pixel pixels[kPassesA];
#pragma unroll
    for (int pass = 0; pass < kPassesA; ++pass) pixels[pass] = pixel(row0 + threadIdx.x / kChunks + pass * kRowsPass);
    wait_for_inputs();
#pragma unroll
    for (int s = 0; s < P::STAGES - 1; ++s) {
      if (s < count) load_input(base + s * kStageHalves * 2, input, pixels, first + s);
      commit();
    }

    float acc[kTilesM][kTilesN][4] = {};
    for (int step = 0; step < count; ++step) {
      wait_for_all_but<P::STAGES - 2>();
      __syncthreads();
      int next = step + P::STAGES - 1;
      if (next < count) {
        u32 stage = base + next % P::STAGES * kStageHalves * 2;
        load_weights(stage, weights, column0, first + next);
        load_input(stage, input, pixels, first + next);
      }
      commit();
      multiply_stage(base + step % P::STAGES * kStageHalves * 2, acc);
    }
    ready_for_next();
    wait_for_all_but<0>();
    __syncthreads();
    float* tile = (float*)shared;
    store_tile(tile, acc);
    if (P::SPLIT_K == 1) {
      __syncthreads();
      for (int i = threadIdx.x; i < P::BM * P::BN / 8; i += kThreads) {
        int row = i / (P::BN / 8), column = i % (P::BN / 8) * 8;
        float x[8];
#pragma unroll
        for (int j = 0; j < 8; ++j) x[j] = tile[row * kTileStride + column + j];
        finish(x, row0 + row, column0 + column, bias, residual, output);
      }
      return;
    }
#if __CUDA_ARCH__ >= 900
    // The SPLIT_K blocks of a tile are one cluster: each adds up its share of the rows from everybody's shared memory,
    // always in the same order.
    asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
    constexpr int kShare = P::BM * P::BN / 8 / P::SPLIT_K;
    static_assert(P::BM * P::BN / 8 % P::SPLIT_K == 0);
    for (int i = split * kShare + threadIdx.x; i < (split + 1) * kShare; i += kThreads) {
      int row = i / (P::BN / 8), column = i % (P::BN / 8) * 8;
      float x[8] = {};
#pragma unroll
      for (int s = 0; s < P::SPLIT_K; ++s) {
        u32 remote;
        asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(shared_address(tile + row * kTileStride + column)), "r"(s));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float a, b, c, d;
          asm volatile("ld.shared::cluster.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(a), "=f"(b), "=f"(c), "=f"(d) : "r"(remote + half * 16));
          x[half * 4] += a, x[half * 4 + 1] += b, x[half * 4 + 2] += c, x[half * 4 + 3] += d;
        }
      }
      finish(x, row0 + row, column0 + column, bias, residual, output);
    }
    asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
#endif
  }
};

}  // namespace xi
