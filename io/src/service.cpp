#include "service.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <stdexcept>

#include <copse/stack.hpp>

#include "failure.hpp"
#include "named_time.hpp"

namespace copse::io::detail {

namespace {

constexpr std::chrono::seconds grace(1);       // for the clean-up of handlers that were killed
constexpr std::chrono::seconds quiet_time(1);  // between two reports of the same trouble

bool ends_the_service(const std::error_code& code) noexcept {
    return code == std::errc::bad_file_descriptor || code == std::errc::invalid_argument ||
           code == std::errc::not_a_socket;
}

/// Kills those that run still, and waits for their clean-up.
void end_all(const std::vector<any_fiber>& handlers) {
    const clock::time_point deadline = clock::now() + grace;
    for (const any_fiber& f : handlers) f.request_kill();
    for (const any_fiber& f : handlers) f.join_until(deadline);
}

/// Counts who is in some function.
class presence {
public:
    explicit presence(unsigned& count, event* left = nullptr) noexcept : count_(++count), left_(left) {
        if (left_ != nullptr) left_->clear();
    }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;
    ~presence() {
        if (--count_ == 0 && left_ != nullptr) left_->set();
    }

private:
    unsigned& count_;
    event* left_;  // set when the last has left
};

}  // namespace

service::service(terms agreed) : terms_(std::move(agreed)), delay_(terms_.min_delay) {
    check_times(terms_.name.c_str(), {{"min_delay", terms_.min_delay}, {"max_delay", terms_.max_delay}});
    if (terms_.stack_size > maximum_stack_size)
        throw std::invalid_argument(terms_.name + ": `stack_size` is " + std::to_string(terms_.stack_size) +
                                    " bytes; the maximum is " + std::to_string(maximum_stack_size));
}

void service::start() {
    check_thread();
    if (failure_) std::rethrow_exception(failure_);
    if (stopped_.is_set()) fail(EBADF, "start of a server that was stopped");
    if (!taker_.empty()) return;
    taker_ = spawn(spawn_options{.name = terms_.name}, [self = shared_from_this()] { self->take_until_stopped(); });
}

void service::serve_forever() {
    check_may_wait();
    const auto held = shared_from_this();  // the server may end while it waits
    start();
    const presence here(served_forever_);
    while (!is_over()) {
        // Who drains it is done before its owner goes on; who restarts it may have it serve again.
        event& change = stopped_.is_set() ? settled_ : stopped_;
        change.wait();
    }
    if (failure_) std::rethrow_exception(failure_);
}

void service::stop() noexcept {
    ++stops_;
    cease();
}

void service::cease() noexcept {
    if (stopped_.is_set()) return;
    stopped_.set();
    slot_.set();
    close();
}

void service::restart() {
    check_may_wait();
    const auto held = shared_from_this();
    const presence here(changing_, &settled_);
    if (abandoned_) fail(EBADF, "restart of a server that is gone");
    cease();
    const std::uint64_t stops_before = stops_;
    const auto is_wanted = [&] { return stopped_.is_set() && stops_ == stops_before; };
    do {
        join_taker();
    } while (is_wanted() && is_taking());  // it may have been restarted and be in the middle of that again
    if (!is_wanted()) return;              // another fiber was faster, or wants it to be stopped
    reopen();
    taker_ = {};
    if (failure_ && served_forever_ != 0) tell_at_once(failure_);  // who stays there will not throw it
    failure_ = nullptr;
    delay_ = terms_.min_delay;
    stopped_.clear();
    ++restarts_;
    news_.set();
    start();
}

bool service::stop_by(limit within) {
    check_may_wait();
    const auto held = shared_from_this();
    const presence here(changing_, &settled_);
    stop();
    const std::uint64_t era = restarts_;
    const clock::time_point deadline{std::chrono::nanoseconds(within.deadline())};
    const std::vector<any_fiber> handlers = others();
    join_taker();
    const bool in_time = drain_by(deadline, era);
    if (!in_time) end_all(handlers);
    if (restarts_ == era && running_.size() == others().size()) ended();  // else a handler calls this
    // Another who stops it may have had less patience.
    return in_time &&
           std::all_of(handlers.begin(), handlers.end(), [](const any_fiber& f) { return f.ready() && !f.killed(); });
}

// The handle in here may be another's when this returns.
void service::join_taker() const {
    if (const any_fiber taker = taker_; !taker.empty()) taker.join();
}

// Until all others have ended, or the time is over: then it returns false. Those of a server that serves again are its own,
// to whom no time was set.
bool service::drain_by(clock::time_point deadline, std::uint64_t era) {
    const std::size_t own = running_.size() - others().size();
    bool more = true;
    while (restarts_ == era && running_.size() > own) {
        if (!more) return false;
        news_.clear();
        more = news_.wait_until(deadline);
    }
    return true;
}

void service::end() noexcept {
    abandoned_ = true;
    stop();
    try {
        for (const any_fiber& f : others()) f.request_kill();
        const shield kept_back;
        if (const any_fiber taker = taker_; !taker.empty()) taker.join_for(grace);
        if (const auto handlers = others(); !handlers.empty()) end_all(handlers);
    } catch (...) {
        // In the hub nobody can wait: those that were asked end without us.
    }
}

void service::end_taking() noexcept {
    try {
        if (!taker_.empty() && taker_.underlying() != greenlet::current()) taker_.request_kill();
    } catch (const std::exception&) {
        // No memory for that: it ends with what it takes next.
    }
}

void service::leave(std::list<any_fiber>::iterator place) noexcept {
    running_.erase(place);
    slot_.set();
    news_.set();
    if (stopped_.is_set() && running_.empty()) ended();
}

// The handlers that run, but not the caller if it is one of them: nobody can wait for himself.
std::vector<any_fiber> service::others() const {
    std::vector<any_fiber> all;
    for (const any_fiber& f : running_) {
        if (!f.empty() && f.underlying() != greenlet::current()) all.push_back(f);
    }
    return all;
}

void service::take_until_stopped() {
    try {
        while (!stopped_.is_set()) take_or_pause();
    } catch (const greenlet_exit&) {
        throw;
    } catch (...) {  // whatever it is: worse than a server that ends is one that only looks alive
        if (stopped_.is_set()) return;
        failure_ = std::current_exception();
        if (served_forever_ == 0) tell_at_once(failure_);
        stop();
    }
}

void service::take_or_pause() {
    try {
        if (room() == 0) {
            slot_.clear();
            slot_.wait();
        } else {
            take_some();
            delay_ = terms_.min_delay;
        }
    } catch (const std::system_error& e) {
        if (stopped_.is_set() || ends_the_service(e.code())) throw;
        if (is_harmless(e.code())) return;
        tell(std::current_exception());
        pause(e.code().value());
    } catch (const std::bad_alloc&) {
        pause(ENOMEM);
    }
}

// One wait, then what else is there: the kernel tells of several once.
void service::take_some() {
    unsigned taken = take();
    while (!stopped_.is_set() && room() != 0) {
        if (taken >= terms_.in_a_row) return yield();
        const unsigned more = try_take();
        if (more == 0) return;
        taken += more;
    }
}

void service::pause(int error) {
    ++pauses_;
    relieve(error);
    stopped_.wait_for(delay_);
    delay_ = std::min(delay_ * 2, terms_.max_delay);
}

void service::tell(std::exception_ptr error) noexcept {
    const clock::time_point now = clock::now();
    if (now < quiet_until_) return;
    quiet_until_ = now + quiet_time;
    tell_at_once(std::move(error));
}

// In the hub, where what is thrown goes to the error handler.
void service::tell_at_once(std::exception_ptr error) noexcept {
    try {
        hub::current().post([error = std::move(error)] { std::rethrow_exception(error); });
    } catch (const std::bad_alloc&) {
        // Then it goes untold: the server goes on.
    }
}

}  // namespace copse::io::detail
