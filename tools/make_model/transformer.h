// BERT-like encoders as PyTorch's exporter writes them: three token inputs, the last hidden state as output.
#pragma once

#include <cstdint>
#include <string>

namespace xinfer::make_model {

std::string bert_base(std::int64_t batch);
std::string minilm_l6(std::int64_t batch);
std::string minilm_l6_16(std::int64_t batch);

}  // namespace xinfer::make_model
