// Pooling, channels last: eight channels of one output a thread, or of kSplit threads where windows are large.

constexpr int kChunks = kC / 8, kItems = kImages * kOD * kOH * kOW * kChunks, kWindow = kKD * kKH * kKW;
constexpr float kStart = kMaximum ? -kInfinity : 0.f;

__device__ __forceinline__ void take(float (&sum)[8], const float (&x)[8]) {
#pragma unroll
  for (int i = 0; i < 8; ++i) sum[i] = kMaximum ? (x[i] > sum[i] || x[i] != x[i] ? x[i] : sum[i]) : sum[i] + x[i];
}
__device__ __forceinline__ float power_of(float x) {
  if constexpr (kLp) return kPower == 1.f ? fabsf(x) : kPower == 2.f ? x * x : powf(fabsf(x), kPower);
  return x;
}
// How many positions of a window count for the average along one axis.
__device__ __forceinline__ int counted(int from, int dilation, int kernel, int size, int pad_end) {
  int count = 0;
  for (int k = 0; k < kernel; ++k) {
    const int at = from + k * dilation;
    count += kCountPadding ? at < size + pad_end : (unsigned)at < (unsigned)size;
  }
  return count;
}

__device__ __forceinline__ void run(const Arguments& a, char* shared) {
  const int item = blockIdx.x * (kThreads / kSplit) + threadIdx.x % (kThreads / kSplit), part = threadIdx.x / (kThreads / kSplit);
  wait_for_inputs();
  ready_for_next();
  if (kSplit == 1 && item >= kItems) return;
  const int o = item % kChunks * 8, pixel = item / kChunks;
  const int x0 = pixel % kOW * kSW - kPW, y0 = pixel / kOW % kOH * kSH - kPH, z0 = pixel / (kOW * kOH) % kOD * kSD - kPD;
  const T* image = (const T*)a.input + (i64)(pixel / (kOW * kOH * kOD)) * (kID * kIH * kIW) * kC + o;
  float sum[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) sum[i] = kStart;
  if (item < kItems) {
#pragma unroll(kUnroll)
    for (int tap = part; tap < kWindow; tap += kSplit) {
      const int x = x0 + tap % kKW * kDW, y = y0 + tap / kKW % kKH * kDH, z = z0 + tap / (kKW * kKH) * kDD;
      if ((unsigned)x >= (unsigned)kIW || (unsigned)y >= (unsigned)kIH || (unsigned)z >= (unsigned)kID) continue;
      float values[8];
      load<8>(values, image + ((i64)(z * kIH + y) * kIW + x) * kC);
      if constexpr (kLp)
#pragma unroll
        for (int i = 0; i < 8; ++i) values[i] = power_of(values[i]);
      take(sum, values);
    }
  }
  if constexpr (kSplit > 1) {
    float* sums = (float*)shared;
    store<8>(sums + threadIdx.x * 8, sum);
    __syncthreads();
    if (part != 0 || item >= kItems) return;
    for (int s = 1; s < kSplit; ++s) {
      float other[8];
      load<8>(other, sums + (threadIdx.x + s * (kThreads / kSplit)) * 8);
      take(sum, other);
    }
  }
  const int count = counted(x0, kDW, kKW, kIW, kPWEnd) * counted(y0, kDH, kKH, kIH, kPHEnd) * counted(z0, kDD, kKD, kID, kPDEnd);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if constexpr (kLp) sum[i] = kPower == 1.f ? sum[i] : kPower == 2.f ? sqrtf(sum[i]) : powf(sum[i], 1.f / kPower);
    else if constexpr (!kMaximum) sum[i] /= (float)count;
  }
  const i64 at = (i64)pixel * kC + o;
  apply_tail<8>(a, sum, at, o);
#pragma unroll
  for (int i = 0; i < 8; ++i)
    if (kC != kChannels && o + i >= kChannels) sum[i] = 0;
  store<8>((T*)a.output + at, sum);
}
