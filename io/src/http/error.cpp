#include <copse/io/http/error.hpp>

namespace copse::io::http {

error::~error() = default;

namespace {

const char* text_of(errc e) noexcept {
    switch (e) {
    case errc::bad_start_line: return "the first line is no HTTP";
    case errc::bad_field: return "a header line is malformed";
    case errc::bad_host: return "the Host field is missing, repeated or contradicts the target";
    case errc::bad_framing: return "Content-Length and Transfer-Encoding leave in doubt where the body ends";
    case errc::bad_chunk: return "a chunk of the body is malformed";
    case errc::method_not_known: return "there is no method of that length";
    case errc::target_too_long: return "the target is too long";
    case errc::header_too_large: return "the header is too large";
    case errc::body_too_large: return "the body is too large";
    case errc::version_not_supported: return "the version is not HTTP/1.0 or HTTP/1.1";
    case errc::expectation_failed: return "something else than 100-continue is expected";
    case errc::message_incomplete: return "the connection ended within a message";
    case errc::too_slow: return "the message took too long";
    case errc::bad_response: return "the response does not belong to the request";
    case errc::too_many_redirects: return "too many redirects";
    case errc::upgrade_refused: return "there will be no WebSocket";
    case errc::bad_frame: return "a WebSocket frame breaks the protocol";
    case errc::bad_payload: return "the payload of a WebSocket message is malformed";
    }
    return "unknown HTTP error";
}

}  // namespace

const std::error_category& http_category() noexcept {
    struct category final : std::error_category {
        const char* name() const noexcept override { return "copse.io.http"; }
        std::string message(int code) const override { return text_of(static_cast<errc>(code)); }
    };
    static const category the_one;
    return the_one;
}

int status_of(errc e) noexcept {
    switch (e) {
    case errc::method_not_known: return 501;
    case errc::target_too_long: return 414;
    case errc::header_too_large: return 431;
    case errc::body_too_large: return 413;
    case errc::version_not_supported: return 505;
    case errc::expectation_failed: return 417;
    case errc::too_slow: return 408;
    default: return 400;
    }
}

}  // namespace copse::io::http
