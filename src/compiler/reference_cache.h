// Outputs of the reference functions, kept by what they were computed from: another target's engine of the same model is compared
// with the same ones, and computing them is most of a verification.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/build.h"
#include "ir/graph.h"
#include "tensor/tensor.h"

namespace xinfer::compiler {

class ReferenceCache {
 public:
  /// Keeps nothing.
  ReferenceCache() = default;
  /// Of the model with this digest.
  ReferenceCache(FileExchange exchange, const std::string& model_digest, const FixedInputs& fixed);

  /// The key for these inputs; empty where nothing is kept.
  std::string key(const ir::Graph& graph, const std::vector<tensor::Tensor>& inputs) const;
  /// Asks for those that are not there, at once.
  void prepare(const std::vector<std::string>& keys) const;
  /// Nothing where there are none, or they cannot be read.
  std::optional<std::vector<tensor::Tensor>> find(const std::string& key) const;
  /// Values that a file cannot hold, and large ones, are not kept.
  void keep(const std::string& key, const std::vector<const tensor::Tensor*>& outputs) const;

 private:
  std::filesystem::path file(const std::string& key) const;
  FileExchange exchange_;
  std::string scope_;
};

}  // namespace xinfer::compiler
