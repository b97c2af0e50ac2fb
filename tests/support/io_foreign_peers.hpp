#pragma once

/// Clients on this machine that seem to come from elsewhere. Include in unit tests only: it sees io/src.

#include "system_calls.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstring>

namespace copse_test {

/// As long as it lives, who is accepted from 127.0.0.n comes from 192.0.2.n, and who is from ::1 from 2001:db8::1.
class foreign_peers {
public:
    foreign_peers() { copse::io::detail::sys.accept4 = accept; }
    foreign_peers(const foreign_peers&) = delete;
    foreign_peers& operator=(const foreign_peers&) = delete;
    ~foreign_peers() { copse::io::detail::sys.accept4 = copse::io::detail::real_system_calls.accept4; }

private:
    static int accept(int fd, sockaddr* from, socklen_t* size, int flags) {
        const int connection = copse::io::detail::real_system_calls.accept4(fd, from, size, flags);
        if (connection >= 0 && from != nullptr) abroad(*from);
        return connection;
    }

    static void abroad(sockaddr& from) {
        auto* bytes = reinterpret_cast<unsigned char*>(&from);
        constexpr std::size_t ipv4_at = offsetof(sockaddr_in, sin_addr);
        constexpr std::size_t ipv6_at = offsetof(sockaddr_in6, sin6_addr);
        if (from.sa_family == AF_INET) std::memcpy(bytes + ipv4_at, "\xc0\x00\x02", 3);
        if (from.sa_family != AF_INET6) return;
        in6_addr address{};
        std::memcpy(&address, bytes + ipv6_at, sizeof address);
        if (IN6_IS_ADDR_V4MAPPED(&address)) {
            std::memcpy(bytes + ipv6_at + 12, "\xc0\x00\x02", 3);
        } else {
            std::memcpy(bytes + ipv6_at, "\x20\x01\x0d\xb8", 4);
        }
    }
};

}  // namespace copse_test
