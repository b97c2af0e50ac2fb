#include <copse/io/selector.hpp>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

#include <copse/error.hpp>
#include <copse/fiber.hpp>

#include "failure.hpp"
#include "interest.hpp"
#include "selector_state.hpp"
#include "system_calls.hpp"

namespace copse::io {

namespace detail {

namespace {

constexpr std::size_t most_at_once = 1024;

std::uint32_t epoll_events_of(readiness wanted) noexcept {
    std::uint32_t events = 0;
    if (has(wanted, readiness::read)) events |= EPOLLIN | EPOLLRDHUP;
    if (has(wanted, readiness::write)) events |= EPOLLOUT;
    return events;
}

/// An error or hang-up is for both: the call that follows tells what it is.
readiness readiness_of(std::uint32_t events) noexcept {
    readiness r = readiness::none;
    if ((events & ~static_cast<std::uint32_t>(EPOLLIN | EPOLLRDHUP)) != 0) r = r | readiness::write;
    if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) r = r | readiness::read;
    return r;
}

std::uint64_t tag_of(int fd, std::uint32_t serial) noexcept {
    return (static_cast<std::uint64_t>(serial) << 32) | static_cast<std::uint32_t>(fd);
}

/// Adds it to `epoll`, or changes what it asks for. What epoll knows of the number need not be what was registered, if
/// somebody closed it without a word.
/// Returns: 0 or the error.
int tell(int epoll, const membership& m) noexcept {
    epoll_event event{epoll_events_of(m.key->events), {.u64 = tag_of(m.key->fd, m.serial)}};
    if (sys.epoll_ctl(epoll, EPOLL_CTL_MOD, m.key->fd, &event) == 0) return 0;
    if (errno != ENOENT) return errno;
    return sys.epoll_ctl(epoll, EPOLL_CTL_ADD, m.key->fd, &event) == 0 ? 0 : errno;
}

descriptor make_epoll() {
    descriptor made(sys.epoll_create1(EPOLL_CLOEXEC));
    if (!made) fail(errno, "selector");
    return made;
}

/// Holds a flag up.
class holding {
public:
    explicit holding(bool& flag) noexcept : flag_(flag) { flag_ = true; }
    holding(const holding&) = delete;
    holding& operator=(const holding&) = delete;
    ~holding() { flag_ = false; }

private:
    bool& flag_;
};

}  // namespace

membership::membership(selector_state& in, std::shared_ptr<const selector_key> k, std::uint32_t number) noexcept
    : watch([](watch&) noexcept {},
            [](watch& w) noexcept {
                auto& m = static_cast<membership&>(w);
                m.of.ended(m);
            }),
      of(in),
      key(std::move(k)),
      serial(number) {}

selector_state::selector_state() : reactor_(reactor::here().share()), epoll_(make_epoll()), forks_(reactor_->forks()) {}

selector_state::~selector_state() { close(); }

void selector_state::close() noexcept {
    open_ = false;
    known_.clear();
    loose_ = 0;
    epoll_.close();  // says so to who waits for it
    nudge();
}

selector_state::key_pointer selector_state::key_of(int fd, const char* operation) const {
    const auto found = known_.find(fd);
    if (found == known_.end()) throw std::out_of_range(describe(operation, fd) + ": it is not registered");
    return found->second.key;
}

std::vector<selector_state::key_pointer> selector_state::keys() const {
    std::vector<key_pointer> all;
    all.reserve(known_.size());
    for (const auto& [fd, m] : known_) all.push_back(m.key);
    return all;
}

membership& selector_state::find(int fd, const char* operation) {
    key_of(fd, operation);
    return known_.find(fd)->second;
}

selector_state::key_pointer selector_state::add(key_pointer key) {
    refresh();
    const int fd = key->fd;
    if (const auto before = known_.find(fd); before != known_.end()) {
        if (before->second.how != reported::closed)
            throw std::invalid_argument(describe("register_fd", fd) + ": it is registered already");
        remove(fd);
    }
    membership& m = known_.try_emplace(fd, *this, std::move(key), ++last_serial_).first->second;
    try {
        enter(m);
        reactor_->watch_end(fd, m);
    } catch (...) {
        remove(fd);
        throw;
    }
    nudge();
    return m.key;
}

selector_state::key_pointer selector_state::change(key_pointer key) {
    refresh();
    membership& m = find(key->fd, "modify");
    if (m.how == reported::closed) fail(EBADF, describe("modify", key->fd) + ", which was closed");
    key_pointer before = std::exchange(m.key, std::move(key));
    try {
        if (m.how == reported::in_epoll) enter(m);
    } catch (...) {
        m.key = std::move(before);
        throw;
    }
    nudge();
    return m.key;
}

selector_state::key_pointer selector_state::remove(int fd) {
    membership& m = find(fd, "unregister");
    if (m.how == reported::in_epoll) tell_epoll_gone(fd);
    set(m, reported::in_epoll);
    key_pointer key = std::move(m.key);
    known_.erase(fd);
    return key;
}

// Makes it, and what it asks for, known.
void selector_state::enter(membership& m) {
    int error = tell(epoll_.get(), m);
    if ((error == EBADF || error == EINVAL) && !is_intact()) {
        lose_epoll();
        error = m.how == reported::closed ? EBADF : 0;
    }
    if (error == EPERM) return set(m, reported::always_ready);  // FD06
    if (error != 0) fail(error, "selector", m.key->fd);
}

// Somebody closed our epoll's number, which may be anything by now (FD05).
void selector_state::lose_epoll() {
    [[maybe_unused]] const int not_ours = epoll_.release();
    renew();
}

bool selector_state::is_intact() noexcept {
    epoll_event one;
    return sys.epoll_wait(epoll_.get(), &one, 1, 0) >= 0;
}

void selector_state::set(membership& m, reported how) noexcept {
    loose_ -= m.how != reported::in_epoll ? 1U : 0U;
    loose_ += how != reported::in_epoll ? 1U : 0U;
    m.how = how;
}

void selector_state::tell_epoll_gone(int fd) noexcept {
    if (forks_ != reactor_->forks()) return;  // the parent's
    sys.epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void selector_state::ended(membership& m) noexcept {
    if (m.how == reported::in_epoll) tell_epoll_gone(m.key->fd);
    set(m, reported::closed);
    nudge();
}

// Whoever waits here looks again.
void selector_state::nudge() noexcept {
    if (waiting_ != nullptr) waiting_->happened(*waiting_);
}

// After a fork the epoll is the parent's too, and what one of them says the other hears.
void selector_state::refresh() {
    if (forks_ != reactor_->forks()) renew();
}

// Another epoll, with all that is registered. If that fails it is tried again by the next call.
void selector_state::renew() {
    descriptor fresh = make_epoll();
    for (auto& [fd, m] : known_) {
        if (m.how != reported::in_epoll) continue;
        const int error = tell(fresh.get(), m);
        if (error == EBADF) {
            m.unlink();
            set(m, reported::closed);
        } else if (error == EPERM) {
            set(m, reported::always_ready);
        } else if (error != 0) {
            fail(error, "selector", fd);
        }
    }
    epoll_ = std::move(fresh);
    forks_ = reactor_->forks();
}

int selector_state::look() noexcept {
    for (;;) {
        const int n = sys.epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), 0);
        if (n >= 0 || errno != EINTR) return n;
    }
}

