// Socket activation: the environment of sd_listen_fds(3). All is looked at before anything is taken.
#include <copse/io/inherited.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "failure.hpp"
#include "system_calls.hpp"

namespace copse::io {

namespace {

constexpr int first_inherited = 3;
constexpr int most_inherited = 1 << 20;  // numbers are no larger: fs.nr_open

struct offered {
    std::string name;
    int fd;
};

std::optional<std::string_view> variable(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return value;
}

int number_in(const char* name, std::string_view value) {
    int n = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
    if (error != std::errc() || end != value.data() + value.size() || n < 0 || n > most_inherited * 4)
        throw std::invalid_argument(std::string(name) + " is \"" + std::string(value) + "\", no number");
    return n;
}

std::vector<std::string> split(std::string_view names) {
    std::vector<std::string> all;
    for (;;) {
        const std::size_t end = names.find(':');
        all.emplace_back(names.substr(0, end));
        if (end == std::string_view::npos) return all;
        names.remove_prefix(end + 1);
    }
}

std::vector<std::string> names_of(std::size_t n) {
    const auto names = variable("LISTEN_FDNAMES");
    if (!names) return std::vector<std::string>(n, "unknown");
    std::vector<std::string> all = n == 0 && names->empty() ? std::vector<std::string>() : split(*names);
    if (all.size() != n)
        throw std::invalid_argument("LISTEN_FDNAMES has " + std::to_string(all.size()) + " names for " +
                                    std::to_string(n) + " descriptors");
    return all;
}

[[noreturn]] void refuse(int error, const offered& o, const char* why = "") {
    detail::fail(error, "inherited descriptor " + std::to_string(o.fd) + " (" + o.name + ")" + why);
}

/// What the environment offers to this process; all of it is open. Nothing if it does not speak of this process.
std::optional<std::vector<offered>> look() {
    const auto pid = variable("LISTEN_PID");
    const auto count = variable("LISTEN_FDS");
    if (!pid || !count || number_in("LISTEN_PID", *pid) != ::getpid()) return std::nullopt;
    const int n = number_in("LISTEN_FDS", *count);
    if (n > most_inherited) throw std::invalid_argument("LISTEN_FDS is " + std::to_string(n));
    std::vector<std::string> names = names_of(static_cast<std::size_t>(n));
    std::vector<offered> all;
    for (std::string& name : names) {
        all.push_back({std::move(name), first_inherited + static_cast<int>(all.size())});
        if (::fcntl(all.back().fd, F_GETFD) < 0) refuse(errno, all.back());
    }
    return all;
}

void forget_offer() noexcept {
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
}

/// Programs that are started from now on do not get it.
void keep_from_children(const offered& o) {
    const int flags = ::fcntl(o.fd, F_GETFD);
    if (flags < 0 || ::fcntl(o.fd, F_SETFD, flags | FD_CLOEXEC) != 0) refuse(errno, o);
}

int option_of(const offered& o, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    if (detail::sys.getsockopt(o.fd, SOL_SOCKET, name, &value, &size) != 0) refuse(errno, o);
    return value;
}

void must_be_a_listener(const offered& o) {
    const int type = option_of(o, SO_TYPE);
    const bool listens = option_of(o, SO_ACCEPTCONN) != 0;
    if ((type == SOCK_STREAM || type == SOCK_SEQPACKET) && !listens) refuse(EINVAL, o, ", which does not listen");
}

}  // namespace

std::vector<inherited_listener> inherited_listeners() {
    const auto all = look();
    if (!all) return {};
    for (const offered& o : *all) must_be_a_listener(o);
    for (const offered& o : *all) keep_from_children(o);
    std::vector<inherited_listener> taken;
    taken.reserve(all->size());
    for (const offered& o : *all) taken.push_back({o.name, socket::adopt(o.fd)});
    forget_offer();
    return taken;
}

std::vector<inherited_descriptor> inherited_descriptors() {
    const auto all = look();
    if (!all) return {};
    for (const offered& o : *all) keep_from_children(o);
    std::vector<inherited_descriptor> taken;
    taken.reserve(all->size());
    for (const offered& o : *all) taken.push_back({o.name, descriptor(o.fd)});
    forget_offer();
    return taken;
}

}  // namespace copse::io
