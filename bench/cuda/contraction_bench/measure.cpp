#include "measure.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <map>
#include <thread>

#include "forge/cuda/attention.h"
#include "forge/cuda/irregular.h"
#include "forge/cuda/prelude.h"
#include "forge/cuda/records.h"

namespace xinfer::contraction_bench {

using forge::ConvProblem;
using forge::Layout;
using forge::MatMulProblem;
using forge::PoolProblem;
using forge::cuda::Epilogue;
using forge::cuda::EpilogueOperand;
using forge::cuda::Problem;
using forge::cuda::Solution;
using tensor::DType;

namespace {

constexpr std::size_t kPool = std::size_t{448} << 20;  // bytes of each of input, output, …
constexpr std::size_t kWeightPool = std::size_t{256} << 20;

constexpr const char* kFill = R"(
XI_INLINE float value_at(uint64_t i, uint32_t seed) {
  uint32_t x = (uint32_t)(i * 2654435761u) ^ seed ^ (uint32_t)(i >> 32);
  x ^= x >> 16; x *= 0x7feb352du; x ^= x >> 15; x *= 0x846ca68bu; x ^= x >> 16;
  return (float)(int)x * (1.f / 2147483648.f);
}
extern "C" __global__ void XI_ENTRY(void* to, int64_t n, int dtype, int64_t channels, int64_t padded, int64_t pixels, uint32_t seed) {
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (int64_t)gridDim.x * blockDim.x) {
    float x = value_at(i, seed);
    if (padded) {
      const int64_t c = i % padded, pixel = i / padded % pixels, image = i / padded / pixels;
      x = c < channels ? value_at((image * channels + c) * pixels + pixel, seed) : 0.f;
    }
    if (dtype == 1) ((float*)to)[i] = x;
    else if (dtype == 10) ((float16*)to)[i] = float16(x);
    else ((bfloat16*)to)[i] = bfloat16(x);
  }
}
)";
constexpr const char* kCompare = R"(
XI_INLINE float element(const void* p, int64_t i, int dtype) {
  return dtype == 1 ? ((const float*)p)[i] : dtype == 10 ? (float)((const float16*)p)[i] : (float)((const bfloat16*)p)[i];
}
extern "C" __global__ void XI_ENTRY(const void* a, const void* b, int64_t n, int dtype_a, int dtype_b, double* sums) {
  double error = 0, norm = 0;
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (int64_t)gridDim.x * blockDim.x) {
    const double x = element(a, i, dtype_a), y = element(b, i, dtype_b);
    error += (x - y) * (x - y), norm += y * y;
  }
  for (int step = 16; step > 0; step /= 2) error += __shfl_xor_sync(0xffffffffu, error, step), norm += __shfl_xor_sync(0xffffffffu, norm, step);
  if (threadIdx.x % 32 == 0) atomicAdd(sums, error), atomicAdd(sums + 1, norm);
}
)";

std::int64_t padded(std::int64_t channels) { return (channels + 7) / 8 * 8; }

// Sizes of a problem's tensors.
struct Sizes {
  DType dtype = DType::kFloat16;
  std::int64_t images = 1, in_channels = 1, in_pixels = 1, out_channels = 1, out_pixels = 1;  // of a matrix product: elements as channels
  bool spatial = true;  // has a layout
  tensor::Shape weights;
  std::int64_t bias = 0;
};
Sizes sizes_of(const ConvProblem& p) {
  Sizes s{p.dtype, p.batch, p.in_channels, p.in[0] * p.in[1] * p.in[2], p.out_channels, p.out[0] * p.out[1] * p.out[2]};
  s.weights = p.transposed ? tensor::Shape{p.in_channels, p.out_channels / p.groups} : tensor::Shape{p.out_channels, p.in_channels / p.groups};
  for (std::size_t i = 3 - static_cast<std::size_t>(p.spatial_rank); i < 3; ++i) s.weights.push_back(p.kernel[i]);
  s.bias = p.bias ? p.out_channels : 0;
  return s;
}
Sizes sizes_of(const MatMulProblem& p) {
  const std::int64_t a = tensor::num_elements(p.batch_a), b = tensor::num_elements(p.batch_b);
  auto batch = tensor::broadcast(p.batch_a, p.batch_b);
  Sizes s{p.dtype, 1, a * p.m * p.k, 1, tensor::num_elements(batch.value()) * p.m * p.n, 1, false};
  s.weights = p.transpose_b ? tensor::Shape{b, p.n, p.k} : tensor::Shape{b, p.k, p.n};
  if (p.constant_b) s.weights.erase(s.weights.begin());
  s.bias = p.bias ? p.n : 0;
  return s;
}
Sizes sizes_of(const PoolProblem& p) {
  return {p.dtype, p.batch, p.channels, p.in[0] * p.in[1] * p.in[2], p.channels, p.out[0] * p.out[1] * p.out[2]};
}

