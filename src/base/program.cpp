#include "base/program.h"

#include <elf.h>
#include <link.h>

#include <cstring>
#include <span>

#include "base/digest.h"

namespace xinfer::base {
namespace {

// Of the program itself, which comes first, among the notes of its segments.
int find_build_id(dl_phdr_info* info, std::size_t, void* result) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    const auto* notes = reinterpret_cast<const std::byte*>(info->dlpi_addr + header.p_vaddr);
    for (std::size_t at = 0; at + sizeof(ElfW(Nhdr)) <= header.p_memsz;) {
      ElfW(Nhdr) note;
      std::memcpy(&note, notes + at, sizeof note);
      const std::size_t name = at + sizeof note, value = name + ((note.n_namesz + 3) & ~3U), end = value + note.n_descsz;
      if (end > header.p_memsz) break;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(notes + name, "GNU", 4) == 0) {
        *static_cast<std::string*>(result) = to_hex(std::span(notes + value, note.n_descsz));
        return 1;
      }
      at = value + ((note.n_descsz + 3) & ~3U);
    }
  }
  return 1;
}

}  // namespace

std::string program_id() {
  std::string id;
  ::dl_iterate_phdr(find_build_id, &id);
  return id;
}

}  // namespace xinfer::base
