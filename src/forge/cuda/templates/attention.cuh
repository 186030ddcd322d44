// Attention in one kernel: scores, softmax and the weighted sum of the values stay on the chip. A block has kBM queries of one
// head, 16 for each warp, and goes over the keys kBN at a time with a running maximum and sum (Dao et al., FlashAttention-2).
// Rows of kSize elements lie in shared memory padded by one 16-byte chunk: ldmatrix meets no bank conflict.

constexpr int kRowBytes = kSize * 2 + 16, kWarps = kThreads / 32, kChunks = kSize / 8;
constexpr int kTileBytes = kBN * kRowBytes;
static_assert(kBM == kWarps * 16 && kSize % 16 == 0 && kBN % 16 == 0);

// Starts the copy of `kRows` rows from `first` on; rows past `count` are zero.
template <int kRows>
__device__ __forceinline__ void copy_rows(u32 to, const T* from, int first, int count, i64 step) {
#pragma unroll
  for (int i = threadIdx.x; i < kRows * kChunks; i += kThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    const bool inside = first + row < count;
    copy16(to + row * kRowBytes + chunk * 16, from + (inside ? (first + row) * step + chunk * 8 : 0), inside);
  }
}

__device__ __forceinline__ float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ __forceinline__ float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

struct Rows {  // of this thread's two rows
  float maximum[2] = {-kInfinity, -kInfinity}, sum[2] = {0, 0};
};

// Scores of the warp's queries and one tile of keys, scaled to base 2, masked; what is hidden is -inf.
__device__ __forceinline__ void make_scores(float (&s)[kBN / 8][4], const u32 (&q)[kSize / 16][4], u32 keys, int key0, int query, const Mask* mask) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int j = 0; j < kBN / 8; ++j) s[j][0] = s[j][1] = s[j][2] = s[j][3] = 0;
#pragma unroll
  for (int kk = 0; kk < kSize / 16; ++kk)
#pragma unroll
    for (int j = 0; j < kBN / 16; ++j) {
      u32 k[4];
      load_matrix4(k, keys + (j * 16 + lane % 8 + lane / 16 * 8) * kRowBytes + kk * 32 + lane / 8 % 2 * 16);
      multiply<T>(s[2 * j], q[kk], k[0], k[1]);
      multiply<T>(s[2 * j + 1], q[kk], k[2], k[3]);
    }
#pragma unroll
  for (int j = 0; j < kBN / 8; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int key = key0 + j * 8 + lane % 4 * 2 + e % 2, row = query + e / 2 * 8;
      float x = s[j][e] * (kScale * 1.4426950408889634f);
      if constexpr (kMasked) {
        if (key < kKeys && row < kQueries) {
          const Mask m = mask[(i64)row * kMaskRow + (i64)key * kMaskKey];
          if constexpr (kBooleanMask) x = m ? x : -kInfinity;
          else x += (float)m * 1.4426950408889634f;
        }
      }
      if ((kKeys % kBN != 0 && key >= kKeys) || (kCausal && key > row)) x = -kInfinity;
      s[j][e] = x;
    }
}

// Softmax's running step: s becomes the weights, earlier sums are rescaled.
__device__ __forceinline__ void weigh(float (&s)[kBN / 8][4], Rows& rows, float (&out)[kValueSize / 8][4]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float maximum = rows.maximum[r];
#pragma unroll
    for (int j = 0; j < kBN / 8; ++j) maximum = fmaxf(maximum, fmaxf(s[j][2 * r], s[j][2 * r + 1]));
    maximum = row_max(maximum);
    const float shift = maximum == -kInfinity ? 0.f : maximum, correction = exp2f(rows.maximum[r] - shift);
    float sum = 0;
#pragma unroll
    for (int j = 0; j < kBN / 8; ++j)
#pragma unroll
      for (int e = 2 * r; e < 2 * r + 2; ++e) {
        s[j][e] = exp2f(s[j][e] - shift);
        sum += s[j][e];
      }
    rows.sum[r] = rows.sum[r] * correction + sum;
    rows.maximum[r] = maximum;
#pragma unroll
    for (int j = 0; j < kValueSize / 8; ++j) out[j][2 * r] *= correction, out[j][2 * r + 1] *= correction;
  }
}

