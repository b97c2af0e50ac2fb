// Waiting and closing: what fibers ask of the reactor. What the hub asks of it is in reactor_turn.cpp.
#include "reactor.hpp"

#include <cerrno>
#include <utility>

#include <copse/error.hpp>
#include <copse/fiber.hpp>

#include "failure.hpp"
#include "interest.hpp"
#include "reactor_events.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

// One fiber's wait for one direction. It is counted as long as it is open.
struct reactor::descriptor_wait : copse::detail::wait {
    descriptor_wait(const char* operation, entry& e, direction d, reactor& r) noexcept
        : wait(operation, &e, copse::detail::gain::something), counted_by(r) {
        undo = [](wait& w) noexcept { --static_cast<descriptor_wait&>(w).counted_by.watching_; };
        e.waiters(d).push_back(*this);
        ++r.watching_;
    }
    reactor& counted_by;
};

entry& reactor::adopt(int fd, std::uint8_t ready, bool drains, bool messages) {
    entry& e = table_.at(fd);
    closing(e);
    e.owned = true;
    e.ready = ready;
    e.drains = drains && sys.truthful;
    e.messages = messages;
    return e;
}

bool reactor::rest(const entry& e) {
    budget_ = full_budget;
    const std::uint32_t generation = e.generation;
    copse::yield();
    return e.generation == generation;
}

// Step 3 for sockets: the first wait registers, once for all.
bool reactor::await(entry& e, direction d, limit& within, const char* operation) {
    refuse_company(e, d, sharing::one, operation);
    if (e.registered != registration::edge || !sys.truthful) [[unlikely]] {  // once more makes epoll look again
        if (epoll_ < 0) open();
        if (const int error = arm_edge(e); error != 0) fail(error, operation, e.fd);
    }
    e.exclusive |= bit(d);
    return park(e, d, within, operation);
}

bool reactor::await_by_number(int fd, direction d, limit& within, sharing who, const char* operation) {
    copse::detail::attend();
    if (table_.find(fd) == nullptr) {  // a number out of the blue must not make the table large
        pollfd one{fd, 0, 0};
        if (fd < 0 || (sys.poll(&one, 1, 0) > 0 && (one.revents & POLLNVAL) != 0)) fail(EBADF, operation, fd);
    }
    entry& e = table_.at(fd);
    if (!spend(e)) std::rethrow_exception(closed_meanwhile(operation, fd, EBADF));
    return e.owned ? await_unremembered(e, d, within, who, operation) : await_once(e, d, within, who, operation);
}

// One fiber's wait for several descriptors. It has a watch in the entry of each, and takes back all of them when it
// completes.
struct reactor::common_wait : copse::detail::wait {
    common_wait(const char* operation, std::span<interest> wanted, reactor& r) noexcept
        : wait(operation, wanted.data(), copse::detail::gain::something), all(wanted), counted_by(r) {
        undo = [](wait& w) noexcept { static_cast<common_wait&>(w).leave(); };
        for (interest& i : all) i.told = false;
    }
    ~common_wait() { leave(); }

    /// False if something has happened already. From here on, not before, it may be completed, and has to be parked on.
    bool open() noexcept {
        bool linked = false;
        for (const interest& i : all) {
            if (i.told) return false;
            linked = linked || i.linked();
        }
        for (interest& i : all) i.of = this;
        counted = linked;
        if (counted) ++counted_by.watching_;
        return true;
    }
    void leave() noexcept {
        for (interest& i : all) {
            i.unlink();
            i.of = nullptr;
        }
        if (std::exchange(counted, false)) --counted_by.watching_;
    }

    std::span<interest> all;
    reactor& counted_by;
    bool counted = false;  // as long as an event may complete it
};

bool reactor::await_any(std::span<interest> all, limit& within, const char* operation) {
    copse::detail::attend();
    drive();
    budget_ = full_budget;
    const std::int64_t deadline = within.deadline();
    common_wait w(operation, all, *this);
    for (interest& i : all) {
        if (i.fd >= 0 && !i.gone && !join(i, operation)) return true;
    }
    if (!w.open()) return true;
    return copse::detail::park(w, deadline) != copse::detail::cause::timed_out;
}

// False if the number is none any more. Linked last: what is found out about an earlier holder of the number is not meant
// for it.
bool reactor::join(interest& i, const char* operation) {
    entry& e = table_.at(i.fd);
    if (e.owned) forget_stale(e);  // of others, arming finds it out
    if (epoll_ < 0) open();
    const int error = arm_watched(e, i.events);
    if (error == EBADF) {  // closed by another thread, since poll was asked
        i.gone = true;
        return false;
    }
    if (error == EPERM) return true;  // never blocks, and poll found nothing else about it (FD06)
    if (error != 0) fail(error, operation, e.fd);
    e.watchers.push_back(i);
    return true;
}

