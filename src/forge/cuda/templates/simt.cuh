// Matrix product and convolution without tensor cores, any floating type, float32 sums: tiles in shared memory, kTM x kTN
// sums a thread, the next step's elements on their way in registers.

constexpr int kK = kKH * kKW * kC;
constexpr int kSteps = (kK + kBK - 1) / kBK;
constexpr int kVectorsA = kBM * kBK / 4 / kThreads, kVectorsB = kBN * kBK / 4 / kThreads;
static_assert(kThreads == kBM / kTM * (kBN / kTN) && kBM * kBK % (4 * kThreads) == 0 && kBN * kBK % (4 * kThreads) == 0);

// The first `count` of four elements; kAligned: they lie at a multiple of four elements and count is 0 or 4.
template <bool kAligned>
__device__ __forceinline__ void load_four(float (&x)[4], const T* p, int count) {
  if constexpr (kAligned) {
    x[0] = x[1] = x[2] = x[3] = 0;
    if (count > 0) load<4>(x, p);
  } else {
#pragma unroll
    for (int v = 0; v < 4; ++v) x[v] = v < count ? float(p[v]) : 0.f;
  }
}

// Four elements of A: of row m along the depth, or (kTransposeA) of depth k along the rows.
__device__ __forceinline__ void load_a(float (&x)[4], const T* input, int m, int k) {
  if constexpr (kTransposeA) {
    load_four<kM % 4 == 0>(x, input + (i64)k * kM + m, k < kK ? kM - m : 0);
  } else if constexpr (kConvolution) {
    const int n = m / (kOH * kOW), rest = m % (kOH * kOW), tap = k / kC;
    int y = rest / kOW * kSH - kPH + tap / kKW * kDH, z = rest % kOW * kSW - kPW + tap % kKW * kDW;
    bool hit = true;
    if constexpr (kTransposed) {
      y = rest / kOW + kPH - tap / kKW * kDH, z = rest % kOW + kPW - tap % kKW * kDW;
      hit = y >= 0 && z >= 0 && y % kSH == 0 && z % kSW == 0;
      y /= kSH, z /= kSW;
    }
    const bool inside = hit && m < kM && k < kK && (unsigned)y < (unsigned)kIH && (unsigned)z < (unsigned)kIW;
    load_four<true>(x, input + (inside ? ((i64)(n * kIH + y) * kIW + z) * kC + k % kC : 0), inside ? 4 : 0);
  } else {
    load_four<kK % 4 == 0>(x, input + (i64)m * kK + k, m < kM ? kK - k : 0);
  }
}
// Four elements of B: of depth k along the columns (kColumnsB), or of column n along the depth.
__device__ __forceinline__ void load_b(float (&x)[4], const T* weights, int n, int k) {
  if constexpr (kColumnsB) load_four<kN % 4 == 0>(x, weights + (i64)k * kN + n, k < kK ? kN - n : 0);
  else load_four<kK % 4 == 0>(x, weights + (i64)n * kK + k, n < kN ? kK - k : 0);
}

struct Stage {
  float a[kBK][kBM + 4], b[kBK][kBN + 4];
};
// Element v of this thread's share of a tile of `size` rows or columns: its place and its depth.
template <bool kAlongDepth>
__device__ __forceinline__ void place_of(int v, int size, int& at, int& k) {
  const int i = threadIdx.x + v * kThreads;
  if (kAlongDepth) at = i / (kBK / 4), k = i % (kBK / 4) * 4;
  else k = i / (size / 4), at = i % (size / 4) * 4;
}

__device__ __forceinline__ void fetch(float (&xa)[kVectorsA][4], float (&xb)[kVectorsB][4], const Arguments& a, int row0, int column0, int step) {
#pragma unroll
  for (int v = 0; v < kVectorsA; ++v) {
    int at, k;
    place_of<!kTransposeA>(v, kBM, at, k);
    load_a(xa[v], (const T*)a.input, row0 + at, step * kBK + k);
  }
#pragma unroll
  for (int v = 0; v < kVectorsB; ++v) {
    int at, k;
    place_of<!kColumnsB>(v, kBN, at, k);
    load_b(xb[v], (const T*)a.weights, column0 + at, step * kBK + k);
  }
}
__device__ __forceinline__ void put(Stage& stage, const float (&xa)[kVectorsA][4], const float (&xb)[kVectorsB][4]) {
#pragma unroll
  for (int v = 0; v < kVectorsA; ++v) {
    int at, k;
    place_of<!kTransposeA>(v, kBM, at, k);
#pragma unroll
    for (int j = 0; j < 4; ++j) (kTransposeA ? stage.a[k][at + j] : stage.a[k + j][at]) = xa[v][j];
  }
#pragma unroll
  for (int v = 0; v < kVectorsB; ++v) {
    int at, k;
    place_of<!kColumnsB>(v, kBN, at, k);
#pragma unroll
    for (int j = 0; j < 4; ++j) (kColumnsB ? stage.b[k][at + j] : stage.b[k + j][at]) = xb[v][j];
  }
}

