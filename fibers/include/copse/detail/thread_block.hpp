// What the inlined switch knows of its thread: four words of thread-local storage.
#pragma once

#include <atomic>
#include <cstdint>

namespace copse {
class value;
}  // namespace copse

namespace copse::detail {

struct core;
struct hub_core;
class thread_state;

/// The two words behind __cxa_get_globals() (Itanium C++ ABI, 2.2.2). They belong to the thread, so they must not go along
/// with a switch: two greenlets that each switch inside a `catch` would rethrow each other's exceptions. Nearly always they
/// are zero: who has some takes them off the thread before it leaves and puts them back when it returns, so that they are
/// zero at every jump.
struct exception_state {
    void* caught = nullptr;
    unsigned int uncaught = 0;

    bool any() const noexcept { return (reinterpret_cast<std::uintptr_t>(caught) | uncaught) != 0; }
};

/// A gate that no thread's block ever shows: greenlets that cannot be entered by hand right now have it.
inline constexpr std::uintptr_t gate_of_nobody = 0;
/// A gate that no greenlet ever has: a thread shows it while every switch must take the long way.
inline constexpr std::uintptr_t gate_shut = 1;

struct thread_block {
    /// Equals the gate of every greenlet that this thread can enter by a plain jump, unless it is shut: before the first
    /// use, while tracing, under a sanitizer, when another thread dropped a handle, when the current greenlet has no
    /// handle left. Other threads only ever shut it.
    std::atomic<std::uintptr_t> gate{gate_shut};
    core* current;                          // a core that draws attention, until the first use
    exception_state* exceptions = nullptr;  // of this thread, as __cxa_get_globals() gives it
    value* inbox = nullptr;                 // the payload of the switch in flight
    int* error_number = nullptr;            // of this thread: &errno
    hub_core* hub = nullptr;                // made by the first blocking call
    thread_state* state = nullptr;          // everything else
};

// initial-exec: a thread_local of a shared library otherwise costs a call (1.7 to 5.4 ns), which is a third of a switch.
extern constinit thread_local thread_block this_thread [[gnu::tls_model("initial-exec")]];

}  // namespace copse::detail
