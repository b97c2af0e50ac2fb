// The hub's side of the reactor: sleeping, looking, waking, and staying alive when its own descriptors do not.
#include "reactor.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <utility>

#include "failure.hpp"
#include "reactor_events.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

constinit thread_local home_block home;

namespace {

// Keeps the reactor while another driver is in the hub. Ends before the hub does, which is why the driver holds it too.
struct keeper {
    std::shared_ptr<reactor> held;
    ~keeper();
};
constinit thread_local bool keeper_ended = false;
keeper::~keeper() { keeper_ended = true; }
thread_local keeper this_keeper;

std::int64_t steady_now() noexcept { return std::chrono::steady_clock::now().time_since_epoch().count(); }

/// Edge-triggered, so that the eventfd need never be read.
epoll_event wakeup_event() noexcept { return {EPOLLIN | static_cast<std::uint32_t>(EPOLLET), {.u64 = wakeup_tag}}; }

/// A driver whose time is not the steady clock's, such as that of a test in virtual time.
bool has_its_own_time(idle_driver& driver) noexcept {
    const std::int64_t before = steady_now();
    const std::int64_t its = driver.now();
    return its < before || its > steady_now();
}

}  // namespace

/// What the hub sees of the reactor.
class reactor_driver final : public idle_driver {
public:
    explicit reactor_driver(std::shared_ptr<reactor> r) noexcept : reactor_(std::move(r)) {}
    ~reactor_driver() override {
        if (reactor_->driver_ == this) reactor_->driver_ = nullptr;
    }

    /// From now on time is what `other` says; descriptors are looked at before it lets time go by.
    void keep_time_of(std::unique_ptr<idle_driver> other) noexcept { time_ = std::move(other); }

    std::int64_t now() noexcept override { return time_ != nullptr ? time_->now() : steady_now(); }

    void wait(std::int64_t deadline) noexcept override {
        if (time_ == nullptr || deadline == copse::detail::never) {
            reactor_->wait(deadline);
        } else if (reactor_->awaits_kernel()) {
            reactor_->wait(copse::detail::never);
        } else if (!reactor_->poll()) {
            time_->wait(deadline);
        }
    }

    void poll() noexcept override { reactor_->poll(); }
    void wake() noexcept override { reactor_->wake(); }
    std::size_t watching() const noexcept override { return reactor_->watching(); }
    void abandon_in_child() noexcept override { reactor_->abandon_in_child(); }

private:
    std::shared_ptr<reactor> reactor_;
    std::unique_ptr<idle_driver> time_;  // null: the steady clock
};

reactor::reactor(std::uint64_t serial) : serial_(serial), events_(std::make_unique<event_buffer>()) {}

reactor::~reactor() {
    if (home.now == this) home = {};
    dismiss_guests();
    if (epoll_ >= 0) sys.close(epoll_);
    if (wakeup_ >= 0) sys.close(wakeup_);
}

reactor& reactor::make() {
    static std::atomic<std::uint64_t> last{1};  // 1 is the home of no socket
    hub::current();
    auto made = std::make_shared<reactor>(++last);
    made->self_ = made;
    made->open();
    if (!keeper_ended) this_keeper.held = made;
    home = {made->serial_, made.get()};
    made->drive();
    return *made;
}

// Puts the reactor into the hub, unless it is there.
void reactor::drive() {
    hub& here = hub::current();
    if (&here.driver() == driver_) [[likely]]
        return;
    auto mine = std::make_unique<reactor_driver>(self_.lock());
    reactor_driver& installed = *mine;
    const bool keeps_time = has_its_own_time(here.driver());
    std::unique_ptr<idle_driver> before = here.set_driver(std::move(mine));
    driver_ = &installed;
    if (keeps_time) installed.keep_time_of(std::move(before));
}

// The eventfd first: numbers are given out from below, and who closes all from some number on takes epoll's too, which is noticed.
void reactor::open() {
    if (wakeup_ < 0) wakeup_ = sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wakeup_ < 0) fail(errno, "eventfd");
    const int fresh = sys.epoll_create1(EPOLL_CLOEXEC);
    if (fresh < 0) fail(errno, "epoll_create1");
    epoll_event event = wakeup_event();
    if (sys.epoll_ctl(fresh, EPOLL_CTL_ADD, wakeup_, &event) != 0) {
        const int error = errno;
        sys.close(fresh);
        fail(error, "epoll_ctl");
    }
    epoll_ = fresh;
    woken_ = false;
    table_.for_each([this](entry& e) { rejoin(e); });
    rejoin_guests();
}

// Whether epoll and eventfd are still those that open() made. Touches no event.
bool reactor::is_intact() noexcept {
    epoll_event event = wakeup_event();
    return sys.epoll_ctl(epoll_, EPOLL_CTL_MOD, wakeup_, &event) == 0;
}

// Epoll is new, what fibers wait for is not.
void reactor::rejoin(entry& e) noexcept {
    const registration before = e.registered;
    if (before == registration::none) return;
    e.registered = registration::none;
    const bool alone = e.waiting[0].empty() && e.waiting[1].empty() && watched_events(e) == 0;
    if (before == registration::oneshot && alone) return;
    const int error = before == registration::edge ? arm_edge(e) : arm_oneshot(e, 0);
    if (error == 0) return;
    if (error == EBADF || error == EPERM) return orphan(e, error);
    // No memory: its waiters hear of it; the descriptor is as good as ever, and the next wait registers it.
    e.ready = bit(direction::in) | bit(direction::out);
    e.armed = 0;
    fail_waiters(e, error);
}