void reactor::watch_end(int fd, watch& w) {
    entry& e = table_.at(fd);
    forget_stale(e);
    e.watchers.push_back(w);
}

// Closed without a word, on another thread perhaps, and given out again: who waited there waits for nothing.
void reactor::forget_stale(entry& e) noexcept {
    if (e.registered != registration::none && epoll_ >= 0 && !still_known(e)) disown(e);
}

int reactor::arm_watched(entry& e, std::uint32_t events) noexcept {
    if (!e.owned) return arm_oneshot(e, 0, events);
    return e.registered == registration::edge && sys.truthful ? 0 : arm_edge(e);
}

// One event for each wait: whoever else holds the descriptor may have drained it.
bool reactor::await_once(entry& e, direction d, limit& within, sharing who, const char* operation) {
    refuse_company(e, d, who, operation);
    if (epoll_ < 0) open();
    const int error = arm_oneshot(e, bit(d));
    if (error == EPERM) return true;  // a regular file, /dev/null: never blocks (FD06)
    if (error != 0) fail(error, operation, e.fd);
    e.exclusive = static_cast<std::uint8_t>((e.exclusive & ~bit(d)) | (who == sharing::one ? bit(d) : 0));
    return park(e, d, within, operation);
}

// A socket's descriptor, given by number: others may have read from it, so its memory is not believed.
bool reactor::await_unremembered(entry& e, direction d, limit& within, sharing who, const char* operation) {
    pollfd one{e.fd, static_cast<short>(d == direction::in ? POLLIN | POLLRDHUP : POLLOUT), 0};
    if (sys.poll(&one, 1, 0) > 0) {
        if ((one.revents & POLLNVAL) != 0) fail(EBADF, operation, e.fd);
        return true;
    }
    if (e.registered == registration::edge && !still_known(e)) {
        disown(e);
        return await_once(e, d, within, who, operation);
    }
    e.forget(d);
    return await(e, d, within, operation);
}

void reactor::refuse_company(entry& e, direction d, sharing who, const char* operation) {
    if (e.waiters(d).empty()) [[likely]]
        return;
    if (who == sharing::many && (e.exclusive & bit(d)) == 0) return;
    if (!still_known(e)) {  // closed behind our back: who waits there, waits for nothing
        const bool owned = e.owned;
        orphan(e, EBADF);
        if (owned) std::rethrow_exception(closed_meanwhile(operation, e.fd, EBADF));
        return;
    }
    throw concurrent_use(describe(operation, e.fd) + ": another fiber waits for this already, in " +
                         e.waiters(d).front()->what);
}

// Step 4. A verb comes here again when what it was woken for had gone: a kill that came in between must not wait with it.
bool reactor::park(entry& e, direction d, limit& within, const char* operation) {
    copse::detail::attend();
    drive();
    budget_ = full_budget;
    const std::uint32_t generation = e.generation;
    const std::int64_t deadline = within.deadline();
    descriptor_wait w(operation, e, d, *this);
    const auto ended = copse::detail::park(w, deadline);
    // Step 7. Whoever waited may find that the number has changed hands between the event and now.
    if (e.generation != generation) std::rethrow_exception(closed_meanwhile(operation, e.fd, EBADF));
    return ended != copse::detail::cause::timed_out;
}

bool reactor::pause(const entry& e, limit& within, unsigned attempt, const char* operation) {
    constexpr unsigned attempts = 8;  // 255 ms in all
    constexpr std::int64_t first = 1'000'000;
    if (attempt >= attempts) return false;
    const std::uint32_t generation = e.generation;
    const std::int64_t deadline = copse::detail::deadline_in(first << attempt);
    if (deadline > within.deadline()) return false;
    copse::detail::sleep_by(deadline);
    if (e.generation != generation) std::rethrow_exception(closed_meanwhile(operation, e.fd, EBADF));
    return true;
}

// epoll does not tell all of it: a Unix socket that was full is not writable when its sending half is shut.
void reactor::has_ended(entry& e, direction d) noexcept {
    e.ready |= bit(d);
    e.ended = true;
    while (copse::detail::wait* w = e.waiters(d).front()) copse::detail::complete(*w, copse::detail::cause::satisfied);
}

void reactor::closing(entry& e) noexcept {
    const bool known = e.registered != registration::none;
    disown(e);
    // While a duplicate lives, epoll would go on reporting the descriptor, and could not be told to stop any more (FD03).
    if (known && epoll_ >= 0) sys.epoll_ctl(epoll_, EPOLL_CTL_DEL, e.fd, nullptr);
}

