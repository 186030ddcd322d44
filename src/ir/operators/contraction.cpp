// Convolutions, matrix products and pools.
#include <algorithm>

#include "ir/operators/rules.h"
#include "ir/operators/windows.h"

namespace xinfer::ir::rules {

namespace {

// [N, channels, spatial...] where the spatial sizes follow from the window, or are unknown.
template <class Resolve, class Output>
Result<Dims> windowed(const Dims& in, Dim channels, const std::optional<Shape>& kernel, Resolve resolve, Output output) {
  Dims out{in[0], std::move(channels)};
  // Sizes that are no numbers are resolved with a large stand-in.
  Shape input;
  for (std::size_t i = 2; i < in.size(); ++i)
    input.push_back(in[i].is_static() ? in[i].value : (std::int64_t{1} << 30));
  if (!kernel) {
    out.resize(in.size());
    return out;
  }
  XI_TRY(Window window, resolve(input, *kernel));
  for (std::size_t i = 2; i < in.size(); ++i)
    out.push_back(in[i].is_static()  ? Dim(window.output[i - 2])
                  : in[i].is_known() ? Dim(output(window, i - 2, in[i].size()))
                                     : Dim{});
  return out;
}

std::optional<Shape> kernel_shape(const ShapeContext& context, std::size_t weights) {
  auto kernel = context.node.attributes.integers("kernel_shape");
  if (!kernel.empty()) return kernel;
  const Dims* dims = dims_of(context, weights);
  if (!dims || dims->size() < 2) return std::nullopt;
  Shape shape;
  for (std::size_t i = 2; i < dims->size(); ++i) {
    if (!(*dims)[i].is_static()) return std::nullopt;
    shape.push_back((*dims)[i].value);
  }
  return shape;
}

constexpr std::int64_t kMaxGroups = 1 << 20;

// Checks channels against groups; w is [M, C/group, ...].
Result<void> check_channels(const ShapeContext& context, const Dims& x, const Dims& w) {
  const std::int64_t group = context.node.attributes.integer("group", 1);
  if (x.size() != w.size())
    return fail(Code::kInvalidArgument, "the input has rank {}, the weights {}", x.size(), w.size());
  if (x.size() < 3) return fail(Code::kInvalidArgument, "the input needs at least rank 3, not {}", x.size());
  if (group <= 0 || group > kMaxGroups) return fail(Code::kInvalidArgument, "group is {}", group);
  if (x[1].is_static() && w[1].is_static() && x[1].value != w[1].value * group)
    return fail(Code::kInvalidArgument, "the input has {} channels, the weights take {} in {} groups", x[1].value,
                w[1].value, group);
  if (w[0].is_static() && w[0].value % group != 0)
    return fail(Code::kInvalidArgument, "{} output channels are not divisible into {} groups", w[0].value, group);
  return {};
}

template <std::size_t kWeights>
Result<ValueType> conv_type(const ShapeContext& context, DType dtype) {
  const Dims *x = dims_of(context, 0), *w = dims_of(context, kWeights);
  if (!x) return unknown_rank(dtype);
  if (!w) return tensor_type(dtype, Dims(x->size()));
  XI_CHECK(check_channels(context, *x, *w));
  XI_TRY(auto dims,
         windowed(*x, (*w)[0], kernel_shape(context, kWeights), [&](const Shape& input, const Shape& kernel) {
           return resolve_window(context.node.attributes, input, kernel);
         }, [&](const Window& window, std::size_t axis, const tensor::Size& size) {
           return window_output(context.node.attributes, window, axis, size);
         }));
  return tensor_type(dtype, std::move(dims));
}

Types conv(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 0, 2));
  XI_TRY(auto type, conv_type<1>(context, dtype_of(context, 0)));
  if (const Dims *b = dims_of(context, 2), *w = dims_of(context, 1); b && w) {
    XI_CHECK(require_rank(context, 2, 1));
    XI_CHECK(merge_dim((*w)[0], (*b)[0], "output channels of weights and bias"));
  }
  return output(context, std::move(type));
}

Types conv_integer(const ShapeContext& context) {
  XI_TRY(auto type, conv_type<1>(context, DType::kInt32));
  return output(context, std::move(type));
}

Types qlinear_conv(const ShapeContext& context) {
  XI_TRY(auto type, conv_type<3>(context, dtype_of(context, 7)));
  return output(context, std::move(type));
}

Types deform_conv(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 4));
  XI_TRY(auto type, conv_type<1>(context, dtype_of(context, 0)));
  return output(context, std::move(type));
}