// Step 5: the hub has nothing ready.
void reactor::wait(std::int64_t deadline) noexcept {
    if (guests_post()) return;
    if (!has_unheard_guest()) return take(look(deadline));
    constexpr std::int64_t millisecond = 1'000'000;
    take(look(std::min(deadline, steady_now() + millisecond)));
    call_unheard_guests();
}

bool reactor::poll() noexcept {
    if (watching() == 0) return false;
    const int n = sys.epoll_wait(epoll_, events_->at, events_at_once, 0);
    take(n);
    if (has_unheard_guest()) call_unheard_guests();
    return n > 0 || guests_post();
}

void reactor::wake() noexcept {
    if (woken_.exchange(true, std::memory_order_acq_rel)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = sys.write(wakeup_.load(), &one, sizeof one);
}

int reactor::look(std::int64_t deadline) noexcept {
    if (epoll_ < 0) {
        errno = EBADF;
        return -1;
    }
    if (deadline == copse::detail::never) return sys.epoll_wait(epoll_, events_->at, events_at_once, -1);
    const std::int64_t left = deadline - steady_now();
    if (left <= 0) return sys.epoll_wait(epoll_, events_->at, events_at_once, 0);
    if (has_pwait2_) {
        constexpr std::int64_t second = 1'000'000'000;
        const timespec timeout{left / second, left % second};
        const int n = sys.epoll_pwait2(epoll_, events_->at, events_at_once, &timeout, nullptr);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return n;
        has_pwait2_ = false;  // before Linux 5.11, or forbidden
    }
    return look_by_milliseconds(left);
}

// Rounded up: never early.
int reactor::look_by_milliseconds(std::int64_t left) noexcept {
    const std::int64_t ms = std::min<std::int64_t>((left + 999'999) / 1'000'000, std::numeric_limits<int>::max());
    return sys.epoll_wait(epoll_, events_->at, events_at_once, static_cast<int>(ms));
}

void reactor::take(int n) noexcept {
    if (n >= 0) return harvest(n);
    if (errno == EINTR) return;
    rebuild(errno);
}

void reactor::harvest(int n) noexcept {
    for (int i = 0; i < n; ++i) {
        const epoll_event& event = events_->at[i];
        if (event.data.u64 == wakeup_tag) {
            woken_.exchange(false, std::memory_order_acq_rel);
            continue;
        }
        if (event.data.u64 >> 32 == guest_generation) {
            call_guest(static_cast<int>(static_cast<std::uint32_t>(event.data.u64)));
            continue;
        }
        entry* e = table_.find(static_cast<int>(static_cast<std::uint32_t>(event.data.u64)));
        if (e != nullptr && e->generation == event.data.u64 >> 32) {
            deliver(*e, event.events);
        } else {
            ++strangers_;
        }
    }
    // Somebody closed a descriptor without a word while a duplicate lives: its events cannot be stopped in this epoll (FD03).
    constexpr unsigned patience = 3;
    if (strangers_ > patience) rebuild(0);
}

// Step 6: remembers, and makes ready who has waited longest. Both directions hear of a hang-up, whatever it means for them.
void reactor::deliver(entry& e, std::uint32_t events) noexcept {
    constexpr std::uint32_t last_words = EPOLLHUP | EPOLLERR | EPOLLRDHUP;
    std::uint8_t ready = 0;
    if ((events & (EPOLLIN | EPOLLPRI | last_words)) != 0) ready |= bit(direction::in);
    if ((events & (EPOLLOUT | last_words)) != 0) ready |= bit(direction::out);
    if (e.registered == registration::edge) {
        e.ready |= ready;
        if ((events & (last_words | EPOLLPRI)) != 0) e.ended = true;
    }
    bool left = false;
    for (const direction d : {direction::in, direction::out}) {
        copse::detail::wait* first = e.waiters(d).front();
        if (first != nullptr && (ready & bit(d)) != 0) copse::detail::complete(*first, copse::detail::cause::satisfied);
        left = left || !e.waiters(d).empty();
    }
    if (!e.watchers.empty()) [[unlikely]]
        tell_watchers(e, events);
    if (e.registered != registration::oneshot) return;
    e.armed = 0;
    if (!left && watched_events(e) == 0) return;
    if (const int error = arm_oneshot(e, 0); error != 0) orphan(e, error);
}

// `error` tells why the old epoll is no use. 0: it is ours, and is given up. Else its number, and the eventfd's, may be somebody
// else's by now: they are not touched again.
void reactor::rebuild(int error) noexcept {
    strangers_ = 0;
    const int old = std::exchange(epoll_, -1);
    if (error == 0) sys.close(old);
    try {
        if (error != 0 && old >= 0) {
            wakeup_ = -1;
            hub::current().post([error] {
                fail(error, "epoll_wait: its descriptor was closed by somebody else, a new one is in use");
            });
        }
        open();
    } catch (...) {
        // No descriptor is free, or no memory: tried again at the next look, which must not come at once.
        constexpr int milliseconds = 10;
        sys.poll(nullptr, 0, milliseconds);
    }
}

void reactor::abandon_in_child() noexcept {
    // These are the child's own numbers; the epoll behind them is the parent's and must not be told anything.
    if (epoll_ >= 0) sys.close(epoll_);
    if (wakeup_ >= 0) sys.close(wakeup_);
    epoll_ = -1;
    wakeup_ = -1;
    ++forks_;
    abandon_guests();  // what is behind their descriptors is the parent's too
    table_.for_each([](entry& e) {
        e.registered = registration::none;
        e.ready = e.armed = 0;
    });
}

}  // namespace copse::io::detail
