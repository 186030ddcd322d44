// Measures the tensor-core convolution template on a GPU: every layer of ResNet-50, every candidate, then the chain of
// the best ones as one CUDA graph. Usage: conv_bench BATCH
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "codegen/cuda/nvrtc.h"
#include "forge/cuda/conv.h"
#include "runtime/cuda/driver.h"
#include "tensor/dtype.h"

using namespace xinfer;
using runtime::cuda::DevicePointer;

namespace {

struct Layer {
  const char* name;
  int ih, c, oc, k, stride, pad;
  bool residual, relu;
  int times;  // how often the network has it
  int oh() const { return (ih + 2 * pad - k) / stride + 1; }
};

const std::vector<Layer> kResNet50 = {
    {"stem 7x7/2 8>64", 224, 8, 64, 7, 2, 3, false, true, 1},
    {"s1 1x1 64>64", 56, 64, 64, 1, 1, 0, false, true, 1},
    {"s1 3x3 64>64", 56, 64, 64, 3, 1, 1, false, true, 3},
    {"s1 1x1 64>256 +", 56, 64, 256, 1, 1, 0, true, true, 3},
    {"s1 1x1 64>256", 56, 64, 256, 1, 1, 0, false, false, 1},
    {"s1 1x1 256>64", 56, 256, 64, 1, 1, 0, false, true, 2},
    {"s2 1x1 256>128", 56, 256, 128, 1, 1, 0, false, true, 1},
    {"s2 3x3/2 128", 56, 128, 128, 3, 2, 1, false, true, 1},
    {"s2 1x1 128>512 +", 28, 128, 512, 1, 1, 0, true, true, 4},
    {"s2 1x1/2 256>512", 56, 256, 512, 1, 2, 0, false, false, 1},
    {"s2 1x1 512>128", 28, 512, 128, 1, 1, 0, false, true, 3},
    {"s2 3x3 128", 28, 128, 128, 3, 1, 1, false, true, 3},
    {"s3 1x1 512>256", 28, 512, 256, 1, 1, 0, false, true, 1},
    {"s3 3x3/2 256", 28, 256, 256, 3, 2, 1, false, true, 1},
    {"s3 1x1 256>1024 +", 14, 256, 1024, 1, 1, 0, true, true, 6},
    {"s3 1x1/2 512>1024", 28, 512, 1024, 1, 2, 0, false, false, 1},
    {"s3 1x1 1024>256", 14, 1024, 256, 1, 1, 0, false, true, 5},
    {"s3 3x3 256", 14, 256, 256, 3, 1, 1, false, true, 5},
    {"s4 1x1 1024>512", 14, 1024, 512, 1, 1, 0, false, true, 1},
    {"s4 3x3/2 512", 14, 512, 512, 3, 2, 1, false, true, 1},
    {"s4 1x1 512>2048 +", 7, 512, 2048, 1, 1, 0, true, true, 3},
    {"s4 1x1/2 1024>2048", 14, 1024, 2048, 1, 2, 0, false, false, 1},
    {"s4 1x1 2048>512", 7, 2048, 512, 1, 1, 0, false, true, 2},
    {"s4 3x3 512", 7, 512, 512, 3, 1, 1, false, true, 2},
};

forge::cuda::ConvProblem problem_of(const Layer& l, int n) {
  return {.n = n,
          .ih = l.ih,
          .iw = l.ih,
          .c = l.c,
          .oc = l.oc,
          .oh = l.oh(),
          .ow = l.oh(),
          .kh = l.k,
          .kw = l.k,
          .sh = l.stride,
          .sw = l.stride,
          .ph = l.pad,
          .pw = l.pad,
          .residual = l.residual,
          .activation = l.relu ? "fmaxf(x, 0.f)" : "x"};
}

// The plain definition, one thread an output, to compare with.
constexpr const char* kNaive = R"(
extern "C" __global__ void naive(const unsigned short* x, const unsigned short* w, const float* bias, const unsigned short* res, float* y,
  int n, int ih, int c, int oc, int oh, int k, int s, int p, int has_res, int relu) {
  long i = (long)blockIdx.x * blockDim.x + threadIdx.x; if (i >= (long)n*oh*oh*oc) return;
  int o = i % oc; long r = i / oc; int ow_ = r % oh; r /= oh; int oh_ = r % oh; int b = r / oh; float acc = 0;
  auto f = [](unsigned short h) { float v; asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(h)); return v; };
  for (int kh = 0; kh < k; ++kh) for (int kw = 0; kw < k; ++kw) { int yy = oh_*s-p+kh, xx = ow_*s-p+kw; if (yy<0||yy>=ih||xx<0||xx>=ih) continue;
    for (int ch = 0; ch < c; ++ch) acc += f(x[(((long)b*ih+yy)*ih+xx)*c+ch]) * f(w[(((long)o*k+kh)*k+kw)*c+ch]); }
  acc += bias[o]; if (has_res) acc += f(res[i]); if (relu && acc < 0) acc = 0; y[i] = acc; }
)";

