// CUDA prelude, part 2: mathematics, the CPU prelude's names on CUDA's library (1 or 2 ulp; its fast variants are not used).
#define XI_MATH(name, single, wide)                  \
  template <class F> XI_INLINE F name(F x) {         \
    if constexpr (sizeof(F) == 4) return ::single(x); \
    else return ::wide(x);                           \
  }
#define XI_MATH2(name, single, wide)                      \
  template <class F> XI_INLINE F name(F x, F y) {         \
    if constexpr (sizeof(F) == 4) return ::single(x, y);  \
    else return ::wide(x, y);                             \
  }
XI_MATH(floor, floorf, floor)
XI_MATH(ceil, ceilf, ceil)
XI_MATH(trunc, truncf, trunc)
XI_MATH(round_even, rintf, rint)
XI_MATH(sqrt, sqrtf, sqrt)
XI_MATH(abs, fabsf, fabs)
XI_MATH(exp, expf, exp)
XI_MATH(exp2, exp2f, exp2)
XI_MATH(expm1, expm1f, expm1)
XI_MATH(log, logf, log)
XI_MATH(log1p, log1pf, log1p)
XI_MATH(log2, log2f, log2)
XI_MATH(log10, log10f, log10)
XI_MATH(tanh, tanhf, tanh)
XI_MATH(sin, sinf, sin)
XI_MATH(cos, cosf, cos)
XI_MATH(tan, tanf, tan)
XI_MATH(asin, asinf, asin)
XI_MATH(acos, acosf, acos)
XI_MATH(atan, atanf, atan)
XI_MATH(sinh, sinhf, sinh)
XI_MATH(cosh, coshf, cosh)
XI_MATH(asinh, asinhf, asinh)
XI_MATH(acosh, acoshf, acosh)
XI_MATH(atanh, atanhf, atanh)
XI_MATH2(pow, powf, pow)
XI_MATH2(fmod, fmodf, fmod)
XI_MATH2(copysign, copysignf, copysign)
template <class F> XI_INLINE F fma(F a, F b, F c) {
  if constexpr (sizeof(F) == 4) return ::fmaf(a, b, c);
  else return ::fma(a, b, c);
}

// The second operand where unordered; minimum and maximum: NaN if either is.
template <class T> XI_INLINE T min(T a, T b) { return a < b ? a : b; }
template <class T> XI_INLINE T max(T a, T b) { return a > b ? a : b; }
template <class F> XI_INLINE F minimum(F a, F b) { return (a < b) | (a != a) ? a : b; }
template <class F> XI_INLINE F maximum(F a, F b) { return (a > b) | (a != a) ? a : b; }
template <class F> XI_INLINE F clamp(F x, F low, F high) { return min(high, max(low, x)); }
template <class F> XI_INLINE F relu(F x) { return max(F(0), x); }
template <class F> XI_INLINE bool is_nan(F x) { return x != x; }
template <class F> XI_INLINE bool is_infinite(F x) { return abs(x) == F(kInfinity); }
template <class F> XI_INLINE F sign(F x) { return x > F(0) ? F(1) : x < F(0) ? F(-1) : x; }
template <class F> XI_INLINE F sigmoid(F x) { return F(1) / (F(1) + exp<F>(-x)); }

// x P(x²) / Q(x²), fitted here on [0, 3.92], beyond which it is 1: relative error below 7e-7 at a third of the library's cost.
template <class F> XI_INLINE F erf(F x) {
  if constexpr (sizeof(F) == 8) {
    return ::erf(x);
  } else {
    const float a = x < -3.92f ? -3.92f : x > 3.92f ? 3.92f : x, s = a * a;
    float p = ::fmaf(-1.5480135e-6f, s, 2.7410872e-4f), q = ::fmaf(2.5604705e-3f, s, 2.955923e-2f);
    p = ::fmaf(p, s, 1.0893769e-2f), q = ::fmaf(q, s, 0.18957986f);
    p = ::fmaf(p, s, 7.465528e-2f), q = ::fmaf(q, s, 0.67016095f);
    p = ::fmaf(p, s, 0.38007143f), q = ::fmaf(q, s, 1.0f);
    p = ::fmaf(p, s, 1.1283797f);
#ifdef __CUDA_ARCH__
    return __fdividef(a * p, q);
#else
    return a * p / q;
#endif
  }
}
