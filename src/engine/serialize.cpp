#include "engine/serialize.h"

#include "engine/format_generated.h"

namespace xinfer::engine {

using base::Code;
using base::fail;

namespace {

template <class T>
using Offsets = std::vector<flatbuffers::Offset<T>>;

std::string take(const flatbuffers::FlatBufferBuilder& builder) {
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}

Offsets<format::TensorInfo> write_infos(flatbuffers::FlatBufferBuilder& builder, const std::vector<TensorInfo>& infos) {
  Offsets<format::TensorInfo> offsets;
  for (const auto& info : infos)
    offsets.push_back(format::CreateTensorInfo(builder, builder.CreateString(info.name),
                                               static_cast<std::uint8_t>(info.dtype), builder.CreateVector(info.shape),
                                               builder.CreateVectorOfStrings(info.symbols)));
  return offsets;
}

Offsets<format::Symbol> write_symbols(flatbuffers::FlatBufferBuilder& builder, const Plan& plan) {
  Offsets<format::Symbol> symbols;
  for (const auto& symbol : plan.symbols)
    symbols.push_back(format::CreateSymbol(builder, builder.CreateString(symbol.name), symbol.max, symbol.min, symbol.opt));
  return symbols;
}

Offsets<format::Launch> write_launches(flatbuffers::FlatBufferBuilder& builder, const Plan& plan) {
  Offsets<format::Launch> launches;
  for (const auto& launch : plan.launches) {
    std::vector<format::Buffer> arguments;
    for (const auto& ref : launch.arguments)
      arguments.emplace_back(static_cast<std::uint8_t>(ref.space), ref.index, ref.offset, ref.bytes);
    auto buffers = builder.CreateVectorOfStructs(arguments);
    auto name = builder.CreateString(launch.name), choice = builder.CreateString(launch.choice);
    flatbuffers::Offset<flatbuffers::String> tasks;
    if (!launch.tasks.empty()) tasks = builder.CreateString(launch.tasks);
    flatbuffers::Offset<flatbuffers::Vector<const format::TiledMatrix*>> tiled;
    if (!launch.tiled.empty()) {
      std::vector<format::TiledMatrix> matrices;
      for (const auto& m : launch.tiled) matrices.emplace_back(m.argument, m.tile_rows, m.rows, m.columns);
      tiled = builder.CreateVectorOfStructs(matrices);
    }
    const Grid& grid = launch.grid;
    const format::Grid stored(grid.blocks, grid.threads, grid.cluster, grid.shared_bytes, grid.overlaps);
    launches.push_back(format::CreateLaunch(builder, launch.kernel, buffers, launch.num_tasks, launch.scratch_bytes,
                                            name, choice, launch.flops, launch.bytes,
                                            grid.blocks > 0 ? &stored : nullptr, tasks, tiled));
  }
  return launches;
}

Offsets<format::Region> write_regions(flatbuffers::FlatBufferBuilder& builder, const Plan& plan) {
  Offsets<format::Region> regions;
  for (const Region& region : plan.regions) {
    auto stored = [](const BufferRef& ref) { return format::Buffer(static_cast<std::uint8_t>(ref.space), ref.index, ref.offset, ref.bytes); };
    const format::Buffer condition = stored(region.condition), limit = stored(region.limit), iteration = stored(region.iteration);
    auto present = [](const format::Buffer& buffer) { return buffer.bytes() > 0 ? &buffer : nullptr; };
    regions.push_back(format::CreateRegion(builder, region.begin, region.end, present(condition), region.wanted, region.repeats, present(limit),
                                           present(iteration), region.symbol));
  }
  return regions;
}

// Absent fields read as empty: the format only ever gains fields.
std::string text(const flatbuffers::String* string) { return string ? string->str() : std::string(); }

template <class T, class F>
void each(const flatbuffers::Vector<flatbuffers::Offset<T>>* items, F&& f) {
  if (!items) return;
  for (const T* item : *items) f(*item);
}

// flatbuffers::Verifier checks where a vector begins, but not that its elements are aligned.
template <class T>
bool is_aligned(const flatbuffers::Vector<T>* vector) {
  return !vector || vector->size() == 0 || reinterpret_cast<std::uintptr_t>(vector->Data()) % 8 == 0;
}

base::Result<void> malformed(std::string_view section) {
  return fail(Code::kCorrupt, "the engine's {} section is malformed", section);
}

// False where an element is not aligned.
bool read_infos(const flatbuffers::Vector<flatbuffers::Offset<format::TensorInfo>>* items, std::vector<TensorInfo>& infos) {
  bool sound = true;
  each(items, [&](const format::TensorInfo& item) {
    TensorInfo info{text(item.name()), static_cast<tensor::DType>(item.dtype()), {}, {}};
    sound = sound && is_aligned(item.shape());
    if (sound && item.shape()) info.shape.assign(item.shape()->begin(), item.shape()->end());
    if (item.symbols())
      for (const auto* symbol : *item.symbols()) info.symbols.push_back(symbol->str());
    infos.push_back(std::move(info));
  });
  return sound;
}

BufferRef read_buffer(const format::Buffer* buffer) {
  if (!buffer) return {};
  return {static_cast<BufferRef::Space>(buffer->space()), buffer->index(), buffer->offset(), buffer->bytes()};
}

// What plans and their profiles have alike. False where an element is not aligned.
template <class T>
bool read_launches(const T& item, Plan& plan) {
  plan.arena_bytes = item.arena_bytes();
  plan.scratch_bytes = item.scratch_bytes();
  each(item.symbols(),
       [&](const format::Symbol& symbol) { plan.symbols.push_back({text(symbol.name()), symbol.max(), symbol.min(), symbol.opt()}); });
  bool sound = true;
  each(item.launches(), [&](const format::Launch& stored) {
    Launch launch;
    launch.kernel = stored.kernel();
    sound = sound && is_aligned(stored.arguments()) && is_aligned(stored.tiled());
    if (sound && stored.arguments())
      for (const auto* buffer : *stored.arguments()) launch.arguments.push_back(read_buffer(buffer));
    launch.num_tasks = stored.num_tasks();
    launch.scratch_bytes = stored.scratch_bytes();
    launch.name = text(stored.name());
    launch.choice = text(stored.choice());
    launch.flops = stored.flops();
    launch.bytes = stored.bytes();
    if (const auto* grid = stored.grid())
      launch.grid = {grid->blocks(), grid->threads(), grid->cluster(), grid->shared_bytes(), grid->overlaps()};
    launch.tasks = text(stored.tasks());
    if (sound && stored.tiled())
      for (const auto* m : *stored.tiled()) launch.tiled.push_back({m->argument(), m->rows(), m->columns(), m->tile_rows()});
    plan.launches.push_back(std::move(launch));
  });
  each(item.regions(), [&](const format::Region& stored) {
    plan.regions.push_back({stored.begin(), stored.end(), read_buffer(stored.condition()), stored.wanted(), stored.repeats(),
                            read_buffer(stored.limit()), read_buffer(stored.iteration()), stored.symbol()});
  });
  return sound;
}

template <class T>
base::Result<const T*> root(std::span<const std::byte> bytes, std::string_view section) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  flatbuffers::Verifier verifier(data, bytes.size(), /*max_depth=*/8, /*max_tables=*/10'000'000);
  if (bytes.size() < 8 || !verifier.VerifyBuffer<T>(nullptr))
    return std::unexpected(malformed(section).error());
  return flatbuffers::GetRoot<T>(data);
}

}  // namespace

