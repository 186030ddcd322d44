#include "zoo/vision/ctc.h"

#include <algorithm>

namespace xinfer::zoo::vision {

RecognizedText decode_ctc(std::span<const float> probabilities, std::int64_t classes, const Alphabet& alphabet) {
  RecognizedText result;
  const std::int64_t steps = static_cast<std::int64_t>(probabilities.size()) / classes;
  std::int64_t previous = alphabet.blank;
  double sum = 0;
  int count = 0;
  for (std::int64_t step = 0; step < steps; ++step) {
    const float* row = probabilities.data() + step * classes;
    const std::int64_t best = std::max_element(row, row + classes) - row;
    if (best != alphabet.blank && best != previous) {
      const std::int64_t label = best > alphabet.blank ? best - 1 : best;
      if (label < static_cast<std::int64_t>(alphabet.labels.size())) result.text += alphabet.labels[label];
      else if (alphabet.space && label == static_cast<std::int64_t>(alphabet.labels.size())) result.text += ' ';
      sum += row[best];
      ++count;
    }
    previous = best;
  }
  if (count) result.score = static_cast<float>(sum / count);
  return result;
}

}  // namespace xinfer::zoo::vision