Epilogue epilogue_of(const Sizes& s, bool tail) {
  if (!tail) return {{}, "XI_INLINE float epilogue(float x, const float (&)[1]) { return relu(x); }\n"};
  using Kind = EpilogueOperand::Kind;
  return {{{Kind::kElement, s.dtype}, {Kind::kChannel, DType::kFloat32}, {Kind::kScalar, DType::kFloat32}},
          "XI_INLINE float epilogue(float x, const float (&operands)[3]) { return relu(x + operands[0]) * operands[1] + operands[2]; }\n"};
}

struct Job {
  std::size_t work;
  forge::cuda::Candidate candidate;
  Solution solution;
  std::promise<base::Result<std::string>> promise;
  std::future<base::Result<std::string>> cubin = promise.get_future();
};

}  // namespace

struct Measurement::State {
  const Device& device;
  const target::GpuIsa& gpu;
  Options options;
  codegen::cuda::Nvrtc nvrtc;
  Kernel fill, compare;
  DevicePointer plain, blocked, weights, bias, element, output, expected, sums;
  std::vector<Work> works;
  std::vector<std::unique_ptr<Job>> jobs;
  std::atomic<std::size_t> next_job{0};
  std::vector<std::jthread> workers;
  std::size_t at = 0, next_work = 0;

  State(const Device& d, const target::GpuIsa& g, const Options& o, codegen::cuda::Nvrtc n) : device(d), gpu(g), options(o), nvrtc(std::move(n)) {
    fill = helper(kFill), compare = helper(kCompare);
    fill.grid = compare.grid = 1024;
    for (DevicePointer* pool : {&plain, &blocked, &element, &output, &expected}) *pool = device.allocate(kPool);
    weights = device.allocate(kWeightPool);
    fill_values(weights, kWeightPool / 2, DType::kFloat16, 0, 0, 0, 5);
    bias = device.allocate(1 << 20);
    sums = device.allocate(16);
  }
  Kernel helper(const char* text) {
    forge::KernelSource source;
    forge::cuda::finish_source(source, text);
    auto cubin = nvrtc.compile(source.source, gpu.name);
    if (!cubin) std::fprintf(stderr, "%s\n", cubin.error().message.c_str()), std::exit(1);
    return device.load(*cubin, source.symbol.c_str(), 256);
  }
  void fill_values(DevicePointer to, std::int64_t count, DType dtype, std::int64_t channels, std::int64_t pad, std::int64_t pixels, unsigned seed) {
    int number = static_cast<int>(dtype);
    device.launch(fill, {&to, &count, &number, &channels, &pad, &pixels, &seed});
  }
  // Random weights as the model has them, scaled so that outputs are about 1.
  tensor::Tensor random_weights(const Sizes& s, double depth) const {
    tensor::Tensor weights(DType::kFloat32, s.weights);
    std::uint32_t x = 12345;
    const float scale = static_cast<float>(1.7 / std::sqrt(depth));
    for (float& w : weights.data<float>()) {
      x = x * 1664525u + 1013904223u;
      w = static_cast<float>(static_cast<std::int32_t>(x)) * (1.f / 2147483648.f) * scale;
    }
    return weights;
  }

  std::size_t packed_bytes = 0;
  std::size_t pack(const Solution& solution, const tensor::Tensor& tensor, DType dtype) {
    std::vector<std::byte> bytes;
    if (solution.pack_weights) {
      bytes = solution.pack_weights(tensor);
    } else {
      tensor::Tensor converted(dtype, tensor.shape());
      for (std::int64_t i = 0; i < tensor.num_elements(); ++i) converted.set(i, tensor.as_double(i));
      bytes.assign(converted.bytes().begin(), converted.bytes().end());
    }
    device.upload(weights, bytes.data(), bytes.size());
    return packed_bytes = bytes.size();
  }

  std::vector<void*> arguments(const Solution& solution, const Sizes& s, DevicePointer& to) {
    const bool is_blocked = s.spatial && solution.input_layout == Layout::kBlocked;
    std::vector<void*> list = {is_blocked ? &blocked : &plain};
    if (!s.weights.empty()) list.push_back(&weights);
    if (s.bias > 0) list.push_back(&bias);
    if (options.tail) list.insert(list.end(), {&element, &bias, &bias});
    list.push_back(&to);
    return list;
  }
  std::int64_t output_count(const Solution& solution, const Sizes& s) const {
    return s.images * s.out_pixels * (s.spatial && solution.output_layout == Layout::kBlocked ? padded(s.out_channels) : s.out_channels);
  }
  double difference(std::int64_t count, DType dtype, DType expected_dtype) {
    int number = static_cast<int>(dtype), expected_number = static_cast<int>(expected_dtype);
    device.fill(sums, 0, 16);
    device.launch(compare, {&output, &expected, &count, &number, &expected_number, &sums});
    if (!device.synchronize()) std::exit(1);
    double host[2];
    device.download(host, sums, 16);
    return std::sqrt(host[0] / host[1]);
  }

