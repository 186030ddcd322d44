// Convolution of an image of few channels that lies plain, with an even stride along rows (a network's first layer), on tensor
// cores. A block makes kBM neighbouring outputs of one row: the rows of the image that they see lie in shared memory, where a
// tap's neighbours are the next words, so that fragments are read from there without an im2col. Depth: (c, ky, kx), each kx
// padded to eight. Output channels last.

constexpr int kTapRows = kC * kKH, kTapRowsPadded = kDepth / 8;
constexpr int kPatchWidth = (kBM - 1) * kSW + 8;
constexpr int kRowBytes = kDepth * 2 + 16;  // an odd number of 16-byte chunks: ldmatrix meets no bank conflict
constexpr int kPatchBytes = (kTapRowsPadded * kPatchWidth * 2 + 15) / 16 * 16;
static_assert(kSW % 2 == 0 && kKW <= 8 && kOW % kBM == 0 && kDepth % 16 == 0 && kDH == 1 && kDW == 1 && kThreads == kBM * 2);

// All of a thread's loads are on their way before it stores the first element.
__device__ __forceinline__ void load_patch(T* patch, const Input* image, int y0, int x0) {
  constexpr int kElements = kTapRowsPadded * kPatchWidth, kEach = (kElements + kThreads - 1) / kThreads;
  Input values[kEach];
#pragma unroll
  for (int n = 0; n < kEach; ++n) {
    const int i = threadIdx.x + n * kThreads, row = i / kPatchWidth, x = x0 + i % kPatchWidth, y = y0 + row % kKH;
    const bool inside = row < kTapRows && (unsigned)y < (unsigned)kIH && (unsigned)x < (unsigned)kIW;
    values[n] = Input(0.f);
    if (inside) values[n] = image[(row / kKH * kIH + y) * kIW + x];
  }
#pragma unroll
  for (int n = 0; n < kEach; ++n) {
    const int i = threadIdx.x + n * kThreads;
    if (kElements % kThreads == 0 || i < kElements) patch[i] = T((float)values[n]);
  }
}

__device__ __forceinline__ void run(const Arguments& a, char* shared) {
  constexpr int kColumnTiles = (kN + kBN - 1) / kBN;
  const int column0 = blockIdx.x % kColumnTiles * kBN, row0 = blockIdx.x / kColumnTiles * kBM;
  const int image = row0 / (kOH * kOW), y = row0 / kOW % kOH, x = row0 % kOW;
  const u32 columns = shared_address(shared) + kPatchBytes;
  for (int i = threadIdx.x; i < kBN * (kDepth / 8); i += kThreads) {
    const int o = i / (kDepth / 8), chunk = i % (kDepth / 8);
    copy16(columns + o * kRowBytes + chunk * 16, a.weights + ((i64)(column0 + o) * kDepth + chunk * 8) * 2, column0 + o < kN);
  }
  commit();
  wait_for_inputs();
  load_patch((T*)shared, (const Input*)a.input + (i64)image * (kC * kIH * kIW), y * kSH - kPH, x * kSW - kPW);
  wait_for_all_but<0>();
  __syncthreads();
  ready_for_next();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const u32* words = (const u32*)shared + (warp * 16 + lane / 4) * (kSW / 2) + lane % 4;
  float acc[kTilesM][kTilesN][4] = {};
#pragma unroll
  for (int kk = 0; kk < kDepth / 16; ++kk) {
    const u32* low = words + 2 * kk * (kPatchWidth / 2);
    const u32* high = low + kPatchWidth / 2;
    const u32 fragment[4] = {low[0], low[4 * kSW], high[0], high[4 * kSW]};
#pragma unroll
    for (int j = 0; j < kTilesN / 2; ++j) {
      u32 w[4];
      load_matrix4(w, columns + (j * 16 + lane % 8 + lane / 16 * 8) * kRowBytes + kk * 32 + lane / 8 % 2 * 16);
      multiply<T>(acc[0][2 * j], fragment, w[0], w[1]);
      multiply<T>(acc[0][2 * j + 1], fragment, w[2], w[3]);
    }
  }
  __syncthreads();
  store_tile((float*)shared, acc);
  __syncthreads();
  finish_tile((const float*)shared, 0, row0, column0, a);
}
