// How far read text is from the expected one.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace xinfer::demo {

/// What a comparison should not stumble over: runs of white space become one blank, typographic quotes plain ones.
std::string normalized(std::string_view text);

/// Characters to insert, delete or replace to turn one text into the other (Levenshtein 1966), in code points.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The text's characters, in code points.
std::size_t num_characters(std::string_view text);

}  // namespace xinfer::demo
