// Kernels with a body of their own, one engine for many sizes.
#include "symbolic.h"

namespace xinfer::compiler {
namespace {

void add_int(onnx::proto::NodeProto& node, const std::string& name, std::int64_t value) {
  add_attribute(node, name, AttributeProto::INT).set_i(value);
}
void add_text(onnx::proto::NodeProto& node, const std::string& name, const std::string& value) {
  add_attribute(node, name, AttributeProto::STRING).set_s(value);
}
void add_scalar(onnx::proto::ModelProto& model, const std::string& name, std::int64_t value) {
  auto* tensor = model.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(7);
  tensor->add_int64_data(value);
}

// A tagger: both directions of an LSTM, a GRU with a state from outside, a plain recurrent layer backwards.
TEST_F(Symbolic, RecurrentLayers) {
  auto model = onnx::make_model();
  add_input(model, "x", {"time", "batch", "6"});
  add_input(model, "h", {"1", "batch", "5"});
  add_weights(model, "w1", {2, 32, 6});
  add_weights(model, "r1", {2, 32, 8});
  add_weights(model, "b1", {2, 64});
  add_weights(model, "w2", {1, 15, 16});
  add_weights(model, "r2", {1, 15, 5});
  add_weights(model, "w3", {1, 7, 5});
  add_weights(model, "r3", {1, 7, 7});
  add_ints(model, "joined", {0, 0, -1});
  auto& lstm = add_node(model, "LSTM", {"x", "w1", "r1", "b1"}, {"a", "ah", "ac"});
  add_int(lstm, "hidden_size", 8);
  add_text(lstm, "direction", "bidirectional");
  auto& swap = add_node(model, "Transpose", {"a"}, {"b"});
  add_ints_attribute(swap, "perm", {0, 2, 1, 3});
  add_node(model, "Reshape", {"b", "joined"}, {"c"});
  auto& gru = add_node(model, "GRU", {"c", "w2", "r2", "", "", "h"}, {"d", "dh"});
  add_int(gru, "hidden_size", 5);
  add_int(gru, "linear_before_reset", 1);
  add_ints(model, "one", {1});
  add_node(model, "Squeeze", {"d", "one"}, {"e"});
  auto& rnn = add_node(model, "RNN", {"e", "w3", "r3"}, {"f", "fh"});
  add_int(rnn, "hidden_size", 7);
  add_text(rnn, "direction", "reverse");
  for (const char* name : {"f", "ac", "dh", "fh"}) add_output(model, name);
  check(model, {{"x", {range(1, 8, 40), range(1, 1, 5), fixed(6)}}}, {{{8, 1, 6}, {1, 1, 5}}, {{40, 5, 6}, {1, 5, 5}}, {{1, 1, 6}, {1, 1, 5}}, {{17, 3, 6}, {1, 3, 5}}});
}

TEST_F(Symbolic, SelectionsAndSums) {
  auto model = onnx::make_model();
  add_input(model, "x", {"rows", "columns"});
  add_ints(model, "k", {3});
  add_scalar(model, "axis", 1);
  add_ints(model, "first", {0});
  auto& top = add_node(model, "TopK", {"x", "k"}, {"best", "places"});
  add_int(top, "axis", 1);
  add_node(model, "CumSum", {"x", "axis"}, {"sums"});
  auto& scatter = add_node(model, "ScatterElements", {"x", "places", "best"}, {"scattered"});
  add_int(scatter, "axis", 1);
  add_text(scatter, "reduction", "add");
  auto& largest = add_node(model, "ArgMax", {"x"}, {"at"});
  add_int(largest, "axis", 0);
  auto& smallest = add_node(model, "ArgMin", {"x"}, {"low"});
  add_int(smallest, "axis", 1);
  // Half of the columns, however many there are.
  add_node(model, "Shape", {"x"}, {"shape"});
  add_ints(model, "second", {1});
  add_ints(model, "two", {2});
  add_node(model, "Gather", {"shape", "second"}, {"width"});
  add_node(model, "Div", {"width", "two"}, {"half"});
  auto& many = add_node(model, "TopK", {"x", "half"}, {"upper", "unused"});
  add_int(many, "axis", 1);
  auto* rows = model.mutable_graph()->add_initializer();
  rows->set_name("row");
  rows->set_data_type(7);
  for (int d : {1, 1}) rows->add_dims(d);
  rows->add_int64_data(0);
  add_node(model, "Gather", {"x", "second"}, {"update"});
  add_node(model, "ScatterND", {"x", "row", "update"}, {"replaced"});
  for (const char* name : {"best", "places", "sums", "scattered", "at", "low", "upper", "replaced"}) add_output(model, name);
  check(model, {{"x", {range(2, 4, 9), range(3, 20, 50)}}}, {{{4, 20}}, {{9, 50}}, {{2, 3}}, {{5, 33}}});
}

// k may be more than there is.
TEST_F(Symbolic, TopKOfTooFew) {
  auto model = onnx::make_model();
  add_input(model, "x", {"rows", "columns"});
  add_ints(model, "k", {3});
  add_node(model, "TopK", {"x", "k"}, {"best", "places"});
  add_output(model, "best");
  EXPECT_EQ(refusal(model, {{"x", {range(1, 1, 2), range(2, 4, 8)}}}),
            "TopK (unnamed): k is 3, and the axis may have as few as 2 elements (columns): give a range that begins higher");
}

TEST_F(Symbolic, AttentionWithACache) {
  auto model = onnx::make_model(23);
  add_input(model, "x", {"batch", "length", "24"});
  add_input(model, "past_k", {"batch", "2", "past", "8"});
  add_input(model, "past_v", {"batch", "2", "past", "8"});
  add_weights(model, "wk", {24, 16});
  add_weights(model, "cos", {96, 4});
  add_weights(model, "sin", {96, 4});
  add_input(model, "places", {"batch", "length"}, 7);
  auto& turn = add_node(model, "RotaryEmbedding", {"x", "cos", "sin", "places"}, {"q"});
  add_int(turn, "num_heads", 3);
  add_node(model, "MatMul", {"x", "wk"}, {"k"});
  add_weights(model, "wq", {24, 32});
  add_node(model, "MatMul", {"q", "wq"}, {"qq"});
  auto& attention = add_node(model, "Attention", {"qq", "k", "k", "", "past_k", "past_v"}, {"y", "present_k", "present_v"});
  add_int(attention, "q_num_heads", 4);
  add_int(attention, "kv_num_heads", 2);
  add_int(attention, "is_causal", 1);
  for (const char* name : {"y", "present_k", "present_v"}) add_output(model, name);
  const auto shapes = [](std::int64_t batch, std::int64_t length, std::int64_t past) {
    return std::vector<tensor::Shape>{{batch, length, 24}, {batch, 2, past, 8}, {batch, 2, past, 8}, {batch, length}};
  };
  check(model, {{"x", {range(1, 1, 3), range(1, 8, 20), fixed(24)}}, {"past_k", {range(1, 1, 3), fixed(2), range(0, 16, 64), fixed(8)}}},
        {shapes(1, 8, 16), shapes(3, 20, 64), shapes(1, 1, 1), shapes(2, 5, 33), shapes(2, 3, 0)});
}

TEST_F(Symbolic, ImagesReadAtPositions) {
  auto model = onnx::make_model(20);
  add_input(model, "x", {"N", "3", "H", "W"});
  add_input(model, "grid", {"N", "P", "7", "2"});
  add_input(model, "boxes", {"R", "4"});
  add_input(model, "images", {"R"}, 7);
  auto& sample = add_node(model, "GridSample", {"x", "grid"}, {"y"});
  add_text(sample, "padding_mode", "reflection");
  auto& cubic = add_node(model, "GridSample", {"x", "grid"}, {"z"});
  add_text(cubic, "mode", "cubic");
  auto& align = add_node(model, "RoiAlign", {"x", "boxes", "images"}, {"crops"});
  add_int(align, "output_height", 3);
  add_int(align, "output_width", 2);
  add_int(align, "sampling_ratio", 2);
  for (const char* name : {"y", "z", "crops"}) add_output(model, name);
  check(model,
        {{"x", {range(2, 2, 3), fixed(3), range(5, 24, 40), range(6, 24, 50)}}, {"grid", {range(2, 2, 3), range(1, 4, 9), fixed(7), fixed(2)}}, {"boxes", {range(1, 10, 30), fixed(4)}}},
        {{{2, 3, 24, 24}, {2, 4, 7, 2}, {10, 4}, {10}}, {{3, 3, 40, 50}, {3, 9, 7, 2}, {30, 4}, {30}}, {{2, 3, 5, 6}, {2, 1, 7, 2}, {1, 4}, {1}}});
}

TEST_F(Symbolic, Spectra) {
  auto model = onnx::make_model(20);
  add_input(model, "x", {"N", "T", "1"});
  add_weights(model, "window", {16});
  add_scalar(model, "step", 5);
  add_scalar(model, "axis", 1);
  add_node(model, "STFT", {"x", "step", "window"}, {"frames"});
  auto& dft = add_node(model, "DFT", {"x", "", "axis"}, {"spectrum"});
  add_int(dft, "onesided", 1);
  auto& back = add_node(model, "DFT", {"spectrum", "", "axis"}, {"whole"});
  add_int(back, "inverse", 1);
  for (const char* name : {"frames", "spectrum", "whole"}) add_output(model, name);
  check(model, {{"x", {range(1, 1, 3), range(16, 40, 90), fixed(1)}}}, {{{1, 40, 1}}, {{3, 90, 1}}, {{1, 16, 1}}, {{2, 61, 1}}});
}

TEST_F(Symbolic, MovedTapsAndMatrices) {
  auto model = onnx::make_model(22);
  add_input(model, "x", {"N", "4", "H", "W"});
  add_input(model, "offset", {"N", "18", "H", "W"});
  add_input(model, "m", {"N", "P", "3", "3"});
  add_weights(model, "w", {6, 2, 3, 3});
  auto& conv = add_node(model, "DeformConv", {"x", "w", "offset"}, {"y"});
  add_int(conv, "group", 2);
  add_ints_attribute(conv, "pads", {1, 1, 1, 1});
  add_node(model, "Det", {"m"}, {"z"});
  auto& random = add_node(model, "RandomNormalLike", {"m"}, {"noise"});
  add_attribute(random, "seed", AttributeProto::FLOAT).set_f(7);
  for (const char* name : {"y", "z", "noise"}) add_output(model, name);
  check(model, {{"x", {range(1, 1, 3), fixed(4), range(3, 9, 20), range(3, 9, 20)}}, {"m", {range(1, 1, 3), range(1, 4, 8), fixed(3), fixed(3)}}},
        {{{1, 4, 9, 9}, {1, 18, 9, 9}, {1, 4, 3, 3}}, {{3, 4, 20, 7}, {3, 18, 20, 7}, {3, 8, 3, 3}}, {{2, 4, 3, 3}, {2, 18, 3, 3}, {2, 1, 3, 3}}});
}

// A tree for batches of any size, and labels looked up.
TEST_F(Symbolic, TreesAndLabels) {
  auto model = onnx::make_model();
  auto* domain = model.add_opset_import();
  domain->set_domain("ai.onnx.ml");
  domain->set_version(3);
  add_input(model, "x", {"N", "3"});
  add_input(model, "k", {"N", "L"}, 7);
  auto& tree = add_node(model, "TreeEnsembleRegressor", {"x"}, {"y"});
  tree.set_domain("ai.onnx.ml");
  add_int(tree, "n_targets", 1);
  const auto ints = [](onnx::proto::NodeProto& node, const std::string& name, std::initializer_list<std::int64_t> values) { add_ints_attribute(node, name, values); };
  ints(tree, "nodes_treeids", {0, 0, 0, 0, 0});
  ints(tree, "nodes_nodeids", {0, 1, 2, 3, 4});
  ints(tree, "nodes_featureids", {0, 2, 0, 0, 0});
  ints(tree, "nodes_truenodeids", {1, 3, 0, 0, 0});
  ints(tree, "nodes_falsenodeids", {2, 4, 0, 0, 0});
  ints(tree, "target_treeids", {0, 0, 0});
  ints(tree, "target_nodeids", {2, 3, 4});
  ints(tree, "target_ids", {0, 0, 0});
  auto& modes = add_attribute(tree, "nodes_modes", AttributeProto::STRINGS);
  for (const char* mode : {"BRANCH_LEQ", "BRANCH_LT", "LEAF", "LEAF", "LEAF"}) modes.add_strings(mode);
  auto& splits = add_attribute(tree, "nodes_values", AttributeProto::FLOATS);
  for (float split : {0.1f, -0.2f, 0.0f, 0.0f, 0.0f}) splits.add_floats(split);
  auto& weights = add_attribute(tree, "target_weights", AttributeProto::FLOATS);
  for (float weight : {1.5f, -2.0f, 0.25f}) weights.add_floats(weight);
  auto& labels = add_node(model, "LabelEncoder", {"k"}, {"z"});
  labels.set_domain("ai.onnx.ml");
  ints(labels, "keys_int64s", {0, 1});
  ints(labels, "values_int64s", {40, 50});
  add_output(model, "y");
  add_output(model, "z");
  check(model, {{"x", {range(1, 8, 40), fixed(3)}}, {"k", {range(1, 8, 40), range(1, 2, 9)}}}, {{{8, 3}, {8, 2}}, {{40, 3}, {40, 9}}, {{1, 3}, {1, 1}}});
}

// Sizes that a template takes for one, under names of their own.
TEST_F(Symbolic, BatchesThatMayDiffer) {
  auto model = onnx::make_model();
  add_input(model, "x", {"time", "batch", "6"});
  add_input(model, "h", {"1", "other", "5"});
  add_weights(model, "w", {1, 15, 6});
  add_weights(model, "r", {1, 15, 5});
  auto& gru = add_node(model, "GRU", {"x", "w", "r", "", "", "h"}, {"y"});
  add_int(gru, "hidden_size", 5);
  add_output(model, "y");
  EXPECT_EQ(refusal(model, {{"x", {range(1, 8, 40), range(1, 1, 5), fixed(6)}}, {"h", {fixed(1), range(1, 1, 5), fixed(5)}}}),
            "GRU (unnamed): batches of data and initial state: other and batch must be one size: give those dimensions of the inputs the same number or name");
}

TEST_F(Symbolic, TextOfAnyNumberOfRows) {
  auto model = onnx::make_model(20);
  add_input(model, "x", {"rows", "3"}, 7);
  add_int(add_node(model, "Cast", {"x"}, {"words"}), "to", 8);
  auto* ends = model.mutable_graph()->add_initializer();
  ends->set_name("ends");
  ends->set_data_type(8);
  ends->add_dims(3);
  for (const char* word : {"", "0", "5"}) ends->add_string_data(word);
  add_node(model, "StringConcat", {"words", "ends"}, {"joined"});
  add_text(add_node(model, "RegexFullMatch", {"joined"}, {"matches"}), "pattern", "[1-4]*0|[5-9]+");
  add_int(add_node(model, "Cast", {"joined"}, {"numbers"}), "to", 1);
  for (const char* name : {"matches", "numbers"}) add_output(model, name);
  check(model, {{"x", {range(1, 4, 9), fixed(3)}}}, {{{1, 3}}, {{4, 3}}, {{9, 3}}});
}

TEST_F(Symbolic, PoolsOfRegionsAndBack) {
  auto model = onnx::make_model(18);
  add_input(model, "x", {"batch", "2", "height", "width"});
  add_input(model, "columns", {"batch", "8", "9"});
  auto& pool = add_node(model, "MaxPool", {"x"}, {"pooled", "places"});
  add_ints_attribute(pool, "kernel_shape", {2, 2});
  add_ints_attribute(pool, "strides", {2, 2});
  auto& unpool = add_node(model, "MaxUnpool", {"pooled", "places"}, {"unpooled"});
  add_ints_attribute(unpool, "kernel_shape", {2, 2});
  add_ints_attribute(unpool, "strides", {2, 2});
  add_ints(model, "image", {4, 4});
  add_ints(model, "block", {2, 2});
  add_node(model, "Col2Im", {"columns", "image", "block"}, {"whole"});
  add_weights(model, "regions", {3, 5});
  onnx::add_initializer(*model.mutable_graph(), "none", {3, 5}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  onnx::add_initializer(*model.mutable_graph(), "corners", {5}, {0, 1, 0, 3, 2});
  add_node(model, "Mul", {"regions", "none"}, {"zeros"});
  add_node(model, "Add", {"zeros", "corners"}, {"rois"});
  auto& rois = add_node(model, "MaxRoiPool", {"x", "rois"}, {"cells"});
  add_ints_attribute(rois, "pooled_shape", {2, 2});
  for (const char* name : {"unpooled", "whole", "cells"}) add_output(model, name);
  check(model, {{"x", {range(1, 2, 4), fixed(2), range(8, 8, 16), range(8, 12, 16)}}, {"columns", {range(1, 2, 4), fixed(8), fixed(9)}}},
        {{{2, 2, 8, 12}, {2, 8, 9}}, {{1, 2, 16, 8}, {1, 8, 9}}, {{4, 2, 10, 16}, {4, 8, 9}}});
}

}  // namespace
}  // namespace xinfer::compiler
