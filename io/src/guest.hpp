// An event loop of another library on this thread, whose descriptor the reactor watches. None of its functions may switch.
#pragma once

#include <copse/detail/wait.hpp>

namespace copse::io::detail {

struct guest : copse::detail::wait_link {
    int fd = -1;                                     // readable when it has something to do
    void (*called)(guest&) noexcept = nullptr;       // it has become readable
    bool (*posts)(const guest&) noexcept = nullptr;  // before the hub sleeps or looks: whether it has had a turn posted
    bool (*busy)(const guest&) noexcept = nullptr;   // while it is waited for, nothing is a deadlock
    void (*abandoned)(guest&) noexcept = nullptr;    // in the child of a fork, while the numbers are still the parent's
    bool (*intact)(const guest&) noexcept = nullptr;  // whether `fd` is still its own; null: nobody can tell
    bool ends_by_itself = false;  // it is waited for the kernel only: virtual time does not run ahead of it
    bool unheard = false;  // nothing is sure to be heard of it any more: while it is busy it is called often instead
};

}  // namespace copse::io::detail
