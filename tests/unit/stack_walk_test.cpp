// Return addresses and their names, and what becomes of files that are no programs.

#include "stack_walk.hpp"
#include "symbol_table.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
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

// Cut off anywhere, or with anything in its head changed, a program gives no names or some: it is never read beyond its end.
TEST(SymbolTable, TrustsNothingInTheFile) {
    std::ifstream in("/proc/self/exe", std::ios::binary);
    const std::vector<char> whole{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    const std::string path = testing::TempDir() + "copse_symbols_" + std::to_string(::getpid());
    const auto read_back = [&](const std::vector<char>& bytes) {
        std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        symbol_table(path.c_str()).find(0x1000);
    };
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{16}, std::size_t{63}, std::size_t{64}, whole.size() / 2, whole.size() - 1})
        read_back({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    for (std::size_t at = 0; at < 64; ++at) {
        std::vector<char> head(whole.begin(), whole.begin() + 4096);
        head[at] = static_cast<char>(0xff);
        read_back(head);
    }
    std::remove(path.c_str());
}

}  // namespace
}  // namespace copse::detail
