#include "ir/constraints.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace xinfer::ir {
namespace {

using base::Code;
using base::fail;
using base::Result;
using tensor::DType;

// Sets of element types, a letter each.
struct TypeSet {
  char letter;
  std::string_view words;
  bool (*holds)(DType dtype);
};
bool is_real(DType d) { return d == DType::kFloat32 || d == DType::kFloat64 || d == DType::kFloat16 || d == DType::kBfloat16; }
bool is_signed_integer(DType d) { return d == DType::kInt8 || d == DType::kInt16 || d == DType::kInt32 || d == DType::kInt64; }
bool is_unsigned_integer(DType d) { return d == DType::kUint8 || d == DType::kUint16 || d == DType::kUint32 || d == DType::kUint64; }
bool is_number(DType d) { return is_real(d) || is_signed_integer(d) || is_unsigned_integer(d); }
constexpr TypeSet kSets[] = {
    {'F', "floating-point numbers", is_real},
    {'R', "floating-point numbers or signed integers", [](DType d) { return is_real(d) || is_signed_integer(d); }},
    {'N', "numbers", is_number},
    {'M', "numbers or bool", [](DType d) { return is_number(d) || d == DType::kBool; }},
    {'P', "floating-point numbers or int8 or uint8", [](DType d) { return is_real(d) || d == DType::kInt8 || d == DType::kUint8; }},
    {'I', "integers", [](DType d) { return is_signed_integer(d) || is_unsigned_integer(d); }},
    {'O', "int8 or uint8", [](DType d) { return d == DType::kInt8 || d == DType::kUint8; }},
    {'X', "int32 or int64", [](DType d) { return d == DType::kInt32 || d == DType::kInt64; }},
    {'L', "int64", [](DType d) { return d == DType::kInt64; }},
    {'T', "strings, int32 or int64", [](DType d) { return d == DType::kString || d == DType::kInt32 || d == DType::kInt64; }},
    {'U', "unsigned integers", [](DType d) { return is_unsigned_integer(d); }},
    {'Q', "quantised numbers (integers of 32 bits or less, 8-bit floats)",
     [](DType d) { return !is_real(d) && d != DType::kBool && d != DType::kString && d != DType::kInt64 && d != DType::kUint64 && d != DType::kUint32; }},
    {'B', "bool", [](DType d) { return d == DType::kBool; }},
    {'S', "strings", [](DType d) { return d == DType::kString; }},
    {'A', "anything", [](DType) { return true; }},
};

// A letter for each input, the last also for those behind it.
struct InputTypes {
  std::string_view letters, operators;
};
constexpr InputTypes kInputs[] = {
    {"F",
     "Acos Acosh Asin Asinh Atan Atanh Cos Cosh Sin Sinh Tan Tanh Ceil Floor Round Exp Log Sqrt Reciprocal Elu Celu Gelu HardSigmoid "
     "HardSwish LeakyRelu Mish Selu Sigmoid Softplus Softsign Swish ThresholdedRelu Softmax LogSoftmax Hardmax Sum Mean Conv ConvTranspose "
     "DeformConv AveragePool GlobalAveragePool GlobalMaxPool LpPool GlobalLpPool MaxRoiPool BatchNormalization InstanceNormalization "
     "LayerNormalization GroupNormalization RMSNormalization LRN LpNormalization MeanVarianceNormalization GridSample Det "
     "Bernoulli Multinomial DynamicQuantizeLinear"},
    {"FFB", "Dropout"},
    {"FLL", "MaxUnpool"},
    {"FFL", "RoiAlign"},
    {"FL", "AffineGrid"},
    {"FFLFF", "NonMaxSuppression"},
    {"FFFFXF", "LSTM GRU RNN"},
    {"FXX", "DFT"},
    {"FXFX", "STFT"},
    {"FFFL", "RotaryEmbedding"},
    {"P", "MaxPool"},
    {"R", "Relu Neg"},
    {"N", "Erf Abs Sign Add Sub Mul Div Mod Pow Max Min Less LessOrEqual Greater GreaterOrEqual Clip PRelu MatMul Gemm Einsum Shrink ArgMax ArgMin Range"},
    {"NL", "ReduceSum ReduceProd ReduceMean ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare TopK"},
    {"ML", "ReduceMax ReduceMin"},
    {"NX", "CumSum"},
    {"NNA", "OneHot"},
    {"I", "BitwiseAnd BitwiseOr BitwiseXor BitwiseNot"},
    {"U", "BitShift"},
    {"QFQ", "DequantizeLinear"},
    {"O", "MatMulInteger ConvInteger"},
    {"B", "Not And Or Xor If"},
    {"BA", "Where"},
    {"LBA", "Loop"},
    {"L", "ConstantOfShape"},
    {"X", "HannWindow HammingWindow BlackmanWindow"},
    {"XXXFF", "MelWeightMatrix"},
    {"AL", "Reshape Squeeze Unsqueeze Split Expand Tile Trilu ReverseSequence GatherND"},
    {"ALL", "Col2Im"},
    {"ALAX", "Pad"},
    {"AX", "Slice Gather GatherElements CenterCropPad"},
    {"AXA", "ScatterElements"},
    {"ALA", "ScatterND"},
    {"AB", "Compress"},
    {"AFFL", "Resize"},
    {"S", "StringConcat StringNormalizer StringSplit RegexFullMatch"},
    {"T", "TfIdfVectorizer"},
};

struct Choices {
  std::string_view attribute, words, operators;
};
constexpr Choices kChoices[] = {
    {"auto_pad", "NOTSET VALID SAME_UPPER SAME_LOWER", "Conv ConvTranspose ConvInteger QLinearConv AveragePool MaxPool LpPool"},
    {"mode", "constant reflect edge wrap", "Pad"},
    {"mode", "nearest linear cubic", "Resize"},
    {"mode", "linear nearest cubic", "GridSample"},
    {"mode", "DCR CRD", "DepthToSpace"},
    {"mode", "avg max", "RoiAlign"},
    {"mode", "TF IDF TFIDF", "TfIdfVectorizer"},
    {"padding_mode", "zeros border reflection", "GridSample"},
    {"coordinate_transformation_mode",
     "half_pixel half_pixel_symmetric pytorch_half_pixel align_corners asymmetric tf_half_pixel_for_nn tf_crop_and_resize", "Resize"},
    {"coordinate_transformation_mode", "half_pixel output_half_pixel", "RoiAlign"},
    {"nearest_mode", "round_prefer_floor round_prefer_ceil floor ceil", "Resize"},
    {"keep_aspect_ratio_policy", "stretch not_larger not_smaller", "Resize"},
    {"reduction", "none add mul max min", "ScatterElements ScatterND"},
    {"reduction", "none mean sum", "NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss"},
    {"direction", "forward reverse bidirectional", "LSTM GRU RNN"},
    {"direction", "LEFT RIGHT", "BitShift"},
    {"approximate", "none tanh", "Gelu"},
    {"case_change_action", "NONE LOWER UPPER", "StringNormalizer"},
};

struct Since {
  int opset;
  std::string_view operators;
};
// LayerNormalization, MeanVarianceNormalization and ThresholdedRelu are not among them: runtimes knew them before the standard did, and
// exporters use them so.
constexpr Since kSince[] = {
    {8, "Expand Scan"},
    {9, "Acosh Asinh Atanh Compress ConstantOfShape Cosh Erf EyeLike IsNaN MaxUnpool NonZero OneHot Shrink "
        "Sign Sinh TfIdfVectorizer Where"},
    {10, "ConvInteger DequantizeLinear IsInf MatMulInteger Mod NonMaxSuppression QLinearConv QLinearMatMul QuantizeLinear Resize "
         "ReverseSequence RoiAlign StringNormalizer"},
    {11, "BitShift ConcatFromSequence CumSum Det DynamicQuantizeLinear GatherElements GatherND Range Round ScatterElements ScatterND "
         "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SplitToSequence Unique"},
    {12, "Celu Einsum GreaterOrEqual LessOrEqual NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss"},
    {14, "HardSwish Trilu"},
    {15, "Bernoulli CastLike Optional OptionalGetElement OptionalHasElement"},
    {16, "GridSample"},
    {17, "BlackmanWindow DFT HammingWindow HannWindow MelWeightMatrix STFT SequenceMap"},
    {18, "BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im GroupNormalization Mish"},
    {19, "DeformConv"},
    {20, "AffineGrid Gelu RegexFullMatch StringConcat StringSplit"},
    {23, "Attention RMSNormalization RotaryEmbedding"},
    {24, "Swish TensorScatter"},
};

// Calls with each word of the list.
template <class F>
void for_each_word(std::string_view list, F&& f) {
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(' ', begin), list.size());
    f(list.substr(begin, end - begin));
    begin = end + 1;
  }
}

