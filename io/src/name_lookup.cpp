#include "name_lookup.hpp"

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

#include <netdb.h>

#include <copse/io/error.hpp>

#include "endpoint_text.hpp"
#include "failure.hpp"

namespace copse::io::detail {

namespace {

std::vector<endpoint> ask_the_system(const std::string& name, std::uint16_t port) {
    addrinfo wanted{};
    wanted.ai_family = AF_UNSPEC;
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(name.c_str(), nullptr, &wanted, &found);
    if (error == EAI_SYSTEM) fail(errno, "looking up " + name);
    if (error != 0) throw std::system_error(error, name_category(), "looking up " + name);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, ::freeaddrinfo);
    std::vector<endpoint> endpoints;
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
        endpoint e = endpoint::from_native(one->ai_addr, one->ai_addrlen);
        e.set_port(port);
        endpoints.push_back(e);
    }
    if (endpoints.empty()) throw std::system_error(EAI_NODATA, name_category(), "looking up " + name);
    return endpoints;
}

}  // namespace

std::vector<endpoint> find_endpoints(std::string_view text) {
    const host_and_port parts = split_name(text);
    if (parts.host.empty()) return {endpoint::parse(text)};
    if (parts.host == "localhost") return {endpoint::loopback(parts.port), endpoint::loopback(parts.port, AF_INET6)};
    return ask_the_system(std::string(parts.host), parts.port);
}

}  // namespace copse::io::detail
