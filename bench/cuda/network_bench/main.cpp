// network_bench ENGINE…: median time of one inference of each engine on this machine's GPU, inputs and outputs in device
// memory, between two events on a stream, as bench/cuda/torch_baseline.py times PyTorch. With --layers also every launch.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "engine/engine.h"
#include "runtime/cuda/session.h"
#include "tensor/tensor.h"

namespace xinfer::network_bench {
namespace {

using base::Result;
using namespace runtime::cuda;

constexpr int kWarmUp = 30, kRuns = 200;

std::uint64_t bytes_of(const engine::TensorInfo& info) {
  return static_cast<std::uint64_t>(tensor::num_elements(info.shape)) * tensor::size_of(info.dtype);
}

// Normal floats, small non-negative integers.
std::vector<std::byte> random_values(const engine::TensorInfo& info) {
  tensor::Tensor values(info.dtype, info.shape);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < values.num_elements(); ++i)
    values.set(i, tensor::is_float(info.dtype) ? normal(random) : static_cast<double>(random() % 2));
  return {values.bytes().begin(), values.bytes().end()};
}

double median(std::vector<double>& values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

struct Bench {
  std::shared_ptr<const Program> program;
  std::unique_ptr<Session> session;
  std::vector<DeviceMemory> ports;

  Result<void> prepare(const char* path) {
    XI_TRY(auto engine, engine::open(path, {.allow_unsigned = true}));
    XI_TRY(program, Program::load(engine, 0));
    const engine::Plan& plan = engine->plan();
    std::vector<std::uint64_t> inputs, outputs;
    for (const auto& info : plan.inputs) inputs.push_back(bytes_of(info));
    for (const auto& info : plan.outputs) outputs.push_back(bytes_of(info));
    XI_TRY(session, Session::create(program, inputs, outputs));
    const Functions& driver = program->device()->driver();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      XI_TRY(DeviceMemory memory, DeviceMemory::allocate(program->device(), inputs[i], "an input"));
      const auto values = random_values(plan.inputs[i]);
      XI_CHECK(check(driver, driver.cuMemcpyHtoD_v2(memory.address(), values.data(), values.size()), "cuMemcpyHtoD"));
      XI_CHECK(session->bind_device_input(i, memory.address()));
      ports.push_back(std::move(memory));
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      XI_TRY(DeviceMemory memory, DeviceMemory::allocate(program->device(), outputs[i], "an output"));
      XI_CHECK(session->bind_device_output(i, memory.address()));
      ports.push_back(std::move(memory));
    }
    return {};
  }

  Result<double> median_ms() const {
    const Functions& driver = program->device()->driver();
    StreamHandle stream = nullptr;
    EventHandle start = nullptr, stop = nullptr;
    XI_CHECK(check(driver, driver.cuStreamCreate(&stream, 1), "cuStreamCreate"));
    XI_CHECK(check(driver, driver.cuEventCreate(&start, 0), "cuEventCreate"));
    XI_CHECK(check(driver, driver.cuEventCreate(&stop, 0), "cuEventCreate"));
    std::vector<double> times;
    for (int i = 0; i < kWarmUp + kRuns; ++i) {
      XI_CHECK(check(driver, driver.cuEventRecord(start, stream), "cuEventRecord"));
      XI_CHECK(session->enqueue(stream));
      XI_CHECK(check(driver, driver.cuEventRecord(stop, stream), "cuEventRecord"));
      XI_CHECK(check(driver, driver.cuEventSynchronize(stop), "cuEventSynchronize"));
      float ms = 0;
      XI_CHECK(check(driver, driver.cuEventElapsedTime(&ms, start, stop), "cuEventElapsedTime"));
      if (i >= kWarmUp) times.push_back(static_cast<double>(ms));
    }
    return median(times);
  }

  Result<void> print_layers() const {
    const auto& launches = program->plan().launches;
    std::vector<std::vector<double>> times(launches.size());
    for (int run = 0; run < 21; ++run) {
      std::vector<double> microseconds;
      XI_CHECK(session->run(&microseconds));
      for (std::size_t i = 0; i < launches.size(); ++i) times[i].push_back(microseconds[i]);
    }
    for (std::size_t i = 0; i < launches.size(); ++i)
      std::printf("  %8.2f us  %-44s %s\n", median(times[i]), launches[i].choice.c_str(), launches[i].name.c_str());
    return {};
  }
};

Result<void> run(const char* path, bool layers) {
  Bench bench;
  XI_CHECK(bench.prepare(path));
  XI_TRY(const double ms, bench.median_ms());
  std::printf("%s\t%.4f ms\t%zu launches\t%s\n", path, ms, bench.program->plan().launches.size(), bench.program->device()->name().c_str());
  if (layers) XI_CHECK(bench.print_layers());
  std::fflush(stdout);
  return {};
}

}  // namespace
}  // namespace xinfer::network_bench

int main(int argc, char** argv) {
  bool layers = false;
  int failed = argc < 2 ? 2 : 0;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--layers") == 0) {
      layers = true;
    } else if (auto done = xinfer::network_bench::run(argv[i], layers); !done) {
      std::fprintf(stderr, "network_bench: %s: %s\n", argv[i], done.error().text().c_str());
      failed = 1;
    }
  }
  if (argc < 2) std::fprintf(stderr, "usage: network_bench [--layers] ENGINE...\n");
  return failed;
}
