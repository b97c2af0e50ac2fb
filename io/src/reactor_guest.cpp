// Event loops of other libraries, whose descriptors this thread's epoll watches.
#include <cerrno>

#include "failure.hpp"
#include "reactor.hpp"
#include "reactor_events.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

void reactor::add(guest& g) {
    drive();
    if (epoll_ < 0) open();
    int error = join(g);
    if ((error == EBADF || error == EINVAL) && !is_intact()) {
        rebuild(error);  // the number that is bad was epoll's (FD05)
        error = join(g);
    }
    if (error != 0) fail(error, "epoll_ctl for an event loop", g.fd);
    guests_.push_back(g);
}

void reactor::remove(guest& g) noexcept {
    g.unlink();
    if (epoll_ >= 0 && !g.unheard) sys.epoll_ctl(epoll_, EPOLL_CTL_DEL, g.fd, nullptr);
}

// Changing a registration makes epoll look again, and tell what it has told before.
void reactor::remind(const guest& g) noexcept {
    epoll_event event = guest_event(g);
    if (epoll_ >= 0) sys.epoll_ctl(epoll_, EPOLL_CTL_MOD, g.fd, &event);
}

int reactor::join(guest& g) noexcept {
    epoll_event event = guest_event(g);
    return sys.epoll_ctl(epoll_, EPOLL_CTL_ADD, g.fd, &event) == 0 ? 0 : errno;
}

// Epoll is new. What cannot be registered is heard of no more: somebody has closed it. A number that is another's by now
// would take the place of that one's own registration.
void reactor::rejoin_guests() noexcept {
    for (std::size_t n = guests_.size(); n > 0; --n) {
        guest& g = *guests_.front();
        g.unlink();
        const bool heard = !g.unheard && (g.intact == nullptr || g.intact(g)) && join(g) == 0;
        g.unheard = !heard && g.intact != nullptr;
        if (heard || g.unheard) guests_.push_back(g);
    }
}

// None of them joins or leaves when it is called.
template <class Chosen>
void reactor::call_guests(Chosen chosen) noexcept {
    for (std::size_t n = guests_.size(); n > 0; --n) {
        guest& g = *guests_.front();
        g.unlink();
        guests_.push_back(g);
        if (chosen(g)) g.called(g);
    }
}

// Several, when one has lost its number to another without knowing it yet. To be called for nothing does no harm.
void reactor::call_guest(int fd) noexcept {
    call_guests([fd](const guest& g) { return g.fd == fd; });
}

bool reactor::has_unheard_guest() const noexcept {
    return guests_.find([](const guest& g) { return g.unheard && g.busy(g); }) != nullptr;
}

void reactor::call_unheard_guests() noexcept {
    call_guests([](const guest& g) { return g.unheard; });
}

bool reactor::guests_post() const noexcept {
    bool posted = false;
    guests_.for_each([&posted](const guest& g) { posted = g.posts(g) || posted; });
    return posted;
}

// The hub asks this first, while a post costs no system call; with a deadline at hand it goes to sleep at once.
bool reactor::has_busy_guest() const noexcept {
    return guests_post() || guests_.find([](const guest& g) { return g.busy(g); }) != nullptr;
}

bool reactor::awaits_kernel() const noexcept {
    return guests_.find([](const guest& g) { return g.ends_by_itself && g.busy(g); }) != nullptr;
}

void reactor::abandon_guests() noexcept {
    while (guest* g = guests_.front()) {
        g->unlink();
        if (g->abandoned != nullptr) g->abandoned(*g);
    }
}

void reactor::dismiss_guests() noexcept {
    while (guest* g = guests_.front()) g->unlink();
}

}  // namespace copse::io::detail
