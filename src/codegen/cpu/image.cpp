#include "codegen/cpu/image.h"

#include <elf.h>

#include <cstring>
#include <vector>

namespace xinfer::codegen::cpu {

using base::Code;
using base::fail;
using base::Result;

std::string_view linker_script() {
  // .image is all that is kept. Everything that would need a loader goes into .forbidden, whose size must be 0;
  // --pie makes lld write a .rela.dyn entry for every absolute address, which extract_image looks for. What --pie adds
  // for loaders (.dynsym and so on) is not kept.
  return R"(SECTIONS {
  . = 0;
  .image : { *(.text .text.*) . = ALIGN(64); *(.rodata .rodata.*) }
  .forbidden : { *(.data .data.* .bss .bss.* .got .got.plt .tdata .tbss .init_array .ctors COMMON) }
  .rela.dyn : { *(.rela .rela.*) }
  .dynsym : { *(.dynsym) }
  .dynstr : { *(.dynstr) }
  .hash : { *(.hash) }
  .gnu.hash : { *(.gnu.hash) }
  .dynamic : { *(.dynamic) }
  /DISCARD/ : { *(.comment .note .note.* .eh_frame .eh_frame_hdr .llvm_addrsig) }
}
)";
}

namespace {

template <class T>
bool read(std::string_view elf, std::uint64_t offset, T& out) {
  if (offset > elf.size() || elf.size() - offset < sizeof(T)) return false;
  std::memcpy(&out, elf.data() + offset, sizeof(T));
  return true;
}

struct Section {
  std::string name;
  Elf64_Shdr header;
};

Result<std::vector<Section>> read_sections(std::string_view elf) {
  Elf64_Ehdr header;
  if (!read(elf, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return fail(Code::kInternal, "the linker's output is no ELF file");
  std::vector<Section> sections(header.e_shnum);
  for (std::size_t i = 0; i < sections.size(); ++i)
    if (!read(elf, header.e_shoff + i * sizeof(Elf64_Shdr), sections[i].header))
      return fail(Code::kInternal, "the linker's output has a damaged section table");
  if (header.e_shstrndx >= sections.size()) return fail(Code::kInternal, "the linker's output has no section names");
  const Elf64_Shdr& names = sections[header.e_shstrndx].header;
  for (auto& section : sections) {
    std::uint64_t at = names.sh_offset + section.header.sh_name;
    if (at < elf.size()) section.name = elf.data() + at;  // the file is ours and zero-terminated
  }
  return sections;
}

}  // namespace

Result<LinkedImage> extract_image(std::string_view elf) {
  XI_TRY(auto sections, read_sections(elf));
  LinkedImage image;
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const auto& [name, section] = sections[i];
    if ((name == ".forbidden" || name == ".rela.dyn" || name == ".relr.dyn") && section.sh_size != 0)
      return fail(Code::kInternal,
                  "the kernels' code is not position-independent and read-only: section {} has {} bytes (our bug)",
                  name, section.sh_size);
    if (name == ".image") {
      if (section.sh_addr != 0 || section.sh_offset + section.sh_size > elf.size())
        return fail(Code::kInternal, "the linker placed the code image at {:#x} instead of 0", section.sh_addr);
      image.code.assign(elf.substr(section.sh_offset, section.sh_size));
    }
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
    const Elf64_Shdr& strings = sections[section.sh_link].header;
    for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      if (!read(elf, section.sh_offset + at, symbol)) break;
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC)
        image.symbols[elf.data() + strings.sh_offset + symbol.st_name] = symbol.st_value;
    }
  }
  return image;
}

}  // namespace xinfer::codegen::cpu
