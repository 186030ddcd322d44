// A set number of threads that walk one program together, kept in step by barriers.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace xinfer::runtime {

/// Tells the CPU that this thread spins.
inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// How long a thread stays awake before it parks: it spins, then offers its core to others between looks, and sleeps last,
/// since waking a sleeper costs tens of microseconds. Waiting that ends before the sleep earns longer patience, sleeping
/// shorter: when a core is taken away, staying awake would keep the very thread that is waited for from running.
class Patience {
 public:
  static constexpr int kSpins = 128;                    // of relax(), about 20 to 60 ns each
  static constexpr int kMinYields = 4, kMaxYields = 2048;  // about 0.3 µs each where nobody else wants the core
  int yields() const { return yields_; }
  void met() { yields_ = yields_ * 2 > kMaxYields ? kMaxYields : yields_ * 2; }
  void missed() { yields_ = yields_ / 2 < kMinYields ? kMinYields : yields_ / 2; }

 private:
  int yields_ = kMaxYields;
};

/// Waits until `counter` has reached `target` (modulo 2^32): spins, yields, then parks.
void await(const std::atomic<std::uint32_t>& counter, std::uint32_t target, Patience& patience);

/// Lets a fixed number of threads meet again and again. Its counters only ever grow: a reset one could be seen half-way.
class Barrier {
 public:
  explicit Barrier(std::uint32_t num_threads) : num_threads_(num_threads) {}

  /// Returns when all threads have come to their `generation`th meeting (counted from 1). The last one to come calls
  /// `before_release` while all others wait.
  template <class F>
  void meet(std::uint32_t generation, Patience& patience, F&& before_release) {
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == generation * num_threads_) {
      before_release();
      released_.store(generation, std::memory_order_release);
      released_.notify_all();
    } else {
      await(released_, generation, patience);
    }
  }

 private:
  const std::uint32_t num_threads_;
  alignas(64) std::atomic<std::uint32_t> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> released_{0};
};

/// num_threads - 1 workers and the caller. One run at a time: hold lock().
class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return num_threads_; }
  std::unique_lock<std::mutex> try_lock() { return std::unique_lock(mutex_, std::try_to_lock); }

  /// One thread of the pool, as a job sees it.
  struct Thread {
    int index;
    std::uint32_t generation = 0;  // meetings so far: the same on all threads between runs
    Patience patience = {};
  };
  using Job = void (*)(void* context, Thread& thread);
  /// Calls job(context, thread) on every thread, the caller's as thread 0; returns when all have finished.
  void run(Job job, void* context);

  /// A meeting of all threads within a job; every thread of a job must come to the same number of meetings.
  template <class F>
  void meet(Thread& thread, F&& before_release) {
    barrier_.meet(++thread.generation, thread.patience, before_release);
  }

 private:
  void work(int index);

  const int num_threads_;
  std::mutex mutex_;
  Barrier barrier_;
  Thread caller_{0};
  Job job_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<std::uint32_t> started_{0};
  alignas(64) std::atomic<std::uint32_t> finished_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

/// CPUs that this process may use, at least 1.
int usable_cpus();

}  // namespace xinfer::runtime
