// What the connections of one server share. It lives until the last of their fibers has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>

#include <copse/io/http/server.hpp>

#include "http/turn.hpp"
#include "thread_owner.hpp"

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

    /// Ends the connections that are between requests, and those whose handshake waits for the client; the others end with
    /// their answer.
    void drain() noexcept;
    /// What comes after a `drain` is served again; what was there before ends nevertheless.
    void go_on() noexcept { draining_ = false; }
    /// Which time between two drains it is: connections belong to one.
    std::uint64_t era() const noexcept { return era_; }
    bool is_draining(std::uint64_t era) const noexcept { return draining_ || era != era_; }

    /// Throws:  wrong_thread, blocking_in_hub.
    void check_may_wait() const { owner_.check_may_wait(options_.name); }

    /// With the server.
    void stop() noexcept {
        note_order(false);
        drain();
    }
    /// What the server was told last: to serve again, or to stop.
    void note_order(bool shall_serve) noexcept { shall_serve_ = shall_serve; }
    bool shall_serve() const noexcept { return shall_serve_; }
    /// There is no server any more, only its fibers.
    void end() noexcept { ended_ = true; }
    bool has_ended() const noexcept { return ended_; }

    /// What a connection is listed with: made once.
    struct waiting_place {
        explicit waiting_place(connection* c) : node{c}, where(node.begin()) {}

        std::list<connection*> node;  // holds it while it is not listed
        std::list<connection*>::iterator where;
    };
    using waiting_list = std::list<connection*>;
    /// A connection waits for its client, in one of the lists below: `drain` will wake it.
    class waiting_mark {
    public:
        waiting_mark(waiting_list& among, waiting_place& place) noexcept : among_(among), place_(place) {
            among_.splice(among_.end(), place_.node);
        }
        waiting_mark(const waiting_mark&) = delete;
        waiting_mark& operator=(const waiting_mark&) = delete;
        ~waiting_mark() { place_.node.splice(place_.node.end(), among_, place_.where); }

    private:
        waiting_list& among_;
        waiting_place& place_;
    };
    waiting_list& between_requests() noexcept { return idle_; }
    waiting_list& in_handshake() noexcept { return shaking_hands_; }
    std::size_t idle() const noexcept { return idle_.size(); }

    /// Gives the error to the hub's error handler.
    static void tell(std::exception_ptr error) noexcept;

private:
    const server_options options_;
    const handler handle_;
    const io::detail::thread_owner owner_;
    server_stats stats_;
    turn_pool turns_{options_};
    waiting_list idle_;
    waiting_list shaking_hands_;
    bool draining_ = false;
    bool ended_ = false;
    bool shall_serve_ = true;
    std::uint64_t era_ = 0;
};

}  // namespace copse::io::http::detail