struct Constraints {
  std::string_view letters;
  std::vector<const Choices*> choices;
  int since = 1;
};

const std::unordered_map<std::string_view, Constraints>& constraints() {
  static const auto made = [] {
    std::unordered_map<std::string_view, Constraints> all;
    for (const InputTypes& row : kInputs) for_each_word(row.operators, [&](std::string_view op) { all[op].letters = row.letters; });
    for (const Choices& row : kChoices) for_each_word(row.operators, [&](std::string_view op) { all[op].choices.push_back(&row); });
    for (const Since& row : kSince) for_each_word(row.operators, [&](std::string_view op) { all[op].since = row.opset; });
    return all;
  }();
  return made;
}

bool has_word(std::string_view list, std::string_view word) {
  bool found = false;
  for_each_word(list, [&](std::string_view one) { found = found || one == word; });
  return found;
}

Result<void> check_inputs(const Graph& graph, const Node& node, std::string_view letters) {
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNoValue) continue;
    const ValueType& type = graph.value(node.inputs[i]).type;
    if (type.kind != ValueType::Kind::kTensor || type.dtype == DType::kUndefined) continue;
    const char letter = letters[std::min(i, letters.size() - 1)];
    const TypeSet& set = *std::ranges::find(kSets, letter, &TypeSet::letter);
    if (!set.holds(type.dtype))
      return fail(Code::kInvalidArgument, "input {} is {}, and {} takes {} there", i, tensor::name(type.dtype), node.op, set.words);
  }
  return {};
}

}  // namespace

Result<void> check_constraints(const Graph& graph, const Node& node) {
  const auto found = constraints().find(node.op);
  if (found == constraints().end()) return {};
  if (!found->second.letters.empty()) XI_CHECK(check_inputs(graph, node, found->second.letters));
  for (const Choices* row : found->second.choices) {
    const auto* word = node.attributes.get<std::string>(row->attribute);
    if (word && !has_word(row->words, *word))
      return fail(Code::kInvalidArgument, "attribute '{}' is '{}', which is none of {}", row->attribute, *word, row->words);
  }
  return check_values(graph, node);
}

int first_opset(std::string_view op) {
  const auto found = constraints().find(op);
  return found == constraints().end() ? 1 : found->second.since;
}

std::vector<std::string_view> constrained_operators() {
  std::vector<std::string_view> all;
  for (const auto& [op, unused] : constraints()) all.push_back(op);
  return all;
}

}  // namespace xinfer::ir