__device__ __forceinline__ void add_values(float (&out)[kValueSize / 8][4], const float (&s)[kBN / 8][4], u32 values) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int kk = 0; kk < kBN / 16; ++kk) {
    const u32 p[4] = {pack2<T>(s[2 * kk][0], s[2 * kk][1]), pack2<T>(s[2 * kk][2], s[2 * kk][3]), pack2<T>(s[2 * kk + 1][0], s[2 * kk + 1][1]),
                      pack2<T>(s[2 * kk + 1][2], s[2 * kk + 1][3])};
#pragma unroll
    for (int j = 0; j < kValueSize / 16; ++j) {
      u32 v[4];
      load_matrix4_transposed(v, values + (kk * 16 + lane % 16) * kRowBytes + j * 32 + lane / 16 * 16);
      multiply<T>(out[2 * j], p, v[0], v[1]);
      multiply<T>(out[2 * j + 1], p, v[2], v[3]);
    }
  }
}

__device__ __forceinline__ void attend(const T* q, const T* k, const T* v, const Mask* mask, T* output, char* shared) {
  constexpr int kTiles = (kQueries + kBM - 1) / kBM, kSteps = (kKeys + kBN - 1) / kBN;
  const int query0 = blockIdx.x % kTiles * kBM, head = blockIdx.x / kTiles % kHeads, batch = blockIdx.x / (kTiles * kHeads);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, query = query0 + warp * 16 + lane / 4;
  q += batch * kQBatch + head * kQHead;
  k += batch * kKBatch + head / (kHeads / kKeyHeads) * kKHead;
  v += batch * kVBatch + head / (kHeads / kKeyHeads) * kVHead;
  if constexpr (kMasked) mask += batch * kMaskBatch + head * kMaskHead;
  const u32 queries = shared_address(shared), keys = queries + kBM * kRowBytes, values = keys + 2 * kTileBytes;
  wait_for_inputs();
  copy_rows<kBM>(queries, q, query0, kQueries, kQRow);
  copy_rows<kBN>(keys, k, 0, kKeys, kKRow);
  commit();
  copy_rows<kBN>(values, v, 0, kKeys, kVRow);
  commit();
  float out[kValueSize / 8][4] = {};
  Rows rows;
  u32 fragments[kSize / 16][4];
  const int last = kCausal ? min(kSteps, (query0 + kBM + kBN - 1) / kBN) : kSteps;
  for (int step = 0; step < last; ++step) {
    const u32 here = step % 2 * kTileBytes, next = (step + 1) % 2 * kTileBytes;
    if (step + 1 < last) copy_rows<kBN>(keys + next, k, (step + 1) * kBN, kKeys, kKRow);
    commit();
    wait_for_all_but<2>();
    __syncthreads();
    if (step == 0)
#pragma unroll
      for (int kk = 0; kk < kSize / 16; ++kk) load_matrix4(fragments[kk], queries + (warp * 16 + lane % 16) * kRowBytes + kk * 32 + lane / 16 * 16);
    float s[kBN / 8][4];
    make_scores(s, fragments, keys + here, step * kBN, query, mask);
    weigh(s, rows, out);
    if (step + 1 < last) copy_rows<kBN>(values + next, v, (step + 1) * kBN, kKeys, kVRow);
    commit();
    wait_for_all_but<2>();
    __syncthreads();
    add_values(out, s, values + here);
    __syncthreads();
  }
  ready_for_next();
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float scale = 1.f / row_sum(rows.sum[r]);
    const int row = query + r * 8;
    if (kQueries % kBM != 0 && row >= kQueries) continue;
    T* to = output + batch * kYBatch + head * kYHead + row * kYRow + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < kValueSize / 8; ++j) *(u32*)(to + j * 8) = pack2<T>(out[j][2 * r] * scale, out[j][2 * r + 1] * scale);
  }
}
