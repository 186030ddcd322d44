// A plan as a graph of launches, for people: who reads what whom wrote, and how the arena's memory is used over time.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/plan.h"

namespace xinfer::compiler {

struct LaunchGraph {
  struct Node {
    enum class Kind : std::uint8_t { kInput, kLaunch, kOutput };
    Kind kind = Kind::kLaunch;
    std::size_t index = 0;             // of the launch, input or output
    std::string name, output, reason;  // output: "name: float32[1,64,56,56]" where the engine's report tells
    double weight_bytes = 0;
  };
  struct Edge {
    std::size_t from = 0, to = 0;  // nodes
  };
  /// Bytes of the arena from the launch that writes them to the last that reads them.
  struct Block {
    std::uint64_t begin = 0, end = 0;
    std::size_t born = 0, last = 0;
  };
  std::vector<Node> nodes;  // inputs, launches, outputs
  std::vector<Edge> edges;  // sorted, each once
  std::vector<Block> blocks;
};

/// `report`: the engine's (Manifest::report), whose notes give names; without them each launch writes its last argument.
LaunchGraph make_launch_graph(const engine::Plan& plan, std::string_view report);

}  // namespace xinfer::compiler