/// Returns: false if there were events of something that is not registered.
bool selector_state::take_events(int n, std::vector<selected>& found) {
    bool all_known = true;
    for (int i = 0; i < n; ++i) {
        const epoll_event& event = events_[static_cast<std::size_t>(i)];
        const auto r = known_.find(static_cast<int>(static_cast<std::uint32_t>(event.data.u64)));
        if (r != known_.end() && r->second.serial == event.data.u64 >> 32) {
            const readiness events = readiness_of(event.events) & r->second.key->events;
            if (events != readiness::none) found.push_back(selected{r->second.key, events});
        } else {
            all_known = false;
        }
    }
    return all_known;
}

std::vector<selected> selector_state::harvest() {
    std::vector<selected> found;
    if (known_.empty()) return found;
    refresh();
    events_.resize(std::min(known_.size(), most_at_once));
    const int n = look();
    // Somebody closed a descriptor without a word while a duplicate lives: its events cannot be stopped in this epoll
    // (FD03).
    if (n < 0) {
        lose_epoll();
    } else if (!take_events(n, found)) {
        renew();
    }
    if (loose_ == 0) return found;
    for (const auto& [fd, m] : known_) {
        if (m.how != reported::in_epoll) found.push_back(selected{m.key, m.key->events});
    }
    return found;
}