const runtime::cuda::Functions* cu;
void must(int status, const char* what) {
  if (auto r = runtime::cuda::check(*cu, status, what); !r) {
    std::fprintf(stderr, "%s\n", r.error().message.c_str());
    std::exit(1);
  }
}

struct Kernel {
  runtime::cuda::FunctionHandle function = nullptr;
  forge::cuda::KernelSource source;
};

void launch(const Kernel& k, void** arguments, runtime::cuda::StreamHandle stream) {
  runtime::cuda::LaunchConfig config;
  config.grid_x = k.source.grid;
  config.block_x = k.source.threads;
  config.shared_bytes = k.source.shared_bytes;
  config.stream = stream;
  runtime::cuda::LaunchAttribute attributes[2];
  attributes[0].id = runtime::cuda::LaunchAttribute::kProgrammaticStreamSerialization;
  attributes[0].value.programmatic_stream_serialization = 1;
  attributes[1].id = runtime::cuda::LaunchAttribute::kClusterDimension;
  attributes[1].value.cluster = {k.source.cluster, 1, 1};
  config.attributes = attributes;
  config.num_attributes = k.source.cluster > 1 ? 2 : 1;
  must(cu->cuLaunchKernelEx(&config, k.function, arguments, nullptr), "cuLaunchKernelEx");
}

