// Return addresses and their names, and what becomes of files that are no programs.

#include "stack_walk.hpp"
#include "symbol_table.hpp"

#include <gtest/gtest.h>

#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace copse::detail {
namespace {

/// In no table of exported names.
[[gnu::noinline]] std::size_t local_function(std::span<void*> room) {
    const std::size_t found = walk_stack(room);
    asm volatile("" ::: "memory");  // no tail call
    return found;
}

TEST(StackWalk, BeginsInTheCallerAndNamesLocalFunctions) {
    std::array<void*, 64> frames;
    const std::size_t found = local_function(frames);
    ASSERT_GE(found, 3u);
    address_names names;
    const std::string first = names.of(frames[0]);
    EXPECT_EQ(first.find("0x"), 0u) << first;
    EXPECT_NE(first.find("local_function(std::span<void*"), std::string::npos) << first;
    EXPECT_EQ(first.back(), ')') << first;
    EXPECT_NE(names.of(frames[1]).find("BeginsInTheCallerAndNamesLocalFunctions"), std::string::npos)
        << names.of(frames[1]);
    EXPECT_EQ(&names.of(frames[0]), &names.of(frames[0])) << "looked up once";
}

TEST(StackWalk, StopsWhenThereIsNoMoreRoom) {
    std::array<void*, 2> frames{};
    EXPECT_EQ(local_function(frames), 2u);
    EXPECT_EQ(local_function({}), 0u);
}

TEST(StackWalk, AnAddressThatIsNowhereIsANumber) {
    address_names names;
    EXPECT_EQ(names.of(reinterpret_cast<void*>(std::uintptr_t{0x10})), "0x10");
}

TEST(SymbolTable, IsEmptyForWhatIsNoProgram) {
    for (const char* path : {"/nonexistent", "/", "/proc/self/maps", "/etc/passwd", "/dev/zero"})
        EXPECT_EQ(symbol_table(path).find(0x1000).name, nullptr) << path;
}

// As a linker makes them, but small: a head, the names and addresses of two functions, and three sections.
struct small_program {
    ElfW(Ehdr) head;
    ElfW(Sym) symbols[3];
    char names[16];
    ElfW(Shdr) sections[3];
};

small_program make_small_program() {
    small_program made{};
    std::memcpy(made.head.e_ident, ELFMAG, SELFMAG);
    made.head.e_ident[EI_CLASS] = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
    made.head.e_shoff = offsetof(small_program, sections);
    made.head.e_shentsize = sizeof(ElfW(Shdr));
    made.head.e_shnum = 3;
    std::memcpy(made.names, "\0first\0second", 14);
    for (int i : {1, 2}) {
        made.symbols[i].st_name = i == 1 ? 1 : 7;
        made.symbols[i].st_info = STT_FUNC;
        made.symbols[i].st_value = 0x1000U * static_cast<unsigned>(i);
        made.symbols[i].st_size = 0x100;
    }
    made.sections[1].sh_type = SHT_SYMTAB;
    made.sections[1].sh_link = 2;
    made.sections[1].sh_offset = offsetof(small_program, symbols);
    made.sections[1].sh_size = sizeof made.symbols;
    made.sections[2].sh_type = SHT_STRTAB;
    made.sections[2].sh_offset = offsetof(small_program, names);
    made.sections[2].sh_size = sizeof made.names;
    return made;
}

// Cut off anywhere, or with any byte changed, a program gives no names or some: it is never read beyond its end. One that
// is small is enough, for a file is read by what stands in it, however long it is.
TEST(SymbolTable, TrustsNothingInTheFile) {
    const std::string path = testing::TempDir() + "copse_symbols_" + std::to_string(::getpid());
    const auto name_in = [&](const std::vector<char>& bytes, std::uintptr_t address) {
        std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        const symbol_table table(path.c_str());
        const char* const name = table.find(address).name;
        return std::string(name != nullptr ? name : "");
    };
    const small_program program = make_small_program();
    const auto* const begin = reinterpret_cast<const char*>(&program);
    const std::vector<char> whole(begin, begin + sizeof program);
    EXPECT_EQ(name_in(whole, 0x10ff), "first");
    EXPECT_EQ(name_in(whole, 0x2000), "second");
    for (std::size_t size = 1; size < whole.size(); ++size)
        EXPECT_EQ(name_in({begin, begin + size}, 0x1000), "") << size;
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::vector<char> changed = whole;
        changed[at] = static_cast<char>(0xff);
        name_in(changed, 0x1000);
    }
    std::remove(path.c_str());
}

// One that a linker has made, in full and cut off.
TEST(SymbolTable, ReadsWhatALinkerHasMade) {
    const std::string path = testing::TempDir() + "copse_program_" + std::to_string(::getpid());
    std::filesystem::copy_file("/proc/self/exe", path, std::filesystem::copy_options::overwrite_existing);
    const auto whole = std::filesystem::file_size(path);
    for (const auto size : {whole - 1, whole / 2, std::uintmax_t{4096}, std::uintmax_t{64}, std::uintmax_t{63}}) {
        std::filesystem::resize_file(path, size);
        symbol_table(path.c_str()).find(0x1000);
    }
    std::filesystem::remove(path);
}

}  // namespace
}  // namespace copse::detail