Types conv_transpose(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 0, 2));
  const Dims *x = dims_of(context, 0), *w = dims_of(context, 1);
  const DType dtype = dtype_of(context, 0);
  if (!x) return output(context, unknown_rank(dtype));
  if (!w) return output(context, tensor_type(dtype, Dims(x->size())));
  const std::int64_t group = context.node.attributes.integer("group", 1);
  if (x->size() != w->size() || x->size() < 3)
    return fail(Code::kInvalidArgument, "the input has rank {}, the weights {}", x->size(), w->size());
  if (group <= 0 || group > kMaxGroups) return fail(Code::kInvalidArgument, "group is {}", group);
  XI_TRY(Dim channels, merge_dim((*x)[1], (*w)[0], "channels of input and weights"));
  if (channels.is_static() && channels.value % group != 0)
    return fail(Code::kInvalidArgument, "{} channels are not divisible into {} groups", channels.value, group);
  XI_TRY(auto dims,
         windowed(*x, multiply((*w)[1], group), kernel_shape(context, 1), [&](const Shape& input, const Shape& kernel) {
           return resolve_transposed_window(context.node.attributes, input, kernel);
         }, [&](const Window& window, std::size_t axis, const tensor::Size& size) {
           return transposed_window_output(context.node.attributes, window, axis, size);
         }));
  return output(context, tensor_type(dtype, std::move(dims)));
}

Types pool(const ShapeContext& context) {
  const Dims* x = dims_of(context, 0);
  const DType dtype = dtype_of(context, 0);
  ValueType type = unknown_rank(dtype);
  if (x) {
    XI_CHECK(require_min_rank(context, 0, 3));
    const bool ceil = context.node.attributes.integer("ceil_mode", 0) != 0;
    XI_TRY(auto dims, windowed(*x, (*x)[1], context.node.attributes.integers("kernel_shape"),
                               [&](const Shape& input, const Shape& kernel) {
                                 return resolve_window(context.node.attributes, input, kernel, ceil);
                               },
                               [&](const Window& window, std::size_t axis, const tensor::Size& size) {
                                 return window_output(context.node.attributes, window, axis, size, ceil);
                               }));
    type = tensor_type(dtype, std::move(dims));
  }
  return outputs(context, {type, tensor_type(DType::kInt64, type.dims)});
}

Types max_unpool(const ShapeContext& context) {
  const Dims* x = dims_of(context, 0);
  const DType dtype = dtype_of(context, 0);
  if (!x) return output(context, unknown_rank(dtype));
  XI_CHECK(require_min_rank(context, 0, 3));
  if (context.has_input(2)) {
    auto shape = constant_integers(context, 2);
    if (shape && shape->size() != x->size())
      return fail(Code::kInvalidArgument, "output_shape has {} entries", shape->size());
    return output(context, shape ? static_type(dtype, *shape) : tensor_type(dtype, Dims(x->size())));
  }
  auto kernel = context.node.attributes.integers("kernel_shape");
  auto strides = context.node.attributes.integers("strides", std::vector<std::int64_t>(kernel.size(), 1));
  auto pads = context.node.attributes.integers("pads", std::vector<std::int64_t>(kernel.size() * 2, 0));
  if (kernel.size() != x->size() - 2 || strides.size() != kernel.size() || pads.size() != 2 * kernel.size())
    return fail(Code::kInvalidArgument, "kernel_shape, strides or pads do not match the input's rank {}", x->size());
  Dims out{(*x)[0], (*x)[1]};
  for (std::size_t i = 0; i < kernel.size(); ++i) {
    const Dim& dim = (*x)[i + 2];
    out.push_back(dim.is_known() ? Dim((dim.size() - 1) * strides[i] + tensor::Size(kernel[i]) - pads[i] - pads[i + kernel.size()])
                                 : Dim{});
  }
  return output(context, tensor_type(dtype, std::move(out)));
}

Types max_roi_pool(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 4));
  XI_CHECK(require_rank(context, 1, 2));
  auto pooled = context.node.attributes.integers("pooled_shape");
  if (pooled.size() != 2) return fail(Code::kInvalidArgument, "pooled_shape needs two sizes");
  const Dims *x = dims_of(context, 0), *rois = dims_of(context, 1);
  return output(context, tensor_type(dtype_of(context, 0),
                                     Dims{rois ? (*rois)[0] : Dim{}, x ? (*x)[1] : Dim{}, pooled[0], pooled[1]}));
}

