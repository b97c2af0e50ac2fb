// The functions of a program or library by address, from its file: also those that it does not export.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace copse::detail {

/// Trusts nothing that the file says: what is cut off or makes no sense has no functions.
class symbol_table {
public:
    /// Empty if the file cannot be read, is stripped, or is of another kind of machine.
    explicit symbol_table(const char* path);
    symbol_table(const symbol_table&) = delete;
    symbol_table& operator=(const symbol_table&) = delete;

    struct function {
        const char* name = nullptr;  // as the linker knows it; lives as long as the table
        std::uintptr_t begin = 0;
    };

    /// The function at an address as the file counts them; without a name: none is there.
    function find(std::uintptr_t address) const noexcept;

private:
    struct entry {
        std::uintptr_t begin;
        std::uintptr_t end;
        const char* name;
    };

    struct mapping {
        explicit mapping(std::span<const std::byte> b) noexcept : bytes(b) {}
        mapping(const mapping&) = delete;
        mapping& operator=(const mapping&) = delete;
        ~mapping();
        const std::span<const std::byte> bytes;
    };

    void read();
    template <class T>
    std::span<const T> part(std::uint64_t offset, std::uint64_t bytes) const noexcept;

    mapping file_;
    std::vector<entry> functions_;  // by their beginnings
};

}  // namespace copse::detail
