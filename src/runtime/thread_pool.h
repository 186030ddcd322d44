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

/// How long a thread spins before it parks. Waiting that ends while spinning earns longer spins, parking shorter ones: when
/// a core is taken away, spinning would keep the very thread that is waited for from running.
class SpinBudget {
 public:
  static constexpr int kMin = 16, kMax = 1024;  // rounds of relax(), about 20 to 40 ns each
  int rounds() const { return rounds_; }
  void met() { rounds_ = rounds_ * 2 > kMax ? kMax : rounds_ * 2; }
  void missed() { rounds_ = rounds_ / 2 < kMin ? kMin : rounds_ / 2; }

 private:
  int rounds_ = kMax;
};

/// Waits until `counter` has reached `target` (modulo 2^32): spins within the budget, then parks.
void await(const std::atomic<std::uint32_t>& counter, std::uint32_t target, SpinBudget& budget);

/// Lets a fixed number of threads meet again and again. Its counters only ever grow: a reset one could be seen half-way.
class Barrier {
 public:
  explicit Barrier(std::uint32_t num_threads) : num_threads_(num_threads) {}

  /// Returns when all threads have come to their `generation`th meeting (counted from 1). The last one to come calls
  /// `before_release` while all others wait.
  template <class F>
  void meet(std::uint32_t generation, SpinBudget& budget, F&& before_release) {
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == generation * num_threads_) {
      before_release();
      released_.store(generation, std::memory_order_release);
      released_.notify_all();
    } else {
      await(released_, generation, budget);
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
    SpinBudget budget = {};
  };
  using Job = void (*)(void* context, Thread& thread);
  /// Calls job(context, thread) on every thread, the caller's as thread 0; returns when all have finished.
  void run(Job job, void* context);

  /// A meeting of all threads within a job; every thread of a job must come to the same number of meetings.
  template <class F>
  void meet(Thread& thread, F&& before_release) {
    barrier_.meet(++thread.generation, thread.budget, before_release);
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
