#include "symbol_table.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace copse::detail {

namespace {

constexpr unsigned char type_of(const ElfW(Sym) & s) noexcept { return s.st_info & 0xfU; }

std::span<const std::byte> map_file(const char* path) noexcept {
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    struct stat status {};
    void* memory = MAP_FAILED;
    if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
        memory = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
    ::close(file);
    if (memory == MAP_FAILED) return {};
    return {static_cast<const std::byte*>(memory), static_cast<std::size_t>(status.st_size)};
}

}  // namespace

symbol_table::symbol_table(const char* path) : file_(map_file(path)) { read(); }

symbol_table::mapping::~mapping() {
    if (!bytes.empty()) ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
}

template <class T>
std::span<const T> symbol_table::part(std::uint64_t offset, std::uint64_t bytes) const noexcept {
    if (offset > file_.bytes.size() || bytes > file_.bytes.size() - offset || offset % alignof(T) != 0) return {};
    return {reinterpret_cast<const T*>(file_.bytes.data() + offset), bytes / sizeof(T)};
}

void symbol_table::read() {
    const auto head = part<ElfW(Ehdr)>(0, sizeof(ElfW(Ehdr)));
    if (head.empty() || std::memcmp(head[0].e_ident, ELFMAG, SELFMAG) != 0) return;
    if (head[0].e_ident[EI_CLASS] != (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32)) return;
    if (head[0].e_shentsize != sizeof(ElfW(Shdr))) return;
    const auto sections = part<ElfW(Shdr)>(head[0].e_shoff, std::uint64_t{head[0].e_shnum} * sizeof(ElfW(Shdr)));
    for (const ElfW(Shdr) & section : sections) {
        if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
        const ElfW(Shdr)& strings = sections[section.sh_link];
        const auto names = part<char>(strings.sh_offset, strings.sh_size);
        if (names.empty() || names.back() != '\0') continue;
        for (const ElfW(Sym) & s : part<ElfW(Sym)>(section.sh_offset, section.sh_size)) {
            if (type_of(s) != STT_FUNC || s.st_size == 0 || s.st_name >= names.size()) continue;
            functions_.push_back({s.st_value, s.st_value + s.st_size, names.data() + s.st_name});
        }
    }
    std::sort(functions_.begin(), functions_.end(), [](const entry& a, const entry& b) { return a.begin < b.begin; });
}

symbol_table::function symbol_table::find(std::uintptr_t address) const noexcept {
    const auto after = std::upper_bound(functions_.begin(), functions_.end(), address,
                                        [](std::uintptr_t a, const entry& e) { return a < e.begin; });
    if (after == functions_.begin() || address >= std::prev(after)->end) return {};
    return {std::prev(after)->name, std::prev(after)->begin};
}

}  // namespace copse::detail
