// Convolution of any kind, plain or channels last, one thread an output element: for what the tensor-core templates do not
// take. Sums in float32, of 8-bit integers in int32.

// The input position that tap k of output o reads along one axis, or -1.
XI_INLINE int source(int o, int k, int stride, int dilation, int pad, int size) {
  const int at = kTransposed ? o + pad - k * dilation : o * stride + k * dilation - pad;
  if (kTransposed) return at < 0 || at % stride || at / stride >= size ? -1 : at / stride;
  return at < 0 || at >= size ? -1 : at;
}

XI_INLINE Sum convolve(const Element* __restrict__ in, const Weight* __restrict__ w, Sum zero_point, int z, int y, int x) {
  Sum sum = 0;
  for (int kz = 0; kz < kKD; ++kz) {
    const int iz = source(z, kz, kSZ, kDZ, kPZ, kID);
    if (iz < 0) continue;
    for (int ky = 0; ky < kKH; ++ky) {
      const int iy = source(y, ky, kSY, kDY, kPY, kIH);
      if (iy < 0) continue;
      for (int kx = 0; kx < kKW; ++kx) {
        const int ix = source(x, kx, kSX, kDX, kPX, kIW);
        if (ix < 0) continue;
        const Element* from = in + (int64_t)((iz * kIH + iy) * kIW + ix) * kInPixel;
        const Weight* weight = w + ((kz * kKH + ky) * kKW + kx) * kWTap;
#pragma unroll 8
        for (int c = 0; c < kInputs; ++c) sum += ((Sum)from[c * kInChannel] - zero_point) * (Sum)weight[c * kWIn];
      }
    }
  }
  return sum;
}

extern "C" __global__ void __launch_bounds__(256) XI_ENTRY(XI_PARAMETERS) {
  for (int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x; i < kItems; i += (int64_t)gridDim.x * 256) {
    // Neighbouring threads: neighbouring elements of the output.
    const int channel = kBlockedOut ? i % kPaddedOut : i / kPixelsOut % kOC;
    const int pixel = kBlockedOut ? i / kPaddedOut % kPixelsOut : i % kPixelsOut;
    const int64_t image = kBlockedOut ? i / ((int64_t)kPaddedOut * kPixelsOut) : i / ((int64_t)kOC * kPixelsOut);
    if (channel >= kOC) {
      output[i] = Out(0.0f);
      continue;
    }
    const int group = channel / (kOC / kGroups), within = channel % (kOC / kGroups);
    const Element* in = input + image * kInImage + (int64_t)group * kInputs * kInChannel;
    const Weight* w = weights + (int64_t)group * kWGroup + (int64_t)within * kWOut;
    const Sum zero_point = kHasZeroPoint ? Sum(bias[0]) : Sum(0);
    Sum sum = convolve(in, w, zero_point, pixel / (kOH * kOW), pixel / kOW % kOH, pixel % kOW);
    if constexpr (kHasBias) sum += (Sum)bias[channel];
    if constexpr (kFused) {
      XI_OPERANDS(i, channel)
      output[i] = Out(epilogue((float)sum, operands));
    } else {
      output[i] = Out(sum);
    }
  }
}
