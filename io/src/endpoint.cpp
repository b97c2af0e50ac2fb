// Endpoints: parsing, printing, order.
#include <copse/io/endpoint.hpp>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <ostream>
#include <stdexcept>

#include "endpoint_text.hpp"

namespace copse::io {

namespace {

using detail::refuse_text;

constexpr std::string_view unix_prefix = "unix:";

template <class Address>
const Address& as(const sockaddr* address) noexcept {
    return *reinterpret_cast<const Address*>(address);
}

template <class Address>
endpoint make(const Address& address, socklen_t size = sizeof(Address)) {
    return endpoint::from_native(reinterpret_cast<const sockaddr*>(&address), size);
}

/// As it may stand in a message: what is not printable, as \x1b.
std::string printable(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string shown;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= ' ' && byte < 0x7f) {
            shown += c;
        } else {
            shown += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return shown;
}

std::uint32_t parse_zone(std::string_view text, const std::string& zone) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(zone.data(), zone.data() + zone.size(), number);
    if (error == std::errc() && end == zone.data() + zone.size()) return number;
    number = zone.size() < IF_NAMESIZE ? ::if_nametoindex(zone.c_str()) : 0;
    if (number == 0) refuse_text(text, "no interface is called \"" + printable(zone) + "\"");
    return number;
}

endpoint parse_ipv4(std::string_view text) {
    const detail::host_and_port parts = detail::split_port(text);
    if (parts.host.empty()) return endpoint::any(parts.port);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(parts.port);
    const std::string host(parts.host);
    if (host.find(':') != std::string::npos) refuse_text(text, "an IPv6 address needs brackets, as in [::1]:80");
    if (host.size() != std::strlen(host.c_str()) || ::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
        refuse_text(text, "\"" + printable(host) + "\" is no IPv4 address");
    }
    return make(address);
}

endpoint parse_ipv6(std::string_view text) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) refuse_text(text, "the bracket is not closed");
    if (close + 1 == text.size()) refuse_text(text, "the port is missing");
    if (text.rfind(':') != close + 1) refuse_text(text, "something stands between the bracket and the port");
    const std::uint16_t port = detail::split_port(text).port;

    std::string host(text.substr(1, close - 1));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    if (const std::size_t percent = host.find('%'); percent != std::string::npos) {
        address.sin6_scope_id = parse_zone(text, host.substr(percent + 1));
        host.resize(percent);
    }
    if (host.size() != std::strlen(host.c_str()) || ::inet_pton(AF_INET6, host.c_str(), &address.sin6_addr) != 1) {
        refuse_text(text, "\"" + printable(host) + "\" is no IPv6 address");
    }
    return make(address);
}

endpoint parse_unix(std::string_view text) {
    std::string_view name = text.substr(unix_prefix.size());
    const bool is_abstract = name.starts_with('@');
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (name.empty() || (is_abstract && name.size() == 1)) refuse_text(text, "the name of the socket is missing");
    if (name.find('\0') != std::string_view::npos) refuse_text(text, "the name holds a zero byte");
    constexpr std::size_t longest = sizeof address.sun_path - 1;
    if (name.size() > longest + (is_abstract ? 1 : 0))
        refuse_text(text, "the name is longer than " + std::to_string(longest) + " bytes");
    std::memcpy(address.sun_path, name.data(), name.size());
    std::size_t size = offsetof(sockaddr_un, sun_path) + name.size();
    if (is_abstract) {
        address.sun_path[0] = '\0';
    } else {
        ++size;  // the kernel's own form has the final zero
    }
    return make(address, static_cast<socklen_t>(size));
}

/// Of a Unix socket: without its prefix, "@" for the abstract zero.
std::string unix_name(const endpoint& e) {
    const char* path = as<sockaddr_un>(e.native()).sun_path;
    const std::size_t room = e.native_size() - offsetof(sockaddr_un, sun_path);
    if (e.native_size() <= offsetof(sockaddr_un, sun_path)) return {};
    if (path[0] == '\0') return "@" + std::string(path + 1, room - 1);
    return {path, ::strnlen(path, room)};
}

std::string ipv6_text(const sockaddr_in6& address) {
    char text[INET6_ADDRSTRLEN];
    std::string host = ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
    if (address.sin6_scope_id == 0) return host;
    char name[IF_NAMESIZE];
    const bool named = ::if_indextoname(address.sin6_scope_id, name) != nullptr;
    return host + "%" + (named ? std::string(name) : std::to_string(address.sin6_scope_id));
}

template <class T>
std::strong_ordering compare_bytes(const T& a, const T& b) noexcept {
    return std::memcmp(&a, &b, sizeof(T)) <=> 0;
}

