// BERT-like encoders as PyTorch's exporter writes them: three token inputs, the last hidden state as output.
#pragma once

#include <string>

namespace xinfer::make_model {

std::string bert_base();
std::string minilm_l6();
std::string minilm_l6_16();

}  // namespace xinfer::make_model