// The number is no socket's any more.
void reactor::disown(entry& e) noexcept {
    orphan(e, EBADF);
    e.owned = e.drains = e.messages = false;
    table_.peer_of(e).size = 0;
}

// Nobody will hear of this holder of the number again.
void reactor::orphan(entry& e, int error) noexcept {
    ++e.generation;
    e.registered = registration::none;
    e.ready = e.armed = e.exclusive = 0;
    e.ended = false;
    fail_waiters(e, error);
}

void reactor::fail_waiters(entry& e, int error) noexcept {
    for (auto& list : e.waiting) {
        while (copse::detail::wait* w = list.front()) copse::detail::fail(*w, closed_meanwhile(w->what, e.fd, error));
    }
    if (!e.watchers.empty()) end_watchers(e, error);
}

// Of a number that lives on they hear as of an event, and find out for themselves.
void reactor::end_watchers(entry& e, int error) noexcept {
    if (error != EBADF && error != EPERM) return tell_watchers(e, ~std::uint32_t{0});
    while (watch* w = e.watchers.front()) {
        w->unlink();
        w->closed(*w);
    }
}

// All of them: each asks for itself, and takes nothing from the others. Whoever is told leaves, with all of its watches.
void reactor::tell_watchers(entry& e, std::uint32_t events) noexcept {
    while (watch* w = e.watchers.find([events](const watch& x) { return (x.events & events) != 0; })) {
        w->unlink();
        w->happened(*w);
    }
}

int reactor::arm_edge(entry& e) noexcept {
    const int error = control(e, edge_events);
    if (error == 0) e.registered = registration::edge;
    return error;
}

int reactor::arm_oneshot(entry& e, std::uint8_t directions, std::uint32_t more) noexcept {
    for (const direction d : {direction::in, direction::out}) {
        if (!e.waiters(d).empty()) directions |= bit(d);
    }
    const int error = control(e, oneshot_events(directions) | watched_events(e) | more);
    if (error == 0) {
        e.registered = registration::oneshot;
        e.armed = directions;
    }
    return error;
}

int reactor::control(entry& e, std::uint32_t events) noexcept {
    const int error = try_control(e, events);
    if ((error != EBADF && error != EINVAL) || is_intact()) return error;
    rebuild(error);  // the number that is bad was epoll's (FD05)
    return epoll_ >= 0 ? try_control(e, events) : error;
}

// What the table believes and what epoll knows may differ when somebody closed a descriptor without a word: repaired here.
int reactor::try_control(entry& e, std::uint32_t events) noexcept {
    epoll_event event{events, {.u64 = tag_of(e)}};
    const bool known = e.registered != registration::none;
    if (sys.epoll_ctl(epoll_, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, e.fd, &event) == 0) return 0;
    if (known && errno == ENOENT) {
        const bool owned = e.owned;
        orphan(e, EBADF);
        if (owned) return EBADF;  // the number is not the socket's any more
        event.data.u64 = tag_of(e);
        return sys.epoll_ctl(epoll_, EPOLL_CTL_ADD, e.fd, &event) == 0 ? 0 : errno;
    }
    if (!known && errno == EEXIST) return sys.epoll_ctl(epoll_, EPOLL_CTL_MOD, e.fd, &event) == 0 ? 0 : errno;
    return errno;
}

bool reactor::still_known(entry& e) noexcept {
    const std::uint32_t oneshot = oneshot_events(e.armed) | watched_events(e);
    epoll_event event{e.registered == registration::edge ? edge_events : oneshot, {.u64 = tag_of(e)}};
    if (sys.epoll_ctl(epoll_, EPOLL_CTL_MOD, e.fd, &event) == 0) return true;
    return errno != ENOENT && errno != EBADF && errno != EPERM;
}

}  // namespace copse::io::detail

namespace copse::io {

void notify_closing(int fd) noexcept {
    if (detail::home.now == nullptr) return;
    if (detail::entry* e = detail::home.now->table().find(fd)) detail::home.now->closing(*e);
}

namespace detail {

void wait_readable_by(int fd, limit within, sharing who) {
    if (!reactor::here().await_by_number(fd, direction::in, within, who, "wait_readable"))
        fail_timed_out("wait_readable", fd);
}

void wait_writable_by(int fd, limit within, sharing who) {
    if (!reactor::here().await_by_number(fd, direction::out, within, who, "wait_writable"))
        fail_timed_out("wait_writable", fd);
}

}  // namespace detail
}  // namespace copse::io
