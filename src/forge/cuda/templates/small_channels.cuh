// Convolution of an image of few channels that lies plain (a network's first layer) on tensor cores: each block gathers its
// windows into shared memory as rows of kDepth = C * KH * KW elements, rounded up to whole fragments. Output channels last.

constexpr int kRowBytes = kDepth * 2 + 16;  // an odd number of 16-byte chunks: ldmatrix meets no bank conflict
constexpr int kParts = kThreads / kBM;      // threads that gather one row
constexpr int kPartChunks = (kDepth / 8 + kParts - 1) / kParts;
static_assert(kThreads % kBM == 0 && kBM % 32 == 0 && kDepth % 16 == 0);

// The chunks kPart * kPartChunks… of the window of one output pixel. Everything about an element but the pixel is constant.
template <int kPart>
__device__ __forceinline__ void gather(u32 row, const Input* image, int y0, int x0, bool inside) {
#pragma unroll
  for (int chunk = kPart * kPartChunks; chunk < (kPart + 1) * kPartChunks && chunk < kDepth / 8; ++chunk) {
    T x[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int k = chunk * 8 + j, c = k / (kKH * kKW), ky = k / kKW % kKH * kDH, kx = k % kKW * kDW;
      x[j].bits = 0;
      if (c < kC && inside && (unsigned)(y0 + ky) < (unsigned)kIH && (unsigned)(x0 + kx) < (unsigned)kIW)
        x[j] = T((float)image[(c * kIH + y0 + ky) * kIW + x0 + kx]);
    }
    asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(row + chunk * 16), "r"((u32)x[0].bits | (u32)x[1].bits << 16),
                 "r"((u32)x[2].bits | (u32)x[3].bits << 16), "r"((u32)x[4].bits | (u32)x[5].bits << 16), "r"((u32)x[6].bits | (u32)x[7].bits << 16));
  }
}
template <int kPart>
__device__ __forceinline__ void gather_part(int part, u32 row, const Input* image, int y0, int x0, bool inside) {
  if constexpr (kPart < kParts) {
    if (part == kPart) gather<kPart>(row, image, y0, x0, inside);
    else gather_part<kPart + 1>(part, row, image, y0, x0, inside);
  }
}

__device__ __forceinline__ void run(const Arguments& a, char* shared) {
  constexpr int kColumnTiles = (kN + kBN - 1) / kBN;
  const int row0 = blockIdx.x / kColumnTiles * kBM, column0 = blockIdx.x % kColumnTiles * kBN;
  const u32 rows = shared_address(shared), columns = rows + kBM * kRowBytes;
  for (int i = threadIdx.x; i < kBN * (kDepth / 8); i += kThreads) {
    const int o = i / (kDepth / 8), chunk = i % (kDepth / 8);
    copy16(columns + o * kRowBytes + chunk * 16, a.weights + ((i64)(column0 + o) * kDepth + chunk * 8) * 2, column0 + o < kN);
  }
  commit();
  const int m = row0 + threadIdx.x % kBM, image = m / (kOH * kOW), rest = m % (kOH * kOW);
  wait_for_inputs();
  gather_part<0>(threadIdx.x / kBM, rows + threadIdx.x % kBM * kRowBytes, (const Input*)a.input + (i64)min(image, kImages - 1) * (kC * kIH * kIW),
                 rest / kOW * kSH - kPH, rest % kOW * kSW - kPW, m < kM);
  wait_for_all_but<0>();
  __syncthreads();
  ready_for_next();
  float acc[kTilesM][kTilesN][4] = {};
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (int kk = 0; kk < kDepth / 16; ++kk) {
    u32 x[kTilesM][4], w[kTilesN / 2][4];
#pragma unroll
    for (int i = 0; i < kTilesM; ++i) load_matrix4(x[i], rows + (warp_row(warp) + i * 16 + lane % 16) * kRowBytes + kk * 32 + lane / 16 * 16);
#pragma unroll
    for (int j = 0; j < kTilesN / 2; ++j)
      load_matrix4(w[j], columns + (warp_column(warp) + j * 16 + lane % 8 + lane / 16 * 8) * kRowBytes + kk * 32 + lane / 8 % 2 * 16);
#pragma unroll
    for (int i = 0; i < kTilesM; ++i)
#pragma unroll
      for (int j = 0; j < kTilesN; ++j) multiply<T>(acc[i][j], x[i], w[j / 2][j % 2 * 2], w[j / 2][j % 2 * 2 + 1]);
  }
  __syncthreads();
  store_tile((float*)shared, acc);
  __syncthreads();
  finish_tile((const float*)shared, 0, row0, column0, a);
}
