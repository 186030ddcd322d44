// GPU engines on a GPU: host and device memory, graphs, streams, several sessions. SKIP where there is no device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "codegen/cuda/compile.h"
#include "engine/engine.h"
#include "ir/operator.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/program.h"
#include "schedule/schedule.h"
#include "target/registry.h"
#include "xinfer/core/inference_engine.h"

namespace xinfer {
namespace {

using core::InferenceEngine;
using core::Tensor;
using runtime::cuda::Device;
using runtime::cuda::DeviceMemory;
using tensor::DType;
using testing::HasSubstr;

constexpr std::int64_t kRows = 48, kColumns = 64;

// y = relu(x w + 1), z = softmax(y): a contraction with a tail and a loop nest with reductions.
ir::Graph sample_graph() {
  ir::Graph graph;
  const auto type = ir::ValueType::of(DType::kFloat32, {kRows, kColumns});
  const ir::ValueId x = graph.add_value("x", type);
  tensor::Tensor w(DType::kFloat32, {kColumns, kColumns}), one(DType::kFloat32, {});
  for (std::int64_t i = 0; i < w.num_elements(); ++i) w.set(i, static_cast<double>(i * 7 % 13 - 6) / 40);
  one.set(0, 1);
  auto add = [&](std::string op, std::vector<ir::ValueId> inputs) {
    ir::Node node;
    node.op = op, node.name = op, node.inputs = std::move(inputs);
    node.outputs = {graph.add_value(op, type)};
    graph.nodes.push_back(node);
    return node.outputs[0];
  };
  const ir::ValueId product = add("MatMul", {x, graph.add_constant("w", std::move(w))});
  const ir::ValueId y = add("Relu", {add("Add", {product, graph.add_constant("one", std::move(one))})});
  graph.inputs = {x};
  graph.outputs = {y, add("Softmax", {y})};
  return graph;
}

base::Result<std::string> engine_for(const Device& device, std::string_view claimed = {}) {
  XI_TRY(const auto nvrtc, codegen::cuda::Nvrtc::load());
  const auto* row = target::find_canonical(device.architecture());
  if (!row || !row->gpu) return base::fail(base::Code::kUnsupported, "{} is no target", device.architecture());
  XI_TRY(auto schedule, schedule::make_schedule(sample_graph(), *row->gpu));
  XI_TRY(auto cubins, codegen::cuda::compile_kernels(nvrtc, schedule.kernels, row->name));
  engine::Contents contents;
  contents.manifest.architecture = claimed.empty() ? std::string(row->name) : std::string(claimed);
  for (std::size_t i = 0; i < cubins.places.size(); ++i) {
    schedule.plan.kernels[i].code_offset = cubins.places[i].offset;
    schedule.plan.kernels[i].code_bytes = cubins.places[i].bytes;
  }
  contents.plan = std::move(schedule.plan), contents.weights = std::move(schedule.weights);
  contents.code = std::move(cubins.code);
  return engine::write(contents, "");
}

core::EngineOptions lenient() {
  core::EngineOptions options;
  options.allow_unsigned = true;
  return options;
}

Tensor sample_input(int seed) {
  Tensor x({kRows, kColumns});
  for (std::size_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>((static_cast<int>(i) * 31 + seed * 17) % 101 - 50) / 50;
  return x;
}

// The two outputs, computed plainly.
void expect_outputs(const Tensor& x, const float* y, const float* z) {
  for (std::int64_t r = 0; r < kRows; ++r) {
    double row[kColumns], total = 0;
    for (std::int64_t c = 0; c < kColumns; ++c) {
      double sum = 1;
      for (std::int64_t k = 0; k < kColumns; ++k)
        sum += static_cast<double>(x.data<float>()[r * kColumns + k]) * static_cast<double>((k * kColumns + c) * 7 % 13 - 6) / 40;
      row[c] = std::max(sum, 0.0);
      total += std::exp(row[c]);
      ASSERT_NEAR(y[r * kColumns + c], row[c], 1e-4) << r << "," << c;
    }
    for (std::int64_t c = 0; c < kColumns; ++c) ASSERT_NEAR(z[r * kColumns + c], std::exp(row[c]) / total, 1e-5);
  }
}

class DeviceEngine : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Device::open();
    if (!opened) GTEST_SKIP() << opened.error().message;
    device_ = *opened;
    auto made = engine_for(*device_);
    if (!made) GTEST_SKIP() << made.error().text();
    bytes_ = *made;
  }
  std::shared_ptr<const Device> device_;
  std::string bytes_;
};

TEST_F(DeviceEngine, HostMemoryInAndOut) {
  auto engine = InferenceEngine::from_bytes(bytes_, lenient());
  EXPECT_EQ(engine.device_name(), device_->name());
  for (int run = 0; run < 4; ++run) {  // the second run makes a graph, the later ones replay it
    Tensor x = sample_input(run);
    auto outputs = engine.infer(std::vector<Tensor>{x});
    expect_outputs(x, outputs[0].data<float>(), outputs[1].data<float>());
  }
}

TEST_F(DeviceEngine, SessionKeepsItsInputs) {
  auto engine = InferenceEngine::from_bytes(bytes_, lenient());
  auto session = engine.create_session();
  EXPECT_THROW(session.run(), Error);
  Tensor x = sample_input(5);
  session.set_input("x", x);
  for (int run = 0; run < 3; ++run) session.run();
  expect_outputs(x, session.get_output(0).data<float>(), session.get_output(1).data<float>());
  auto times = session.run_timed();
  EXPECT_FALSE(times.empty());
  for (const auto& time : times) EXPECT_GT(time.microseconds, 0) << time.name;
  EXPECT_EQ(session.measure_device(5).size(), 5U);
}

TEST_F(DeviceEngine, DeviceMemoryOnTheCallersStream) {
  auto engine = InferenceEngine::from_bytes(bytes_, lenient());
  const auto& driver = device_->driver();
  constexpr std::size_t kBytes = kRows * kColumns * sizeof(float);
  ASSERT_TRUE(device_->make_current());
  runtime::cuda::StreamHandle stream = nullptr;
  ASSERT_EQ(driver.cuStreamCreate(&stream, 1), 0);
  auto in = *DeviceMemory::allocate(device_, kBytes, "x"), y = *DeviceMemory::allocate(device_, kBytes, "y"),
       z = *DeviceMemory::allocate(device_, kBytes, "z");
  auto pointer = [](const DeviceMemory& memory) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(memory.address())); };
  std::vector<float> got_y(kRows * kColumns), got_z(kRows * kColumns);
  for (int run = 0; run < 3; ++run) {
    Tensor x = sample_input(run + 20);
    ASSERT_EQ(driver.cuMemcpyHtoD_v2(in.address(), x.data(), kBytes), 0);
    engine.infer_async({pointer(in)}, {pointer(y), pointer(z)}, stream);
    ASSERT_EQ(driver.cuStreamSynchronize(stream), 0);
    driver.cuMemcpyDtoH_v2(got_y.data(), y.address(), kBytes);
    driver.cuMemcpyDtoH_v2(got_z.data(), z.address(), kBytes);
    expect_outputs(x, got_y.data(), got_z.data());
  }
  auto session = engine.create_session();
  EXPECT_THROW(session.bind_device_input("x", pointer(in), kBytes - 4), Error);
  EXPECT_THROW(session.bind_device_input("x", static_cast<char*>(pointer(in)) + 4, kBytes), Error);
  driver.cuStreamDestroy_v2(stream);
}

