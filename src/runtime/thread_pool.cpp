#include "runtime/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include "runtime/denormals.h"

namespace xinfer::runtime {

namespace {
bool reached(std::uint32_t counter, std::uint32_t target) { return static_cast<std::int32_t>(counter - target) >= 0; }
}  // namespace

void await(const std::atomic<std::uint32_t>& counter, std::uint32_t target, Patience& patience) {
  for (int i = 0; i < Patience::kSpins; ++i) {
    if (reached(counter.load(std::memory_order_acquire), target)) return;
    relax();
  }
  for (int i = 0; i < patience.yields(); ++i) {
    if (reached(counter.load(std::memory_order_acquire), target)) {
      patience.met();
      return;
    }
    ::sched_yield();
  }
  patience.missed();
  for (std::uint32_t seen; !reached(seen = counter.load(std::memory_order_acquire), target);)
    counter.wait(seen, std::memory_order_acquire);
}

ThreadPool::ThreadPool(int num_threads) : num_threads_(num_threads), barrier_(static_cast<std::uint32_t>(num_threads)) {
  for (int i = 1; i < num_threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  started_.fetch_add(1, std::memory_order_release);
  started_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::run(Job job, void* context) {
  job_ = job;
  context_ = context;
  std::uint32_t round = started_.load(std::memory_order_relaxed) + 1;
  started_.store(round, std::memory_order_release);
  started_.notify_all();
  job(context, caller_);
  await(finished_, round * static_cast<std::uint32_t>(num_threads_ - 1), caller_.patience);
}

void ThreadPool::work(int index) {
  ::pthread_setname_np(::pthread_self(), "xinfer");
  const FlushDenormals flush;
  Thread thread{index};
  for (std::uint32_t round = 1;; ++round) {
    await(started_, round, thread.patience);
    if (stop_.load(std::memory_order_relaxed)) return;
    job_(context_, thread);
    if (finished_.fetch_add(1, std::memory_order_acq_rel) + 1 == round * static_cast<std::uint32_t>(num_threads_ - 1))
      finished_.notify_all();
  }
}

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0)
    return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace xinfer::runtime
