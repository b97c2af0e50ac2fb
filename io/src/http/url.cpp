// URLs: cut into parts first, then each part is checked against its own alphabet. Nothing is repaired.
#include <copse/io/http/url.hpp>

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "http/characters.hpp"

namespace copse::io::http {

bad_url::~bad_url() = default;

namespace {

constexpr std::string_view digits = "0123456789ABCDEF";

using detail::is_digit;
using detail::is_letter;
using detail::lower;

bool is_hex(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_unreserved(char c) noexcept {
    return is_letter(c) || is_digit(c) || std::string_view("-._~").find(c) != std::string_view::npos;
}
bool is_subdelim(char c) noexcept { return std::string_view("!$&'()*+,;=").find(c) != std::string_view::npos; }

std::string small(std::string_view text) {
    std::string made(text);
    std::transform(made.begin(), made.end(), made.begin(), [](char c) { return lower(c); });
    return made;
}

int value_of(char hex) noexcept { return is_digit(hex) ? hex - '0' : lower(hex) - 'a' + 10; }

/// For messages: what stands before an '@' is nobody's business, and control characters play no tricks.
std::string shown(std::string_view text) {
    std::string made;
    const auto secret = text.find("//");
    if (const auto at = text.find('@'); secret != text.npos && at != text.npos && at > secret) {
        made = std::string(text.substr(0, secret + 2)) + "…@";
        text.remove_prefix(at + 1);
    }
    constexpr std::size_t longest = 200;
    for (const char c : text.substr(0, longest)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            made += c;
        } else {
            made += "\\x";
            made += digits[byte >> 4];
            made += digits[byte & 15];
        }
    }
    return text.size() > longest ? made + "…" : made;
}

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
    throw bad_url("not a URL: \"" + shown(text) + "\": " + why);
}

/// Cuts off what follows `mark`, if it is there.
std::optional<std::string> cut_behind(std::string_view& text, char mark) {
    const auto at = text.find(mark);
    if (at == text.npos) return std::nullopt;
    std::string behind(text.substr(at + 1));
    text = text.substr(0, at);
    return behind;
}

/// Every character is unreserved, a sub-delimiter, one of `also`, or `%` and two digits.
void check(std::string_view part, std::string_view also, std::string_view whole, const char* name) {
    for (std::size_t i = 0; i < part.size(); ++i) {
        const char c = part[i];
        if (is_unreserved(c) || is_subdelim(c) || also.find(c) != also.npos) continue;
        if (c != '%') refuse(whole, std::string("a character in the ") + name + " that must be percent-encoded");
        if (i + 2 >= part.size() || !is_hex(part[i + 1]) || !is_hex(part[i + 2])) {
            refuse(whole, std::string("a % in the ") + name + " without two hexadecimal digits");
        }
        i += 2;
    }
}

std::uint16_t port_of_scheme(std::string_view scheme) noexcept {
    if (scheme == "http" || scheme == "ws") return 80;
    if (scheme == "https" || scheme == "wss") return 443;
    return 0;
}

std::uint16_t read_port(std::string_view text, std::string_view whole) {
    unsigned port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || port == 0 || port > 65535) {
        refuse(whole, "the port is not a number from 1 to 65535");
    }
    return static_cast<std::uint16_t>(port);
}

/// "127.1", "0x7f000001", "010.0.0.1": the system would read numbers in them that others do not.
void check_number_host(std::string_view host, std::string_view whole) {
    const std::string_view last = host.substr(host.rfind('.') + 1);
    const bool number = !last.empty() && std::all_of(last.begin(), last.end(), is_digit);
    if (!number && last.substr(0, 2) != "0x") return;
    in_addr address{};
    if (inet_pton(AF_INET, std::string(host).c_str(), &address) != 1) {
        refuse(whole, "a host that ends in a number must be four decimal numbers");
    }
}

void check_name(std::string_view host, std::string_view whole) {
    if (host.empty()) refuse(whole, "it has no host");
    if (host.size() > 254) refuse(whole, "the host is longer than 254 characters");
    for (const char c : host) {
        if (!is_letter(c) && !is_digit(c) && c != '-' && c != '.' && c != '_') {
            refuse(whole, "a character in the host that no host name has");
        }
    }
    if (host.front() == '.' || host.find("..") != host.npos) refuse(whole, "an empty label in the host");
    if (host.back() == '.') host.remove_suffix(1);  // "example.org." is a name, and the same
    for (std::size_t begin = 0; begin <= host.size();) {
        const auto end = std::min(host.find('.', begin), host.size());
        if (end - begin > 63) refuse(whole, "a label of the host is longer than 63 characters");
        begin = end + 1;
    }
    check_number_host(host, whole);
}

void check_ipv6(std::string_view host, std::string_view whole) {
    if (host.find('%') != host.npos) refuse(whole, "an IPv6 zone has no meaning to others");
    in6_addr address{};
    if (inet_pton(AF_INET6, std::string(host).c_str(), &address) != 1)
        refuse(whole, "the brackets hold no IPv6 address");
}

