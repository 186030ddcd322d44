// Matrix product A [kM][kK] by the transpose of B [kN][kK] on Hopper: 16-bit in and out, float32 sums. The copy engine (TMA)
// fills a ring of kStages stages in shared memory, ordered by one thread; two groups of four warps multiply (wgmma).
//
//   kAlternate   each group makes tiles of its own, so that one finishes a tile while the other multiplies
//   otherwise    both share a tile, half of its rows each
//   kCluster     blocks whose tiles lie below each other: each fetches a part of the weights' tile and sends it to all
//
// As many blocks as the GPU runs at once take tile after tile. A stage holds rows of 64 elements, whose 16-byte chunks are
// permuted by the row (the copy engine's 128-byte swizzle, which wgmma reads).

constexpr int kBK = 64, kGroups = 2, kGroupThreads = 128;
constexpr int kGroupRows = kAlternate ? kBM : kBM / kGroups, kTilesM = kGroupRows / 64, kTilesN = kBN / 8;
constexpr int kSteps = (kK + kBK - 1) / kBK;
constexpr int kBytesA = kBM * kBK * 2, kBytesB = kBN * kBK * 2, kStageBytes = kBytesA + kBytesB;
constexpr int kFinishedBytes = 64 * kBN * 2;  // of each group: 64 finished rows on their way to memory
constexpr int kColumnTiles = (kN + kBN - 1) / kBN, kRowTiles = (kM + kBM * kCluster - 1) / (kBM * kCluster), kTiles = kColumnTiles * kRowTiles;
static_assert(kThreads == (kGroups + 1) * kGroupThreads && kGroupRows % 64 == 0 && kN % 8 == 0 && kBN % (8 * kCluster) == 0);

// --- barriers in shared memory ---------------------------------------------------------------------------------------

__device__ __forceinline__ void make_barrier(u32 barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void expect_bytes(u32 barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
__device__ __forceinline__ void wait_for(u32 barrier, int parity) {
  u32 done;
  do {
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
  } while (!done);
}
__device__ __forceinline__ void arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// At the barrier of block `rank` of the cluster. Nothing is released to it but a stage that was read: a fence for the whole
// cluster (.release.cluster) would cost each step a thousand cycles.
__device__ __forceinline__ void arrive_at(u32 barrier, int rank) {
  u32 remote;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(barrier), "r"(rank));
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(remote) : "memory");
}
__device__ __forceinline__ void meet_cluster() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
__device__ __forceinline__ void meet_group(int group) {
  asm volatile("bar.sync %0, %1;" ::"r"(group + 1), "n"(kGroupThreads) : "memory");
}

// --- the copy engine -------------------------------------------------------------------------------------------------

__device__ __forceinline__ void fetch(u32 to, const char* map, int column, int row, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
               ::"r"(to), "l"(map), "r"(column), "r"(row), "r"(barrier) : "memory");
}
// To the same place of every block of the cluster; each one's barrier counts the bytes.
__device__ __forceinline__ void fetch_for_all(u32 to, const char* map, int column, int row, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;"
               ::"r"(to), "l"(map), "r"(column), "r"(row), "r"(barrier), "h"((u16)((1 << kCluster) - 1)) : "memory");
}

struct Ring {
  u32 stages, full, empty, turns;  // addresses; turns: a barrier for each group
  __device__ __forceinline__ u32 stage(int i) const { return stages + i * kStageBytes; }
};
struct Place {  // in the ring: stage and how often it was used before
  int stage, round;
  __device__ __forceinline__ explicit Place(int step) : stage(step % kStages), round(step / kStages) {}
  __device__ __forceinline__ void advance() {
    if (++stage == kStages) stage = 0, ++round;
  }
};
__device__ __forceinline__ int first_row(int tile, int rank) { return (tile / kColumnTiles * kCluster + rank) * kBM; }
__device__ __forceinline__ int first_column(int tile) { return tile % kColumnTiles * kBN; }

