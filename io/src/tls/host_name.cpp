#include "host_name.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <stdexcept>

namespace copse::io::detail {

namespace {

constexpr std::size_t longest_name = 253;  // RFC 1035, without the final dot

bool is_number(const std::string& text) {
    unsigned char ignored[sizeof(in6_addr)];
    return ::inet_pton(AF_INET, text.c_str(), ignored) == 1 || ::inet_pton(AF_INET6, text.c_str(), ignored) == 1;
}

// What else OpenSSL would take has a meaning of its own there: a leading dot stands for every name below it.
bool may_stand_in_name(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= longest_name && text.front() != '.' &&
           text.find("..") == std::string_view::npos && std::all_of(text.begin(), text.end(), may_stand_in_name);
}

std::string_view without_brackets(std::string_view text) {
    if (text.size() >= 2 && text.front() == '[' && text.back() == ']') return text.substr(1, text.size() - 2);
    return text;
}

[[noreturn]] void refuse(std::string_view text) {
    throw std::invalid_argument(
        "\"" + std::string(text) +
        "\" is no host name for TLS: letters, digits, '-' and '.' (others in their xn-- form), or an "
        "address");
}

}  // namespace

host_name host_name::parse(std::string_view text) {
    const std::string_view bare = without_brackets(text);
    if (const std::string number(bare.substr(0, bare.find('%'))); is_number(number)) return {number, true};
    if (bare.size() != text.size()) refuse(text);
    const std::string_view name = text.ends_with('.') ? text.substr(0, text.size() - 1) : text;
    if (!is_name(name)) refuse(text);
    return {std::string(name), false};
}

host_name host_name::of_endpoint(std::string_view there) {
    if (there.starts_with("unix:"))
        throw std::invalid_argument("connect_tls to " + std::string(there) +
                                    ": a Unix socket has no host name, give one");
    return parse(there.substr(0, there.rfind(':')));
}

}  // namespace copse::io::detail
