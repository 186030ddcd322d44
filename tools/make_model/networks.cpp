#include "networks.h"

#include <random>
#include <utility>

#include "builder.h"
#include "transformer.h"
#include "yolov8.h"

namespace xinfer::make_model {
namespace {

Value conv_bn(Builder& b, const Value& x, int64_t channels, ConvOptions options, float scale = 1.0F) {
  options.bias = false;
  return b.batch_norm(b.conv(x, channels, options), scale);
}

Value relu(Builder& b, const Value& x) { return b.op("Relu", {x}, x.channels); }

Value classifier(Builder& b, const Value& x, int64_t classes) {
  const Value flat = b.op("Flatten", {b.op("GlobalAveragePool", {x}, x.channels)}, x.channels);
  const Value weight = b.random("fc_weight", {classes, x.channels}, 0.0F, 0.05F);
  const Value y = b.op("Gemm", {flat, weight, b.random("fc_bias", {classes}, 0.0F, 0.1F)}, classes);
  b.set_int("transB", 1);
  return y;
}

// He et al. 2015 with the stride in the 3x3 convolution ("v1.5"), as torchvision has it: 25.6 M weights.
std::string resnet50(int64_t batch) {
  Builder b("resnet50", 17);
  Value x = b.input("input", DataType::kFloat, {batch, 3, 224, 224});
  x = relu(b, conv_bn(b, x, 64, {.kernel = 7, .stride = 2}));
  x = b.max_pool(x, 3, 2);
  const int blocks[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t width = 64 << stage;
    for (int block = 0; block < blocks[stage]; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      Value y = relu(b, conv_bn(b, x, width, {}));
      y = relu(b, conv_bn(b, y, width, {.kernel = 3, .stride = stride}));
      // A small scale on the residual branch keeps sixteen additions from doubling the variance each.
      y = conv_bn(b, y, width * 4, {}, 0.25F);
      const Value shortcut = block == 0 ? conv_bn(b, x, width * 4, {.stride = stride, .gain = kLinearGain}) : x;
      x = relu(b, b.op("Add", {y, shortcut}, width * 4));
    }
  }
  b.output(classifier(b, x, 1000), {batch, 1000});
  return b.serialize();
}

// Sandler et al. 2018, width 1.0: 3.5 M weights.
std::string mobilenet_v2(int64_t batch) {
  Builder b("mobilenet_v2", 17);
  const Value low = b.scalar("clip_min", 0.0F);
  const Value high = b.scalar("clip_max", 6.0F);
  const auto relu6 = [&](const Value& x) { return b.op("Clip", {x, low, high}, x.channels); };
  Value x = b.input("input", DataType::kFloat, {batch, 3, 224, 224});
  x = relu6(conv_bn(b, x, 32, {.kernel = 3, .stride = 2}));
  struct Stage {
    int64_t expand, channels, repeat, stride;
  };
  constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                               {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  for (const Stage& stage : kStages) {
    for (int64_t i = 0; i < stage.repeat; ++i) {
      const int64_t stride = i == 0 ? stage.stride : 1;
      const int64_t hidden = x.channels * stage.expand;
      Value y = stage.expand == 1 ? x : relu6(conv_bn(b, x, hidden, {}));
      y = relu6(conv_bn(b, y, hidden, {.kernel = 3, .stride = stride, .groups = hidden}));
      y = conv_bn(b, y, stage.channels, {.gain = kLinearGain});
      x = stride == 1 && x.channels == stage.channels ? b.op("Add", {x, y}, y.channels) : y;
    }
  }
  x = relu6(conv_bn(b, x, 1280, {}));
  b.output(classifier(b, x, 1000), {batch, 1000});
  return b.serialize();
}

// Small enough to build in a second: for tests.
std::string tiny(int64_t batch) {
  Builder b("tiny", 17);
  Value x = b.input("input", DataType::kFloat, {batch, 3, 16, 16});
  x = b.max_pool(relu(b, conv_bn(b, x, 8, {.kernel = 3})), 3, 2);
  x = relu(b, b.conv(x, 16, {.kernel = 3, .stride = 2}));
  b.output(classifier(b, x, 10), {batch, 10});
  return b.serialize();
}

// As gradient boosting exports them: trees of depth 8 over 30 numbers, whose leaves are added up.
std::string forest(int64_t batch) {
  constexpr int64_t kTrees = 200, kBranches = 255, kNodes = 2 * kBranches + 1, kFeatures = 30;
  Builder b("forest", 17);
  const Value x = b.input("x", DataType::kFloat, {batch, kFeatures});
  const Value y = b.op("TreeEnsembleRegressor", {x}, 1);
  b.set_domain("ai.onnx.ml", 3);
  Shape trees, nodes, features, yes, no, leaf_trees, leaf_nodes;
  std::vector<float> splits, weights;
  std::vector<std::string> modes;
  std::mt19937 random(7);
  for (int64_t tree = 0; tree < kTrees; ++tree)
    for (int64_t node = 0; node < kNodes; ++node) {  // a heap: below node i are 2 i + 1 and 2 i + 2
      const bool leaf = node >= kBranches;
      trees.push_back(tree), nodes.push_back(node);
      features.push_back(leaf ? 0 : static_cast<int64_t>(random() % kFeatures));
      splits.push_back(leaf ? 0.0F : static_cast<float>(random() % 2000) / 1000.0F - 1.0F);
      modes.emplace_back(leaf ? "LEAF" : "BRANCH_LEQ");
      yes.push_back(leaf ? 0 : 2 * node + 1), no.push_back(leaf ? 0 : 2 * node + 2);
      if (!leaf) continue;
      leaf_trees.push_back(tree), leaf_nodes.push_back(node);
      weights.push_back(static_cast<float>(random() % 2000) / 1000.0F - 1.0F);
    }
  b.set_int("n_targets", 1);
  for (const auto& [name, values] : {std::pair("nodes_treeids", &trees), std::pair("nodes_nodeids", &nodes), std::pair("nodes_featureids", &features),
                                     std::pair("nodes_truenodeids", &yes), std::pair("nodes_falsenodeids", &no), std::pair("target_treeids", &leaf_trees),
                                     std::pair("target_nodeids", &leaf_nodes)})
    b.set_ints(name, *values);
  b.set_ints("target_ids", Shape(leaf_trees.size(), 0));
  b.set_floats("nodes_values", splits);
  b.set_floats("target_weights", weights);
  b.set_strings("nodes_modes", modes);
  b.output(y, {batch, 1});
  return b.serialize();
}

constexpr Network kNetworks[] = {
    {"tiny", "Two convolutions, 1x3x16x16", tiny},
    {"resnet50", "ResNet-50 v1.5, 1x3x224x224", resnet50},
    {"mobilenet_v2", "MobileNetV2 1.0, 1x3x224x224", mobilenet_v2},
    {"yolov8n", "YOLOv8n with its whole head, 1x3x640x640", yolov8n},
    {"bert_base", "BERT-base encoder, 1x128 tokens", bert_base},
    {"minilm_l6", "MiniLM-L6 sentence encoder, 1x128 tokens", minilm_l6},
    {"forest", "200 trees of 511 nodes over 30 numbers", forest},
    {"minilm_l6_16", "MiniLM-L6 sentence encoder, 1x16 tokens", minilm_l6_16},
};

}  // namespace

std::span<const Network> networks() { return kNetworks; }

}  // namespace xinfer::make_model
