#include "engine_options.h"

#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <random>

#include "base/digest.h"
#include "base/files.h"
#include "onnx/tensor_file.h"
#include "tensor/npy.h"
#include "tensor/range.h"
#include "xinfer/image.h"

namespace xinfer::cli {

using base::Code;
using base::fail;

void TrustOptions::add_to(CLI::App& command) {
  command.add_flag("--allow-unsigned", allow_unsigned,
                   "Also load an engine without a signature: only one that you built yourself");
  command
      .add_option("--trust-key", keys,
                  "Public key to trust beside the trust store: 64 hexadecimal digits or a .pub file")
      ->type_name("KEY")
      ->allow_extra_args(false);
}

base::Result<engine::Trust> TrustOptions::trust() const {
  XI_TRY(engine::Trust trust, engine::load_trust());
  trust.allow_unsigned = allow_unsigned;
  for (const auto& text : keys) {
    auto key = base::from_hex(text);
    if (!key || key->size() != 32) key = engine::read_public_key(text);
    if (!key) return std::unexpected(std::move(key).error().in("--trust-key"));
    trust.public_keys.push_back(*std::move(key));
  }
  return trust;
}

base::Result<core::EngineOptions> TrustOptions::engine_options(int num_threads) const {
  XI_TRY(engine::Trust keys_of_store, trust());
  core::EngineOptions options;
  options.num_threads = num_threads;
  options.allow_unsigned = allow_unsigned;
  for (const auto& key : keys_of_store.public_keys)
    options.trusted_keys.push_back(base::to_hex(std::as_bytes(std::span(key))));
  options.use_trust_store = false;  // its keys are in the list already
  return options;
}

base::Result<std::map<std::string, tensor::Shape>> parse_shape_options(const std::vector<std::string>& texts) {
  std::map<std::string, tensor::Shape> shapes;
  for (const auto& text : texts) {
    auto equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Code::kInvalidArgument, "--shape {}: NAME=SIZExSIZE is needed, as in image=1x3x224x224", text);
    tensor::Shape shape;
    std::string_view sizes = std::string_view(text).substr(equals + 1);
    while (!sizes.empty() && sizes != "scalar") {
      std::int64_t size = -1;
      auto [end, problem] = std::from_chars(sizes.data(), sizes.data() + sizes.size(), size);
      bool more = end < sizes.data() + sizes.size();
      if (problem != std::errc() || size < 0 || (more && *end != 'x' && *end != ',') || sizes.ends_with('x'))
        return fail(Code::kInvalidArgument, "--shape {}: '{}' is no list of sizes like 1x3x224x224", text, sizes);
      shape.push_back(size);
      sizes.remove_prefix(static_cast<std::size_t>(end - sizes.data()) + (more ? 1 : 0));
    }
    shapes[text.substr(0, equals)] = std::move(shape);
  }
  return shapes;
}

std::set<std::string> take_empty_inputs(std::vector<std::string>& texts) {
  constexpr std::string_view kNone = "=none";
  std::set<std::string> names;
  for (const auto& text : texts)
    if (text.ends_with(kNone)) names.insert(text.substr(0, text.size() - kNone.size()));
  std::erase_if(texts, [&](const std::string& text) { return text.ends_with(kNone); });
  return names;
}

base::Result<std::map<std::string, std::vector<tensor::Symbol>>> parse_range_options(const std::vector<std::string>& texts, std::string_view option) {
  std::map<std::string, std::vector<tensor::Symbol>> ranges;
  for (const auto& text : texts) {
    auto equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Code::kInvalidArgument, "{} {}: NAME=SIZExSIZE is needed, as in image=1x3x224x224 or image=1:1:8x3x224x224", option, text);
    const std::string_view sizes = std::string_view(text).substr(equals + 1);
    std::vector<std::string_view> parts;
    if (sizes != "scalar" && !sizes.empty())
      for (std::size_t begin = 0; begin <= sizes.size();) {
        const std::size_t end = std::min(sizes.find_first_of("x,", begin), sizes.size());
        parts.push_back(sizes.substr(begin, end - begin));
        begin = end + 1;
      }
    std::vector<tensor::Symbol>& dims = ranges[text.substr(0, equals)];
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto range = tensor::parse_range(parts[i], i, parts.size());
      if (!range)
        return fail(Code::kInvalidArgument, "{} {}: '{}' is no list of sizes like 1x3x224x224, ranges like 1:1:8x3x224x224 or names like Nx3x224x224", option, text, sizes);
      dims.push_back(*range);
    }
  }
  return ranges;
}

