// CUDA prelude, part 1: the names of the CPU prelude for one thread of a GPU, so that one kernel text serves both: here a
// vector has one lane. Everything lies in namespace xi, out of the way of CUDA's own min, max and abs.
namespace xi {
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#define XI_INLINE static __device__ __forceinline__
#define XI_MEMBER __device__ __forceinline__
#define XI_KERNEL static __device__ __forceinline__

constexpr int kLanes = 1;
constexpr float kInfinity = __builtin_bit_cast(float, 0x7f800000);
constexpr float kNaN = __builtin_bit_cast(float, 0x7fc00000);
typedef float vf;
typedef bool vi;

template <class T> struct IsFloating { static constexpr bool value = false; };
template <> struct IsFloating<float> { static constexpr bool value = true; };
template <> struct IsFloating<double> { static constexpr bool value = true; };
#define XI_IS_FLOATING(T) (IsFloating<T>::value)

template <class To, class From> XI_INLINE To bit_cast(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &x, sizeof(To));
  return to;
}
template <class F> XI_INLINE F select(bool mask, F a, F b) { return mask ? a : b; }

XI_INLINE vf load(const float* p) { return *p; }
XI_INLINE void store(float* p, vf x) { *p = x; }
XI_INLINE vf load_first(const float* p, int n) { return n > 0 ? *p : 0.0f; }
XI_INLINE void store_first(float* p, vf x, int n) {
  if (n > 0) *p = x;
}
XI_INLINE float sum_lanes(vf x) { return x; }

XI_INLINE int64_t min_int(int64_t a, int64_t b) { return a < b ? a : b; }
XI_INLINE int64_t max_int(int64_t a, int64_t b) { return a > b ? a : b; }
XI_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Copies and fills by one thread, in words where everything is aligned to them.
XI_INLINE void copy_bytes(void* to, const void* from, int64_t n) {
  const bool words = (((uint64_t)to | (uint64_t)from | (uint64_t)n) & 3) == 0;
  if (words)
    for (int64_t i = 0; i < n / 4; ++i) ((uint32_t*)to)[i] = ((const uint32_t*)from)[i];
  else
    for (int64_t i = 0; i < n; ++i) ((uint8_t*)to)[i] = ((const uint8_t*)from)[i];
}
XI_INLINE void fill_bytes(void* to, int value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) ((uint8_t*)to)[i] = (uint8_t)value;
}

// Elements beside each other as one access: the address is a multiple of the pack's size.
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T at[N]; };
template <int N, class T> XI_INLINE Pack<T, N> load_pack(const T* p) { return *(const Pack<T, N>*)p; }
template <class T, int N> XI_INLINE void store_pack(T* p, const Pack<T, N>& pack) { *(Pack<T, N>*)p = pack; }

// 16-bit floats as bits.
XI_INLINE float from_float16(uint16_t bits) {
#ifdef __CUDA_ARCH__
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
#else
  return (float)bit_cast<_Float16>(bits);
#endif
}
XI_INLINE uint16_t to_float16(float x) {
#ifdef __CUDA_ARCH__
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
#else
  return bit_cast<uint16_t>((_Float16)x);
#endif
}
XI_INLINE float from_bfloat16(uint16_t bits) { return bit_cast<float>((uint32_t)bits << 16); }
XI_INLINE uint16_t to_bfloat16(float x) {
  const uint32_t bits = bit_cast<uint32_t>(x);
  return (uint16_t)(x != x ? (bits >> 16 | 0x40) : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
// The same as types of elements in memory, for templates that take any of them.
struct float16 {
  uint16_t bits;
  float16() = default;
  XI_MEMBER float16(float x) : bits(to_float16(x)) {}
  XI_MEMBER operator float() const { return from_float16(bits); }
};
struct bfloat16 {
  uint16_t bits;
  bfloat16() = default;
  XI_MEMBER bfloat16(float x) : bits(to_bfloat16(x)) {}
  XI_MEMBER operator float() const { return from_bfloat16(bits); }
};

// Programmatic dependent launch (sm_90 and later): what comes before wait_for_inputs() overlaps the kernel before, and
// ready_for_next() lets the kernel after this one start its own preparation. Pointers to what the kernel before writes must
// not be both const and __restrict__: such loads may be moved in front of the wait.
XI_INLINE void wait_for_inputs() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
XI_INLINE void ready_for_next() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// Threads of a group (a warp, or a whole block of several) fold one value each; all get the result.
template <class T> XI_INLINE T shuffle_xor(T x, int mask) {
  if constexpr (sizeof(T) == 8) return bit_cast<T>(__shfl_xor_sync(0xffffffffu, bit_cast<long long>(x), mask));
  else if constexpr (sizeof(T) == 4) return bit_cast<T>(__shfl_xor_sync(0xffffffffu, bit_cast<int>(x), mask));
  else return (T)__shfl_xor_sync(0xffffffffu, (int)x, mask);
}
template <int kGroup, class T, class Fold> XI_INLINE T fold_group(T x, T neutral, Fold fold) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x = fold(x, shuffle_xor(x, step));
  if constexpr (kGroup > 32) {
    __shared__ T partial[32];
    const int lane = threadIdx.x % 32;
    if (lane == 0) partial[threadIdx.x / 32] = x;
    __syncthreads();
    x = lane < kGroup / 32 ? partial[lane] : neutral;
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x = fold(x, shuffle_xor(x, step));
    __syncthreads();
  }
  return x;
}

// The extreme of a group and where it is. Without an element: index -1. The first NaN beats everything.
template <class T> struct Best {
  T value;
  int64_t index;
};
template <bool kMaximum, bool kLast, class T> XI_INLINE Best<T> better(const Best<T>& a, const Best<T>& b) {
  if (a.index < 0 || b.index < 0) return a.index >= 0 ? a : b;
  if constexpr (IsFloating<T>::value) {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan && b_nan) return a.index < b.index ? a : b;
    if (a_nan || b_nan) return a_nan ? a : b;
  }
  if (a.value != b.value) return (kMaximum ? a.value > b.value : a.value < b.value) ? a : b;
  return (kLast ? a.index > b.index : a.index < b.index) ? a : b;
}
template <int kGroup, bool kMaximum, bool kLast, class T> XI_INLINE int64_t best_of_group(Best<T> x) {
  const auto fold_warp = [&] {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
      const Best<T> other{shuffle_xor(x.value, step), shuffle_xor(x.index, step)};
      x = better<kMaximum, kLast>(x, other);
    }
  };
  fold_warp();
  if constexpr (kGroup > 32) {
    __shared__ T values[32];
    __shared__ int64_t indices[32];
    const int lane = threadIdx.x % 32;
    if (lane == 0) values[threadIdx.x / 32] = x.value, indices[threadIdx.x / 32] = x.index;
    __syncthreads();
    x.index = -1;
    if (lane < kGroup / 32) x.value = values[lane], x.index = indices[lane];
    fold_warp();
    __syncthreads();
  }
  return x.index;
}
