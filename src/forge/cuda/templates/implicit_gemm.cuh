// Convolution (an implicit matrix product) and matrix product on tensor cores: 16-bit floats with float32 sums, or 8-bit
// integers with int32 sums.
//
//   rows    m = (image, y, x)        kBM a block
//   columns o = output channel       kBN a block
//   depth   k = (ky, kx, c)          kBK pairs of bytes a step, kStages steps in flight, kSplitK blocks share one tile
//
// All sizes are constants, so that every division is by a constant. The input's rows are channels-last pixels of kC
// elements; the weights are [kN][kRowK], or the other way round (kColumnsB: a matrix product's B as it lies). Shared memory
// holds rows of kBK pairs of bytes whose 16-byte chunks are permuted by the row: ldmatrix meets no bank conflict, and where a row
// is 128 bytes the permutation is the one that wgmma reads.

constexpr int kK = kKH * kKW * kC;
constexpr int kElement = sizeof(T), kChunk = 16 / kElement;  // bytes of an element, elements of a chunk
constexpr int kStepK = kBK * 2 / kElement, kRowK = (kK + kChunk - 1) / kChunk * kChunk;
constexpr int kSteps = (kK + kStepK - 1) / kStepK, kStepsEach = (kSteps + kSplitK - 1) / kSplitK;
constexpr int kChunks = kBK / 8;  // 16-byte chunks of a row
constexpr int kRowsPass = kThreads / kChunks, kPassesA = kBM / kRowsPass;
constexpr int kChunksB = kColumnsB ? kBN / 8 : kChunks, kRowsPassB = kThreads / kChunksB, kRowsB = kColumnsB ? kBK : kBN;
constexpr int kPassesB = kRowsB / kRowsPassB;
constexpr int kStageBytes = (kBM + kBN) * kBK * 2;
constexpr int kAhead = kWgmma ? kStages - 2 : kStages - 1;  // steps that are copied ahead
constexpr bool kPointwise = kKH == 1 && kKW == 1 && kPH == 0 && kPW == 0 && kSH == 1 && kSW == 1;
static_assert(kBM % kRowsPass == 0 && kRowsB % kRowsPassB == 0 && kTilesN % 2 == 0 && (kElement == 1 || kC % 8 == 0));

__device__ __forceinline__ int swizzle(int row, int chunk) {
  return kChunks == 8 ? chunk ^ (row & 7) : kChunks == 4 ? chunk ^ ((row >> 1) & 3) : chunk;
}

// Starts the copy of depth step `step` of the weights' tile.
__device__ __forceinline__ void load_weights(u32 stage, const char* weights, int column0, int step) {
  const int chunk = threadIdx.x % kChunksB, row0 = threadIdx.x / kChunksB;
#pragma unroll
  for (int pass = 0; pass < kPassesB; ++pass) {
    const int row = row0 + pass * kRowsPassB;
    if constexpr (kColumnsB) {
      const int k = step * kBK + row, o = column0 + chunk * 8;
      const bool inside = (kN % kBN == 0 || o < kN) && (kK % kBK == 0 || k < kK);
      copy16(stage + kBM * kBK * 2 + (row * kChunksB + (chunk ^ (row & 7))) * 16, weights + (inside ? ((i64)k * kN + o) * 2 : 0), inside);
    } else {
      const int k = step * kStepK + chunk * kChunk, o = column0 + row;
      const bool inside = (kN % kBN == 0 || o < kN) && (kRowK % kStepK == 0 || k < kRowK);
      copy16(stage + ((kBM + row) * kChunks + swizzle(row, chunk)) * 16, weights + (inside ? ((i64)o * kRowK + k) * kElement : 0), inside);
    }
  }
}

struct Pixel {   // where the window of one output pixel starts; transposed: the image, and where its window ends
  int base;      // offset in elements; may point outside
  int ih0, iw0;  // ih0 hugely negative for rows past the end
};
__device__ __forceinline__ Pixel pixel(int m) {
  const int n = m / (kOH * kOW), rest = m % (kOH * kOW);
  if constexpr (kTransposed) return {n * kIH * kIW * kC, m < kM ? rest / kOW + kPH : -(1 << 28), rest % kOW + kPW};
  const int ih0 = rest / kOW * kSH - kPH, iw0 = rest % kOW * kSW - kPW;
  Pixel p{((n * kIH + ih0) * kIW + iw0) * kC, ih0, iw0};
  if (m >= kM) p.ih0 = -(1 << 28);
  return p;
}