base::Result<std::vector<std::map<std::string, std::vector<tensor::Symbol>>>> parse_profile_options(const std::vector<std::string>& texts) {
  std::vector<std::map<std::string, std::vector<tensor::Symbol>>> profiles;
  for (const std::string& profile : texts) {
    std::vector<std::string> inputs;
    for (std::size_t begin = 0; begin <= profile.size();) {
      const std::size_t end = std::min(profile.find(';', begin), profile.size());
      inputs.push_back(profile.substr(begin, end - begin));
      begin = end + 1;
    }
    XI_TRY(profiles.emplace_back(), parse_range_options(inputs, "--profile"));
  }
  return profiles;
}

void add_profile_option(CLI::App& command, std::vector<std::string>& texts) {
  command
      .add_option("--profile", texts,
                  "Sizes or narrower ranges inside of --shape that the engine gets kernels of their own for, image=1x3x224x224; "
                  "several inputs with ';' between them. May be repeated: the first that fits runs")
      ->type_name("NAME=SIZES")
      ->allow_extra_args(false);
}

base::Result<std::map<std::string, tensor::Tensor>> read_named_tensors(const std::vector<std::string>& arguments) {
  std::map<std::string, tensor::Tensor> tensors;
  for (const auto& argument : arguments) {
    auto equals = argument.find('=');
    if (equals == std::string::npos) return fail(Code::kInvalidArgument, "'{}': NAME=FILE is needed", argument);
    std::filesystem::path path = argument.substr(equals + 1);
    auto tensor = path.extension() == ".npy" ? tensor::read_npy(path) : onnx::read_tensor_file(path);
    if (!tensor) return std::unexpected(std::move(tensor).error());
    tensors[argument.substr(0, equals)] = *std::move(tensor);
  }
  return tensors;
}

std::string format_shape(const std::vector<std::int64_t>& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

std::string format_shape(const core::TensorDescription& tensor) {
  std::vector<std::string> sizes;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i)
    sizes.push_back(tensor.shape[i] >= 0 ? std::to_string(tensor.shape[i])
                                         : fmt::format("{}:{}:{}", tensor.min_shape[i], tensor.opt_shape[i], tensor.max_shape[i]));
  return sizes.empty() ? "scalar" : fmt::format("{}", fmt::join(sizes, "x"));
}

core::Tensor random_input(const core::TensorDescription& input, unsigned seed, const core::Shape* wanted) {
  const core::Shape shape = wanted ? *wanted : input.opt_shape;
  if (input.dtype == core::DataType::kString) {
    std::vector<std::string> words;
    for (std::int64_t i = 0; i < tensor::num_elements(shape); ++i) words.push_back(std::to_string((seed + i) % 10));
    return core::Tensor(shape, words);
  }
  core::Tensor tensor(shape, input.dtype);
  tensor::Tensor values(static_cast<tensor::DType>(input.dtype), shape);
  std::mt19937 generator(seed);
  for (std::int64_t i = 0; i < values.num_elements(); ++i) {
    // Not std::uniform_real_distribution: its numbers differ between standard libraries.
    double unit = static_cast<double>(generator()) / 4294967296.0;
    values.set(i, tensor::is_float(values.dtype()) ? unit * 2 - 1 : static_cast<double>(unit >= 0.5));
  }
  tensor.copy_from_host(values.bytes().data(), values.size_bytes());
  return tensor;
}

