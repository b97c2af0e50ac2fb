// Several descriptors at once: the kernel's poll is asked, and asked again whenever epoll said that something happened.
#include <copse/io/poll.hpp>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <copse/fiber.hpp>

#include "failure.hpp"
#include "interest.hpp"
#include "polling.hpp"
#include "reactor.hpp"
#include "system_calls.hpp"

namespace copse::io::detail {

namespace {

std::size_t ask(std::span<pollfd> fds, const char* operation) {
    for (;;) {
        const int n = sys.poll(fds.data(), fds.size(), 0);
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno == EINTR) continue;
        const int error = errno;
        fail(error, std::string(operation) + " of " + std::to_string(fds.size()) + " descriptors");
    }
}

/// A number that stands in several places has gone in all of them, but only the first was told: it took the others back.
void spread_the_end(std::vector<interest>& all) noexcept {
    for (const interest& one : all) {
        if (!one.gone || !one.told) continue;
        for (interest& other : all) other.gone = other.gone || other.fd == one.fd;
    }
}

/// The numbers of those that were closed may be somebody else's by now: the kernel must not see them.
std::size_t ask_about_the_rest(std::span<pollfd> fds, const std::vector<interest>& all, const char* operation) {
    std::size_t gone = 0;
    for (std::size_t i = 0; i < fds.size(); ++i) {
        if (all[i].gone) fds[i].fd = -1;
    }
    std::size_t n = ask(fds, operation);
    for (std::size_t i = 0; i < fds.size(); ++i) {
        if (!all[i].gone) continue;
        fds[i].fd = all[i].fd;
        fds[i].revents = POLLNVAL;
        ++gone;
    }
    return n + gone;
}

/// Poll and epoll share their bits. Sockets of this room are registered for the plain names only, which mean the same.
std::uint32_t epoll_events_of(short wanted) noexcept {
    constexpr unsigned meant =
        POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLRDHUP;
    std::uint32_t events = static_cast<std::uint16_t>(wanted) & meant;
    if ((events & POLLRDNORM) != 0) events |= POLLIN;
    if ((events & (POLLWRNORM | POLLWRBAND)) != 0) events |= POLLOUT;
    return events;
}

std::vector<interest> interests_in(std::span<const pollfd> fds) {
    std::vector<interest> all;
    all.reserve(fds.size());  // once they are linked they stay where they are
    for (const pollfd& p : fds) all.emplace_back(p.fd, epoll_events_of(p.events));
    return all;
}

}  // namespace

std::size_t poll_within(std::span<pollfd> fds, limit& within, const char* operation) {
    copse::yield();
    if (const std::size_t n = ask(fds, operation); n != 0 || within.is_nothing()) return n;
    reactor& r = reactor::here();
    std::vector<interest> all = interests_in(fds);
    for (;;) {
        const bool in_time = r.await_any(all, within, operation);
        spread_the_end(all);
        if (const std::size_t n = ask_about_the_rest(fds, all, operation); n != 0 || !in_time) return n;
    }
}

std::size_t poll_by(std::span<pollfd> fds, limit within) { return poll_within(fds, within, "poll"); }

}  // namespace copse::io::detail
