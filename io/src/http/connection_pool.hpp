// The connections of a client: some in use, some kept for the next request to the same origin.
//
// Invariants:
//   - An origin has one permit for each connection that may be in use. Whoever has a permit takes a kept connection before
//     making one, so that never more than `max_connections_per_origin` are open.
//   - An origin is forgotten when nobody uses or waits for it and nothing of it is kept.
//   - The fiber that closes what was kept too long runs while something is kept, and refers to the pool only when awake.
//   - To end a connection may park (TLS says goodbye, and some streams are somebody's own), and others come in meanwhile. So
//     what is to be ended is taken out of `kept` first; after its end no iterator is used but that of a lease.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include <unistd.h>

#include <copse/clock.hpp>
#include <copse/fiber.hpp>
#include <copse/io/any_stream.hpp>
#include <copse/io/http/client.hpp>
#include <copse/semaphore.hpp>

#include "thread_owner.hpp"

namespace copse::io::http::detail {

struct pooled_connection {
    any_stream stream;
    int fd = -1;             // of the socket below: to look whether the server has gone
    bool encrypted = false;  // what waits there need not be a part of a response
    clock::time_point kept_since{};
};

/// What is taken out of it, or put in, needs no memory: it may be ended where nothing may fail.
using connection_list = std::list<pooled_connection>;

class connection_pool : public std::enable_shared_from_this<connection_pool> {
    struct origin {
        explicit origin(std::ptrdiff_t places) : free(places) {}

        semaphore free;
        std::size_t users = 0;  // leases, and fibers that wait for one
        connection_list kept;   // the one used last at the end
    };
    using origin_map = std::map<std::string, origin, std::less<>>;

public:
    /// A connection in use. Closed at the end, unless it was given back.
    class lease {
    public:
        lease() noexcept = default;
        lease(lease&& other) noexcept;
        lease& operator=(lease&& other) noexcept;
        ~lease() { end(); }

        pooled_connection* operator->() noexcept { return &held_; }
        bool reused() const noexcept { return reused_; }

        /// To the pool, for the next request.
        void give_back() noexcept;
        /// Lets the next request in. Of a connection that is closed, but not to be ended yet: somebody is within.
        void leave() noexcept;

    private:
        friend class connection_pool;
        lease(std::shared_ptr<connection_pool> pool, origin_map::iterator of) noexcept;
        void end() noexcept;

        std::shared_ptr<connection_pool> pool_;
        origin_map::iterator of_{};
        pooled_connection held_;
        bool reused_ = false;
    };

    explicit connection_pool(const client_options& with) : with_(with) {}
    connection_pool(const connection_pool&) = delete;
    connection_pool& operator=(const connection_pool&) = delete;
    ~connection_pool() { close_kept(); }

    /// Parks:   until there is a place and a connection in it.
    lease take(const url& to, clock::time_point deadline, bool fresh);
    /// Parks:   as their ends do.
    void close_kept() noexcept;
    /// Nothing is kept any more.
    void retire() noexcept;

    std::size_t kept() const noexcept { return kept_; }
    std::uint64_t opened() const noexcept { return opened_; }

private:
    pooled_connection open(const url& to, clock::time_point deadline);

    static bool is_alive(const pooled_connection& c) noexcept;
    void leave_to_parent() noexcept;
    bool take_kept(lease& into);
    void keep(origin_map::iterator of, pooled_connection c) noexcept;
    void leave(origin_map::iterator of) noexcept;
    void forget_if_unused(origin_map::iterator of) noexcept;
    origin_map::iterator longest_kept() noexcept;
    connection_list without_first(origin_map::iterator of) noexcept;
    clock::time_point close_old() noexcept;
    void begin_sweeping();

    const client_options with_;
    const io::detail::thread_owner owner_;
    pid_t process_ = ::getpid();
    origin_map origins_;
    std::size_t kept_ = 0;
    std::uint64_t opened_ = 0;
    bool retired_ = false;
    any_fiber sweeper_;
};

}  // namespace copse::io::http::detail