__device__ __forceinline__ void finish(float (&x)[4], int m, int o, const Arguments& a) {
  if (m >= kM) return;
  const i64 at = a.first + (i64)m * kN + o;
  constexpr int V = kN % 4 == 0 ? 4 : 1;
#pragma unroll
  for (int v = 0; v < 4; v += V) {
    if (o + v >= kN) return;
    float y[V], bias[V];
#pragma unroll
    for (int j = 0; j < V; ++j) y[j] = x[v + j];
    if constexpr (kHasBias) {
      load_channels<V>(bias, (const Bias*)a.bias, o + v);
#pragma unroll
      for (int j = 0; j < V; ++j) y[j] += bias[j];
    }
    apply_tail<V>(a, y, at + v, o + v);
#pragma unroll
    for (int j = 0; j < V; ++j)
      if (kN != kChannels && o + v + j >= kChannels) y[j] = 0;
    store<V>((T*)a.output + at + v, y);
  }
}

__device__ __forceinline__ void run(const Arguments& all, char* shared) {
  constexpr int kColumnTiles = (kN + kBN - 1) / kBN, kTiles = (kM + kBM - 1) / kBM * kColumnTiles;
  const int tile_index = blockIdx.x % kTiles, row0 = tile_index / kColumnTiles * kBM, column0 = tile_index % kColumnTiles * kBN;
  const Arguments a = kMatrices == 1 ? all : matrix_arguments(all, blockIdx.x / kTiles);
  Stage* stages = (Stage*)shared;
  const int x0 = threadIdx.x % (kBN / kTN), y0 = threadIdx.x / (kBN / kTN);
  wait_for_inputs();
  float xa[kVectorsA][4], xb[kVectorsB][4], acc[kTM][kTN] = {};
  fetch(xa, xb, a, row0, column0, 0);
  for (int step = 0; step < kSteps; ++step) {
    Stage& stage = stages[step % 2];
    put(stage, xa, xb);
    __syncthreads();
    if (step + 1 < kSteps) fetch(xa, xb, a, row0, column0, step + 1);
#pragma unroll
    for (int k = 0; k < kBK; ++k) {
      float pa[kTM], pb[kTN];
#pragma unroll
      for (int i = 0; i < kTM; i += 4) {
        float four[4];
        load<4>(four, &stage.a[k][i / 4 * (kBM / (kTM / 4)) + y0 * 4]);
        pa[i] = four[0], pa[i + 1] = four[1], pa[i + 2] = four[2], pa[i + 3] = four[3];
      }
#pragma unroll
      for (int j = 0; j < kTN; j += 4) {
        float four[4];
        load<4>(four, &stage.b[k][j / 4 * (kBN / (kTN / 4)) + x0 * 4]);
        pb[j] = four[0], pb[j + 1] = four[1], pb[j + 2] = four[2], pb[j + 3] = four[3];
      }
#pragma unroll
      for (int i = 0; i < kTM; ++i)
#pragma unroll
        for (int j = 0; j < kTN; ++j) acc[i][j] = fmaf(pa[i], pb[j], acc[i][j]);
    }
  }
  ready_for_next();
#pragma unroll
  for (int i = 0; i < kTM; ++i)
#pragma unroll
    for (int j = 0; j < kTN; j += 4) {
      float x[4] = {acc[i][j], acc[i][j + 1], acc[i][j + 2], acc[i][j + 3]};
      finish(x, row0 + i / 4 * (kBM / (kTM / 4)) + y0 * 4 + i % 4, column0 + j / 4 * (kBN / (kTN / 4)) + x0 * 4, a);
    }
}
