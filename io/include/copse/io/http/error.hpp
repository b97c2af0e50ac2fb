/// What HTTP throws when the peer does not keep to it.
#pragma once

#include <string>
#include <system_error>

namespace copse::io::http {

/// What was wrong with a message. The texts are those of `http_category()`.
enum class errc {
    bad_start_line = 1,     ///< no request line, or no status line
    bad_field,              ///< a header line that is none: space before the colon, a fold, a control character …
    bad_host,               ///< none, several, or another than the target's
    bad_framing,            ///< Content-Length or Transfer-Encoding that leave in doubt where the body ends
    bad_chunk,              ///< a chunk that is none
    method_not_known,       ///< longer than any method that there is
    target_too_long,        ///< over limits::target
    header_too_large,       ///< over limits::header_block or limits::header_count
    body_too_large,         ///< over limits::body
    version_not_supported,  ///< neither HTTP/1.0 nor HTTP/1.1
    expectation_failed,     ///< another Expect than 100-continue
    message_incomplete,     ///< the connection ended within a message
    too_slow,               ///< the message, or a part of it, took longer than it may
    bad_response,           ///< an answer that does not belong to what was asked
    too_many_redirects,     ///< over client options
    upgrade_refused,        ///< no WebSocket: the other side does not want one, or asked for it in a wrong way
    bad_frame,              ///< a WebSocket frame that is none
    bad_payload,            ///< a WebSocket message that is not what it says, such as text that is not UTF-8
};

const std::error_category& http_category() noexcept;
inline std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), http_category()}; }

/// The peer broke a rule of HTTP, or a limit. The connection is of no further use.
class error : public std::system_error {
public:
    explicit error(errc what) : std::system_error(make_error_code(what)) {}
    error(errc what, const std::string& text) : std::system_error(make_error_code(what), text) {}
    ~error() override;
};

/// What a server answers to such a request: 400, 408, 413, 414, 417, 431, 501 or 505.
int status_of(errc e) noexcept;

}  // namespace copse::io::http

template <>
struct std::is_error_code_enum<copse::io::http::errc> : std::true_type {};