  std::vector<Measured> run(const Work& work) {
    const Sizes s = std::visit([](const auto& p) { return sizes_of(p); }, work.problem);
    const double depth = s.weights.empty() ? 1 : std::holds_alternative<MatMulProblem>(work.problem)
                                                   ? static_cast<double>(std::get<MatMulProblem>(work.problem).k)
                                                   : static_cast<double>(tensor::num_elements(s.weights)) / static_cast<double>(s.out_channels);
    fill_values(plain, s.images * s.in_channels * s.in_pixels, s.dtype, 0, 0, 0, 1);
    if (s.spatial) fill_values(blocked, s.images * padded(s.in_channels) * s.in_pixels, s.dtype, s.in_channels, padded(s.in_channels), s.in_pixels, 1);
    fill_values(element, s.images * padded(s.out_channels) * s.out_pixels, s.dtype, 0, 0, 0, 2);
    fill_values(bias, std::max<std::int64_t>(s.bias, 4096), DType::kFloat32, 0, 0, 0, 3);
    const tensor::Tensor constant = random_weights(s, depth);
    auto reference = forge::cuda::solve(work.problem, "general", epilogue_of(s, options.tail), gpu);
    if (!reference) std::fprintf(stderr, "%s\n", reference.error().message.c_str()), std::exit(1);
    auto cubin = nvrtc.compile(reference->kernel.source, gpu.name);
    if (!cubin) std::fprintf(stderr, "%s\n", cubin.error().message.c_str()), std::exit(1);
    Kernel general = device.load(*cubin, reference->kernel);
    if (!s.weights.empty()) pack(*reference, constant, s.dtype);
    device.launch(general, arguments(*reference, s, expected));
    if (!device.synchronize()) std::exit(1);
    device.unload(general);

    std::vector<Measured> results;
    std::string packed_for;
    for (; at < jobs.size() && jobs[at]->work == next_work; ++at) {
      Job& job = *jobs[at];
      auto code = job.cubin.get();
      if (!code) std::fprintf(stderr, "%s: %s\n", job.candidate.text.c_str(), code.error().message.substr(0, 2000).c_str()), std::exit(1);
      const std::string word = job.candidate.text.substr(0, job.candidate.text.find_first_of(" 0123456789"));
      if (!s.weights.empty() && word != packed_for) pack(job.solution, constant, s.dtype);
      packed_for = word;
      results.push_back(measure(job, s, *code, output_count(*reference, s)));
      jobs[at].reset();
    }
    return results;
  }

  // In a network a layer's weights have seldom stayed in the cache since its last run: each launch reads others.
  double time(const Kernel& kernel, const Sizes& s, std::vector<void*> list) {
    const std::size_t step = (packed_bytes + 255) / 256 * 256;
    const auto repeat = [&](std::size_t times) {
      std::vector<DevicePointer> places(times, weights);
      for (std::size_t r = 0; r < times && step > 0; ++r) places[r] += r % (kWeightPool / step) * step;
      return device.replay_us(
                 [&] {
                   for (DevicePointer& place : places) {
                     if (!s.weights.empty()) list[1] = &place;
                     device.launch(kernel, list);
                   }
                 },
                 5) /
             static_cast<double>(times);
    };
    const double first = repeat(4);
    return first < 60 ? repeat(step > (1 << 20) ? 60 : 20) : first;
  }

  Measured measure(const Job& job, const Sizes& s, const std::string& code, std::int64_t expected_count) {
    Measured m{job.candidate.text, 0, job.candidate.microseconds};
    const std::int64_t count = output_count(job.solution, s);
    Kernel kernel = device.load(code, job.solution.kernel);
    device.fill(output, 0xff, static_cast<std::size_t>(count) * tensor::size_of(s.dtype));
    const std::vector<void*> list = arguments(job.solution, s, output);
    device.launch(kernel, list);
    if (!device.synchronize()) std::fprintf(stderr, "%s\n%s\n", m.candidate.c_str(), forge::cuda::text_of(works[next_work].problem).c_str()), std::exit(1);
    m.error = count == expected_count ? difference(count, s.dtype, s.dtype) : HUGE_VAL;
    m.right = m.error < (s.dtype == DType::kFloat32 ? 1e-5 : s.dtype == DType::kFloat16 ? 2e-3 : 1.2e-2);
    if (options.time && m.right) m.microseconds = time(kernel, s, list);
    device.unload(kernel);
    return m;
  }
};

