// Denormal numbers count as zero while kernels run.
#pragma once
#include <cstdint>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace xinfer::runtime {

/// From here to the end of the scope this thread's floating-point unit reads and writes denormal numbers as zeros. On
/// x86-64 one such operand costs over a hundred cycles, and networks that fade towards zero are full of them. The
/// caller's other settings, and after the scope this one too, are as they were.
class FlushDenormals {
 public:
  FlushDenormals() : before_(control()) { set_control(before_ | kFlush); }
  ~FlushDenormals() { set_control(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
#if defined(__x86_64__)
  using Control = unsigned;
  static constexpr Control kFlush = 1U << 15 | 1U << 6;  // MXCSR: FTZ for results, DAZ for operands
  static Control control() { return _mm_getcsr(); }
  static void set_control(Control control) { _mm_setcsr(control); }
#elif defined(__aarch64__)
  using Control = std::uint64_t;
  static constexpr Control kFlush = 1U << 24;  // FPCR: FZ; half precision has a bit of its own, which stays
  static Control control() {
    Control control;
    asm volatile("mrs %0, fpcr" : "=r"(control));
    return control;
  }
  static void set_control(Control control) { asm volatile("msr fpcr, %0" ::"r"(control)); }
#else
  using Control = int;
  static constexpr Control kFlush = 0;
  static Control control() { return 0; }
  static void set_control(Control) {}
#endif

  const Control before_;
};

}  // namespace xinfer::runtime
