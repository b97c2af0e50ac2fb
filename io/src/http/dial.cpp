#include "http/dial.hpp"

#include <chrono>
#include <system_error>
#include <utility>

#include <copse/io/error.hpp>
#include <copse/io/socket_option.hpp>
#include <copse/timeout.hpp>

#include "http/secure_default.hpp"

namespace copse::io::http::detail {

namespace {

/// Calls what knows nothing of deadlines; its end by the deadline is told as that of other operations.
template <class F>
auto by_deadline(clock::time_point deadline, const char* operation, F f) {
    const timeout limit(std::chrono::nanoseconds(copse::detail::length_until(deadline)));
    try {
        return f();
    } catch (const timeout_expired& e) {
        if (!limit.threw(e)) throw;
    }
    throw timed_out(std::make_error_code(std::errc::timed_out), operation, 0);
}

}  // namespace

socket dial(const url& to, const socket_maker& own, clock::time_point deadline) {
    if (own) return by_deadline(deadline, "client_options::connect", [&] { return own(to); });
    socket made = connect_until(to.host_and_port(), deadline);
    made.set_option(no_delay(true));  // head and body leave together: there is nothing to wait for
    return made;
}

any_stream secure(socket plain, const std::string& host, const stream_securer& own, clock::time_point deadline) {
    return by_deadline(deadline, "TLS handshake", [&]() -> any_stream {
        return own ? own(std::move(plain), host) : secure_by_default(std::move(plain), host);
    });
}

}  // namespace copse::io::http::detail
