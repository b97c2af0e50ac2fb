#include "address_count.hpp"

#include <netinet/in.h>

#include <cstring>

namespace copse::io::detail {

namespace {

constexpr std::size_t network_size = 8;  // a client is given a /64 at least (RFC 6177), and has all addresses of it
constexpr std::size_t ipv4_at = 12;

/// IPv4 in disguise: mapped, or behind a translation (64:ff9b::/96, RFC 6052).
bool holds_ipv4(const in6_addr& a) noexcept {
    constexpr unsigned char translated[ipv4_at] = {0x00, 0x64, 0xff, 0x9b};
    return IN6_IS_ADDR_V4MAPPED(&a) || std::memcmp(a.s6_addr, translated, sizeof translated) == 0;
}

/// 127.0.0.0/8. An IPv6 network of its own looks otherwise: its second half is cleared.
bool is_mapped_loopback(const std::array<unsigned char, 16>& a) noexcept {
    return a[10] == 0xff && a[11] == 0xff && a[ipv4_at] == 127;
}

}  // namespace

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
        if (IN6_IS_ADDR_LOOPBACK(&in.sin6_addr)) return std::nullopt;
        const bool is_whole =
            holds_ipv4(in.sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&in.sin6_addr);  // a link has one network
        std::memcpy(a.data(), &in.sin6_addr, is_whole ? a.size() : network_size);
    } else if (peer.family() == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, peer.native(), sizeof in);
        a[10] = a[11] = 0xff;  // ::ffff:a.b.c.d, RFC 4291 section 2.5.5.2
        std::memcpy(a.data() + ipv4_at, &in.sin_addr, sizeof in.sin_addr);
    } else {
        return std::nullopt;
    }
    if (is_mapped_loopback(a)) return std::nullopt;
    return a;
}

}  // namespace copse::io::detail