// Bytes: a chunk of them may lie in several pixels, and at any address; where there are none stand zero points (`zeros`: four).
__device__ __forceinline__ const char* byte_at(const char* input, const Pixel& p, int k) {
  const int tap = k / kC, c = k % kC, kh = tap / kKW * kDH, kw = tap % kKW * kDW;
  const bool inside = (kK % kStepK == 0 || k < kK) &&
                      (kPointwise ? p.ih0 >= 0 : (unsigned)(p.ih0 + kh) < (unsigned)kIH && (unsigned)(p.iw0 + kw) < (unsigned)kIW);
  return inside ? input + (i64)(p.base + (kh * kIW + kw) * kC + c) : nullptr;
}
__device__ __forceinline__ void load_bytes(u32 to, const char* input, const Pixel& p, int k, u32 zeros) {
  constexpr int kUnit = kC % 16 == 0 ? 16 : kC % 8 == 0 ? 8 : kC % 4 == 0 ? 4 : 1;  // bytes that lie together, aligned
#pragma unroll
  for (int part = 0; part < 16; part += kUnit < 4 ? 4 : kUnit) {
    if constexpr (kUnit >= 4) {
      if (const char* from = byte_at(input, p, k + part)) {
        copy_part<kUnit>(to + part, from);
      } else {
#pragma unroll
        for (int i = 0; i < kUnit; i += 4) store_word(to + part + i, zeros);
      }
    } else {
      u32 word = 0;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const char* from = byte_at(input, p, k + part + i);
        word |= (from ? (u32)(unsigned char)*from : zeros & 255) << 8 * i;
      }
      store_word(to + part, word);
    }
  }
}

__device__ __forceinline__ void load_input(u32 stage, const char* input, const Pixel (&pixels)[kPassesA], int step, u32 zeros) {
  const int chunk = threadIdx.x % kChunks, row0 = threadIdx.x / kChunks;
  const int k = step * kStepK + chunk * kChunk;
  if constexpr (kElement == 1) {
#pragma unroll
    for (int pass = 0; pass < kPassesA; ++pass) {
      const int row = row0 + pass * kRowsPass;
      load_bytes(stage + (row * kChunks + swizzle(row, chunk)) * 16, input, pixels[pass], k, zeros);
    }
    return;
  }
  const int tap = k / kC, c = k % kC, kh = tap / kKW * kDH, kw = tap % kKW * kDW;
  const int shift = (kh * kIW + kw) * kC + c;
#pragma unroll
  for (int pass = 0; pass < kPassesA; ++pass) {
    const int row = row0 + pass * kRowsPass;
    const Pixel& p = pixels[pass];
    if constexpr (kTransposed) {  // most taps of a pixel fall between those of the input
      const int h = p.ih0 - kh, w = p.iw0 - kw;
      const bool hit = (kK % kStepK == 0 || k < kK) && h >= 0 && w >= 0 && h % kSH == 0 && w % kSW == 0 && h / kSH < kIH && w / kSW < kIW;
      copy16(stage + (row * kChunks + swizzle(row, chunk)) * 16, input + (hit ? (i64)(p.base + (h / kSH * kIW + w / kSW) * kC + c) * 2 : 0), hit);
      continue;
    }
    const bool inside = (kK % kBK == 0 || k < kK) &&
                        (kPointwise ? p.ih0 >= 0 : (unsigned)(p.ih0 + kh) < (unsigned)kIH && (unsigned)(p.iw0 + kw) < (unsigned)kIW);
    copy16(stage + (row * kChunks + swizzle(row, chunk)) * 16, input + (inside ? (i64)(p.base + shift) * 2 : 0), inside);
  }
}

