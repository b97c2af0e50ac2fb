/// Where a socket is, or wants to go: an IPv4 or IPv6 address with a port, or the name of a Unix socket.
///
/// Nothing here parks or makes a system call, except that an IPv6 zone asks for the interface's number or name.
#pragma once

#include <sys/socket.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

namespace copse::io {

/// A value: copied, compared, hashed, printed. Default-constructed it is no address at all: `empty()`.
///
///     auto here = copse::io::endpoint::parse("127.0.0.1:8001");
///     copse::io::socket s = copse::io::connect(here);
///     puts(to_string(s.peer_endpoint()).c_str());       // 127.0.0.1:8001
///
/// | text                          | what                                                         |
/// |-------------------------------|--------------------------------------------------------------|
/// | `127.0.0.1:8001`              | IPv4: four decimal numbers, nothing left out                 |
/// | `[::1]:80`, `[fe80::1%eth0]:80` | IPv6, with a zone by name or number                        |
/// | `:8001`                       | every IPv4 address of this machine, `0.0.0.0:8001`           |
/// | `unix:/run/x.sock`            | Unix socket in the file system; at most 107 bytes            |
/// | `unix:@name`                  | Unix socket in the abstract space; at most 107 bytes         |
///
/// The file of a Unix socket stays when the socket is closed: unlink it before it is bound again, or see
/// `listen_options::replace_stale`.
///
/// Ports are 0 to 65535; 0 lets the kernel choose. Names of hosts are not endpoints: `connect` takes those.
class endpoint {
public:
    endpoint() noexcept = default;

    /// Throws:  std::invalid_argument that names the text and what is wrong with it.
    static endpoint parse(std::string_view text);

    /// As the kernel gives it; an address of no known family is kept as it is. A length of 0 makes an empty one.
    /// Throws:  std::invalid_argument if `size` does not fit a sockaddr_storage or the family.
    static endpoint from_native(const sockaddr* address, socklen_t size);

    /// `127.0.0.1`, or `::1`.
    static endpoint loopback(std::uint16_t port, int family = AF_INET);
    /// All addresses of this machine: `0.0.0.0`, or `::` (which takes IPv4 too unless the socket is `v6_only`).
    static endpoint any(std::uint16_t port, int family = AF_INET);

    /// Of no Unix socket yet: who is bound to it, gets an abstract name that the kernel chooses.
    static endpoint unnamed();

    bool empty() const noexcept { return size_ == 0; }
    /// AF_INET, AF_INET6, AF_UNIX, another one, or AF_UNSPEC when empty.
    int family() const noexcept { return storage_.ss_family; }
    /// 0 for what has no port.
    std::uint16_t port() const noexcept;
    /// Changes nothing in what has no port.
    void set_port(std::uint16_t port) noexcept;
    /// Without the port and without brackets: "::1", "/run/x.sock", "@name".
    std::string address() const;
    bool is_loopback() const noexcept;
    /// An address that means the same host everywhere in the Internet: not of this host or network, private (RFC 1918, 4193,
    /// 6598), link-local, multicast, for documentation or tests. Mapped and translated (64:ff9b::/96) IPv4 counts as IPv4.
    bool is_global() const noexcept;

    const sockaddr* native() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
    socklen_t native_size() const noexcept { return size_; }

    /// In the form that `parse` takes. Empty: "nowhere"; a Unix socket without a name: "unix:".
    friend std::string to_string(const endpoint& e);
    friend std::ostream& operator<<(std::ostream& out, const endpoint& e);

    /// Same family, address, zone and port; the order is by family, then address, then port.
    friend bool operator==(const endpoint& a, const endpoint& b) noexcept { return (a <=> b) == 0; }
    friend std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept;

private:
    friend struct std::hash<endpoint>;

    sockaddr_storage storage_{};
    socklen_t size_ = 0;
};

std::string to_string(const endpoint& e);
std::ostream& operator<<(std::ostream& out, const endpoint& e);

}  // namespace copse::io

template <>
struct std::hash<copse::io::endpoint> {
    std::size_t operator()(const copse::io::endpoint& e) const noexcept;
};