// One thread of the block.
__device__ __forceinline__ void fetch_tiles(const Arguments& a, const Ring& ring, int first, int step, int rank) {
  constexpr int kPart = kBN / kCluster;  // rows of B that this block fetches
  Place place(0);
  for (int tile = first; tile < kTiles; tile += step)
    for (int k = 0; k < kSteps; ++k, place.advance()) {
      const u32 full = ring.full + place.stage * 8, to = ring.stage(place.stage);
      wait_for(ring.empty + place.stage * 8, (place.round & 1) ^ 1);
      expect_bytes(full, kStageBytes);
      fetch(to, a.input, k * kBK, first_row(tile, rank), full);
      const u32 part = to + kBytesA + rank * kPart * kBK * 2;
      if constexpr (kCluster == 1) fetch(part, a.weights, k * kBK, first_column(tile), full);
      else fetch_for_all(part, a.weights, k * kBK, first_column(tile) + rank * kPart, full);
    }
}

// --- products --------------------------------------------------------------------------------------------------------

__device__ __forceinline__ u64 descriptor(u32 address) {  // as in implicit_gemm.cuh
  return (u64)((address & 0x3ffff) >> 4) | (u64)1 << 16 | (u64)64 << 32 | (u64)1 << 62;
}
template <int N>
__device__ __forceinline__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
// This warp has read the stage, here and in what it was sent to.
__device__ __forceinline__ void give_back(const Ring& ring, int stage) {
  const int lane = threadIdx.x % 32;
  if (kCluster == 1 && lane == 0) arrive(ring.empty + stage * 8);
  if (kCluster > 1 && lane < kCluster) arrive_at(ring.empty + stage * 8, lane);
}
// Groups that alternate multiply in turns. That is more than fair: a barrier's parity tells a round from the next only, and
// nobody may wait for a round while the one before it is still open.
__device__ __forceinline__ void wait_for_turn(const Ring& ring, int group, int tiles_before) {
  if (kAlternate && group + tiles_before > 0) wait_for(ring.turns + group * 8, (tiles_before + group + 1) & 1);
}
__device__ __forceinline__ void pass_turn(const Ring& ring, int group) {
  if (kAlternate && threadIdx.x % 32 == 0) arrive(ring.turns + (1 - group) * 8);
}
__device__ __forceinline__ void multiply_tile(float (&acc)[kTilesM][kTilesN][4], const Ring& ring, Place place, int group) {
#pragma unroll
  for (int i = 0; i < kTilesM; ++i)
#pragma unroll
    for (int j = 0; j < kTilesN; ++j) acc[i][j][0] = acc[i][j][1] = acc[i][j][2] = acc[i][j][3] = 0;
  int before = 0;
  for (int k = 0; k < kSteps; ++k, place.advance()) {
    wait_for(ring.full + place.stage * 8, place.round & 1);
    const u32 a = ring.stage(place.stage) + (kAlternate ? 0 : group * kGroupRows * 128), b = ring.stage(place.stage) + kBytesA;
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
    for (int kk = 0; kk < 4; ++kk)
#pragma unroll
      for (int i = 0; i < kTilesM; ++i) multiply_group(acc[i], descriptor(a + i * 64 * 128 + kk * 32), descriptor(b + kk * 32));
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    wait_for_products<1>();
    if (k > 0) give_back(ring, before);
    before = place.stage;
  }
  pass_turn(ring, group);
  wait_for_products<0>();
  give_back(ring, before);
}

// --- finished tiles --------------------------------------------------------------------------------------------------

// Bias and tail of two neighbouring sums of several rows, whose operands are on their way at once.
constexpr int kAtOnce = kElementOperands ? 8 : 4;  // pairs of columns

