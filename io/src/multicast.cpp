#include <copse/io/multicast.hpp>

#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "failure.hpp"
#include "socket_access.hpp"
#include "system_calls.hpp"

namespace copse::io {

namespace {

bool is_multicast(const endpoint& e) noexcept {
    if (e.family() == AF_INET)
        return IN_MULTICAST(ntohl(reinterpret_cast<const sockaddr_in*>(e.native())->sin_addr.s_addr));
    if (e.family() != AF_INET6) return false;
    return IN6_IS_ADDR_MULTICAST(&reinterpret_cast<const sockaddr_in6*>(e.native())->sin6_addr);
}

void change_membership(const char* operation, int option, socket& s, const endpoint& group, unsigned interface) {
    const detail::entry& e = detail::socket_access::use(s, operation);
    if (!is_multicast(group))
        throw std::invalid_argument(std::string(operation) + ": " + to_string(group) + " is no multicast address");
    group_req wanted{};
    wanted.gr_interface = interface;
    if (interface == 0 && group.family() == AF_INET6)
        wanted.gr_interface = reinterpret_cast<const sockaddr_in6*>(group.native())->sin6_scope_id;
    std::memcpy(&wanted.gr_group, group.native(), group.native_size());
    const int level = group.family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    if (detail::sys.setsockopt(e.fd, level, option, &wanted, sizeof wanted) == 0) return;
    const int error = errno;
    detail::fail(error, detail::describe(operation, e.fd, group));
}

}  // namespace

void join_group(socket& s, const endpoint& group, unsigned interface) {
    change_membership("join_group", MCAST_JOIN_GROUP, s, group, interface);
}

void leave_group(socket& s, const endpoint& group, unsigned interface) {
    change_membership("leave_group", MCAST_LEAVE_GROUP, s, group, interface);
}

}  // namespace copse::io