// While nothing is registered there is nothing that an event could come from, and the hub may know that.
bool selector_state::wait(limit& within) {
    interest own(known_.empty() ? -1 : epoll_.get(), EPOLLIN);
    waiting_ = &own;
    struct away {
        interest*& waiting;
        ~away() { waiting = nullptr; }
    } const on_return{waiting_};
    return reactor_->await_any({&own, 1}, within, "selector::select");
}

std::vector<selected> selector_state::select(limit within) {
    if (selecting_) throw concurrent_use("selector::select: another fiber waits in this selector");
    const holding one(selecting_);
    copse::yield();
    for (bool in_time = true;;) {
        if (!is_open()) fail(EBADF, "selector::select, closed by another fiber");
        std::vector<selected> found = harvest();
        if (!found.empty() || !in_time || within.is_nothing()) return found;
        in_time = wait(within);
    }
}

}  // namespace detail

namespace {

std::shared_ptr<selector_key> make_key(const char* operation, int fd, readiness events, std::any data) {
    const auto bits = static_cast<unsigned>(events);
    if (bits == 0 || bits > static_cast<unsigned>(readiness::both))
        throw std::invalid_argument(detail::describe(operation, fd) + ": events are read, write or both, not " +
                                    std::to_string(bits));
    if (fd < 0) throw std::invalid_argument(detail::describe(operation, fd) + ": that is no descriptor");
    return std::make_shared<selector_key>(selector_key{fd, events, std::move(data)});
}

}  // namespace

selector::selector() : state_(std::make_shared<detail::selector_state>()) {}

selector::~selector() { close(); }

detail::selector_state& selector::use(const char* operation) const {
    if (state_ == nullptr || !state_->is_open()) detail::fail(EBADF, std::string(operation) + " of a closed selector");
    if (state_->home() != detail::home.serial)
        throw wrong_thread(std::string(operation) + ": the selector belongs to another thread");
    return *state_;
}

std::shared_ptr<const selector_key> selector::register_fd(descriptor_number fd, readiness events, std::any data) {
    return use("register_fd").add(make_key("register_fd", fd.value(), events, std::move(data)));
}

std::shared_ptr<const selector_key> selector::modify(descriptor_number fd, readiness events, std::any data) {
    return use("modify").change(make_key("modify", fd.value(), events, std::move(data)));
}

std::shared_ptr<const selector_key> selector::modify(descriptor_number fd, readiness events) {
    return modify(fd, events, use("modify").key_of(fd.value(), "modify")->data);
}

std::shared_ptr<const selector_key> selector::unregister(descriptor_number fd) {
    return use("unregister").remove(fd.value());
}

std::shared_ptr<const selector_key> selector::get_key(descriptor_number fd) const {
    return use("get_key").key_of(fd.value(), "get_key");
}

bool selector::contains(descriptor_number fd) const noexcept { return state_ != nullptr && state_->knows(fd.value()); }

std::vector<std::shared_ptr<const selector_key>> selector::keys() const { return use("keys").keys(); }

std::size_t selector::size() const noexcept { return state_ != nullptr ? state_->size() : 0; }

std::vector<selected> selector::select_by(detail::limit within) {
    use("select");
    const auto held = state_;  // the selector may end while it waits
    return held->select(within);
}

void selector::close() noexcept {
    if (state_ != nullptr) state_->close();
}

bool selector::is_open() const noexcept { return state_ != nullptr && state_->is_open(); }

}  // namespace copse::io