std::string serialize_manifest(const Manifest& manifest, const Plan& plan) {
  flatbuffers::FlatBufferBuilder builder;
  auto string = [&](const std::string& value) { return builder.CreateString(value); };
  auto architecture = string(manifest.architecture), precision = string(manifest.precision),
       model_name = string(manifest.model_name), model_digest = string(manifest.model_digest),
       toolchain = string(manifest.toolchain), licence = string(manifest.licence), metadata = string(manifest.metadata),
       report = string(manifest.report);
  auto inputs = builder.CreateVector(write_infos(builder, plan.inputs));
  auto outputs = builder.CreateVector(write_infos(builder, plan.outputs));
  builder.Finish(format::CreateManifest(builder, architecture, precision, model_name, model_digest, toolchain, licence,
                                        metadata, report, inputs, outputs));
  return take(builder);
}

std::string serialize_plan(const Plan& plan) {
  flatbuffers::FlatBufferBuilder builder;
  Offsets<format::Kernel> kernels;
  for (const auto& kernel : plan.kernels)
    kernels.push_back(format::CreateKernel(builder, builder.CreateString(kernel.symbol), kernel.code_offset, kernel.code_bytes));
  Offsets<format::Profile> profiles;
  for (const Plan& profile : plan.profiles) {
    auto inputs = builder.CreateVector(write_infos(builder, profile.inputs));
    auto outputs = builder.CreateVector(write_infos(builder, profile.outputs));
    auto symbols = builder.CreateVector(write_symbols(builder, profile));
    auto launches = builder.CreateVector(write_launches(builder, profile));
    auto regions = builder.CreateVector(write_regions(builder, profile));
    profiles.push_back(format::CreateProfile(builder, inputs, outputs, profile.arena_bytes, profile.scratch_bytes, symbols, launches, regions));
  }
  auto symbols = builder.CreateVector(write_symbols(builder, plan));
  auto kernel_vector = builder.CreateVector(kernels);
  auto launches = builder.CreateVector(write_launches(builder, plan));
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<format::Profile>>> profile_vector;
  if (!profiles.empty()) profile_vector = builder.CreateVector(profiles);
  auto regions = builder.CreateVector(write_regions(builder, plan));
  builder.Finish(format::CreatePlan(builder, plan.arena_bytes, plan.scratch_bytes, symbols, kernel_vector, launches, profile_vector, regions));
  return take(builder);
}

base::Result<void> parse_manifest(std::span<const std::byte> bytes, Manifest& manifest, Plan& plan) {
  XI_TRY(const auto* section, root<format::Manifest>(bytes, "manifest"));
  manifest = {text(section->architecture()), text(section->precision()), text(section->model_name()),
              text(section->model_digest()), text(section->toolchain()), text(section->licence()),
              text(section->metadata()),     text(section->report())};
  if (!read_infos(section->inputs(), plan.inputs) || !read_infos(section->outputs(), plan.outputs)) return malformed("manifest");
  return {};
}

base::Result<void> parse_plan(std::span<const std::byte> bytes, Plan& plan) {
  XI_TRY(const auto* section, root<format::Plan>(bytes, "plan"));
  each(section->kernels(),
       [&](const format::Kernel& item) {
    plan.kernels.push_back({text(item.symbol()), item.code_offset(), item.code_bytes()});
  });
  bool sound = read_launches(*section, plan);
  each(section->profiles(), [&](const format::Profile& item) {
    Plan& profile = plan.profiles.emplace_back();
    const bool infos = read_infos(item.inputs(), profile.inputs) && read_infos(item.outputs(), profile.outputs);
    sound = read_launches(item, profile) && infos && sound;
  });
  if (!sound) return malformed("plan");
  return {};
}

}  // namespace xinfer::engine