std::strong_ordering compare_whole(const endpoint& a, const endpoint& b) noexcept {
    const auto common = std::min(a.native_size(), b.native_size());
    if (const auto first = std::memcmp(a.native(), b.native(), common) <=> 0; first != 0) return first;
    return a.native_size() <=> b.native_size();
}

}  // namespace

void detail::refuse_text(std::string_view text, const std::string& reason) {
    throw std::invalid_argument("\"" + printable(text) + "\" is no endpoint: " + reason);
}

detail::host_and_port detail::split_port(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) refuse_text(text, "the port is missing");
    const std::string_view digits = text.substr(colon + 1);
    if (digits.empty()) refuse_text(text, "the port is missing");
    unsigned port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (end != digits.data() + digits.size()) refuse_text(text, "the port is no number");
    if (error != std::errc() || port > 65'535) refuse_text(text, "the port is greater than 65535");
    return {text.substr(0, colon), static_cast<std::uint16_t>(port)};
}

detail::host_and_port detail::split_name(std::string_view text) {
    if (text.starts_with('[') || text.starts_with(':') || text.starts_with(unix_prefix)) return {};
    const host_and_port parts = split_port(text);
    const bool is_numeric = parts.host.find_first_not_of("0123456789.") == std::string_view::npos;
    if (is_numeric || parts.host.find(':') != std::string_view::npos) return {};
    // Letters, digits, dots, hyphens, underscores; beyond that the resolver decides, but not about these.
    if (parts.host.find_first_of(std::string_view(" \t\r\n\0/@[]%", 10)) != std::string_view::npos) {
        refuse_text(text, "\"" + printable(parts.host) + "\" is no name of a host");
    }
    return parts;
}

endpoint endpoint::parse(std::string_view text) {
    if (text.empty()) refuse_text(text, "it is empty");
    if (text.starts_with(unix_prefix)) return parse_unix(text);
    return text.front() == '[' ? parse_ipv6(text) : parse_ipv4(text);
}

endpoint endpoint::from_native(const sockaddr* address, socklen_t size) {
    endpoint e;
    if (size == 0) return e;
    const std::size_t least = size < sizeof(sa_family_t)       ? sizeof(sa_family_t)
                              : address->sa_family == AF_INET  ? sizeof(sockaddr_in)
                              : address->sa_family == AF_INET6 ? sizeof(sockaddr_in6)
                                                               : sizeof(sa_family_t);
    if (size < least || size > sizeof e.storage_)
        throw std::invalid_argument("an address of " + std::to_string(size) + " bytes is no endpoint");
    std::memcpy(&e.storage_, address, size);
    e.size_ = size;
    return e;
}

endpoint endpoint::loopback(std::uint16_t port, int family) {
    endpoint e = any(port, family);
    if (family == AF_INET) {
        reinterpret_cast<sockaddr_in&>(e.storage_).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        reinterpret_cast<sockaddr_in6&>(e.storage_).sin6_addr = in6addr_loopback;
    }
    return e;
}

endpoint endpoint::any(std::uint16_t port, int family) {
    endpoint e;
    if (family == AF_INET) {
        e.size_ = sizeof(sockaddr_in);
    } else if (family == AF_INET6) {
        e.size_ = sizeof(sockaddr_in6);
    } else {
        throw std::invalid_argument("family " + std::to_string(family) + " has no ports");
    }
    e.storage_.ss_family = static_cast<sa_family_t>(family);
    e.set_port(port);
    return e;
}

endpoint endpoint::unnamed() {
    endpoint e;
    e.storage_.ss_family = AF_UNIX;
    e.size_ = sizeof(sa_family_t);
    return e;
}

std::uint16_t endpoint::port() const noexcept {
    if (family() == AF_INET) return ntohs(as<sockaddr_in>(native()).sin_port);
    if (family() == AF_INET6) return ntohs(as<sockaddr_in6>(native()).sin6_port);
    return 0;
}

void endpoint::set_port(std::uint16_t port) noexcept {
    if (family() == AF_INET) reinterpret_cast<sockaddr_in&>(storage_).sin_port = htons(port);
    if (family() == AF_INET6) reinterpret_cast<sockaddr_in6&>(storage_).sin6_port = htons(port);
}

std::string endpoint::address() const {
    switch (family()) {
    case AF_INET: {
        char text[INET_ADDRSTRLEN];
        return ::inet_ntop(AF_INET, &as<sockaddr_in>(native()).sin_addr, text, sizeof text);
    }
    case AF_INET6: return ipv6_text(as<sockaddr_in6>(native()));
    case AF_UNIX: return unix_name(*this);
    default: return {};
    }
}

bool endpoint::is_loopback() const noexcept {
    if (family() == AF_INET) return ntohl(as<sockaddr_in>(native()).sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if (family() != AF_INET6) return false;
    const in6_addr& address = as<sockaddr_in6>(native()).sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&address) || (IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == IN_LOOPBACKNET);
}