TEST_F(DeviceEngine, SessionsRunAtOnce) {
  auto engine = InferenceEngine::from_bytes(bytes_, lenient());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&engine, t] {
      for (int run = 0; run < 10; ++run) {
        Tensor x = sample_input(100 * t + run);
        auto outputs = engine.infer(std::vector<Tensor>{x});
        expect_outputs(x, outputs[0].data<float>(), outputs[1].data<float>());
      }
    });
  for (auto& thread : threads) thread.join();
}

TEST_F(DeviceEngine, EngineForAnotherDeviceIsRefused) {
  const std::string other = device_->architecture() == "sm_75" ? "sm_120" : "sm_75";
  try {
    InferenceEngine::from_bytes(*engine_for(*device_, other), lenient());
    FAIL() << "it was loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "incompatible");
    EXPECT_THAT(error.what(), HasSubstr("the engine needs " + other));
    EXPECT_THAT(error.what(), HasSubstr("build the model for target " + device_->architecture()));
  }
}

TEST(NoDevice, TheMessageSaysWhatToInstall) {
  if (runtime::cuda::load_driver()) GTEST_SKIP() << "this machine has a driver";
  auto refused = runtime::cuda::check_device("sm_90a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("the engine needs sm_90a (NVIDIA Hopper (sm_90a)): this machine has no NVIDIA driver"));
  EXPECT_THAT(refused.error().message, HasSubstr("install it, or use an engine for a CPU target"));
}

}  // namespace
}  // namespace xinfer