// numpy's matmul of inputs a and b.
Result<ValueType> product_type(const ShapeContext& context, std::size_t first, std::size_t second, DType dtype) {
  const Dims *pa = dims_of(context, first), *pb = dims_of(context, second);
  if (!pa || !pb) return unknown_rank(dtype);
  Dims a = *pa, b = *pb;
  if (a.empty() || b.empty()) return fail(Code::kInvalidArgument, "a matrix product takes no scalars");
  const bool vector_a = a.size() == 1, vector_b = b.size() == 1;
  if (vector_a) a.insert(a.begin(), Dim(1));
  if (vector_b) b.emplace_back(1);
  XI_CHECK(merge_dim(a.back(), b[b.size() - 2], "the summed dimension of the two inputs"));
  XI_TRY(auto out, broadcast_dims(Dims(a.begin(), a.end() - 2), Dims(b.begin(), b.end() - 2)));
  if (!vector_a) out.push_back(a[a.size() - 2]);
  if (!vector_b) out.push_back(b.back());
  return tensor_type(dtype, std::move(out));
}

Types matmul(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 0, 1));
  XI_TRY(auto type, product_type(context, 0, 1, dtype_of(context, 0)));
  return output(context, std::move(type));
}

Types matmul_integer(const ShapeContext& context) {
  XI_TRY(auto type, product_type(context, 0, 1, DType::kInt32));
  return output(context, std::move(type));
}

Types qlinear_matmul(const ShapeContext& context) {
  XI_TRY(auto type, product_type(context, 0, 3, dtype_of(context, 7)));
  return output(context, std::move(type));
}

Types gemm(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 0, 2));
  XI_CHECK(require_rank(context, 0, 2));
  XI_CHECK(require_rank(context, 1, 2));
  const Dims *a = dims_of(context, 0), *b = dims_of(context, 1);
  if (!a || !b) return output(context, tensor_type(dtype_of(context, 0), Dims(2)));
  const std::size_t ta = context.node.attributes.integer("transA", 0) != 0,
                    tb = context.node.attributes.integer("transB", 0) != 0;
  XI_CHECK(merge_dim((*a)[1 - ta], (*b)[tb], "the summed dimension of the two inputs"));
  Dims out{(*a)[ta], (*b)[1 - tb]};
  if (const Dims* c = dims_of(context, 2)) XI_CHECK(broadcast_dims(out, *c));
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

// One operand's subscripts matched to its dims.
Result<void> bind_subscripts(std::string_view term, const Dims& dims, std::map<char, Dim>& sizes, Dims& ellipsis) {
  const std::size_t dots = term.find("...");
  const std::size_t letters = term.size() - (dots == term.npos ? 0 : 3);
  if (dots == term.npos ? dims.size() != letters : dims.size() < letters)
    return fail(Code::kInvalidArgument, "the subscripts '{}' do not fit rank {}", term, dims.size());
  const std::size_t extra = dims.size() - letters;
  for (std::size_t i = 0, d = 0; i < term.size();) {
    if (i == dots) {
      XI_TRY(ellipsis, broadcast_dims(ellipsis, Dims(dims.begin() + static_cast<std::ptrdiff_t>(d),
                                                     dims.begin() + static_cast<std::ptrdiff_t>(d + extra))));
      d += extra;
      i += 3;
      continue;
    }
    auto [it, fresh] = sizes.try_emplace(term[i], dims[d]);
    if (!fresh) {
      XI_TRY(it->second, broadcast_dim(it->second, dims[d]));
    }
    ++i;
    ++d;
  }
  return {};
}

Types einsum(const ShapeContext& context) {
  std::string equation = context.node.attributes.string("equation", "");
  std::erase(equation, ' ');
  const DType dtype = dtype_of(context, 0);
  const std::size_t arrow = equation.find("->");
  std::string_view left = std::string_view(equation).substr(0, arrow);
  std::map<char, Dim> sizes;
  std::map<char, int> seen;
  Dims ellipsis;
  std::size_t input = 0;
  for (std::size_t begin = 0; begin <= left.size(); ++input) {
    const std::size_t end = std::min(left.find(',', begin), left.size());
    std::string_view term = left.substr(begin, end - begin);
    if (input >= context.num_inputs())
      return fail(Code::kInvalidArgument, "the equation '{}' has more terms than inputs", equation);
    const Dims* dims = dims_of(context, input);
    if (!dims) return output(context, unknown_rank(dtype));
    XI_CHECK(bind_subscripts(term, *dims, sizes, ellipsis));
    for (char c : term)
      if (c != '.') ++seen[c];
    begin = end + 1;
  }
  if (input != context.num_inputs())
    return fail(Code::kInvalidArgument, "the equation '{}' has {} terms for {} inputs", equation, input,
                context.num_inputs());
  std::string right;
  if (arrow == equation.npos) {  // implicit: the ellipsis, then the letters that occur once, in order
    right = left.find("...") == left.npos ? "" : "...";
    for (auto [letter, count] : seen)
      if (count == 1) right += letter;
  } else {
    right = equation.substr(arrow + 2);
  }
  Dims out;
  for (std::size_t i = 0; i < right.size(); ++i) {
    if (right[i] == '.') {
      out.insert(out.end(), ellipsis.begin(), ellipsis.end());
      i += 2;
    } else if (auto it = sizes.find(right[i]); it != sizes.end()) {
      out.push_back(it->second);
    } else {
      return fail(Code::kInvalidArgument, "'{}' in the result of '{}' is in no term", right[i], equation);
    }
  }
  return output(context, tensor_type(dtype, std::move(out)));
}

