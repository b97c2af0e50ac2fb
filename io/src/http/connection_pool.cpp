#include "http/connection_pool.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <new>
#include <system_error>
#include <utility>

#include <copse/error.hpp>
#include <copse/io/error.hpp>
#include <copse/io/wait.hpp>
#include <copse/shield.hpp>
#include <copse/sleep.hpp>

#include "http/deadline.hpp"
#include "http/dial.hpp"
#include "system_calls.hpp"

namespace copse::io::http::detail {

connection_pool::lease::lease(std::shared_ptr<connection_pool> pool, origin_map::iterator of) noexcept
    : pool_(std::move(pool)), of_(of) {}

connection_pool::lease::lease(lease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      of_(other.of_),
      held_(std::exchange(other.held_, pooled_connection())),
      reused_(other.reused_) {}

connection_pool::lease& connection_pool::lease::operator=(lease&& other) noexcept {
    if (this == &other) return *this;
    end();
    pool_ = std::exchange(other.pool_, nullptr);
    of_ = other.of_;
    held_ = std::exchange(other.held_, pooled_connection());
    reused_ = other.reused_;
    return *this;
}

void connection_pool::lease::give_back() noexcept {
    // While another that is kept makes room, the lease may be left and the client be ended.
    const auto pool = pool_;
    if (pool != nullptr && held_.stream.is_open()) pool->keep(of_, std::exchange(held_, pooled_connection()));
    end();
}

void connection_pool::lease::end() noexcept {
    static_cast<void>(std::exchange(held_, pooled_connection()));
    leave();
}

void connection_pool::lease::leave() noexcept {
    if (const auto pool = std::exchange(pool_, nullptr)) pool->leave(of_);
}

connection_pool::lease connection_pool::take(const url& to, clock::time_point deadline, bool fresh) {
    owner_.check("http::client");
    leave_to_parent();
    const auto of =
        origins_
            .try_emplace(to.origin(),
                         static_cast<std::ptrdiff_t>(std::max<std::size_t>(with_.max_connections_per_origin, 1)))
            .first;
    ++of->second.users;
    try {
        if (!of->second.free.try_acquire_until(deadline)) {
            throw timed_out(std::make_error_code(std::errc::timed_out), "waiting for a free connection", 0);
        }
    } catch (...) {
        --of->second.users;
        forget_if_unused(of);
        throw;
    }
    lease taken(shared_from_this(), of);
    if (fresh && !of->second.kept.empty()) static_cast<void>(without_first(of));  // one of them has its place
    if (!fresh && take_kept(taken)) return taken;
    taken.held_ = open(to, deadline);
    ++opened_;
    return taken;
}

/// Returns: whether there was one that lives. Those that do not are ended.
bool connection_pool::take_kept(lease& into) {
    connection_list& kept = into.of_->second.kept;
    while (!kept.empty()) {
        connection_list last;
        last.splice(last.end(), kept, std::prev(kept.end()));
        --kept_;
        if (!is_alive(last.front())) continue;
        into.held_ = std::move(last.front());
        into.reused_ = true;
        return true;
    }
    return false;
}

// One that the server has closed, or where it says something that nobody asked for, is of no use.
bool connection_pool::is_alive(const pooled_connection& c) noexcept {
    if (!c.stream.is_open()) return false;
    if (c.fd < 0) return true;
    pollfd gone{.fd = c.fd, .events = POLLRDHUP, .revents = 0};
    if (io::detail::sys.poll(&gone, 1, 0) > 0 && gone.revents != 0) return false;
    char first = 0;
    const ssize_t n = io::detail::sys.recv(c.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    return n > 0 && c.encrypted;  // TLS sends tickets and the like after the handshake
}

pooled_connection connection_pool::open(const url& to, clock::time_point deadline) {
    if (with_.connect_timeout.count() > 0) deadline = std::min(deadline, deadline_in(with_.connect_timeout));
    pooled_connection made;
    socket plain = dial(to, with_.connect, with_.allow_address, deadline);
    made.fd = plain.native_handle();
    made.encrypted = to.scheme() == "https";
    made.stream =
        made.encrypted ? secure(std::move(plain), to.host(), with_.secure, deadline) : any_stream(std::move(plain));
    return made;
}

void connection_pool::keep(origin_map::iterator of, pooled_connection c) noexcept {
    leave_to_parent();
    if (retired_ || with_.max_idle == 0 || with_.idle_time.count() <= 0) return;
    connection_list too_many;
    try {
        c.kept_since = clock::now();
        of->second.kept.push_back(std::move(c));
        if (++kept_ > with_.max_idle) too_many = without_first(longest_kept());
        begin_sweeping();
    } catch (...) {
        // No memory to keep it: it is closed. Without the sweeper it is closed when it is next looked at.
    }
}

void connection_pool::leave(origin_map::iterator of) noexcept {
    --of->second.users;
    of->second.free.release();
    forget_if_unused(of);
}

void connection_pool::forget_if_unused(origin_map::iterator of) noexcept {
    if (of->second.users == 0 && of->second.kept.empty()) origins_.erase(of);
}

connection_pool::origin_map::iterator connection_pool::longest_kept() noexcept {
    auto oldest = origins_.end();
    for (auto it = origins_.begin(); it != origins_.end(); ++it) {
        if (it->second.kept.empty()) continue;
        if (oldest == origins_.end() || it->second.kept.front().kept_since < oldest->second.kept.front().kept_since)
            oldest = it;
    }
    return oldest;
}

/// Returns: the one that was kept longest there, to be ended.
connection_list connection_pool::without_first(origin_map::iterator of) noexcept {
    connection_list first;
    first.splice(first.end(), of->second.kept, of->second.kept.begin());
    --kept_;
    forget_if_unused(of);
    return first;
}

// In the child of a fork: what was kept is the parent's, who goes on with it. The numbers are closed here, and nothing is
// said over them, so the streams themselves are never ended.
void connection_pool::leave_to_parent() noexcept {
    if (process_ == ::getpid()) return;
    process_ = ::getpid();
    for (auto& [name, each] : origins_) {
        for (pooled_connection& c : each.kept) {
            if (c.fd >= 0) {
                notify_closing(c.fd);
                io::detail::sys.close(c.fd);
            }
            static_cast<void>(new (std::nothrow) any_stream(std::move(c.stream)));
        }
        each.kept.clear();
    }
    kept_ = 0;
}

void connection_pool::close_kept() noexcept {
    leave_to_parent();
    connection_list all;  // ended when nobody finds them here any more
    for (auto it = origins_.begin(); it != origins_.end();) {
        const auto of = it++;
        all.splice(all.end(), of->second.kept);
        forget_if_unused(of);
    }
    kept_ = 0;
}

void connection_pool::retire() noexcept {
    retired_ = true;
    const any_fiber sweeper = std::exchange(sweeper_, any_fiber());
    try {
        if (!sweeper.empty()) sweeper.request_kill();
    } catch (const std::exception&) {
        // Its thread has ended, or is another: it only looks, and finds nobody.
    }
    close_kept();
}

/// Returns: when the next one will have been kept too long; the beginning of time if none is kept.
clock::time_point connection_pool::close_old() noexcept {
    while (kept_ != 0) {
        const auto of = longest_kept();
        const clock::time_point until = of->second.kept.front().kept_since +
                                        std::min<std::chrono::nanoseconds>(with_.idle_time, std::chrono::hours(24));
        if (until > clock::now()) return until;
        const shield kept_back;  // its fiber may be killed meanwhile, and an end must not throw
        static_cast<void>(without_first(of));
    }
    return {};
}

void connection_pool::begin_sweeping() {
    if (!sweeper_.empty() && !sweeper_.ready()) return;
    sweeper_ = spawn(spawn_options{.name = "http::client, closing what was kept"}, [weak = weak_from_this()] {
        for (;;) {
            clock::time_point next{};
            if (const auto pool = weak.lock()) next = pool->close_old();
            if (next == clock::time_point()) return;
            sleep_until(next);
        }
    });
}

}  // namespace copse::io::http::detail
