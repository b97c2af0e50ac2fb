// What every server has: a fiber that takes what comes, a fiber for each handler, a limit, pauses after failures, an end that
// waits. It lives until the last of its fibers has ended.
//
// Invariants:
//   - `running_` has an entry for every handler that has not ended; its ticket, which its fiber's callable owns, takes it out.
//     So a fiber that is killed before it starts counts too.
//   - Once it is stopped nothing is taken any more.
//   - The last word counts: a restart that waits gives way to a stop that came after it, and a stop that waits to a restart.
//   - Who is in serve_forever() stays there while it is restarted: its owner would end the server.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <list>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <copse/clock.hpp>
#include <copse/event.hpp>
#include <copse/fiber.hpp>
#include <copse/io/detail/limit.hpp>

#include "thread_owner.hpp"

namespace copse::io::detail {

class service : public std::enable_shared_from_this<service> {
public:
    service(const service&) = delete;
    service& operator=(const service&) = delete;
    virtual ~service() = default;

    // start, serve_forever, restart and stop_by throw wrong_thread, what waits blocking_in_hub, with nothing changed.
    void start();
    void serve_forever();
    void stop() noexcept;
    /// Of a verb that cannot throw: on another thread it ends the program, by wrong_thread, which says what was used.
    void insist_on_thread() const noexcept { check_thread(); }
    void restart();
    /// Returns: whether all handlers ended by themselves.
    bool stop_by(limit within);
    /// Of the destructor of who made it: stops, kills, waits a moment.
    void end() noexcept;

    bool is_serving() const noexcept { return !taker_.empty() && !stopped_.is_set(); }
    std::size_t handlers() const noexcept { return running_.size(); }
    std::uint64_t pauses() const noexcept { return pauses_; }

protected:
    struct terms {
        std::string name;
        std::size_t stack_size;
        std::size_t most;   // handlers at a time; 0: no limit
        unsigned in_a_row;  // before others have their turn
        std::chrono::nanoseconds min_delay;
        std::chrono::nanoseconds max_delay;
    };
    /// Throws:  std::invalid_argument for a delay below 0, a stack beyond the maximum.
    explicit service(terms agreed);

    /// Takes one or several, room() at most, and serves them. Parks until there is one.
    /// Returns: how many.
    virtual unsigned take() = 0;
    /// The same without waiting. Returns: 0 if there was none.
    virtual unsigned try_take() = 0;
    /// Is open again after close(), at the same place. Throws if that cannot be: it stays stopped.
    virtual void reopen() = 0;
    /// It is stopped: takes no more. Later calls find it so.
    virtual void close() noexcept = 0;
    /// A handler has ended after the stop, or their time is over.
    virtual void ended() noexcept {}
    /// Whether what was thrown is no trouble: no pause follows.
    virtual bool is_harmless(const std::error_code& /*code*/) const noexcept { return false; }
    /// Before a pause because of this error.
    virtual void relieve(int /*error*/) noexcept {}

    bool is_stopped() const noexcept { return stopped_.is_set(); }
    /// How many handlers there may be besides those that run.
    std::size_t room() const noexcept {
        if (terms_.most == 0) return std::numeric_limits<std::size_t>::max();
        return terms_.most - std::min(terms_.most, running_.size());
    }

    /// Calls `handle` in a fiber of its own, whose handler counts until what `handle` holds has ended too.
    template <class F>
    void serve(F handle) {
        ticket counted(*this);
        const auto place = counted.place();
        *place = spawn(spawn_options{.name = terms_.name, .stack_size = terms_.stack_size},
                       life<F>{std::move(counted), std::move(handle)});
    }

    /// Ends the fiber that takes, unless that is the caller.
    void end_taking() noexcept;

private:
    /// A handler's place among those that run.
    class ticket {
    public:
        explicit ticket(service& of)
            : service_(of.shared_from_this()), place_(of.running_.emplace(of.running_.end())) {}
        ticket(ticket&& other) noexcept : service_(std::move(other.service_)), place_(other.place_) {}
        ticket& operator=(ticket&&) = delete;
        ~ticket() {
            if (service_ != nullptr) service_->leave(place_);
        }

        std::list<any_fiber>::iterator place() const noexcept { return place_; }

    private:
        std::shared_ptr<service> service_;
        std::list<any_fiber>::iterator place_;
    };

    /// The callable of a handler's fiber. Its members end in this order reversed: the ticket last.
    template <class F>
    struct life {
        ticket counted;
        F handle;

        void operator()() { handle(); }
    };

    void check_thread() const { owner_.check(terms_.name); }
    void check_may_wait() const { owner_.check_may_wait(terms_.name); }
    void cease() noexcept;
    void join_taker() const;
    bool is_taking() const { return !taker_.empty() && !taker_.ready(); }
    /// Stopped, and nobody is about to have it serve again.
    bool is_over() const noexcept { return stopped_.is_set() && changing_ == 0; }
    bool drain_by(clock::time_point deadline, std::uint64_t era);
    void leave(std::list<any_fiber>::iterator place) noexcept;
    void take_until_stopped();
    void take_or_pause();
    void take_some();
    void pause(int error);
    void tell(std::exception_ptr error) noexcept;  // but not too often
    static void tell_at_once(std::exception_ptr error) noexcept;
    std::vector<any_fiber> others() const;

    const terms terms_;
    const thread_owner owner_;
    any_fiber taker_;
    std::list<any_fiber> running_;
    event slot_;  // a handler has ended
    event news_;  // the same, for who stops it; or that it serves again
    event stopped_;
    std::uint64_t stops_ = 0;      // that were asked for, also of one that was stopped
    std::uint64_t restarts_ = 0;   // that came to their end: the era that it is in
    bool abandoned_ = false;       // who made it is gone
    std::exception_ptr failure_;   // what ended it, if nobody stopped it
    unsigned changing_ = 0;        // fibers in stop_by() and restart()
    event settled_;                // the last of them has left
    unsigned served_forever_ = 0;  // fibers in serve_forever(), which throws the failure
    std::uint64_t pauses_ = 0;
    std::chrono::nanoseconds delay_;
    clock::time_point quiet_until_{};
};

}  // namespace copse::io::detail
