#include "runtime/session.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "runtime/thread_pool.h"
#include "sample_engine.h"
#include "xinfer/core/inference_engine.h"

#ifndef __x86_64__
#define SKIP_ELSEWHERE() GTEST_SKIP() << "the sample kernels are x86-64 code"
#else
#define SKIP_ELSEWHERE()
#endif

namespace xinfer::runtime {
using testing_engine::add_chain;
using testing_engine::add_region;
using testing_engine::compact;
namespace {

core::InferenceEngine load(const engine::Contents& contents, int num_threads) {
  core::EngineOptions options;
  options.allow_unsigned = true;
  options.use_trust_store = false;
  options.num_threads = num_threads;
  return core::InferenceEngine::from_bytes(engine::write(contents, ""), options);
}

core::Tensor ramp(std::int64_t tasks, float start) {
  core::Tensor x({tasks, 16});
  std::iota(x.data<float>(), x.data<float>() + x.num_elements(), start);
  return x;
}

void expect_chain(const core::Tensor& y, int layers, float start) {
  const float* data = y.data<float>();
  for (std::size_t i = 0; i < y.num_elements(); ++i)
    ASSERT_EQ(data[i], start + static_cast<float>(i) + static_cast<float>(layers * static_cast<int>(i % 16))) << i;
}

TEST(ThreadPool, EveryThreadRunsEveryJobOnce) {
  for (int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    std::vector<int> counts(static_cast<std::size_t>(threads));
    for (int round = 0; round < 500; ++round)
      pool.run(
          [](void* context, ThreadPool::Thread& thread) {
            ++(*static_cast<std::vector<int>*>(context))[static_cast<std::size_t>(thread.index)];
          },
          &counts);
    for (int count : counts) EXPECT_EQ(count, 500);
  }
}

TEST(ThreadPool, MeetingsKeepThreadsInStep) {
  constexpr int kThreads = 3, kMeetings = 2000;
  ThreadPool pool(kThreads);
  struct State {
    ThreadPool& pool;
    std::atomic<int> entered{0};
    int released = 0;
    bool in_step = true;
  } state{pool};
  for (int run = 0; run < 3; ++run) {
    state.entered = 0;
    state.released = 0;
    pool.run(
        [](void* context, ThreadPool::Thread& thread) {
          auto& s = *static_cast<State*>(context);
          for (int i = 0; i < kMeetings; ++i) {
            s.entered.fetch_add(1);
            s.pool.meet(thread, [&] {
              s.in_step &= s.entered.load() == kThreads * (i + 1);
              ++s.released;
            });
          }
        },
        &state);
    EXPECT_TRUE(state.in_step);
    EXPECT_EQ(state.released, kMeetings);
  }
}

TEST(Session, RunsTheChainOnAnyNumberOfThreads) {
  SKIP_ELSEWHERE();
  for (int threads : {1, 2, 3, 7})
    for (std::int64_t tasks : {1, 2, 5, 64, 1000}) {
      auto engine = load(add_chain(9, tasks, true), threads);
      EXPECT_EQ(engine.num_threads(), threads);
      for (int i = 0; i < 20; ++i) {
        auto outputs = engine.infer({ramp(tasks, static_cast<float>(i))});
        ASSERT_EQ(outputs[0].shape(), (core::Shape{tasks, 16}));
        expect_chain(outputs[0], 9, static_cast<float>(i));
      }
    }
}

TEST(Session, SmallWorkStaysOnTheCallersThread) {
  SKIP_ELSEWHERE();
  auto program = Program::load(*engine::open_bytes(engine::write(add_chain(4, 8, false), ""), {{}, true}));
  ASSERT_TRUE(program);
  EXPECT_FALSE((*program)->worth_sharing());
  EXPECT_EQ((*program)->phases().size(), 1U);
  auto shared = Program::load(*engine::open_bytes(engine::write(add_chain(4, 8, true), ""), {{}, true}));
  EXPECT_TRUE((*shared)->worth_sharing());
  EXPECT_EQ((*shared)->phases().size(), 4U);
}

TEST(Session, ManyAtOnceFromManyThreads) {
  SKIP_ELSEWHERE();
  auto engine = load(add_chain(6, 100, true), 2);
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&, c] {
      auto session = engine.create_session(c == 3 ? 2 : 0);
      for (int i = 0; i < 200; ++i) {
        auto start = static_cast<float>(c * 1000 + i);
        core::Tensor y;
        if (c % 2) {
          session.set_input("x", ramp(100, start));
          session.run();
          y = session.get_output("y");
        } else {
          y = std::move(engine.infer({ramp(100, start)})[0]);
        }
        for (std::size_t k = 0; k < y.num_elements(); ++k)
          wrong += y.data<float>()[k] != start + static_cast<float>(k) + static_cast<float>(6 * (k % 16));
      }
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Session, BoundMemoryIsReadAndWrittenInPlace) {
  SKIP_ELSEWHERE();
  auto engine = load(add_chain(2, 4, false), 1);
  auto session = engine.create_session();
  core::Tensor x = ramp(4, 1), y({4, 16});
  session.bind_input("x", x.data(), x.size_bytes());
  session.bind_output("y", y.data(), y.size_bytes());
  session.run();
  expect_chain(y, 2, 1);
  x.data<float>()[0] = 100;  // no copy was taken
  session.run();
  EXPECT_EQ(y.data<float>()[0], 100);
  EXPECT_EQ(session.get_output("y").data(), y.data());
  std::vector<float> unaligned(65);
  std::iota(unaligned.begin() + 1, unaligned.end(), 1.0F);
  session.bind_input("x", unaligned.data() + 1, 256);
  session.run();
  expect_chain(y, 2, 1);
}

TEST(Session, OutputSizedWhileRunning) {
  SKIP_ELSEWHERE();
  auto engine = load(compact(), 1);
  EXPECT_EQ(engine.get_output_shape("y"), (core::Shape{-1}));
  core::Tensor x({64});
  for (int i = 0; i < 64; ++i) x.data<float>()[i] = static_cast<float>(i % 3 - 1);
  auto y = engine.infer({x});
  EXPECT_EQ(y[0].shape(), (core::Shape{21}));
  EXPECT_EQ(y[0].to_vector<float>(), std::vector<float>(21, 1.0F));
}

TEST(Session, TimedRunMeasuresEveryLaunch) {
  SKIP_ELSEWHERE();
  for (int threads : {1, 2}) {
    auto engine = load(add_chain(5, 64, true), threads);
    auto session = engine.create_session();
    session.set_input("x", ramp(64, 0));
    auto times = session.run_timed();
    ASSERT_EQ(times.size(), 5U);
    EXPECT_EQ(times[3].name, "Add_3");
    EXPECT_EQ(times[3].flops, 1e6);
    for (const auto& time : times) EXPECT_GE(time.microseconds, 0);
  }
}

// How often the region ran.
std::int64_t times_of(const engine::Contents& contents, bool condition, std::int64_t limit, int threads) {
  tensor::Tensor x(tensor::DType::kFloat32, contents.plan.inputs[0].shape), c(tensor::DType::kBool, {}), most = tensor::Tensor::scalar(limit);
  c.set(0, condition);
  const tensor::Tensor* inputs[] = {&x, &c, &most};
  auto outputs = run_once(*engine::open_bytes(engine::write(contents, ""), {{}, true}), inputs, threads);
  EXPECT_TRUE(outputs) << outputs.error().text();
  const auto times = static_cast<std::int64_t>((*outputs)[0].as_double(1)) - 2;
  for (std::int64_t i = 0; i < x.num_elements(); ++i) EXPECT_EQ((*outputs)[0].as_double(i), static_cast<double>((2 + times) * (i % 16)));
  if (outputs->size() > 1) {
    EXPECT_EQ((*outputs)[1].shape(), tensor::Shape{times});
  }
  return times;
}

TEST(Session, ARegionIsLeftOutWhereItsConditionDoesNotHold) {
  SKIP_ELSEWHERE();
  for (int threads : {1, 3})
    for (bool wanted : {true, false}) {
      auto contents = add_region(100, true, false);
      contents.plan.regions[0].wanted = wanted;
      EXPECT_EQ(times_of(contents, wanted, 0, threads), 1);
      EXPECT_EQ(times_of(contents, !wanted, 0, threads), 0);
    }
}

TEST(Session, ARegionRepeatsUpToItsLimit) {
  SKIP_ELSEWHERE();
  for (int threads : {1, 3})
    for (bool shared : {true, false})
      for (std::int64_t limit : {0, 1, 2, 77}) {
        auto contents = add_region(40, shared, true);
        EXPECT_EQ(times_of(contents, true, limit, threads), limit);
        EXPECT_EQ(times_of(contents, false, limit, threads), 0);
      }
}

TEST(Session, RegionsNest) {
  SKIP_ELSEWHERE();
  for (int threads : {1, 2}) {
    auto contents = add_region(40, true, true);
    engine::Region around = contents.plan.regions[0];  // the same again, around it
    around.symbol = -1, around.iteration = {};
    contents.plan.regions.insert(contents.plan.regions.begin(), around);
    tensor::Tensor x(tensor::DType::kFloat32, contents.plan.inputs[0].shape), c(tensor::DType::kBool, {}), most = tensor::Tensor::scalar(std::int64_t{5});
    c.set(0, 1);
    const tensor::Tensor* inputs[] = {&x, &c, &most};
    auto outputs = run_once(*engine::open_bytes(engine::write(contents, ""), {{}, true}), inputs, threads);
    ASSERT_TRUE(outputs) << outputs.error().text();
    EXPECT_EQ((*outputs)[0].as_double(1), 2 + 5 * 5);
    EXPECT_EQ((*outputs)[1].shape(), tensor::Shape{5});  // of the last time
  }
}

TEST(Session, RunOnceTakesTensors) {
  SKIP_ELSEWHERE();
  tensor::Tensor x(tensor::DType::kFloat32, {2, 16});
  const tensor::Tensor* inputs[] = {&x};
  auto outputs = run_once(*engine::open_bytes(engine::write(add_chain(3, 2, false), ""), {{}, true}), inputs);
  ASSERT_TRUE(outputs) << outputs.error().text();
  EXPECT_EQ((*outputs)[0].as_double(17), 3);
}

}  // namespace
}  // namespace xinfer::runtime