Measured Measurement::attention(const ir::Graph& graph, DType dtype, int queries) {
  State& s = *state_;
  const ir::Node& node = graph.nodes.front();
  auto reference = forge::cuda::irregular_kernel(node, graph, s.gpu);
  if (!reference || !*reference) std::fprintf(stderr, "no general kernel for attention\n"), std::exit(1);
  const forge::KernelSource fast = forge::cuda::attention_kernel(node, graph, dtype, s.gpu, queries);
  DevicePointer scratch = s.device.allocate(std::max<std::size_t>((*reference)->scratch_bytes, 256));
  Measured m{fast.choice};
  for (const bool is_fast : {false, true}) {
    const forge::KernelSource& source = is_fast ? fast : **reference;
    // Each input has a part of the pool to itself: the general kernel's are float32.
    std::vector<DevicePointer> parts;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      parts.push_back((is_fast ? s.blocked : s.plain) + i * (kPool / 4));
      const std::int64_t count = tensor::num_elements(graph.value(node.inputs[i]).type.shape());
      s.fill_values(parts[i], count, is_fast && i < 3 ? dtype : DType::kFloat32, 0, 0, 0, static_cast<unsigned>(i));
    }
    std::vector<void*> list;
    for (DevicePointer& part : parts) list.push_back(&part);
    list.push_back(is_fast ? &s.output : &s.expected);
    if (source.scratch_bytes > 0) list.push_back(&scratch);
    auto cubin = s.nvrtc.compile(source.source, s.gpu.name);
    if (!cubin) std::fprintf(stderr, "%s\n", cubin.error().message.c_str()), std::exit(1);
    Kernel kernel = s.device.load(*cubin, source);
    s.device.launch(kernel, list);
    if (!s.device.synchronize()) std::exit(1);
    if (is_fast) m.microseconds = s.device.replay_us([&] { for (int r = 0; r < 20; ++r) s.device.launch(kernel, list); }, 5) / 20;
    s.device.unload(kernel);
  }
  m.error = s.difference(tensor::num_elements(graph.value(node.outputs[0]).type.shape()), dtype, DType::kFloat32);
  m.right = m.error < (dtype == DType::kFloat16 ? 2e-3 : 1.2e-2);
  return m;
}

Measurement::Measurement(const Device& device, const target::GpuIsa& gpu, const Options& options) {
  auto nvrtc = codegen::cuda::Nvrtc::load();
  if (!nvrtc) std::fprintf(stderr, "%s\n", nvrtc.error().message.c_str()), std::exit(1);
  state_ = std::make_unique<State>(device, gpu, options, std::move(*nvrtc));
}
Measurement::~Measurement() = default;

void Measurement::start(const std::vector<Work>& works) {
  State& s = *state_;
  s.works = works;
  for (std::size_t i = 0; i < works.size(); ++i) {
    const Sizes sizes = std::visit([](const auto& p) { return sizes_of(p); }, works[i].problem);
    auto all = forge::cuda::candidates(works[i].problem, s.gpu);
    if (all.size() > s.options.top) {
      const auto also = std::ranges::find(all, works[i].also, &forge::cuda::Candidate::text);
      if (also != all.end() && also - all.begin() >= static_cast<std::ptrdiff_t>(s.options.top)) std::swap(all[s.options.top - 1], *also);
      all.resize(s.options.top);
    }
    for (auto& candidate : all) {
      auto solution = forge::cuda::solve(works[i].problem, candidate.text, epilogue_of(sizes, s.options.tail), s.gpu);
      if (!solution) std::fprintf(stderr, "%s: %s\n", candidate.text.c_str(), solution.error().message.c_str()), std::exit(1);
      s.jobs.push_back(std::make_unique<Job>(i, std::move(candidate), std::move(*solution)));
    }
  }
  const unsigned count = std::max(2u, std::thread::hardware_concurrency() - 1);
  for (unsigned t = 0; t < count; ++t)
    s.workers.emplace_back([&s] {
      for (std::size_t i; (i = s.next_job++) < s.jobs.size();) s.jobs[i]->promise.set_value(s.nvrtc.compile(s.jobs[i]->solution.kernel.source, s.gpu.name));
    });
}

std::vector<Measured> Measurement::next() {
  auto results = state_->run(state_->works[state_->next_work]);
  ++state_->next_work;
  return results;
}

}  // namespace xinfer::contraction_bench
