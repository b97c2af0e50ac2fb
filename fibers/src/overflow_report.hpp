#pragma once

/// The last words of a process whose greenlet overflowed its stack:
///
///     copse: stack overflow in greenlet 'NAME' (#ID), stack SIZE bytes, high-water N bytes, spawned at FILE:LINE
///
/// A handler of SIGSEGV and SIGBUS on an alternate stack writes that line to stderr when the fault lies in the guard zone of a
/// stack in use, puts back what handled the signal before (by default: death and a core dump) and lets the instruction
/// fault again, so that the dump shows the place itself. Every other fault goes straight to what handled it before.

#include <cstdint>
#include <string_view>

namespace copse::detail {

/// What the report says about the owner of a stack. What is empty or 0 is left out, but for the name and the id.
struct owner_description {
    std::string_view name{};
    std::uint64_t id{};
    const char* file{};
    std::uint32_t line{};
};

/// Describes `stack_slot::owner`. Called in a signal handler, on the thread that owns the stack: it may only read.
using describe_owner = owner_description (*)(const void* owner) noexcept;

/// Sets the one describer of the process. Thread-safe.
void set_describe_owner(describe_owner describe) noexcept;

/// Installs the handlers, once a process; later calls do nothing. Thread-safe.
/// Throws:  nothing: where it fails an overflow is a plain SIGSEGV.
void install_overflow_report() noexcept;

/// Gives the calling thread an alternate signal stack unless it has one; freed when the thread ends.
void prepare_thread_for_overflow_report() noexcept;

}  // namespace copse::detail