struct Timer {
  runtime::cuda::StreamHandle stream;
  runtime::cuda::EventHandle start, stop;
  Timer() {
    must(cu->cuStreamCreate(&stream, 1), "cuStreamCreate");
    must(cu->cuEventCreate(&start, 0), "cuEventCreate");
    must(cu->cuEventCreate(&stop, 0), "cuEventCreate");
  }
  // Median microseconds of one replay of what `record` launches.
  template <class F>
  double graph_us(F&& record, int repeats) {
    runtime::cuda::GraphHandle graph;
    runtime::cuda::GraphExecHandle exec;
    must(cu->cuStreamBeginCapture_v2(stream, 0), "begin capture");
    record();
    must(cu->cuStreamEndCapture(stream, &graph), "end capture");
    must(cu->cuGraphInstantiateWithFlags(&exec, graph, 0), "instantiate");
    std::vector<float> times;
    for (int i = 0; i < repeats + 3; ++i) {
      cu->cuEventRecord(start, stream);
      must(cu->cuGraphLaunch(exec, stream), "graph launch");
      cu->cuEventRecord(stop, stream);
      must(cu->cuEventSynchronize(stop), "synchronize");
      float ms = 0;
      cu->cuEventElapsedTime(&ms, start, stop);
      if (i >= 3) times.push_back(ms * 1000);
    }
    cu->cuGraphExecDestroy(exec);
    cu->cuGraphDestroy(graph);
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    return times[times.size() / 2];
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int n = argc == 2 ? std::atoi(argv[1]) : 0;
  if (n < 1 || n > 64) return std::fprintf(stderr, "usage: conv_bench BATCH (1 to 64)\n"), 64;
  auto nvrtc = codegen::cuda::Nvrtc::load();
  if (!nvrtc) return std::fprintf(stderr, "%s\n", nvrtc.error().message.c_str()), 1;
  auto driver = runtime::cuda::load_driver();
  if (!driver) return std::fprintf(stderr, "%s\n", driver.error().message.c_str()), 1;
  cu = *driver;
  int device = 0;
  runtime::cuda::ContextHandle context;
  must(cu->cuDeviceGet(&device, 0), "cuDeviceGet");
  must(cu->cuDevicePrimaryCtxRetain(&context, device), "context");
  must(cu->cuCtxSetCurrent(context), "context");
  char name[128];
  cu->cuDeviceGetName(name, 128, device);
  std::printf("# %s, %s, batch %d\n", name, nvrtc->version().c_str(), n);

  // Compile everything first, on all cores.
  struct Job {
    std::size_t layer;
    forge::cuda::KernelSource source;
    base::Result<std::string> cubin = std::string();
  };
  std::vector<Job> jobs;
  for (std::size_t i = 0; i < kResNet50.size(); ++i)
    for (const auto& c : forge::cuda::conv_candidates(problem_of(kResNet50[i], n), 90, 132))
      jobs.push_back({i, forge::cuda::conv_kernel(problem_of(kResNet50[i], n), c).value()});
  std::atomic<std::size_t> next{0};
  auto began = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> workers;
    for (unsigned t = 0; t < std::max(2u, std::thread::hardware_concurrency()); ++t)
      workers.emplace_back([&] {
        for (std::size_t i; (i = next++) < jobs.size();)
          jobs[i].cubin = nvrtc->compile(jobs[i].source.source, "sm_90a");
      });
  }
  std::printf("# %zu candidates compiled in %.1f s\n", jobs.size(),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());

  auto naive_cubin = nvrtc->compile(kNaive, "sm_90a");
  runtime::cuda::ModuleHandle module;
  runtime::cuda::FunctionHandle naive;
  must(cu->cuModuleLoadData(&module, naive_cubin.value().data()), "load naive");
  must(cu->cuModuleGetFunction(&naive, module, "naive"), "naive");

  // Inputs rotate so that a layer's input and weights are not always in the L2 cache from its own last run.
  constexpr std::size_t kBytes = std::size_t{64} * 112 * 112 * 64 * 2 * 2;
  DevicePointer input, weights, bias, residual, output, expected;
  must(cu->cuMemAlloc_v2(&input, kBytes), "alloc");
  must(cu->cuMemAlloc_v2(&residual, kBytes), "alloc");
  must(cu->cuMemAlloc_v2(&output, kBytes), "alloc");
  must(cu->cuMemAlloc_v2(&expected, kBytes * 2), "alloc");
  must(cu->cuMemAlloc_v2(&weights, std::size_t{64} << 20), "alloc");
  must(cu->cuMemAlloc_v2(&bias, 65536), "alloc");
  std::mt19937 random(1);
  auto fill = [&](DevicePointer to, std::size_t count, float scale) {
    std::vector<std::uint16_t> host(count);
    std::uniform_real_distribution<float> value(-scale, scale);
    for (auto& h : host) h = tensor::to_float16(value(random));
    must(cu->cuMemcpyHtoD_v2(to, host.data(), count * 2), "copy");
  };
  std::vector<float> bias_host(4096);
  for (auto& b : bias_host) b = std::uniform_real_distribution<float>(-1, 1)(random);
  must(cu->cuMemcpyHtoD_v2(bias, bias_host.data(), 16384), "copy");
  const std::size_t half = std::min<std::size_t>(kBytes / 2, std::size_t(n) * 56 * 56 * 256 + 65536);
  fill(input, std::max<std::size_t>(half, std::size_t(n) * 224 * 224 * 8), 1.f);
  fill(residual, half, 1.f);
  fill(weights, std::size_t{8} << 20, 0.05f);

