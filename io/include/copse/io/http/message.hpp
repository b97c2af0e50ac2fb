/// Requests and responses, and how large they may be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <copse/io/http/error.hpp>
#include <copse/io/http/fields.hpp>

namespace copse::io::http {

/// What a request asks for. Any token; letters count, as RFC 9110 wants it: "get" is not "GET".
///
///     if (request.method == "PURGE") …
class method {
public:
    /// GET.
    method() : text_("GET") {}
    /// Throws:  std::invalid_argument unless it is a token.
    explicit(false) method(std::string_view text);
    explicit(false) method(const char* text) : method(std::string_view(text)) {}

    const std::string& text() const noexcept { return text_; }

    /// Asks for nothing to be changed (RFC 9110): GET, HEAD, OPTIONS, TRACE.
    bool is_safe() const noexcept;
    /// Twice is as good as once: the safe ones, PUT, DELETE.
    bool is_idempotent() const noexcept;

    friend bool operator==(const method& a, const method& b) noexcept { return a.text_ == b.text_; }
    friend bool operator==(const method& a, std::string_view b) noexcept { return a.text_ == b; }
    friend bool operator==(const method& a, const char* b) noexcept { return a.text_ == b; }

private:
    std::string text_;  // short enough to need no allocation
};

enum class version : std::uint8_t { http_1_0 = 10, http_1_1 = 11 };

/// "HTTP/1.1".
std::string_view to_string(version v) noexcept;

struct request {
    http::method method{};
    std::string target = "/";  ///< as it goes over the wire: path and query
    http::version version = http::version::http_1_1;
    fields headers{};
    std::string body{};

    /// The target up to its '?', as it came: not decoded. Of an absolute target what follows the authority.
    std::string_view path() const noexcept;
    /// What follows the first '?'; empty if there is none.
    std::string_view query() const noexcept;
};

struct response {
    int status = 200;
    std::string reason{};  ///< empty: `reason_phrase(status)`
    fields headers{};
    std::string body{};

    /// 200 to 299.
    bool ok() const noexcept { return status >= 200 && status < 300; }
};

/// "Not Found" for 404; "Unknown" for a number that is not registered.
std::string_view reason_phrase(int status) noexcept;

/// Whether a response of this status to this method has a body: not for HEAD, 1xx, 204 and 304, nor for a CONNECT that
/// succeeded.
bool has_body(int status, const method& asked) noexcept;

/// Responses made in one word. `redirect` throws std::invalid_argument for a location that is no header value.
response text(std::string body, int status = 200);
response html(std::string body, int status = 200);
response json(std::string body, int status = 200);
response redirect(std::string_view location, int status = 302);

/// Throws std::invalid_argument unless it can stand in a request line: not empty, no space, control character or byte
/// over 126.
void check_target(std::string_view target);

/// What is accepted of a peer. Beyond that the message is refused before memory is taken for it.
struct limits {
    std::size_t header_block = 8 * 1024;          ///< bytes of start line and header fields together
    std::size_t header_count = 100;               ///< header fields; so for trailers
    std::size_t target = 8000;                    ///< bytes
    std::size_t method = 32;                      ///< bytes
    std::uint64_t body = std::uint64_t{1} << 20;  ///< bytes, however they are framed
    std::size_t chunk_extensions = 1024;          ///< bytes after the size of a chunk, in all chunks of a body together
};

}  // namespace copse::io::http
