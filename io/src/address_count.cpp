#include "address_count.hpp"

#include <netinet/in.h>

#include <cstring>

namespace copse::io::detail {

std::optional<address_count::place> address_count::enter(const endpoint& peer) {
    if (most_ == 0) return place();
    const std::optional<address> from = address_of(peer);
    if (!from) return place();
    const auto at = counts_.try_emplace(*from, 0).first;
    if (at->second >= most_) return std::nullopt;
    return place(counts_, at);
}

std::optional<address_count::address> address_count::address_of(const endpoint& peer) noexcept {
    address a{};
    if (peer.family() == AF_INET6) {
        sockaddr_in6 in{};
        std::memcpy(&in, peer.native(), sizeof in);
        std::memcpy(a.data(), &in.sin6_addr, a.size());
        return a;
    }
    if (peer.family() != AF_INET) return std::nullopt;
    sockaddr_in in{};
    std::memcpy(&in, peer.native(), sizeof in);
    a[10] = a[11] = 0xff;  // ::ffff:a.b.c.d, RFC 4291 section 2.5.5.2
    std::memcpy(a.data() + 12, &in.sin_addr, 4);
    return a;
}

}  // namespace copse::io::detail
