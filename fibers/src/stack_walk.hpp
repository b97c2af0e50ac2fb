// Where a stack stands: its return addresses, and their names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

namespace copse::detail {

class symbol_table;

/// Puts the return addresses of the calling stack into `room`, innermost first: the first lies in the caller. Returns how many.
/// Async-signal-safe from glibc 2.35 on, where the unwinder finds its tables without a lock; before, as safe as throwing.
std::size_t walk_stack(std::span<void*> room) noexcept;

/// In a signal handler: those of what was interrupted, without the handler's own. The first is one past the instruction that
/// was interrupted, so that all of them can be read as return addresses.
std::size_t walk_interrupted(std::span<void*> room) noexcept;

/// The names of return addresses; each is looked up once, and each file read once.
class address_names {
public:
    address_names();
    ~address_names();
    address_names(const address_names&) = delete;
    address_names& operator=(const address_names&) = delete;

    /// For instance "0x55d0c3 copse::yield()+0x1f (/usr/bin/program+0x10c2)". In brackets: where the call is, as addr2line
    /// wants to have it. A program that is stripped, and does not export its functions, has no names.
    const std::string& of(void* return_address);

private:
    std::string look_up(std::uintptr_t after_call);

    std::unordered_map<void*, std::string> known_;
    std::unordered_map<std::string, std::unique_ptr<symbol_table>> files_;
};

}  // namespace copse::detail
