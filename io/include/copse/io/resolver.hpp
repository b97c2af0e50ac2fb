/// Names of hosts to addresses, and back.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

#include <copse/io/detail/limit.hpp>
#include <copse/io/endpoint.hpp>

namespace copse::io {

namespace detail {
struct resolver_access;
}  // namespace detail

/// Who is asked.
enum class resolver_engine : std::uint8_t {
    system,  ///< getaddrinfo, so that nsswitch, /etc/hosts and resolv.conf count, on threads
    cares,  ///< name servers and /etc/hosts, by c-ares on one thread for any number of lookups; a build option (COPSE_CARES)
};

/// How a resolver behaves: `resolver({.keep = 0s})`.
struct resolver_options {
    resolver_engine engine = resolver_engine::system;
    std::string servers{};     ///< of c-ares alone: "127.0.0.1:5353,[::1]:53"; empty: those of resolv.conf
    std::size_t threads = 16;  ///< of the system alone: lookups at a time; threads are made when needed
    std::chrono::nanoseconds keep = std::chrono::seconds(5);  ///< how long an answer is given again; 0: never
    std::size_t names = 256;                                  ///< answers kept at most
};

/// Asks the system, or name servers, on threads of its own, and parks the fiber.
///
/// Whoever asks for a name that is being looked up already waits for that answer. Failures are not kept. A fiber that is
/// killed or runs out of time leaves its lookup behind, whose answer is still kept. Numeric addresses, and "localhost"
/// (127.0.0.1, then ::1), are answered on the spot. May be used by the fibers of every thread; the child of a fork begins
/// anew (but glibc's own resolver may hang there if another thread was in the middle of a lookup).
///
///     for (const auto& there : copse::io::resolver::common().resolve("example.org", 443)) …
class resolver {
public:
    /// Throws:  std::invalid_argument for no threads, an engine that copse was built without, servers that are none.
    explicit resolver(const resolver_options& with = {});
    resolver(const resolver&) = delete;
    resolver& operator=(const resolver&) = delete;
    /// Fibers that wait for an answer still get it.
    ~resolver();

    /// The addresses of `host` in the order in which they should be tried (RFC 6724), with this port. `family` AF_INET or
    /// AF_INET6: only those.
    /// Parks:   until the system has answered.
    /// Returns: at least one.
    /// Throws:  std::system_error of name_category(), such as "Name or service not known"; std::invalid_argument for an empty
    ///          name, one with a NUL or of more than 1024 bytes, another family.
    std::vector<endpoint> resolve(std::string_view host, std::uint16_t port, int family = AF_UNSPEC) {
        return resolve_by(host, port, family, {});
    }
    /// Throws:  also timed_out.
    template <class Rep, class Period>
    std::vector<endpoint> resolve_for(std::string_view host, std::uint16_t port,
                                      std::chrono::duration<Rep, Period> length, int family = AF_UNSPEC) {
        return resolve_by(host, port, family, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::vector<endpoint> resolve_until(std::string_view host, std::uint16_t port,
                                        std::chrono::time_point<Clock, Duration> when, int family = AF_UNSPEC) {
        return resolve_by(host, port, family, detail::limit::until(when));
    }

    /// The name of an address (getnameinfo). Never kept.
    /// Parks:   until the system has answered.
    /// Throws:  std::system_error of name_category() if it has none.
    std::string name_of(const endpoint& address) { return name_of_by(address, {}); }
    /// Throws:  also timed_out.
    template <class Rep, class Period>
    std::string name_of_for(const endpoint& address, std::chrono::duration<Rep, Period> length) {
        return name_of_by(address, detail::limit::within(length));
    }
    template <class Clock, class Duration>
    std::string name_of_until(const endpoint& address, std::chrono::time_point<Clock, Duration> when) {
        return name_of_by(address, detail::limit::until(when));
    }

    /// Answers that are kept are forgotten.
    void forget();

    /// Lookups that are under way. For tests and statistics.
    std::size_t running() const;

    /// The one that `connect` and `listen` ask.
    static resolver& common();

private:
    friend struct detail::resolver_access;
    class desk;

    std::vector<endpoint> resolve_by(std::string_view host, std::uint16_t port, int family, detail::limit within);
    std::string name_of_by(const endpoint& address, detail::limit within);
    std::shared_ptr<desk> here() const;

    const resolver_options with_;
    // Of this process: the child of a fork leaves its parent's alone, whatever state that is in.
    mutable std::atomic<std::shared_ptr<desk>*> desk_;
};

}  // namespace copse::io