namespace {

// Any numeric type to the input's; the element count must fit, the shape is the input's where that is known.
base::Result<core::Tensor> convert(const tensor::Tensor& values, const core::TensorDescription& input) {
  core::Shape shape = values.shape();
  bool is_fixed = std::ranges::all_of(input.shape, [](auto size) { return size >= 0; });
  if (is_fixed && values.num_elements() == tensor::num_elements(input.shape)) shape = input.shape;
  const bool strings = input.dtype == core::DataType::kString;
  if (strings != (values.dtype() == tensor::DType::kString))
    return fail(Code::kInvalidArgument, "input '{}' takes {}", input.name, strings ? "strings: a .pb file, or a .txt file of a string each line" : "no strings");
  if (strings) return core::Tensor(shape, values.strings());
  tensor::Tensor typed(static_cast<tensor::DType>(input.dtype), shape);
  if (values.dtype() == typed.dtype()) std::memcpy(typed.bytes().data(), values.bytes().data(), typed.size_bytes());
  else
    for (std::int64_t i = 0; i < typed.num_elements(); ++i) {
      if (tensor::is_float(typed.dtype())) typed.set(i, values.as_double(i));
      else
        return fail(Code::kInvalidArgument, "input '{}' needs {}, the file holds {}", input.name,
                    tensor::name(typed.dtype()), tensor::name(values.dtype()));
    }
  core::Tensor tensor(shape, input.dtype);
  tensor.copy_from_host(typed.bytes().data(), typed.size_bytes());
  return tensor;
}

// A picture as the input wants it: resized, channels first or last by where the 1 or 3 stands; 0…255 for uint8, 0…1 for
// floating types. Models with other pre-processing get a prepared .npy file, or are run through the zoo.
base::Result<tensor::Tensor> read_image(const std::filesystem::path& path, const core::TensorDescription& input) {
  const auto& s = input.shape;
  bool rank4 = s.size() == 4 && s[0] == 1, first = rank4 && (s[1] == 1 || s[1] == 3),
       last = rank4 && (s[3] == 1 || s[3] == 3);
  if ((!first && !last) || std::ranges::any_of(s, [](auto size) { return size < 1; }))
    return fail(Code::kInvalidArgument, "input '{}' of shape {} is no picture; give a .npy or .pb file", input.name,
                format_shape(s));
  std::int64_t channels = first ? s[1] : s[3], height = first ? s[2] : s[1], width = first ? s[3] : s[2];
  Image image = resize(Image::load(path), static_cast<int>(width), static_cast<int>(height));
  image = channels == 1 ? to_gray(image) : to_rgb(image);
  tensor::Tensor values(static_cast<tensor::DType>(input.dtype), s);
  double scale = tensor::is_float(values.dtype()) ? 1.0 / 255 : 1;
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      for (std::int64_t c = 0; c < channels; ++c) {
        std::int64_t from = (y * width + x) * channels + c, to = first ? (c * height + y) * width + x : from;
        values.set(to, image.data()[from] * scale);
      }
  return values;
}

// A string each line.
base::Result<tensor::Tensor> read_lines(const std::filesystem::path& path) {
  XI_TRY(const std::string text, base::read_file(path));
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  tensor::Tensor tensor(tensor::DType::kString, {static_cast<std::int64_t>(lines.size())});
  tensor.strings() = std::move(lines);
  return tensor;
}

base::Result<tensor::Tensor> read_value(const std::filesystem::path& path, const core::TensorDescription& input) {
  auto extension = path.extension().string();
  if (extension == ".npy") return tensor::read_npy(path);
  if (extension == ".pb") return onnx::read_tensor_file(path);
  if (extension == ".jpg" || extension == ".jpeg" || extension == ".png") return read_image(path, input);
  if (extension == ".txt") return read_lines(path);
  return fail(Code::kInvalidArgument, "{}: inputs are read from .npy, .pb, .txt, .jpg, .jpeg and .png files", path.string());
}

}  // namespace

base::Result<std::map<std::string, core::Tensor>> read_inputs(const core::InferenceEngine& engine,
                                                              const std::vector<std::string>& arguments) {
  std::map<std::string, core::Tensor> inputs;
  for (const auto& argument : arguments) {
    auto equals = argument.find('=');
    if (equals == std::string::npos && engine.num_inputs() != 1)
      return fail(Code::kInvalidArgument, "--input {}: NAME=FILE is needed, the engine has the inputs {}", argument,
                  fmt::join(engine.input_names(), ", "));
    std::string name = equals == std::string::npos ? engine.inputs()[0].name : argument.substr(0, equals);
    std::filesystem::path path = equals == std::string::npos ? argument : argument.substr(equals + 1);
    auto input = std::ranges::find(engine.inputs(), name, &core::TensorDescription::name);
    if (input == engine.inputs().end())
      return fail(Code::kInvalidArgument, "the engine has no input '{}'; it has {}", name,
                  fmt::join(engine.input_names(), ", "));
    XI_TRY(tensor::Tensor values, read_value(path, *input));
    XI_TRY(core::Tensor tensor, convert(values, *input));
    inputs[name] = std::move(tensor);
  }
  return inputs;
}

}  // namespace xinfer::cli
