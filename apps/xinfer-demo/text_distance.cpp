#include "text_distance.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace xinfer::demo {
namespace {

/// UTF-8 sequences as they are; malformed bytes count as characters of their own.
std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t size = 1;
    while (at + size < text.size() && (static_cast<unsigned char>(text[at + size]) & 0xC0) == 0x80) ++size;
    out.push_back(text.substr(at, size));
    at += size;
  }
  return out;
}

}  // namespace

std::string normalized(std::string_view text) {
  std::string out;
  for (const std::string_view c : characters(text)) {
    if (c == " " || c == "\n" || c == "\t" || c == "\r") {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else if (c == "\u2018" || c == "\u2019") {
      out += '\'';
    } else if (c == "\u201C" || c == "\u201D") {
      out += '"';
    } else {
      out += c;
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::size_t num_characters(std::string_view text) { return characters(text).size(); }

std::size_t edit_distance(std::string_view a_text, std::string_view b_text) {
  const auto a = characters(a_text), b = characters(b_text);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace xinfer::demo