constexpr std::int64_t kLargestWindow = std::int64_t{1} << 31;  // elements

// [kernel..., windows] columns back to an image.
Types col2im(const ShapeContext& context) {
  const Dims* x = dims_of(context, 0);
  auto image = constant_integers(context, 1), block = constant_integers(context, 2);
  if (!image || !block || !x) return output(context, unknown_rank(dtype_of(context, 0)));
  XI_CHECK(require_rank(context, 0, 3));
  std::int64_t kernel = 1;
  for (auto size : *block) kernel = size <= 0 || size > kLargestWindow ? 0 : std::min(kernel * size, kLargestWindow);
  if (kernel <= 0 || ((*x)[1].is_static() && (*x)[1].value % kernel != 0))
    return fail(Code::kInvalidArgument, "the columns do not hold blocks of {}", kernel);
  Dims out{(*x)[0], (*x)[1].is_static() ? Dim((*x)[1].value / kernel) : Dim{}};
  for (auto size : *image) out.emplace_back(size);
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

std::vector<AttributeInfo> window_attributes(std::vector<AttributeInfo> more) {
  for (auto info :
       {text("auto_pad"), integers("kernel_shape"), integers("strides"), integers("dilations"), integers("pads")})
    more.push_back(info);
  return more;
}

}  // namespace

void add_contraction(Rows& rows) {
  constexpr auto kContract = Lowering::kContraction;
  rows.push_back({"Conv", 2, 3, 1, 1, window_attributes({integer("group")}), conv, kContract});
  rows.push_back({"ConvInteger", 2, 4, 1, 1, window_attributes({integer("group")}), conv_integer, kContract});
  rows.push_back({"QLinearConv", 8, 9, 1, 1, window_attributes({integer("group")}), qlinear_conv, kContract});
  rows.push_back({"DeformConv", 3, 5, 1, 1, window_attributes({integer("group"), integer("offset_group")}), deform_conv,
                  Lowering::kIrregular});
  rows.push_back({"ConvTranspose", 2, 3, 1, 1,
                  window_attributes({integer("group"), integers("output_padding"), integers("output_shape")}),
                  conv_transpose, kContract});
  rows.push_back({"AveragePool", 1, 1, 1, 1, window_attributes({integer("ceil_mode"), integer("count_include_pad")}),
                  pool, kContract});
  rows.push_back(
      {"MaxPool", 1, 1, 1, 2, window_attributes({integer("ceil_mode"), integer("storage_order")}), pool, kContract});
  rows.push_back(
      {"LpPool", 1, 1, 1, 1, window_attributes({integer("ceil_mode"), integer("p")}), pool, Lowering::kIrregular});
  rows.push_back({"MaxUnpool",
                  2,
                  3,
                  1,
                  1,
                  {integers("kernel_shape", true), integers("strides"), integers("pads")},
                  max_unpool,
                  Lowering::kIrregular});
  rows.push_back({"MaxRoiPool",
                  2,
                  2,
                  1,
                  1,
                  {integers("pooled_shape", true), real("spatial_scale")},
                  max_roi_pool,
                  Lowering::kIrregular});
  rows.push_back({"MatMul", 2, 2, 1, 1, {}, matmul, kContract});
  rows.push_back({"MatMulInteger", 2, 4, 1, 1, {}, matmul_integer, kContract});
  rows.push_back({"QLinearMatMul", 8, 8, 1, 1, {}, qlinear_matmul, kContract});
  rows.push_back(
      {"Gemm", 2, 3, 1, 1, {real("alpha"), real("beta"), integer("transA"), integer("transB")}, gemm, kContract});
  rows.push_back({"Einsum", 1, kVariadic, 1, 1, {text("equation", true)}, einsum, kContract});
  rows.push_back({"Col2Im",
                  3,
                  3,
                  1,
                  1,
                  {integers("dilations"), integers("pads"), integers("strides")},
                  col2im,
                  Lowering::kIrregular});
}

}  // namespace xinfer::ir::rules
