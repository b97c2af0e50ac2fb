#include "failure.hpp"

#include <cerrno>
#include <utility>

#include <netdb.h>

#include <copse/io/error.hpp>

#include "reactor.hpp"
#include "system_calls.hpp"
#include "with_origin.hpp"

namespace copse::io {

transfer_error::~transfer_error() = default;
timed_out::~timed_out() = default;

const std::error_category& name_category() noexcept {
    struct category final : std::error_category {
        const char* name() const noexcept override { return "copse.io.name"; }
        std::string message(int code) const override { return ::gai_strerror(code); }
    };
    static const category the_one;
    return the_one;
}

namespace detail {

has_origin::~has_origin() = default;

namespace {

std::error_code code_of(int error) { return {error, std::generic_category()}; }

endpoint peer_of(const entry& e) {
    const peer_address& known = home.now->table().peer_of(e);
    if (known.size != 0) return endpoint::from_native(reinterpret_cast<const sockaddr*>(known.bytes), known.size);
    sockaddr_storage asked{};
    socklen_t size = sizeof asked;
    if (sys.getpeername(e.fd, reinterpret_cast<sockaddr*>(&asked), &size) != 0) return {};
    return endpoint::from_native(reinterpret_cast<const sockaddr*>(&asked), size);
}

std::string with_progress(std::string text, std::size_t transferred) {
    if (transferred != 0) text += " after " + std::to_string(transferred) + " bytes";
    return text;
}

}  // namespace

std::string describe(const char* operation, int fd, const endpoint& peer, direction d) {
    std::string text = operation;
    text += " on fd ";
    text += std::to_string(fd);
    if (!peer.empty() && (peer.family() != AF_UNIX || !peer.address().empty()))
        text += (d == direction::in ? " from " : " to ") + to_string(peer);
    return text;
}

std::string describe(const char* operation, const entry& e, direction d) {
    return describe(operation, e.fd, peer_of(e), d);
}

void fail(int error, std::string_view text) { throw std::system_error(code_of(error), std::string(text)); }

void fail(int error, const char* operation, int fd) { fail(error, describe(operation, fd)); }

void fail(int error, const char* operation, const entry& e, direction d) {
    throw with_origin<std::system_error>(origin_of(e), code_of(error), describe(operation, e, d));
}

void fail(int error, const char* operation, const entry& e, const endpoint& there) {
    throw with_origin<std::system_error>(origin_of(e), code_of(error), describe(operation, e.fd, there));
}

void fail_transfer(int error, const char* operation, const entry& e, direction d, std::size_t transferred) {
    const std::string text = with_progress(describe(operation, e, d), transferred);
    throw with_origin<transfer_error>(origin_of(e), code_of(error), text, transferred);
}

void fail_timed_out(const char* operation, int fd, std::size_t transferred) {
    throw timed_out(code_of(ETIMEDOUT), with_progress(describe(operation, fd), transferred) + ", its time is over",
                    transferred);
}

void fail_timed_out(const char* operation, int fd, const endpoint& there) {
    throw timed_out(code_of(ETIMEDOUT), describe(operation, fd, there) + ", its time is over", 0);
}

void fail_timed_out(const char* operation, const entry& e, direction d, std::size_t transferred) {
    const std::string text = with_progress(describe(operation, e, d), transferred) + ", its time is over";
    throw timed_out(code_of(ETIMEDOUT), text, transferred);
}

std::exception_ptr closed_meanwhile(const char* operation, int fd, int error) noexcept {
    try {
        std::string text = describe(operation, fd);
        if (error == EBADF) text += ", closed by another fiber";
        return std::make_exception_ptr(std::system_error(code_of(error), text));
    } catch (...) {
        return std::current_exception();
    }
}

}  // namespace detail
}  // namespace copse::io