namespace {

struct block {
    std::uint32_t first;
    int bits;

    bool holds(std::uint32_t address) const noexcept { return ((address ^ first) >> (32 - bits)) == 0; }
};

/// IANA's registries of special addresses, with what is not reachable from everywhere; and multicast.
constexpr block special_v4[] = {
    {0x00000000, 8},   // this network
    {0x0a000000, 8},   // 10.0.0.0
    {0x64400000, 10},  // 100.64.0.0, behind a provider's translation
    {0x7f000000, 8},   // loopback
    {0xa9fe0000, 16},  // 169.254.0.0, link-local: where clouds tell secrets
    {0xac100000, 12},  // 172.16.0.0
    {0xc0000000, 24},  // 192.0.0.0, of protocols
    {0xc0000200, 24},  // 192.0.2.0, documentation
    {0xc0a80000, 16},  // 192.168.0.0
    {0xc6120000, 15},  // 198.18.0.0, benchmarks
    {0xc6336400, 24},  // 198.51.100.0, documentation
    {0xcb007100, 24},  // 203.0.113.0, documentation
    {0xe0000000, 3},   // multicast, and what is reserved
};
/// The first four bytes of what is not, although within 2000::/3.
constexpr block special_v6[] = {
    {0x20010000, 23},  // of protocols; Teredo
    {0x20010db8, 32},  // documentation
    {0x20020000, 16},  // 6to4: any IPv4 address may be inside
    {0x3fff0000, 20},  // documentation
};

template <std::size_t N>
bool is_in(const block (&blocks)[N], std::uint32_t address) noexcept {
    return std::any_of(std::begin(blocks), std::end(blocks), [&](const block& b) { return b.holds(address); });
}

std::uint32_t four_bytes(const std::uint8_t* from) noexcept {
    std::uint32_t bytes = 0;
    std::memcpy(&bytes, from, sizeof bytes);
    return ntohl(bytes);
}

bool is_global_v6(const in6_addr& address) noexcept {
    constexpr std::uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};  // 64:ff9b::/96
    if (IN6_IS_ADDR_V4MAPPED(&address) || std::memcmp(address.s6_addr, nat64, sizeof nat64) == 0)
        return !is_in(special_v4, four_bytes(address.s6_addr + 12));
    return address.s6_addr[0] >> 5 == 1 && !is_in(special_v6, four_bytes(address.s6_addr));
}

}  // namespace

bool endpoint::is_global() const noexcept {
    if (family() == AF_INET) return !is_in(special_v4, ntohl(as<sockaddr_in>(native()).sin_addr.s_addr));
    return family() == AF_INET6 && is_global_v6(as<sockaddr_in6>(native()).sin6_addr);
}

std::string to_string(const endpoint& e) {
    switch (e.family()) {
    case AF_INET: return e.address() + ":" + std::to_string(e.port());
    case AF_INET6: return "[" + e.address() + "]:" + std::to_string(e.port());
    case AF_UNIX: return std::string(unix_prefix) + e.address();
    default: return e.empty() ? "nowhere" : "family " + std::to_string(e.family());
    }
}

std::ostream& operator<<(std::ostream& out, const endpoint& e) { return out << to_string(e); }

std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept {
    if (const auto first = a.family() <=> b.family(); first != 0) return first;
    if (a.family() == AF_INET) {
        const auto first = compare_bytes(as<sockaddr_in>(a.native()).sin_addr, as<sockaddr_in>(b.native()).sin_addr);
        return first != 0 ? first : a.port() <=> b.port();
    }
    if (a.family() == AF_INET6) {
        const auto &left = as<sockaddr_in6>(a.native()), &right = as<sockaddr_in6>(b.native());
        if (const auto first = compare_bytes(left.sin6_addr, right.sin6_addr); first != 0) return first;
        const auto zone = left.sin6_scope_id <=> right.sin6_scope_id;
        return zone != 0 ? zone : a.port() <=> b.port();
    }
    return compare_whole(a, b);
}

}  // namespace copse::io

std::size_t std::hash<copse::io::endpoint>::operator()(const copse::io::endpoint& e) const noexcept {
    // What operator== compares; sin6_flowinfo it does not.
    if (e.family() == AF_INET || e.family() == AF_INET6) {
        const bool six = e.family() == AF_INET6;
        const char* bytes =
            six ? reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in6*>(e.native())->sin6_addr)
                : reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in*>(e.native())->sin_addr);
        const std::size_t address = std::hash<std::string_view>()({bytes, six ? sizeof(in6_addr) : sizeof(in_addr)});
        return address * 31 + e.port();
    }
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(e.native()), e.native_size()});
}