__device__ __forceinline__ void finish_rows(float (&acc)[kTilesN][4], const Arguments& a, u32 to, int row0, int column0) {
  const int lane = threadIdx.x % 32, own_row = threadIdx.x / 32 % 4 * 16 + lane / 4;
#pragma unroll
  for (int j0 = 0; j0 < kTilesN; j0 += kAtOnce) {
    Tail<2> tails[kAtOnce][2];
    float bias[kAtOnce][2];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const int o = column0 + (j0 + j) * 8 + lane % 4 * 2;
      if ((kN % kBN != 0 && o >= kN) || (kN != kChannels && o >= kChannels)) continue;
      if constexpr (kHasBias) load_channels<2>(bias[j], (const Bias*)a.bias, o);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int m = row0 + own_row + h * 8;
        if (kM % kBM == 0 || m < kM) tails[j][h].load(a, (i64)m * kN + o, o);
      }
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int o = column0 + (j0 + j) * 8 + lane % 4 * 2, row = own_row + h * 8;
        float x[2] = {acc[j0 + j][2 * h], acc[j0 + j][2 * h + 1]};
        if constexpr (kHasBias) x[0] += bias[j][0], x[1] += bias[j][1];
        tails[j][h].apply(x);
        if (kN != kChannels && o >= kChannels) x[0] = 0;
        if (kN != kChannels && o + 1 >= kChannels) x[1] = 0;
        asm volatile("st.shared.u32 [%0], %1;" ::"r"(to + row * (kBN * 2) + (((j0 + j) ^ (row & 7)) * 16) + lane % 4 * 4), "r"(pack2<T>(x[0], x[1])) : "memory");
      }
  }
}
__device__ __forceinline__ void store_rows(u32 from, char* output, int row0, int column0) {
#pragma unroll 4
  for (int i = threadIdx.x % kGroupThreads; i < 64 * kTilesN; i += kGroupThreads) {
    const int row = i / kTilesN, chunk = i % kTilesN, m = row0 + row, o = column0 + chunk * 8;
    if ((kM % kBM != 0 && m >= kM) || (kN % kBN != 0 && o >= kN)) continue;
    uint4 eight;
    asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(eight.x), "=r"(eight.y), "=r"(eight.z), "=r"(eight.w)
                 : "r"(from + row * (kBN * 2) + (chunk ^ (row & 7)) * 16) : "memory");
    *(uint4*)(output + ((i64)m * kN + o) * 2) = eight;
  }
}
__device__ __forceinline__ void make_tiles(const Arguments& a, const Ring& ring, u32 finished, int first, int step, int rank, int group) {
  wait_for_inputs();
  float acc[kTilesM][kTilesN][4];
  for (int tile = kAlternate ? first + group * step : first, n = kAlternate ? group : 0; tile < kTiles;
       tile += kAlternate ? kGroups * step : step, n += kAlternate ? kGroups : 1) {
    wait_for_turn(ring, group, n / kGroups);
    multiply_tile(acc, ring, Place(n * kSteps), group);
    if (tile + kGroups * step >= kTiles) ready_for_next();
    const int row0 = first_row(tile, rank) + (kAlternate ? 0 : group * kGroupRows), column0 = first_column(tile);
#pragma unroll
    for (int i = 0; i < kTilesM; ++i) {
      meet_group(group);  // the rows before have been stored
      finish_rows(acc[i], a, finished, row0 + i * 64, column0);
      meet_group(group);
      store_rows(finished, a.output, row0 + i * 64, column0);
    }
  }
}

__device__ __forceinline__ void run(const Arguments& a, char* shared) {
  const u32 base = (shared_address(shared) + 1023) & ~1023u;
  const u32 finished = base + kStages * kStageBytes, barriers = finished + kGroups * kFinishedBytes;
  const Ring ring{base, barriers, barriers + kStages * 8, barriers + kStages * 16};
  const int warpgroup = __shfl_sync(0xffffffffu, threadIdx.x / kGroupThreads, 0), rank = kCluster == 1 ? 0 : blockIdx.x % kCluster;
  const int first = blockIdx.x / kCluster, step = gridDim.x / kCluster;
  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; ++s) make_barrier(ring.full + s * 8, 1), make_barrier(ring.empty + s * 8, 4 * (kAlternate ? 1 : kGroups) * kCluster);
    for (int g = 0; g < kGroups; ++g) make_barrier(ring.turns + g * 8, 4);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  if (kCluster == 1) __syncthreads();
  else meet_cluster();
  if (warpgroup == 0) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (threadIdx.x == 0) {
      wait_for_inputs();
      fetch_tiles(a, ring, first, step, rank);
    }
    __syncwarp();
    ready_for_next();
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    make_tiles(a, ring, finished + (warpgroup - 1) * kFinishedBytes, first, step, rank, warpgroup - 1);
  }
  // A block's memory stays until the others have sent what they send there.
  if (kCluster > 1) meet_cluster();
}
