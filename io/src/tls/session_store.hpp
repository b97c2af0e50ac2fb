// Sessions that a client may resume, by host. Shared by the threads that share a context.
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <string>

#include "openssl_handles.hpp"

namespace copse::io::detail {

class session_store {
public:
    explicit session_store(std::size_t most) noexcept : most_(most) {}

    /// The oldest make room; one that cannot be kept for want of memory is dropped.
    void put(const std::string& host, session_ptr session) noexcept;

    /// The newest of this host, which is then no longer kept: a ticket that is used twice tells who watches that both
    /// connections are of one client (RFC 8446, C.4).
    session_ptr take(const std::string& host) noexcept;

private:
    struct kept {
        std::string host;
        session_ptr session;
    };

    static constexpr std::size_t most_of_one_host = 8;

    void make_room(const std::string& host);

    const std::size_t most_;
    std::mutex mutex_;  // held for a walk along the list, never across a switch
    std::list<kept> newest_first_;
};

}  // namespace copse::io::detail
