// Pooling of any kind, plain or channels last, one thread an output element.
XI_INLINE int taps_below(int from, int dilation, int size, int kernel) {
  const int taps = size <= from ? 0 : (size - from + dilation - 1) / dilation;
  return taps < kernel ? taps : kernel;
}
struct Window {
  int from, first, end, counted;
};
XI_INLINE Window window_of(int o, int stride, int dilation, int pad, int pad_end, int size, int kernel) {
  Window w;
  w.from = o * stride - pad;
  w.first = w.from < 0 ? (-w.from + dilation - 1) / dilation : 0;
  w.end = taps_below(w.from, dilation, size, kernel);
  w.counted = kCountPadding ? taps_below(w.from, dilation, size + pad_end, kernel) : w.end - w.first;
  return w;
}

XI_INLINE Sum power_of(Sum x) {
  if constexpr (!kLp) return x;
  else if constexpr (kPower == 1) return abs<Sum>(x);
  else if constexpr (kPower == 2) return x * x;
  else return pow<Sum>(abs<Sum>(x), (Sum)kPowerValue);
}
XI_INLINE Sum finish(Sum x, int counted) {
  if constexpr (kMaximum) return x;
  else if constexpr (!kLp) return x / (Sum)counted;
  else if constexpr (kPower == 1) return x;
  else if constexpr (kPower == 2) return sqrt<Sum>(x);
  else return pow<Sum>(x, (Sum)(1.0 / kPowerValue));
}

extern "C" __global__ void __launch_bounds__(256) XI_ENTRY(XI_PARAMETERS) {
  for (int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x; i < kItems; i += (int64_t)gridDim.x * 256) {
    const int channel = kBlocked ? i % kPadded : i / kPixelsOut % kChannels;
    const int pixel = kBlocked ? i / kPadded % kPixelsOut : i % kPixelsOut;
    const int64_t image = i / ((int64_t)(kBlocked ? kPadded : kChannels) * kPixelsOut);
    if (channel >= kChannels) {
      output[i] = Element(0);
      continue;
    }
    const Element* in = input + image * kInImage + (int64_t)channel * kInChannel;
    const Window wz = window_of(pixel / (kOH * kOW), kSZ, kDZ, kPZ, kPZEnd, kID, kKD),
                 wy = window_of(pixel / kOW % kOH, kSY, kDY, kPY, kPYEnd, kIH, kKH),
                 wx = window_of(pixel % kOW, kSX, kDX, kPX, kPXEnd, kIW, kKW);
    Sum sum = kMaximum ? kLowest : Sum(0);
    int64_t best = -1;
    for (int kz = wz.first; kz < wz.end; ++kz)
      for (int ky = wy.first; ky < wy.end; ++ky)
        for (int kx = wx.first; kx < wx.end; ++kx) {
          const int iz = wz.from + kz * kDZ, iy = wy.from + ky * kDY, ix = wx.from + kx * kDX;
          const Sum value = Sum(in[(int64_t)((iz * kIH + iy) * kIW + ix) * kInPixel]);
          if constexpr (kMaximum) {
            if (value > sum || best < 0) {
              sum = value;
              best = kColumnMajor ? (kRank == 3 ? iz + (int64_t)iy * kID + (int64_t)ix * kID * kIH : iy + (int64_t)ix * kIH)
                                  : ((int64_t)iz * kIH + iy) * kIW + ix;
            }
          } else {
            sum += power_of(value);
          }
        }
    sum = finish(sum, wz.counted * wy.counted * wx.counted);
    if constexpr (kIndices) indices[i] = (image * kChannels + channel) * (kID * kIH * kIW) + best;
    if constexpr (kFused) {
      XI_OPERANDS(i, channel)
      output[i] = Element(epilogue((float)sum, operands));
    } else {
      output[i] = Element(sum);
    }
  }
}
