// What all templates share: element types, vectors of them in memory, the start of a kernel in the shadow of the one before.

using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;

template <class A, class B>
struct IsSame {
  static constexpr bool value = false;
};
template <class A>
struct IsSame<A, A> {
  static constexpr bool value = true;
};

// Two elements in 32 bits, the first in the low half.
template <class T>
__device__ __forceinline__ u32 pack2(float low, float high) {
#if __CUDA_ARCH__ >= 800
  u32 packed;
  if constexpr (IsSame<T, float16>::value) asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  else asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#else
  const T a(low), b(high);
  return (u32)a.bits | (u32)b.bits << 16;
#endif
}
template <class T>
__device__ __forceinline__ void unpack2(u32 packed, float& low, float& high) {
  T a, b;
  a.bits = (u16)packed, b.bits = (u16)(packed >> 16);
  low = a, high = b;
}

template <class T>
struct Vectors {  // of a 16-bit type
  template <int V>
  static __device__ __forceinline__ void load(float (&x)[V], const T* p) {
    if constexpr (V % 8 == 0) {
#pragma unroll
      for (int v = 0; v < V; v += 8) {
        const uint4 r = *(const uint4*)(p + v);
        unpack2<T>(r.x, x[v], x[v + 1]), unpack2<T>(r.y, x[v + 2], x[v + 3]);
        unpack2<T>(r.z, x[v + 4], x[v + 5]), unpack2<T>(r.w, x[v + 6], x[v + 7]);
      }
    } else if constexpr (V % 4 == 0) {
#pragma unroll
      for (int v = 0; v < V; v += 4) {
        const uint2 r = *(const uint2*)(p + v);
        unpack2<T>(r.x, x[v], x[v + 1]), unpack2<T>(r.y, x[v + 2], x[v + 3]);
      }
    } else if constexpr (V == 2) {
      unpack2<T>(*(const u32*)p, x[0], x[1]);
    } else {
#pragma unroll
      for (int v = 0; v < V; ++v) x[v] = float(p[v]);
    }
  }
  template <int V>
  static __device__ __forceinline__ void store(T* p, const float (&x)[V]) {
    if constexpr (V % 8 == 0) {
#pragma unroll
      for (int v = 0; v < V; v += 8)
        *(uint4*)(p + v) = make_uint4(pack2<T>(x[v], x[v + 1]), pack2<T>(x[v + 2], x[v + 3]), pack2<T>(x[v + 4], x[v + 5]), pack2<T>(x[v + 6], x[v + 7]));
    } else if constexpr (V % 4 == 0) {
#pragma unroll
      for (int v = 0; v < V; v += 4) *(uint2*)(p + v) = make_uint2(pack2<T>(x[v], x[v + 1]), pack2<T>(x[v + 2], x[v + 3]));
    } else {
#pragma unroll
      for (int v = 0; v < V; ++v) p[v] = T(x[v]);
    }
  }
};
// Whole numbers that fit.
template <class T>
struct ByteVectors {
  template <int V>
  static __device__ __forceinline__ void store(T* p, const float (&x)[V]) {
    if constexpr (V == 8) {
      u32 words[2];
#pragma unroll
      for (int i = 0; i < 2; ++i)
        words[i] = ((u32)(int)x[4 * i] & 255) | ((u32)(int)x[4 * i + 1] & 255) << 8 | ((u32)(int)x[4 * i + 2] & 255) << 16 | (u32)(int)x[4 * i + 3] << 24;
      *(uint2*)p = make_uint2(words[0], words[1]);
    } else {
#pragma unroll
      for (int v = 0; v < V; ++v) p[v] = (T)(int)x[v];
    }
  }
};
template <>
struct Vectors<uint8_t> : ByteVectors<uint8_t> {};
template <>
struct Vectors<int8_t> : ByteVectors<int8_t> {};
template <>
struct Vectors<float> {
  template <int V>
  static __device__ __forceinline__ void load(float (&x)[V], const float* p) {
    if constexpr (V % 4 == 0) {
#pragma unroll
      for (int v = 0; v < V; v += 4) {
        const float4 r = *(const float4*)(p + v);
        x[v] = r.x, x[v + 1] = r.y, x[v + 2] = r.z, x[v + 3] = r.w;
      }
    } else if constexpr (V == 2) {
      const float2 r = *(const float2*)p;
      x[0] = r.x, x[1] = r.y;
    } else {
#pragma unroll
      for (int v = 0; v < V; ++v) x[v] = p[v];
    }
  }
  template <int V>
  static __device__ __forceinline__ void store(float* p, const float (&x)[V]) {
    if constexpr (V % 4 == 0) {
#pragma unroll
      for (int v = 0; v < V; v += 4) *(float4*)(p + v) = make_float4(x[v], x[v + 1], x[v + 2], x[v + 3]);
    } else {
#pragma unroll
      for (int v = 0; v < V; ++v) p[v] = x[v];
    }
  }
};

// V consecutive elements as float32; p is aligned to all of them (at most 16 bytes).
template <int V, class T>
__device__ __forceinline__ void load(float (&x)[V], const T* p) {
  Vectors<T>::template load<V>(x, p);
}
template <int V, class T>
__device__ __forceinline__ void store(T* p, const float (&x)[V]) {
  Vectors<T>::template store<V>(p, x);
}
// The first `count` of them, the rest zero.
template <int V, class T>
__device__ __forceinline__ void load_first(float (&x)[V], const T* p, int count) {
  if (count >= V) return load<V>(x, p);
#pragma unroll
  for (int v = 0; v < V; ++v) x[v] = v < count ? float(p[v]) : 0.f;
}

// Of a tensor with one element for each channel, and none of padding.
template <int V, class E>
__device__ __forceinline__ void load_channels(float (&x)[V], const E* p, int channel) {
  if constexpr (kChannels % V == 0) load<V>(x, p + channel);
  else load_first<V>(x, p + channel, kChannels - channel);
}