/// RFC 3986, 5.2.4, segment by segment.
std::string without_dots(std::string_view path) {
    std::vector<std::string_view> kept;
    bool directory = false;  // the last segment was "." or ".."
    for (std::size_t begin = 1; begin <= path.size();) {
        const auto end = std::min(path.find('/', begin), path.size());
        const std::string_view segment = path.substr(begin, end - begin);
        directory = segment == "." || segment == "..";
        if (segment == ".." && !kept.empty()) kept.pop_back();
        if (!directory) kept.push_back(segment);
        begin = end + 1;
    }
    std::string made;
    for (const std::string_view segment : kept) (made += '/') += segment;
    if (directory || made.empty()) made += '/';
    return made;
}

bool has_scheme(std::string_view reference) noexcept {
    const auto colon = reference.find(':');
    return colon != reference.npos && colon < reference.find_first_of("/?#");
}

}  // namespace

url url::parse(std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte >= 0x7f)
            refuse(text, "a space, control character or byte over 126 must be percent-encoded");
    }
    url made;
    std::string_view rest = text;
    const auto colon = rest.find("://");
    if (colon == rest.npos || colon == 0) refuse(text, "it does not begin with a scheme and ://");
    made.scheme_ = small(rest.substr(0, colon));
    if (!is_letter(made.scheme_.front()) || !std::all_of(made.scheme_.begin(), made.scheme_.end(), [](char c) {
            return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
        })) {
        refuse(text, "it does not begin with a scheme and ://");
    }
    rest.remove_prefix(colon + 3);

    made.fragment_ = cut_behind(rest, '#');
    made.query_ = cut_behind(rest, '?');
    const auto slash = std::min(rest.find('/'), rest.size());
    const std::string_view path = rest.substr(slash);
    std::string_view authority = rest.substr(0, slash);

    if (const auto at = authority.rfind('@'); at != authority.npos) {
        made.userinfo_ = std::string(authority.substr(0, at));
        check(*made.userinfo_, ":", text, "user information");
        authority.remove_prefix(at + 1);
    }
    made.port_ = port_of_scheme(made.scheme_);
    if (!authority.empty() && authority.front() == '[') {
        const auto end = authority.find(']');
        if (end == authority.npos) refuse(text, "a [ without a ]");
        made.brackets_ = true;
        made.host_ = small(authority.substr(1, end - 1));
        authority.remove_prefix(end + 1);
        check_ipv6(made.host_, text);
        if (!authority.empty() && authority.front() != ':') refuse(text, "something other than a port behind the ]");
    } else {
        const auto end = std::min(authority.find(':'), authority.size());
        made.host_ = small(authority.substr(0, end));
        authority.remove_prefix(end);
        check_name(made.host_, text);
    }
    if (authority.size() > 1) made.port_ = read_port(authority.substr(1), text);  // "host:" has none (RFC 3986, 3.2.3)
    if (made.port_ == 0)
        refuse(text, "the scheme " + made.scheme_ +
                         " is none of http, https, ws and wss, and of others the port has to be given");

    check(path, "/:@", text, "path");
    made.path_ = without_dots(path);
    if (made.query_) check(*made.query_, "/?:@[]|", text, "query");  // [] and | are not in the RFC, and everywhere
    if (made.fragment_) check(*made.fragment_, "/?:@", text, "fragment");
    return made;
}

url url::resolve(std::string_view reference) const {
    if (has_scheme(reference)) return parse(reference);
    if (reference.substr(0, 2) == "//") return parse(scheme_ + ":" + std::string(reference));
    const std::string root = scheme_ + "://" + (userinfo_ ? *userinfo_ + "@" : "") + host_and_port();
    if (reference.empty()) return parse(root + target());
    switch (reference.front()) {
    case '/': return parse(root + std::string(reference));
    case '?': return parse(root + path_ + std::string(reference));
    case '#': return parse(root + target() + std::string(reference));
    default: return parse(root + path_.substr(0, path_.rfind('/') + 1) + std::string(reference));
    }
}

std::string url::target() const { return query_ ? path_ + "?" + *query_ : path_; }

std::string url::authority() const {
    std::string made = brackets_ ? "[" + host_ + "]" : host_;
    if (port_ != port_of_scheme(scheme_)) made += ":" + std::to_string(port_);
    return made;
}

std::string url::host_and_port() const { return (brackets_ ? "[" + host_ + "]" : host_) + ":" + std::to_string(port_); }

std::string url::origin() const { return scheme_ + "://" + authority(); }

bool url::same_origin(const url& other) const noexcept {
    return port_ == other.port_ && host_ == other.host_ && scheme_ == other.scheme_;
}

std::string url::to_string() const {
    std::string made = scheme_ + "://";
    if (userinfo_) made += *userinfo_ + "@";
    made += authority() + target();
    if (fragment_) made += "#" + *fragment_;
    return made;
}

std::string url::printable() const { return origin() + target(); }

std::string percent_encode(std::string_view text) {
    std::string made;
    for (const char c : text) {
        if (is_unreserved(c)) {
            made += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            made += '%';
            made += digits[byte >> 4];
            made += digits[byte & 15];
        }
    }
    return made;
}

std::string percent_decode(std::string_view text) {
    std::string made;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            made += text[i];
            continue;
        }
        if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) {
            throw std::invalid_argument("percent_decode: a % without two hexadecimal digits at byte " +
                                        std::to_string(i));
        }
        made += static_cast<char>(value_of(text[i + 1]) * 16 + value_of(text[i + 2]));
        i += 2;
    }
    return made;
}

}  // namespace copse::io::http
