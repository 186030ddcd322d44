#include "fuzz.h"

namespace xinfer::fuzz {

std::string mutate_bytes(std::string bytes, Random& random) {
  const auto place = [&](std::size_t size) { return static_cast<std::size_t>(random() % (size + 1)); };
  const std::size_t at = place(bytes.size()), count = 1 + place(8);
  switch (random() % 5) {
    case 0:
      if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      break;
    case 1:
      if (at < bytes.size()) bytes[at] = static_cast<char>(random());
      break;
    case 2: bytes.insert(at, count, static_cast<char>(random())); break;
    case 3: bytes.erase(at, count); break;
    default: bytes.insert(at, bytes.substr(place(bytes.size()), count)); break;
  }
  return bytes;
}

}  // namespace xinfer::fuzz
