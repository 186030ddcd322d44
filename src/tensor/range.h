// Ranges of sizes as people write them: "224", "1:1:8", "N:1:1:8", "N".
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "tensor/size.h"

namespace xinfer::tensor {

/// One dimension: a size, [NAME:]MINIMUM:OPTIMUM:MAXIMUM, MINIMUM:MAXIMUM (the maximum is the optimum), or NAME alone for the
/// range that dimension `axis` of `rank` has by default. Nothing when `text` is none of these; whether the numbers rise is for the caller to check.
std::optional<Symbol> parse_range(std::string_view text, std::size_t axis, std::size_t rank);
/// The text that parse_range reads back.
std::string format_range(const Symbol& range);

}  // namespace xinfer::tensor
