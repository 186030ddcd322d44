// A directed graph drawn in layers, from top to bottom, as SVG text. Internal to src/compiler.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace xinfer::compiler {

/// A box of up to three lines. Texts are plain: they are escaped and shortened here.
struct DrawnBox {
  std::string title, line, last_line;
  std::string tooltip;
  std::string style;  // CSS classes of the box, of ours
  std::string link;   // id of the element that it stands for; empty for none
};

/// The <svg> element. `edges`: indices of boxes, without cycles. `id` is the element's.
std::string draw_graph(const std::vector<DrawnBox>& boxes,
                       const std::vector<std::pair<std::size_t, std::size_t>>& edges, std::string_view id);

/// For HTML text and attribute values in quotes: nothing in it can end them. Control characters become U+FFFD.
std::string escape_html(std::string_view text);

/// At most `length` characters, the end being what tells names apart: "…stage3/conv2".
std::string keep_end(std::string_view text, std::size_t length);
/// The same with the end cut off.
std::string keep_begin(std::string_view text, std::size_t length);

}  // namespace xinfer::compiler