  Timer timer;
  std::map<std::size_t, std::pair<double, Kernel>> best;
  void* arguments[] = {&input, &weights, &bias, &residual, &output};
  for (std::size_t i = 0; i < kResNet50.size(); ++i) {
    const Layer& l = kResNet50[i];
    const std::size_t count = std::size_t(n) * l.oh() * l.oh() * l.oc;
    int has_residual = l.residual, relu = l.relu, nn = n, ih = l.ih, c = l.c, oc = l.oc, oh = l.oh(), k = l.k,
        s = l.stride, p = l.pad;
    void* naive_arguments[] = {&input, &weights, &bias, &residual, &expected, &nn,           &ih,  &c,
                               &oc,    &oh,      &k,    &s,        &p,        &has_residual, &relu};
    runtime::cuda::LaunchConfig config;
    config.grid_x = static_cast<unsigned>((count + 255) / 256);
    config.block_x = 256;
    config.stream = timer.stream;
    must(cu->cuLaunchKernelEx(&config, naive, naive_arguments, nullptr), "naive");
    must(cu->cuStreamSynchronize(timer.stream), "naive");
    std::vector<float> want(count);
    must(cu->cuMemcpyDtoH_v2(want.data(), expected, count * 4), "copy");
    double norm = 0;
    for (float w : want) norm += double(w) * w;
    for (const auto& job : jobs) {
      if (job.layer != i) continue;
      if (!job.cubin) {
        std::printf("%s: %s\n", l.name, job.cubin.error().message.substr(0, 600).c_str());
        return 1;
      }
      Kernel kernel;
      kernel.source = job.source;
      must(cu->cuModuleLoadData(&module, job.cubin->data()), "load");
      must(cu->cuModuleGetFunction(&kernel.function, module, job.source.symbol.c_str()), "function");
      must(cu->cuFuncSetAttribute(kernel.function, runtime::cuda::kFuncMaxDynamicSharedBytes,
                                  static_cast<int>(job.source.shared_bytes)),
           "shared");
      must(cu->cuMemsetD8_v2(output, 0xff, count * 2), "memset");
      launch(kernel, arguments, timer.stream);
      must(cu->cuStreamSynchronize(timer.stream), "run");
      std::vector<std::uint16_t> got(count);
      must(cu->cuMemcpyDtoH_v2(got.data(), output, count * 2), "copy");
      double error = 0;
      for (std::size_t e = 0; e < count; e += 7) {
        double d = tensor::from_float16(got[e]) - want[e];
        error += d * d;
      }
      double relative = std::sqrt(error * 7 / norm);
      if (!(relative < 2e-3)) std::printf("WRONG %s %s: %g\n", l.name, job.source.choice.c_str(), relative);
      double us = timer.graph_us(
                      [&] {
                        for (int r = 0; r < 20; ++r) launch(kernel, arguments, timer.stream);
                      },
                      7) /
                  20;
      auto& b = best[i];
      if (relative < 2e-3 && (!b.second.function || us < b.first)) b = {us, kernel};
    }
    auto& [us, kernel] = best[i];
    std::printf("%-20s %7.2f us  %6.1f TFLOP/s  %s  grid %u  x%d\n", l.name, us, kernel.source.flops / us * 1e-6,
                kernel.source.choice.c_str(), kernel.source.grid, l.times);
    std::fflush(stdout);
  }
  double sum = 0;
  for (auto& [i, b] : best) sum += b.first * kResNet50[i].times;
  double chain = timer.graph_us(
      [&] {
        std::size_t offset = 0;
        for (auto& [i, b] : best)
          for (int r = 0; r < kResNet50[i].times; ++r) {
            DevicePointer w = weights + offset;
            void* chain_arguments[] = {r % 2 ? &output : &input, &w, &bias, &residual, r % 2 ? &input : &output};
            launch(b.second, chain_arguments, timer.stream);
            offset += std::size_t(kResNet50[i].oc) * kResNet50[i].k * kResNet50[i].k * kResNet50[i].c * 2;
          }
      },
      50);
  std::printf("batch %d: sum of layers %.1f us, chain as one graph %.1f us\n", n, sum, chain);
}
