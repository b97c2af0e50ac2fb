// Every error of this room is made here, so that its text always names operation, descriptor and peer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>

#include <copse/io/endpoint.hpp>

#include "entry.hpp"

namespace copse::io::detail {

/// Which holder of which number.
struct origin {
    int fd;
    std::uint32_t generation;

    friend bool operator==(const origin& a, const origin& b) noexcept {
        return a.fd == b.fd && a.generation == b.generation;
    }
};

/// Who holds the number now.
inline origin origin_of(const entry& e) noexcept { return {e.fd, e.generation}; }

/// What the errors of owned descriptors are besides: their catcher can tell whose they are.
struct has_origin {
    explicit has_origin(const origin& of) noexcept : where(of) {}
    has_origin(const has_origin&) noexcept = default;
    has_origin& operator=(const has_origin&) noexcept = default;
    virtual ~has_origin();

    origin where;
};

/// "recv on fd 7", and if it is known " from 127.0.0.1:4000".
std::string describe(const char* operation, int fd, const endpoint& peer = {}, direction d = direction::out);
/// The same, the peer being that of an owned entry of this thread.
std::string describe(const char* operation, const entry& e, direction d);

[[noreturn]] void fail(int error, std::string_view text);
[[noreturn]] void fail(int error, const char* operation, int fd);
[[noreturn]] void fail(int error, const char* operation, const entry& e, direction d);
[[noreturn]] void fail(int error, const char* operation, const entry& e, const endpoint& there);
[[noreturn]] void fail_transfer(int error, const char* operation, const entry& e, direction d, std::size_t transferred);
[[noreturn]] void fail_timed_out(const char* operation, int fd, std::size_t transferred = 0);
[[noreturn]] void fail_timed_out(const char* operation, int fd, const endpoint& there);
[[noreturn]] void fail_timed_out(const char* operation, const entry& e, direction d, std::size_t transferred = 0);

/// What a waiter gets whose descriptor is closed. Null pointers never.
std::exception_ptr closed_meanwhile(const char* operation, int fd, int error) noexcept;

}  // namespace copse::io::detail
