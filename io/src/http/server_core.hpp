// What the connections of one server share. It lives until the last of their fibers has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>

#include <copse/io/http/server.hpp>

#include "http/turn.hpp"

namespace copse::io::http::detail {

class server_core {
public:
    server_core(server_options options, handler h);

    const server_options& options() const noexcept { return options_; }
    void handle(exchange& x) const { handle_(x); }
    server_stats& stats() noexcept { return stats_; }
    turn_pool& turns() noexcept { return turns_; }

    /// Serves a connection until it ends.
    void serve(socket& s, const endpoint& peer);

    /// Ends the connections that are between requests or before the first; the others end with their answer.
    void drain() noexcept;
    /// What comes after a `drain` is served again; what was there before ends nevertheless.
    void go_on() noexcept { draining_ = false; }
    /// Which time between two drains it is: connections belong to one.
    std::uint64_t era() const noexcept { return era_; }
    bool is_draining(std::uint64_t era) const noexcept { return draining_ || era != era_; }

    /// What the server was told last: to serve again, or to stop.
    void note_order(bool shall_serve) noexcept { shall_serve_ = shall_serve; }
    bool shall_serve() const noexcept { return shall_serve_; }
    /// There is no server any more, only its fibers.
    void end() noexcept { ended_ = true; }
    bool has_ended() const noexcept { return ended_; }

    /// What a connection is listed with: made once.
    struct idle_place {
        explicit idle_place(connection* c) : node{c}, where(node.begin()) {}

        std::list<connection*> node;  // holds it while it is not listed
        std::list<connection*>::iterator where;
    };
    using idle_list = std::list<connection*>;
    /// A connection waits for its client, in one of the lists below: `drain` will wake it.
    class idle_mark {
    public:
        idle_mark(idle_list& among, idle_place& place) noexcept : among_(among), place_(place) {
            among_.splice(among_.end(), place_.node);
        }
        idle_mark(const idle_mark&) = delete;
        idle_mark& operator=(const idle_mark&) = delete;
        ~idle_mark() { place_.node.splice(place_.node.end(), among_, place_.where); }

    private:
        idle_list& among_;
        idle_place& place_;
    };
    /// For the next request.
    idle_list& idle() noexcept { return idle_; }
    /// To be secured.
    idle_list& shaking_hands() noexcept { return shaking_hands_; }

    /// Gives the error to the hub's error handler.
    static void tell(std::exception_ptr error) noexcept;

private:
    const server_options options_;
    const handler handle_;
    server_stats stats_;
    turn_pool turns_{options_};
    idle_list idle_;
    idle_list shaking_hands_;
    bool draining_ = false;
    bool ended_ = false;
    bool shall_serve_ = true;
    std::uint64_t era_ = 0;
};

}  // namespace copse::io::http::detail
