/// URLs, read strictly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace copse::io::http {

/// A text that is no URL, or none that can be asked for. `what()` shows the text, its control characters escaped and
/// without what stands before the `@`.
class bad_url : public std::invalid_argument {
public:
    using std::invalid_argument::invalid_argument;
    ~bad_url() override;
};

/// An absolute URL with a host: `scheme://user:password@host:port/path?query#fragment` (RFC 3986).
///
/// Read strictly, because what two programs read differently is how requests are led astray: no space, control character,
/// backslash or byte over 126 anywhere (international names in their `xn--` form, paths percent-encoded); `%` only before
/// two hexadecimal digits; a host of letters, digits, `-`, `.` and `_`, or four decimal numbers, or an IPv6 address in
/// brackets, without a zone; no other spelling of an IPv4 address, such as `0x7f.1`.
///
///     const auto u = http::url::parse("https://example.org/a?b=c");
///     u.host();    // "example.org"
///     u.port();    // 443
///     u.target();  // "/a?b=c"
///
/// Scheme and host are in small letters; dots are taken out of the path (`/a/../b` is `/b`), all else stays as it was.
/// A value: may be copied and used anywhere.
class url {
public:
    /// Throws:  bad_url.
    static url parse(std::string_view text);

    /// What `reference`, such as a Location header, means when it is found at this URL: another URL, `//host/path`,
    /// `/path`, `path`, `?query`, `#fragment` (RFC 3986, 5.2).
    /// Throws:  bad_url.
    url resolve(std::string_view reference) const;

    const std::string& scheme() const noexcept { return scheme_; }
    /// "user:password", percent-encoded as it came. Empty: "" is told from none.
    const std::optional<std::string>& userinfo() const noexcept { return userinfo_; }
    /// Without the brackets of an IPv6 address.
    const std::string& host() const noexcept { return host_; }
    /// That of the text, else that of the scheme: 80 for http and ws, 443 for https and wss.
    std::uint16_t port() const noexcept { return port_; }
    /// Begins with '/'.
    const std::string& path() const noexcept { return path_; }
    /// What follows the '?', without it.
    const std::optional<std::string>& query() const noexcept { return query_; }
    /// What follows the '#', without it. Never sent.
    const std::optional<std::string>& fragment() const noexcept { return fragment_; }

    /// Path and query: what a request line asks for.
    std::string target() const;
    /// Host, with brackets if it needs them, and the port unless it is the scheme's: the Host header.
    std::string authority() const;
    /// Host and port: what `io::connect` takes.
    std::string host_and_port() const;
    /// Scheme, host and port: what shares connections, and what credentials are for (RFC 6454).
    std::string origin() const;
    bool same_origin(const url& other) const noexcept;

    /// Everything. A password too: see `printable`.
    std::string to_string() const;
    /// Without userinfo and fragment: for messages and logs.
    std::string printable() const;

    friend bool operator==(const url&, const url&) = default;
    friend std::ostream& operator<<(std::ostream& to, const url& u) { return to << u.printable(); }

private:
    url() = default;

    std::string scheme_;
    std::optional<std::string> userinfo_;
    std::string host_;
    std::uint16_t port_ = 0;
    bool brackets_ = false;  // an IPv6 address
    std::string path_;
    std::optional<std::string> query_;
    std::optional<std::string> fragment_;
};

/// Bytes that may stand in a path segment or a value of a query as they are, and `%XX` for the others.
std::string percent_encode(std::string_view text);

/// The reverse. `+` stays `+`.
/// Throws:  std::invalid_argument for a `%` without two hexadecimal digits.
std::string percent_decode(std::string_view text);

}  // namespace copse::io::http
