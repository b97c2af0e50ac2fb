// Functions of the program, which know nothing of our deadlines.
#pragma once

#include <chrono>
#include <system_error>

#include <copse/clock.hpp>
#include <copse/io/error.hpp>
#include <copse/timeout.hpp>

namespace copse::io::detail {

/// What `f` returns. It is interrupted at its first wait after the deadline.
/// Throws:  timed_out, as an operation of that name; what `f` throws.
template <class F>
auto by_deadline(clock::time_point deadline, const char* operation, F f) {
    const timeout limit(std::chrono::nanoseconds(copse::detail::length_until(deadline)));
    try {
        return f();
    } catch (const timeout_expired& e) {
        if (!limit.threw(e)) throw;
    }
    throw timed_out(std::make_error_code(std::errc::timed_out), operation, 0);
}

}  // namespace copse::io::detail
