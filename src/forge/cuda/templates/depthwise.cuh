// Depthwise convolution, channels last: a thread makes kTX outputs of a row in eight channels.

constexpr int kChunks = kC / 8, kGroupsX = (kOW + kTX - 1) / kTX;
constexpr int kItems = kImages * kOH * kGroupsX * kChunks;
constexpr int kSpan = (kTX - 1) * kSW + (kKW - 1) * kDW + 1;

__device__ __forceinline__ void run(const Arguments& a, char*) {
  const int item = blockIdx.x * kThreads + threadIdx.x;
  ready_for_next();
  if (item >= kItems) return wait_for_inputs();
  const int o = item % kChunks * 8, group = item / kChunks;
  const int x0 = group % kGroupsX * kTX, y = group / kGroupsX % kOH, image = group / (kGroupsX * kOH);
  const T* weights = (const T*)a.weights + o;
  float acc[kTX][8];
  if constexpr (kHasBias) {
    load_channels<8>(acc[0], (const Bias*)a.bias, o);
#pragma unroll
    for (int t = 1; t < kTX; ++t)
#pragma unroll
      for (int i = 0; i < 8; ++i) acc[t][i] = acc[0][i];
  } else {
#pragma unroll
    for (int t = 0; t < kTX; ++t)
#pragma unroll
      for (int i = 0; i < 8; ++i) acc[t][i] = 0;
  }
  wait_for_inputs();
#pragma unroll
  for (int ky = 0; ky < kKH; ++ky) {
    const int in_y = y * kSH - kPH + ky * kDH;
    if ((unsigned)in_y >= (unsigned)kIH) continue;
    const T* row = (const T*)a.input + ((i64)(image * kIH + in_y) * kIW) * kC + o;
    float w[kKW][8];
#pragma unroll
    for (int kx = 0; kx < kKW; ++kx) load<8>(w[kx], weights + (ky * kKW + kx) * kC);
#pragma unroll
    for (int column = 0; column < kSpan; ++column) {
      const int in_x = x0 * kSW - kPW + column;
      float x[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] = 0;
      if ((unsigned)in_x < (unsigned)kIW) load<8>(x, row + in_x * kC);
#pragma unroll
      for (int t = 0; t < kTX; ++t) {
        const int reach = column - t * kSW;
        if (reach < 0 || reach % kDW != 0 || reach / kDW >= kKW) continue;
#pragma unroll
        for (int i = 0; i < 8; ++i) acc[t][i] = fmaf(x[i], w[reach / kDW][i], acc[t][i]);
      }
    }
  }
#pragma unroll
  for (int t = 0; t < kTX; ++t) {
    if (kOW % kTX != 0 && x0 + t >= kOW) return;
    const i64 at = ((i64)(image * kOH + y) * kOW + x0 + t) * kC + o;
    apply_tail<8>(a, acc[t], at, o);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (kC != kChannels && o + i >= kChannels) acc[t][i] = 0;
    store<8>((T*)a.output + at, acc[t]);
  }
}
