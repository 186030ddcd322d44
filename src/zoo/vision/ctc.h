// Connectionist temporal classification: one class per step of a line to its text.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "xinfer/zoo/vision/ocr.h"

namespace xinfer::zoo::vision {

/// Which character each class is.
struct Alphabet {
  std::vector<std::string> labels;  // UTF-8 characters, without the blank
  std::int64_t blank = 0;           // its class; classes after it count on
  bool space = false;               // the class after the last label is a space
};

/// Greedy decoding (Graves et al. 2006, "best path"): the likeliest class of each step, repetitions joined, blanks
/// dropped. `probabilities`: steps * classes, row-major. The score is the mean
/// probability of the characters kept.
RecognizedText decode_ctc(std::span<const float> probabilities, std::int64_t classes, const Alphabet& alphabet);

}  // namespace xinfer::zoo::vision