#ifdef XI_WGMMA
// Where a tile of rows of 128 bytes, permuted as by swizzle(), lies (PTX, "Matrix descriptor": groups of 8 rows follow each
// other at 1024 bytes, swizzling mode 128 bytes).
__device__ __forceinline__ u64 descriptor(u32 address) {
  return (u64)((address & 0x3ffff) >> 4) | (u64)1 << 16 | (u64)64 << 32 | (u64)1 << 62;
}
__device__ __forceinline__ void multiply_stage(u32 stage, float (&acc)[kTilesM][kTilesN][4]) {
  const u32 a = stage + threadIdx.x / 128 * (kTilesM * 64 * 128), b = stage + kBM * 128;
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
  for (int kk = 0; kk < 4; ++kk)
#pragma unroll
    for (int i = 0; i < kTilesM; ++i) multiply_group(acc[i], descriptor(a + i * 64 * 128 + kk * 32), descriptor(b + kk * 32));
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int N>
__device__ __forceinline__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
#else
__device__ __forceinline__ void load_fragments_b(u32 (&b)[kTilesN / 2][4], u32 stage, int kk) {
  const int lane = threadIdx.x % 32, column0 = warp_column(threadIdx.x / 32);
#pragma unroll
  for (int j = 0; j < kTilesN / 2; ++j) {
    if constexpr (kColumnsB) {
      const int k = kk * 16 + lane % 16, chunk = (column0 + j * 16) / 8 + lane / 16;
      load_matrix4_transposed(b[j], stage + kBM * kBK * 2 + (k * kChunksB + (chunk ^ (k & 7))) * 16);
    } else {
      const int row = column0 + j * 16 + lane % 8 + lane / 16 * 8;
      load_matrix4(b[j], stage + ((kBM + row) * kChunks + swizzle(row, kk * 2 + lane / 8 % 2)) * 16);
    }
  }
}
__device__ __forceinline__ void multiply_stage(u32 stage, Sum (&acc)[kTilesM][kTilesN][4]) {
  const int lane = threadIdx.x % 32, row0 = warp_row(threadIdx.x / 32);
#pragma unroll
  for (int kk = 0; kk < kBK / 16; ++kk) {
    u32 a[kTilesM][4], b[kTilesN / 2][4];
#pragma unroll
    for (int i = 0; i < kTilesM; ++i) {
      const int row = row0 + i * 16 + lane % 16;
      load_matrix4(a[i], stage + (row * kChunks + swizzle(row, kk * 2 + lane / 16)) * 16);
    }
    load_fragments_b(b, stage, kk);
#pragma unroll
    for (int i = 0; i < kTilesM; ++i)
#pragma unroll
      for (int j = 0; j < kTilesN; ++j) multiply<T>(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
  }
}
#endif

__device__ __forceinline__ void run(const Arguments& all, char* shared) {
  constexpr int kColumnTiles = (kN + kBN - 1) / kBN, kTiles = (kM + kBM - 1) / kBM * kColumnTiles;
  const int split = blockIdx.x % kSplitK, index = blockIdx.x / kSplitK, tile_index = index % kTiles;
  const int row0 = tile_index / kColumnTiles * kBM, column0 = tile_index % kColumnTiles * kBN;
  const int first = split * kStepsEach, count = min(kStepsEach, kSteps - first);
  const Arguments a = kMatrices == 1 ? all : matrix_arguments(all, index / kTiles);
  u32 base = shared_address(shared);
  if (kWgmma) shared += (1024 - base % 1024) % 1024, base = (base + 1023) & ~1023u;

  // Weights do not depend on the kernel before: fetch them while it still runs.
  if (!kConstantB) wait_for_inputs();
#pragma unroll
  for (int s = 0; s < kAhead; ++s)
    if (s < count) load_weights(base + s * kStageBytes, a.weights, column0, first + s);
  Pixel pixels[kPassesA];
  u32 zeros = 0;
#pragma unroll
  for (int pass = 0; pass < kPassesA; ++pass) pixels[pass] = pixel(row0 + threadIdx.x / kChunks + pass * kRowsPass);
  if (kConstantB) wait_for_inputs();
  if (kHasZeroPoint) zeros = (u32)*(const unsigned char*)a.bias * 0x01010101u;
#pragma unroll
  for (int s = 0; s < kAhead; ++s) {
    if (s < count) load_input(base + s * kStageBytes, a.input, pixels, first + s, zeros);
    commit();
  }

  Sum acc[kTilesM][kTilesN][4] = {};
  for (int step = 0; step < count; ++step) {
    wait_for_all_but<kAhead - 1>();
    const int next = step + kAhead;
    const u32 stage = base + step % kStages * kStageBytes, next_stage = base + next % kStages * kStageBytes;
#ifdef XI_WGMMA
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    multiply_stage(stage, acc);
#else
    __syncthreads();
#endif
    if (next < count) {
      load_weights(next_stage, a.weights, column0, first + next);
      load_input(next_stage, a.input, pixels, first + next, zeros);
    }
    commit();
#ifdef XI_WGMMA
    wait_for_products<1>();  // of the step before: its stage is the next to be overwritten
#else
    multiply_stage(stage, acc);
#endif
  }
  // Not earlier: blocks of the next kernel, waiting beside these, cost ResNet-50 at batch 1 a quarter of its time.
  ready_for_next();
#ifdef XI_WGMMA
  wait_for_products<0>();
#endif
  wait_for_all_but<0>();
  __syncthreads();
  float* tile = (float*)shared;
  store_tile(tile, acc);
  if (kShares == 1) __syncthreads();
  else synchronize_cluster();
  finish_tile(tile, split, row0, column0, a);
  if (kShares > 1) synchronize_cluster();  // the others still read this block's tile
}
