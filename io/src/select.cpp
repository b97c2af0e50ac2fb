// select in terms of poll. Each kind of readiness is asked about in a pollfd of its own, as the caller listed it.
#include <copse/io/select.hpp>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string>

#include "failure.hpp"
#include "polling.hpp"

namespace copse::io::detail {

namespace {

/// What to ask poll for, and which of its answers select means by that (fs/select.c of Linux).
struct question {
    short asked;
    short meant;
};
constexpr question reading{POLLIN, POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR};
constexpr question writing{POLLOUT, POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR};
constexpr question urgency{POLLPRI, POLLPRI};

constexpr short meant_by(short asked) noexcept {
    if (asked == reading.asked) return reading.meant;
    return asked == writing.asked ? writing.meant : urgency.meant;
}

bool is_ready(const pollfd& p) noexcept { return (p.revents & meant_by(p.events)) != 0; }

void refuse_bad(const std::vector<pollfd>& asked) {
    for (const pollfd& p : asked) {
        if ((p.revents & POLLNVAL) != 0) fail(EBADF, "select", p.fd);
    }
}

/// Poll tells of a hang-up whatever was asked, select does not care: who hung up says nothing else ever after.
bool any_ready(std::vector<pollfd>& asked) {
    bool any = false;
    for (pollfd& p : asked) {
        if (is_ready(p)) {
            any = true;
        } else if (p.revents != 0) {
            p.fd = -1;
        }
    }
    return any;
}

/// Returns: false at the end of the time.
bool wait_for_any(std::vector<pollfd>& asked, limit& within) {
    for (;;) {
        if (poll_within(asked, within, "select") == 0) return false;
        refuse_bad(asked);
        if (any_ready(asked)) return true;
    }
}

void add(std::vector<pollfd>& asked, const descriptor_list& list, const question& q) {
    for (const int fd : list.numbers()) {
        if (fd < 0) throw std::invalid_argument("select: " + std::to_string(fd) + " is no descriptor");
        asked.push_back({fd, q.asked, 0});
    }
}

void add(std::vector<pollfd>& asked, int nfds, const fd_set* set, const question& q) {
    if (set == nullptr) return;
    for (int fd = 0; fd < nfds; ++fd) {
        if (FD_ISSET(fd, set)) asked.push_back({fd, q.asked, 0});
    }
}

std::vector<int> ready_in(const std::vector<pollfd>& answers, const question& q) {
    std::vector<int> ready;
    for (const pollfd& p : answers) {
        if (p.events == q.asked && is_ready(p)) ready.push_back(p.fd);
    }
    return ready;
}

std::size_t keep_ready(fd_set* set, const std::vector<pollfd>& answers, const question& q) noexcept {
    if (set == nullptr) return 0;
    FD_ZERO(set);
    std::size_t n = 0;
    for (const pollfd& p : answers) {
        if (p.events != q.asked || !is_ready(p)) continue;
        FD_SET(p.fd, set);
        ++n;
    }
    return n;
}

}  // namespace

select_result select_by(const descriptor_list& read, const descriptor_list& write, const descriptor_list& urgent,
                        limit within) {
    std::vector<pollfd> asked;
    add(asked, read, reading);
    add(asked, write, writing);
    add(asked, urgent, urgency);
    if (!wait_for_any(asked, within)) return {};
    return {ready_in(asked, reading), ready_in(asked, writing), ready_in(asked, urgency)};
}

std::size_t select_by(int nfds, fd_set* read, fd_set* write, fd_set* urgent, limit within) {
    if (nfds < 0 || nfds > FD_SETSIZE)
        throw std::invalid_argument("select: nfds is " + std::to_string(nfds) + ", not in 0 to " +
                                    std::to_string(FD_SETSIZE));
    std::vector<pollfd> asked;
    add(asked, nfds, read, reading);
    add(asked, nfds, write, writing);
    add(asked, nfds, urgent, urgency);
    if (!wait_for_any(asked, within)) asked.clear();
    return keep_ready(read, asked, reading) + keep_ready(write, asked, writing) + keep_ready(urgent, asked, urgency);
}

}  // namespace copse::io::detail
