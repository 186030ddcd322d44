#include "compiler/reference_cache.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/files.h"
#include "base/program.h"
#include "tensor/npy.h"

namespace xinfer::compiler {

namespace fs = std::filesystem;
using tensor::Tensor;

namespace {

constexpr std::string_view kMagic = "XIREF1\n";
constexpr std::size_t kLargestBytes = 32 << 20, kTensors = 10'000;

std::string relative_path(const std::string& key) { return "references/" + key + ".reference"; }

}  // namespace

// The functions' own code is part of what the outputs are computed from: another program may compute others.
ReferenceCache::ReferenceCache(FileExchange exchange, const std::string& model_digest, const FixedInputs& fixed) : exchange_(std::move(exchange)) {
  const std::string program = base::program_id();
  if (!exchange_.folder.empty() && !program.empty()) scope_ = base::sha256(program + "\n" + model_digest + "\n" + to_json(fixed).dump());
}

fs::path ReferenceCache::file(const std::string& key) const { return exchange_.folder / relative_path(key); }

std::string ReferenceCache::key(const ir::Graph& graph, const std::vector<Tensor>& inputs) const {
  if (scope_.empty()) return {};
  std::string text = scope_;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& input = inputs[i];
    std::string_view bytes;  // strings have none
    if (input.dtype() != tensor::DType::kString) bytes = {reinterpret_cast<const char*>(input.bytes().data()), input.size_bytes()};
    text += fmt::format("\n{} {} {} {}", graph.value(graph.inputs[i]).name, tensor::name(input.dtype()), fmt::join(input.shape(), "x"), base::sha256(bytes));
    for (const std::string& word : input.strings()) text += fmt::format(" {}:{}", word.size(), word);
  }
  return base::sha256(text);
}

void ReferenceCache::prepare(const std::vector<std::string>& keys) const {
  std::vector<std::string> missing;
  std::error_code error;
  for (const std::string& key : keys)
    if (!key.empty() && !fs::exists(file(key), error)) missing.push_back(relative_path(key));
  if (!missing.empty() && exchange_.on_missing) exchange_.on_missing(missing);
}

std::optional<std::vector<Tensor>> ReferenceCache::find(const std::string& key) const {
  if (key.empty()) return std::nullopt;
  const auto bytes = base::read_file(file(key), kLargestBytes + kTensors);
  if (!bytes || !bytes->starts_with(kMagic)) return std::nullopt;
  std::vector<Tensor> outputs;
  for (std::string_view rest = std::string_view(*bytes).substr(kMagic.size()); !rest.empty();) {
    std::uint64_t size = 0;
    if (rest.size() < sizeof size || outputs.size() >= kTensors) return std::nullopt;
    std::memcpy(&size, rest.data(), sizeof size);
    rest.remove_prefix(sizeof size);
    if (size > rest.size()) return std::nullopt;
    auto tensor = tensor::parse_npy(rest.substr(0, static_cast<std::size_t>(size)));
    if (!tensor) return std::nullopt;
    outputs.push_back(*std::move(tensor));
    rest.remove_prefix(static_cast<std::size_t>(size));
  }
  return outputs;
}

void ReferenceCache::keep(const std::string& key, const std::vector<const Tensor*>& outputs) const {
  if (key.empty() || outputs.size() > kTensors) return;
  std::string bytes(kMagic);
  for (const Tensor* tensor : outputs) {
    if (bytes.size() > kLargestBytes || tensor->size_bytes() > kLargestBytes) return;
    const auto npy = tensor::format_npy(*tensor);
    if (!npy) return;
    const auto back = tensor::parse_npy(*npy);
    if (!back || back->dtype() != tensor->dtype()) return;  // types that numpy lacks come back as others
    const std::uint64_t size = npy->size();
    bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
    bytes += *npy;
  }
  if (bytes.size() > kLargestBytes) return;
  std::error_code error;
  fs::create_directories(file(key).parent_path(), error);
  (void)base::write_file(file(key), bytes);  // without it the next one computes too
}

}  // namespace xinfer::compiler
